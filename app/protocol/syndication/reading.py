"""What an item means: feedparser's entries, and JSON Feed's, as drafts of native records."""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from time import struct_time
from typing import Any, Final

import feedparser

from app.protocol import pages
from app.protocol.connector import Draft, Fault
from app.protocol.syndication import json_feed
from app.protocol.syndication.json_feed import put

_COUNT: Final = re.compile(r"[0-9]{1,15}")
_CATALOG: Final = re.compile(r"(?:urn:)?(isbn|issn|doi|uuid):\s*(?=\S)", re.IGNORECASE)


def read(raws: Sequence[bytes], context: bytes) -> Iterator[Draft | Fault]:
    """A draft or a fault for each item, in order; never raises for a bad one."""
    if context == json_feed.CONTEXT:
        yield from map(json_feed.read_json, raws)
        return
    found = _entries(raws, context)
    if len(found) == len(raws):
        yield from map(_draft, found)
        return
    for raw in raws:
        alone = _entries([raw], context)
        yield _draft(alone[0]) if len(alone) == 1 else Fault("record.xml", "the bytes of the item are not one item")


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
    put(draft, "title", pages.plain(entry.get("title") or "")[:1000])
    put(draft, "description", _description(entry)[:20_000])
    put(draft, "keywords", list(dict.fromkeys(tag.strip()[:1000] for tag in tags if tag.strip())))
    put(draft, "languages", [said] if said else [])
    put(draft, "contributors", _people(entry))
    put(draft, "published", _date(entry))
    put(draft, "rights", _rights(entry))
    _links(draft, entry)
    return draft


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
    put(draft, "location", list(dict.fromkeys([*pages_, *(file[0] for file in files)])))
    put(draft, "format", list(dict.fromkeys(file[1] for file in files if file[1])))
    sizes = [int(file[2]) for file in files if _COUNT.fullmatch(file[2]) and int(file[2])]
    put(draft, "size_bytes", sizes[0] if len(files) == 1 and sizes else None)
    if (found := _CATALOG.match(identifier := entry.get("dc_identifier") or "")) is not None:
        draft["identifiers"] = [{"catalog": found[1].upper(), "entry": identifier[found.end() :][:4000]}]
