"""Sitemaps (sitemaps.org 0.9) with the ResourceSync terms inside them (ANSI/NISO Z39.99, cited as RS): one codec.

A ResourceSync document is a sitemap with `rs:md` and `rs:ln` elements. Namespaces of sitemaps are wrong in practice
(an old vendor's, https for http, none), so elements are taken by their local names.
"""

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from lxml import etree

from app.protocol import xml
from app.protocol.errors import PeerViolation

NAMESPACE: Final = "http://www.sitemaps.org/schemas/sitemap/0.9"
TERMS: Final = "http://www.openarchives.org/rs/terms/"
ENTRIES: Final = 50_000
"""The most entries of one file, by sitemaps.org and RS 8.1."""
UNPACKED: Final = 64 << 20
_RATIO: Final = 200
_SPACE: Final = " \t\r\n"
_YEAR_OR_MONTH: Final = re.compile(r"\d{4}(-\d\d)?")


@dataclass(frozen=True, slots=True)
class Link:
    """An `rs:ln` element: `rel`, `href` and whatever else it says (RS 4)."""

    rel: str
    href: str
    more: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Item:
    """A `url` or `sitemap` element; `md` are the attributes of its `rs:md`."""

    loc: str
    lastmod: str | None = None
    md: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[Link] = ()


@dataclass(frozen=True, slots=True)
class Document:
    """A urlset, or with `index` a sitemapindex; `md` and `links` are those of the whole document."""

    items: Sequence[Item]
    index: bool = False
    md: Mapping[str, str] = field(default_factory=dict)
    links: Sequence[Link] = ()

    @property
    def capability(self) -> str:
        """What a ResourceSync document is (RS 7); empty for a plain sitemap."""
        return self.md.get("capability", "")


def parse(content: bytes, *, charset: str | None = None) -> Document:
    """A file, gunzipped where it is one. Raises PeerViolation: sitemap.root, page.limit, body.bomb, XML's own rules."""
    root = xml.document(unpacked(content), expect="sitemap", charset=charset)
    name = _local(root)
    if name not in ("urlset", "sitemapindex"):
        raise PeerViolation("sitemap.root", f"the root element is {name[:100]}, not urlset or sitemapindex")
    items = [item for node in root if _local(node) in ("url", "sitemap") and (item := _item(node)) is not None]
    if len(items) > ENTRIES:
        raise PeerViolation("page.limit", f"{len(items)} entries in one file, the standard allows {ENTRIES}")
    return Document(tuple(items), name == "sitemapindex", _md(root), _links(root))


def _item(node: etree._Element) -> Item | None:
    texts = {
        _local(part): "".join(map(str, part.itertext())).strip(_SPACE)
        for part in node
        if _local(part) in ("loc", "lastmod")
    }
    return Item(texts["loc"], texts.get("lastmod") or None, _md(node), _links(node)) if texts.get("loc") else None


def _local(node: etree._Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _md(node: etree._Element) -> dict[str, str]:
    found = node.find(f"{{{TERMS}}}md")
    return {str(name): " ".join(str(value).split()) for name, value in found.items()} if found is not None else {}


def _links(node: etree._Element) -> tuple[Link, ...]:
    links = [{str(name): str(value) for name, value in found.items()} for found in node.findall(f"{{{TERMS}}}ln")]
    return tuple(Link(link.pop("rel", ""), link.pop("href", ""), link) for link in links)


def unpacked(content: bytes) -> bytes:
    """A file whose name ends in .gz is served as gzip without a Content-Encoding; one layer is taken off, bounded."""
    if content[:2] != b"\x1f\x8b":
        return content
    room = min(UNPACKED, max(1 << 20, _RATIO * len(content)))
    unpack = zlib.decompressobj(31)
    try:
        found = unpack.decompress(content, room + 1)
    except zlib.error as error:
        raise PeerViolation("sitemap.gzip", f"the file is not gzip: {error}") from None
    if len(found) > room:
        raise PeerViolation("body.bomb", f"a file of {len(content)} bytes unpacks to more than {room}")
    if not unpack.eof:
        raise PeerViolation("sitemap.gzip", "the file is cut short")
    return found


def moment(text: str | None) -> datetime | None:
    """A W3C date-time in UTC; a day, month or year is its first moment; None for what nobody can read."""
    if not text:
        return None
    try:
        short = _YEAR_OR_MONTH.fullmatch(text)
        at = datetime.fromisoformat(f"{text}-01-01"[:10] if short else text)
        return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def before(text: str | None, since: str | None, overlap: timedelta) -> bool:
    """Whether a stamp is certainly older than `since`, with an overlap for coarse stamps and late appearance."""
    at, limit = moment(text), moment(since)
    try:
        return at is not None and limit is not None and at + overlap < limit
    except OverflowError:
        return False


def render(document: Document) -> bytes:
    """A file; `parse` gives the same document back."""
    outer, inner = ("sitemapindex", "sitemap") if document.index else ("urlset", "url")
    plain = not (document.md or document.links or any(item.md or item.links for item in document.items))
    terms = "" if plain else f' xmlns:rs="{TERMS}"'
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<{outer} xmlns="{NAMESPACE}"{terms}>'
    body = "".join(f"<{inner}>{_rendered(item)}</{inner}>\n" for item in document.items)
    return f"{head}{_terms(document.md, document.links)}\n{body}</{outer}>\n".encode()


def _rendered(item: Item) -> str:
    lastmod = f"<lastmod>{xml.escape(item.lastmod)}</lastmod>" if item.lastmod else ""
    return f"<loc>{xml.escape(item.loc)}</loc>{lastmod}{_terms(item.md, item.links)}"


def _terms(md: Mapping[str, str], links: Sequence[Link]) -> str:
    """Links first: the order of the specification's examples."""
    found = [_element("ln", {"rel": link.rel, "href": link.href, **link.more}) for link in links]
    return "".join([*found, _element("md", md) if md else ""])


def _element(name: str, attributes: Mapping[str, str]) -> str:
    said = "".join(f' {key}="{xml.escape(value)}"' for key, value in attributes.items() if value)
    return f"<rs:{name}{said}/>"
