"""Feeds of news: RSS 0.9x to 2.0 and 1.0, Atom 0.3 and 1.0 (RFC 4287), OPDS 1.2, podcasts, JSON Feed 1.1.

Our own hardened reader decodes a feed and cuts it into items, so that encodings and DOCTYPEs are judged as
everywhere; what an item's dialect means is feedparser's knowledge. feedparser is given bytes in memory only (it would
open a text as a URL or a file), and its HTML cleaner is off: descriptions become plain text in `pages.plain`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from html.entities import html5
from io import BytesIO
from time import struct_time
from typing import Any, Final

import feedparser
from lxml import etree

from app.protocol import json, pages, xml
from app.protocol.connector import Draft, Fault
from app.protocol.errors import PeerViolation

ATOM: Final = "http://www.w3.org/2005/Atom"
TOMBSTONE: Final = "{http://purl.org/atompub/tombstones/1.0}deleted-entry"
_JSON_CONTEXT: Final = b"{}"
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_ENTITY: Final = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,31});")
_OWN: Final = {b"amp", b"lt", b"gt", b"quot", b"apos"}
_COUNT: Final = re.compile(r"[0-9]{1,15}")
_CATALOG: Final = re.compile(r"(?:urn:)?(isbn|issn|doi|uuid):\s*(?=\S)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a feed: the source's identifier (a digest of the item where it has none) and its own bytes."""

    identifier: str
    raw: bytes
    stamp: str | None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed cut into items. `context` is what an item needs to be read alone; `next` the address of older items."""

    items: Sequence[Item]
    context: bytes
    next: str | None = None


def cut(content: bytes, *, url: str = "", charset: str | None = None) -> Feed:
    """The feed at `url`. Raises PeerViolation: syndication.root, syndication.shape, and those of the readers."""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return _cut_json(content.lstrip(b"\xef\xbb\xbf \t\r\n"))
    content = xml.decoded(content, expect="feed", charset=charset)
    root = xml.document(_ENTITY.sub(_character, content), expect="feed", charset="utf-8")
    name = _local(root)
    if name not in _HOLDERS:
        raise PeerViolation("syndication.root", f"the root element is {name[:100]}, not rss, RDF or feed")
    listed = [node for holder in _HOLDERS[name](root) for node in holder if isinstance(node.tag, str)]
    items = [_item(node) for node in listed if _local(node) in ("item", "entry")]
    items += [
        Item(node.get("ref", ""), b"", node.get("when"), deleted=True)
        for node in listed
        if node.tag == TOMBSTONE and node.get("ref")
    ]
    return Feed(items, _envelope(root, name, url), _next(listed))


def read(raws: Sequence[bytes], context: bytes) -> Iterator[Draft | Fault]:
    """A draft or a fault for each item, in order; never raises for a bad one."""
    if context == _JSON_CONTEXT:
        yield from map(_read_json, raws)
        return
    found = _entries(raws, context)
    if len(found) == len(raws):
        yield from map(_draft, found)
        return
    for raw in raws:
        alone = _entries([raw], context)
        yield _draft(alone[0]) if len(alone) == 1 else Fault("record.xml", "the bytes of the item are not one item")


def _holder_rss(root: etree._Element) -> list[etree._Element]:
    return [root, *(node for node in root if _local(node) == "channel")]


_HOLDERS: Final[Mapping[str, Callable[[etree._Element], Sequence[Iterable[etree._Element]]]]] = {
    "rss": _holder_rss, "RDF": _holder_rss, "feed": lambda root: [root], "entry": lambda root: [[root]],
}  # fmt: skip


def _local(node: etree._Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _character(found: re.Match[bytes]) -> bytes:
    """Undeclared references such as `&nbsp;`, which HTML knows and XML does not, as the characters they stand for."""
    if found[1] in _OWN or (text := html5.get(f"{found[1].decode()};")) is None:
        return found[0]
    return text.encode()


def _item(node: etree._Element) -> Item:
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    names = {"guid": "", "id": "", "link": "", "updated": "", "pubDate": "", "date": ""}
    for part in node:
        if (name := _local(part)) in names and not names[name]:
            names[name] = "".join(map(str, part.itertext())).strip() or part.get("href", "")
    about = node.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about", "")
    identifier = names["guid"] or names["id"] or names["link"] or about or f"#{sha256(raw).hexdigest()[:32]}"
    return Item(identifier, raw, names["updated"] or names["pubDate"] or names["date"] or None)


def _next(listed: Sequence[etree._Element]) -> str | None:
    """The next page of a paged feed (RFC 5005 section 3)."""
    links = (node for node in listed if node.tag == f"{{{ATOM}}}link" and node.get("rel") == "next")
    return next((node.get("href") for node in links if node.get("href")), None)


def _envelope(root: etree._Element, name: str, url: str) -> bytes:
    """The start tags inside which an item can be read again: dialect, language and base address of its feed."""
    if name == "entry":  # an Atom entry alone (RFC 4287 section 2), as OPDS has them
        return f'<feed xmlns="{ATOM}" xml:base="{xml.escape(url)}">'.encode()
    spaces = "".join(
        f' xmlns:{prefix}="{xml.escape(uri)}"' for prefix, uri in sorted(root.nsmap.items(), key=str) if prefix
    )
    default = f' xmlns="{xml.escape(root.nsmap[None])}"' if None in root.nsmap else ""
    kept = {
        "xml:base": root.get(f"{_XML}base") or url,
        "xml:lang": root.get(f"{_XML}lang"),
        "version": root.get("version"),
    }
    attributes = "".join(f' {key}="{xml.escape(value)}"' for key, value in kept.items() if value)
    channels = [node for node in root if _local(node) == "channel"]
    language = next((node.findtext("{*}language") or "" for node in channels), "").strip()
    said = f"<channel><language>{xml.escape(language)}</language>" if name != "feed" else ""
    prefix = f"{root.prefix}:" if root.prefix else ""
    return f"<{prefix}{name}{default}{spaces}{attributes}>{said}".encode()


def _entries(raws: Sequence[bytes], context: bytes) -> list[tuple[Any, str]]:
    """feedparser's entries, each with its feed's language."""
    name = context[1 : re.search(rb"[\s>]", context).start()] if context else b"rss"  # type: ignore[union-attr]
    closing = (b"</channel>" if b"<channel>" in context else b"") + b"</" + name + b">"
    try:
        found = feedparser.parse(
            BytesIO(context + b"".join(raws) + closing), sanitize_html=False, resolve_relative_uris=False
        )  # fmt: skip
    except Exception:
        # feedparser promises no set of errors for hostile bytes; each item is then a fault of its own.
        return []
    language = found.feed.get("language") or ""
    return [(entry, language) for entry in found.entries] if not found.bozo else []


def _draft(found: tuple[Any, str]) -> Draft | Fault:
    entry, language = found
    draft: dict[str, Any] = {}
    tags = [tag.get("label") or tag.get("term") or "" for tag in entry.get("tags") or ()]
    said = entry.get("language") or (entry.get("title_detail") or {}).get("language") or language
    _put(draft, "title", pages.plain(entry.get("title") or "")[:1000])
    _put(draft, "description", _description(entry)[:20_000])
    _put(draft, "keywords", list(dict.fromkeys(tag.strip()[:1000] for tag in tags if tag.strip())))
    _put(draft, "languages", [said] if said else [])
    _put(draft, "contributors", _people(entry))
    _put(draft, "published", _date(entry))
    _put(draft, "rights", _rights(entry))
    _links(draft, entry)
    return draft


def _put(draft: dict[str, Any], name: str, value: Any) -> None:
    if value not in ("", [], {}, None):
        draft[name] = value


def _description(entry: Any) -> str:
    """The summary, else the content, whichever says more."""
    texts = [entry.get("summary") or "", *(part.get("value") or "" for part in entry.get("content") or ())]
    return max((pages.plain(text) for text in texts), key=len, default="")


def _people(entry: Any) -> list[dict[str, Any]]:
    roles = [("creator", entry.get("authors")), ("contributor", entry.get("contributors"))]
    people = [(role, person.get("name") or "") for role, group in roles for person in group or ()]
    people += [("publisher", entry.get("publisher") or "")]
    return [{"role": role, "name": name.strip()[:1000]} for role, name in dict.fromkeys(people) if name.strip()]


def _date(entry: Any) -> str:
    """The day it was published, or the text itself where nobody can read it; a revision is not a publication."""
    at = entry.get("published_parsed")
    if isinstance(at, struct_time):
        return f"{at.tm_year:04}-{at.tm_mon:02}-{at.tm_mday:02}"
    return str(entry.get("dc_issued") or entry.get("published") or "")[:200]


def _rights(entry: Any) -> dict[str, str]:
    statement, licence = pages.plain(entry.get("rights") or "")[:20_000], entry.get("license") or ""
    licence = licence or next(
        (link.get("href", "") for link in entry.get("links") or () if link.get("rel") == "license"), ""
    )
    return {name: value for name, value in (("statement", statement), ("licence_uri", licence[:4000])) if value}


def _links(draft: dict[str, Any], entry: Any) -> None:
    """Where it is: its page, its files (enclosures, OPDS acquisitions) with their media types and the first's size."""
    pages_, files = [], []
    for link in entry.get("links") or ():
        rel, href = link.get("rel") or "alternate", (link.get("href") or "")[:4000]
        if href and rel == "alternate":
            pages_.append(href)
        elif href and (rel == "enclosure" or rel.startswith("http://opds-spec.org/acquisition")):
            files.append((href, link.get("type") or "", str(link.get("length") or "")))
    _put(draft, "location", list(dict.fromkeys([*pages_, *(file[0] for file in files)])))
    _put(draft, "format", list(dict.fromkeys(file[1] for file in files if file[1])))
    sizes = [int(file[2]) for file in files if _COUNT.fullmatch(file[2]) and int(file[2])]
    _put(draft, "size_bytes", sizes[0] if len(files) == 1 and sizes else None)
    if (found := _CATALOG.match(identifier := entry.get("dc_identifier") or "")) is not None:
        draft["identifiers"] = [{"catalog": found[1].upper(), "entry": identifier[found.end() :][:4000]}]


