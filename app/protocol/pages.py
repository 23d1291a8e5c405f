"""Pages that platforms send: their JSON-LD blocks, and the feeds they name.

The tree is made by libxml2's HTML reader with the network off; its own depth limit holds.
"""

import codecs
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from lxml import etree

from app.protocol import json, xml
from app.protocol.errors import PeerViolation

PAGE_BYTES: Final = 8 << 20
BLOCKS: Final = 100
_META: Final = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)
_ALIASES: Final = {
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs", "big5-hkscs": "big5hkscs",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252", "us-ascii": "utf-8", "ascii": "utf-8",
    "utf-8": "utf-8", "utf8": "utf-8", "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}  # fmt: skip
"""WHATWG Encoding section 4.2 for the encodings that are read; what it calls Latin 1 is windows-1252."""

_FEEDS: Final = ("application/rss+xml", "application/atom+xml", "application/feed+json")
_LEARNING: Final = {"LearningResource", "Course", "Quiz", "HowTo", "EducationalOccupationalProgram", "CourseInstance"}
_WORK: Final = {
    "CreativeWork", "Article", "Book", "MediaObject", "VideoObject", "AudioObject", "PresentationDigitalDocument",
    "TextDigitalDocument", "DigitalDocument", "Dataset", "SoftwareApplication", "PodcastEpisode", "WebContent",
    "ScholarlyArticle", "ImageGallery", "Game", "Map", "Chapter", "Report", "Photograph",
}  # fmt: skip


def blocks(content: bytes, charset: str | None = None) -> list[str]:
    """The text of each `application/ld+json` script of a page, at most a hundred.

    Raises PeerViolation `page.encoding` for bytes that are not what the page or its header declares.
    """
    if len(content) > PAGE_BYTES:
        raise PeerViolation("page.limit", f"a page of {len(content)} bytes, the limit is {PAGE_BYTES}")
    root = _tree(xml.clean(_decoded(content, charset)))
    if root is None:
        return []
    found = (node.text for node in root.iter("script") if _is_json_ld(node) and node.text)
    return [str(text).strip() for text, _ in zip(found, range(BLOCKS), strict=False)]


def alternates(content: bytes, charset: str | None = None) -> list[tuple[str, str]]:
    """The feeds a page names, as (address, media type). Raises PeerViolation as `blocks` does."""
    if len(content) > PAGE_BYTES:
        raise PeerViolation("page.limit", f"a page of {len(content)} bytes, the limit is {PAGE_BYTES}")
    root = _tree(xml.clean(_decoded(content, charset)))
    links = [] if root is None else [(link.get("href") or "", _media_type(link)) for link in root.iter("link")
                                     if "alternate" in (link.get("rel") or "").lower().split()]  # fmt: skip
    return [(href, kind) for href, kind in links if href and kind in _FEEDS]


def _media_type(node: etree._Element) -> str:
    return (node.get("type") or "").split(";")[0].strip().lower()


def nodes(block: str) -> Iterator[dict[str, Any]]:
    """The objects a JSON-LD block describes: itself, the members of a list and of `@graph`.

    Raises PeerViolation as `json.loads` does.
    """
    waiting = deque([json.loads(block.encode(errors="surrogatepass"))])
    while waiting:
        value = waiting.popleft()
        if isinstance(value, list):
            waiting.extendleft(reversed(value))
        elif isinstance(value, dict):
            if "@graph" in value:
                waiting.appendleft(value["@graph"])
            if {"@type", "type"} & set(value):
                yield value


def resource(blocks: Sequence[str]) -> tuple[dict[str, Any] | None, bytes]:
    """The object that describes the page's resource, and the first block that is no JSON.

    A learning resource before any other work; what only surrounds it (breadcrumbs, organisation, site, search) never.
    """
    found: list[tuple[int, int, dict[str, Any]]] = []
    broken = b""
    for block in blocks:
        try:
            described = list(nodes(block))
        except PeerViolation:
            broken = broken or block.encode(errors="replace")
            continue
        for node in described:
            # A page's WebPage often holds the resource itself.
            main = node.get("mainEntity")
            for candidate in (node, *(main if isinstance(main, list) else [main])):
                if isinstance(candidate, dict) and (rank := _rank(candidate)) is not None:
                    found.append((rank, len(found), candidate))
    return (min(found, key=lambda item: item[:2])[2] if found else None), broken


def _rank(node: Mapping[str, Any]) -> int | None:
    said = node.get("@type") or node.get("type")
    kinds = {str(kind).rpartition("/")[2].rpartition(":")[2] for kind in (said if isinstance(said, list) else [said])}
    if kinds & _LEARNING or ("learningResourceType" in node and kinds & _WORK):
        return 0
    return 1 if kinds & _WORK else None


def _is_json_ld(node: etree._Element) -> bool:
    return _media_type(node) == "application/ld+json"


def _tree(text: str) -> etree._Element | None:
    parser = etree.HTMLParser(
        encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False
    )  # fmt: skip
    try:
        return etree.fromstring(text.encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return None  # nothing but blanks or comments


def _decoded(content: bytes, charset: str | None) -> str:
    """The page as text: its mark, its header, its own declaration, else UTF-8 (WHATWG HTML 13.2.3.2)."""
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            return _strictly(content, name)
    declared = _META.search(content[:4096])
    said = (charset or "").strip("\"' ").lower() or (declared[1].decode().lower() if declared else "utf-8")
    name = _ALIASES.get(said, "")
    if not name:
        raise PeerViolation("page.encoding", f"encoding {said[:40]} is not accepted; use UTF-8")
    return _strictly(content, name)


def _strictly(content: bytes, name: str) -> str:
    try:
        return content.decode(name)
    except UnicodeError as error:
        raise PeerViolation("page.encoding", f"the page is not {name}: {str(error)[:120]}") from None
