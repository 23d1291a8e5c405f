"""HTML of descriptions to plain text: the one way of it. Escaping is the business of whoever shows the text (safety 1.12).

libxml2 makes the tree with the network off and within its own limits of depth and text; no cleaner is involved.
"""

import re
from html import unescape
from typing import Final, Literal

from lxml import etree

from app.protocol.xml import clean

Form = Literal["html", "escaped", "unsure"]
"""What a field may hold: `html` by its format (feeds); `escaped`: HTML that was escaped once more on its way;
`unsure`: a text in which some platforms write HTML, escaped once, twice or not at all (Dublin Core)."""
LIMIT: Final = 1 << 20
_TAG: Final = re.compile(r"</?[A-Za-z][^<>]{0,4000}>|<[!?]")
_REFERENCE: Final = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,31}|#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6});")
_BLOCKS: Final = frozenset(
    [
        "address",
        "article",
        "blockquote",
        "br",
        "dd",
        "div",
        "dl",
        "dt",
        "figure",
        "footer",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "td",
        "th",
        "tr",
        "ul",
    ]
)
_SILENT: Final = frozenset(["head", "iframe", "noscript", "object", "script", "style", "svg", "template", "title"])
_INLINE: Final = "a abbr b code em font i iframe img script small span strong style sub sup u video audio tbody thead"
# A tag as a person or an editor writes one, with attributes that have values: `a<b and c>d` is a comparison.
_WRITTEN: Final = re.compile(
    rf"</?(?:{'|'.join([*_BLOCKS, *_INLINE.split()])})(?:\s+[\w:-]+\s*=\s*[^<>]{{0,4000}})?\s*/?>|<!--", re.IGNORECASE
)
_BLANKS: Final = re.compile(r"[^\S\n]+")
_LINES: Final = re.compile(r" ?\n[ \n]*")


def to_text(source: str, form: Form = "escaped") -> str:
    """Plain text: a line for each block, references resolved, nothing of scripts and styles; at most a MiB is read.

    A text that holds no markup by the measure of its `form` comes back as it is; of `html` also the blanks are tidied.
    """
    if form == "html":
        return _tidy(_once(source[:LIMIT]))
    marked = _WRITTEN if form == "unsure" else _TAG
    for _ in range(2):
        if not (("<" in source and marked.search(source)) or ("&" in source and _REFERENCE.search(source))):
            break
        source = _tidy(_once(source[:LIMIT], marked))
    return source


def _once(source: str, marked: re.Pattern[str] = _TAG) -> str:
    """One layer of markup and references taken off."""
    if not marked.search(source):
        return unescape(source) if "&" in source else source
    # A parser each time: one is not to be shared between threads. `huge_tree` off bounds depth and text.
    parser = etree.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        root = etree.fromstring(f"<div>{clean(source)}</div>".encode(), parser)
    except (etree.XMLSyntaxError, ValueError):
        return ""  # nothing but blanks or comments
    return "" if root is None else _words(root)


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