def _cut_json(content: bytes) -> Feed:
    members = json.members(content)
    version = json.loads(members.get("version", b"null"))
    if not isinstance(version, str) or "jsonfeed.org/version/" not in version:
        raise PeerViolation("syndication.root", "a JSON Feed needs `version` with the address of its specification")
    after = json.loads(members.get("next_url", b"null"))
    found = json.items(members.get("items", b"null"))
    return Feed(
        [_json_item(value, raw) for value, raw in found], _JSON_CONTEXT, after if isinstance(after, str) else None
    )


def _json_item(value: Any, raw: bytes) -> Item:
    """JSON Feed 1.1: an id should be text, and numbers are to be read as such."""
    said = [value.get(name) for name in ("id", "url")] if isinstance(value, dict) else []
    texts = [str(name) for name in said if isinstance(name, str | int) and not isinstance(name, bool) and name != ""]
    stamps = [value.get(name) for name in ("date_modified", "date_published")] if texts else []
    stamp = next((text for text in stamps if isinstance(text, str)), None)
    return Item(texts[0].encode(errors="replace").decode() if texts else f"#{sha256(raw).hexdigest()[:32]}", raw, stamp)


def _read_json(raw: bytes) -> Draft | Fault:
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
    _put(draft, "title", pages.plain(_text(item, "title"))[:1000])
    _put(draft, "description", max(texts, key=len)[:20_000])
    _put(draft, "location", list(dict.fromkeys(url[:4000] for url in urls if url)))
    _put(draft, "format", list(dict.fromkeys(kind for file in files if (kind := _text(file, "mime_type")))))
    _put(draft, "published", _text(item, "date_published")[:10])
    _put(draft, "languages", [said] if (said := _text(item, "language")) else [])
    tags = found if isinstance(found := item.get("tags"), list) else []
    _put(draft, "keywords", [tag.strip()[:1000] for tag in tags if isinstance(tag, str) and tag.strip()])
    names = [_text(person, "name") for person in people]
    _put(draft, "contributors", [{"role": "creator", "name": name[:1000]} for name in names if name])
    return draft


