"""HTML that platforms send: fragments reduced to plain text, and the JSON-LD blocks of a page.

Nothing of the markup survives: what a page shows is text, escaped again where it is shown (safety 1.12). The tree
is made by libxml2's HTML reader with the network off; its own depth limit holds, and no cleaner is involved.
"""

import codecs
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from html import unescape
from typing import Any, Final

from lxml import etree

from app.protocol import json, xml
from app.protocol.errors import PeerViolation

PAGE_BYTES: Final = 8 << 20
BLOCKS: Final = 100
_TAG: Final = re.compile(r"<[A-Za-z/!?]")
_BLOCK: Final = (
    "address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "footer", "h1", "h2", "h3", "h4",
    "h5", "h6", "header", "hr", "li", "ol", "p", "pre", "section", "table", "td", "th", "tr", "ul",
)  # fmt: skip
_UNSEEN: Final = ("script", "style", "template", "noscript", "iframe", "object", "head")
_META: Final = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([A-Za-z0-9_-]{1,40})""", re.IGNORECASE)
_ALIASES: Final = {
    "gb2312": "gb18030", "gbk": "gb18030", "gb18030": "gb18030", "big5": "big5hkscs", "big5-hkscs": "big5hkscs",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "windows-1252": "cp1252", "us-ascii": "utf-8", "ascii": "utf-8",
    "utf-8": "utf-8", "utf8": "utf-8", "utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be",
}  # fmt: skip
"""WHATWG Encoding section 4.2 for the encodings that are read; what it calls Latin 1 is windows-1252."""

_LEARNING: Final = {"LearningResource", "Course", "Quiz", "HowTo", "EducationalOccupationalProgram", "CourseInstance"}
_WORK: Final = {
    "CreativeWork", "Article", "Book", "MediaObject", "VideoObject", "AudioObject", "PresentationDigitalDocument",
    "TextDigitalDocument", "DigitalDocument", "Dataset", "SoftwareApplication", "PodcastEpisode", "WebContent",
    "ScholarlyArticle", "ImageGallery", "Game", "Map", "Chapter", "Report", "Photograph",
}  # fmt: skip


def plain(fragment: str) -> str:
    """The words of an HTML fragment: blocks on lines of their own, references resolved, no markup."""
    if not _TAG.search(fragment):
        return _tidy(unescape(fragment) if "&" in fragment else fragment)
    root = _tree(f"<div>{xml.clean(fragment)}</div>")
    if root is None:
        return ""
    etree.strip_elements(root, *_UNSEEN, with_tail=False)
    for node in root.iter(*_BLOCK):
        node.text = f"\n{node.text or ''}"
        node.tail = f"\n{node.tail or ''}"
    return _tidy("".join(map(str, root.itertext())))


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
    return (node.get("type") or "").split(";")[0].strip().lower() == "application/ld+json"


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


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)
