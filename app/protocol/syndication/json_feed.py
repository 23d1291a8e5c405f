"""JSON Feed 1.0 and 1.1 (jsonfeed.org/version/1.1)."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from app.protocol import json, pages
from app.protocol.connector import Draft, Fault
from app.protocol.errors import PeerViolation
from app.protocol.syndication.feeds import Feed, Item

CONTEXT: Final = b"{}"


def cut_json(content: bytes) -> Feed:
    members = json.members(content)
    version = json.loads(members.get("version", b"null"))
    if not isinstance(version, str) or "jsonfeed.org/version/" not in version:
        raise PeerViolation("syndication.root", "a JSON Feed needs `version` with the address of its specification")
    after = json.loads(members.get("next_url", b"null"))
    found = json.items(members.get("items", b"null"))
    return Feed([_json_item(value, raw) for value, raw in found], CONTEXT, after if isinstance(after, str) else None)


def _json_item(value: Any, raw: bytes) -> Item:
    """JSON Feed 1.1: an id should be text, and numbers are to be read as such."""
    said = [value.get(name) for name in ("id", "url")] if isinstance(value, dict) else []
    texts = [str(name) for name in said if isinstance(name, str | int) and not isinstance(name, bool) and name != ""]
    stamps = [value.get(name) for name in ("date_modified", "date_published")] if texts else []
    stamp = next((text for text in stamps if isinstance(text, str)), None)
    return Item(texts[0].encode(errors="replace").decode() if texts else f"#{sha256(raw).hexdigest()[:32]}", raw, stamp)


def read_json(raw: bytes) -> Draft | Fault:
    try:
        item = json.loads(raw)
    except PeerViolation as error:
        return Fault(error.kind, error.detail)
    if not isinstance(item, dict):
        return Fault("record.shape", "an item must be a JSON object")
    draft: dict[str, Any] = {}
    people = _objects(item.get("authors") or [item.get("author")])  # 1.0 had one author
    files = _objects(item.get("attachments"))
    texts = [pages.plain(_text(item, name)) for name in ("summary", "content_text", "content_html")]
    urls = [_text(item, "url"), _text(item, "external_url"), *(_text(file, "url") for file in files)]
    put(draft, "title", pages.plain(_text(item, "title"))[:1000])
    put(draft, "description", max(texts, key=len)[:20_000])
    put(draft, "location", list(dict.fromkeys(url[:4000] for url in urls if url)))
    put(draft, "format", list(dict.fromkeys(kind for file in files if (kind := _text(file, "mime_type")))))
    put(draft, "published", _text(item, "date_published")[:10])
    put(draft, "languages", [said] if (said := _text(item, "language")) else [])
    tags = found if isinstance(found := item.get("tags"), list) else []
    put(draft, "keywords", [tag.strip()[:1000] for tag in tags if isinstance(tag, str) and tag.strip()])
    names = [_text(person, "name") for person in people]
    put(draft, "contributors", [{"role": "creator", "name": name[:1000]} for name in names if name])
    return draft


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found.strip() if isinstance(found, str) else ""


def put(draft: dict[str, Any], name: str, value: Any) -> None:
    """Sets a field that says something."""
    if value not in ("", [], {}, None):
        draft[name] = value
