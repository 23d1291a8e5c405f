"""HTML of descriptions to plain text. What is stored is text; escaping is the business of whoever shows it."""

import re
from typing import Final

from lxml import etree

LIMIT: Final = 1 << 20
_MARKUP: Final = re.compile(r"</?[a-zA-Z][^<>]{0,2000}>|&(?:[a-zA-Z]{2,31}|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});|<!--")
_BLOCKS: Final = frozenset(
    [
        "p",
        "div",
        "br",
        "li",
        "tr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "section",
        "article",
        "ul",
        "ol",
        "table",
        "dt",
        "dd",
        "pre",
        "hr",
    ]
)
_SILENT: Final = frozenset(["script", "style", "head", "title", "template", "noscript", "iframe", "object", "svg"])
_BLANKS: Final = re.compile(r"[ \t\r\f\v\xa0]+")
_LINES: Final = re.compile(r" ?\n[ \n]*")


def to_text(source: str) -> str:
    """Plain text of a piece of HTML: a line for each block, no scripts; text without markup comes back as it is.

    Real catalogues escape their HTML twice, so what is still markup after the first reading is read once more.
    """
    for _ in range(2):
        if len(source) > LIMIT or _MARKUP.search(source) is None:
            break
        source = _read(source)
    return source


def _read(source: str) -> str:
    # A parser each time: one is not to be shared between threads. `huge_tree` off bounds depth and text.
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        root = etree.fromstring(f"<div>{source}</div>".encode("utf-8", "surrogatepass"), parser)
    except (etree.XMLSyntaxError, ValueError):
        return source
    return source if root is None else _tidy(_words(root))


def _words(root: etree._Element) -> str:
    parts: list[str] = []
    muted: etree._Element | None = None
    for event, node in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            if muted is None and node.tag in _SILENT:
                muted = node
            if muted is None:
                parts += ["\n" if node.tag in _BLOCKS else "", node.text or ""]
        else:
            if muted is None and node.tag in _BLOCKS:
                parts.append("\n")
            if node is muted:
                muted = None
            if muted is None:
                parts.append(node.tail or "")
    return "".join(parts)


def _tidy(text: str) -> str:
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).strip()