def _objects(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: Mapping[str, Any], name: str) -> str:
    found = value.get(name)
    return found.strip() if isinstance(found, str) else ""


def render(feed: Mapping[str, str], entries: Sequence[tuple[Mapping[str, Any], str]]) -> bytes:
    """An Atom feed: `feed` has id, title, updated, self, author; each entry is a record with the time it changed.

    What Atom can carry comes back from `read` as it was: title, description, location, contributors, keywords,
    languages, published (a day) and rights.
    """
    head = (
        f'<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="{ATOM}" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<id>{xml.escape(feed['id'])}</id><title>{xml.escape(feed['title'])}</title><updated>{feed['updated']}</updated>"
        f'<link rel="self" href="{xml.escape(feed["self"])}"/><author><name>{xml.escape(feed["author"])}</name></author>'
    )
    return f"{head}{''.join(_rendered(record, at) for record, at in entries)}</feed>\n".encode()


def _rendered(record: Mapping[str, Any], updated: str) -> str:
    parts = [f"<id>{xml.escape(record['id'])}</id>", f"<updated>{updated}</updated>", _typed("title", record["title"])]
    parts += [f'<link rel="alternate" href="{xml.escape(url)}"/>' for url in record.get("location", ())]
    for person in record.get("contributors", ()):
        name = "author" if person.get("role") == "creator" else "contributor"
        parts.append(f"<{name}><name>{xml.escape(person['name'])}</name></{name}>")
    parts += [f'<category term="{xml.escape(word)}"/>' for word in record.get("keywords", ())]
    parts += [f"<dc:language>{xml.escape(tag)}</dc:language>" for tag in record.get("languages", ())[:1]]
    if re.fullmatch(r"\d{4}-\d\d-\d\d", record.get("published", "")):
        parts.append(f"<published>{record['published']}T00:00:00Z</published>")
    rights = record.get("rights", {})
    if "statement" in rights:
        parts.append(_typed("rights", rights["statement"]))
    if "licence_uri" in rights:
        parts.append(f'<link rel="license" href="{xml.escape(rights["licence_uri"])}"/>')
    if "description" in record:
        parts.append(_typed("summary", record["description"]))
    return f"<entry>{''.join(parts)}</entry>"


def _typed(name: str, text: str) -> str:
    """A text construct as escaped HTML (RFC 4287 3.1.1.2): the one form in which `<` and `&` mean themselves everywhere."""
    inner = xml.escape(text).replace("\n", "<br/>")
    return f'<{name} type="html">{xml.escape(inner)}</{name}>'
