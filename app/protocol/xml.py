"""The hardened XML reader, and text made fit for XML (XML 1.0, cited by section).

A page is decoded here and given to libxml2 as UTF-8 by order, so that neither a byte order mark nor a declaration
can choose a decoder that has not been allowed. A DOCTYPE is refused before a parser sees it: refusing external
entities alone would drop their text in silence.
"""

import codecs
import re
from typing import Final

from lxml import etree

from app.protocol.errors import PeerViolation

MARKS: Final = 4_000_000
_DECLARED: Final = re.compile(rb"""<\?xml[^>]*?\sencoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_DECLARATION: Final = re.compile(rb"""\A\s*<\?xml\s[^>]*\?>""")
_UNICODE: Final = {"utf-8", "utf8", "us-ascii", "ascii"}
_WIDE: Final = {"utf-16": "utf-16", "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}
_CHINESE: Final = {"gb18030", "gbk", "gb2312"}
_TRADITIONAL: Final = {"big5", "big5-hkscs"}
_HABIT: Final = {"iso-8859-1", "latin1"}
"""What servers append to text/xml without having looked at the page."""
_SPACE: Final = b" \t\r\n"
_HTML: Final = re.compile(rb"<(?:!doctype\s+html|html|head|body|title|script|meta)[\s>/\[]", re.IGNORECASE)
_CANNOT_CARRY: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_MARKED: Final = re.compile('[&<>"\r]')
_REFERENCE: Final = re.compile("&(?:#x([0-9a-fA-F]{1,6})|#([0-9]{1,7})|(amp|lt|gt|quot|apos));")
_NAMED: Final = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}


def document(content: bytes, *, expect: str = "XML", charset: str | None = None) -> etree._Element:
    """The root element, without comments and processing instructions. `expect` names the page for people.

    Raises PeerViolation: page.empty, page.html, xml.doctype_forbidden, xml.encoding_not_allowed, xml.malformed.
    Recovery is off: a truncated page must not look like a page with fewer records. The tree of a page costs many
    times its bytes, so its marks are counted first (page.limit).
    """
    content = decoded(content, expect=expect, charset=charset)
    if content.count(b"<") > MARKS:
        raise PeerViolation("page.limit", f"{expect}: more than {MARKS} tags in one page")
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False,
        remove_comments=True, remove_pis=True, encoding="utf-8",
    )  # fmt: skip
    try:
        root = etree.fromstring(content, parser)
    except etree.XMLSyntaxError as error:
        raise PeerViolation("xml.malformed", f"{expect}: not well-formed XML: {error.msg}") from None
    if getattr(root.getroottree().docinfo, "doctype", ""):
        raise PeerViolation("xml.doctype_forbidden", f"{expect}: a DOCTYPE is not accepted")
    return root


def decoded(content: bytes, *, expect: str = "XML", charset: str | None = None) -> bytes:
    """The page as UTF-8 after its first bytes were judged. Raises PeerViolation as `document` does."""
    name = encoding(content, charset)
    if name != "utf-8":
        try:
            # Without its declaration, which is no longer true: whoever reads on must not decode a second time.
            content = _DECLARATION.sub(b"", content.decode(name).removeprefix("\ufeff").encode())
        except UnicodeError as error:
            raise PeerViolation("xml.malformed", f"{expect}: bytes are not {name}: {error}") from None
    content = content.removeprefix(codecs.BOM_UTF8).lstrip(_SPACE)
    if not content:
        raise PeerViolation("page.empty", f"{expect}: the answer has no content")
    start = _root_at(content)
    if _HTML.match(content, start):
        raise PeerViolation("page.html", f"{expect}: the answer is an HTML page (a login or error page?)")
    if content[start : start + 9].upper() == b"<!DOCTYPE":
        raise PeerViolation("xml.doctype_forbidden", f"{expect}: a DOCTYPE is not accepted")
    return content


def _root_at(content: bytes) -> int:
    """Where the prolog's declaration, comments and instructions end: the only place for a DOCTYPE (2.8)."""
    at = 0
    while True:
        while content[at : at + 1] in (b" ", b"\t", b"\r", b"\n"):
            at += 1
        if content.startswith(b"<!--", at):
            end = content.find(b"-->", at + 4) + 3
        elif content.startswith(b"<?", at):
            end = content.find(b"?>", at + 2) + 2
        else:
            return at
        if end < at:
            return at
        at = end


def encoding(content: bytes, charset: str | None = None) -> str:
    """Python's name of the page's encoding: by its mark, its declaration, the header, else UTF-8 (4.3.3, F.1).

    Raises PeerViolation for one that is not allowed; GB2312 and GBK are read as GB18030, which contains both, and Big5
    as its Hong Kong superset.
    """
    if content.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise _refused("utf-32")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if content[:4] in (b"<\0?\0", b"\0<\0?"):
        return "utf-16-le" if content[1] == 0 else "utf-16-be"
    found = _DECLARED.match(content[:300].removeprefix(codecs.BOM_UTF8).lstrip(_SPACE))
    name = found[1].decode().lower() if found else (charset or "").strip("\"' ").lower()
    if not name or name in _UNICODE or (found is None and name in _HABIT):
        return "utf-8"
    if name in _CHINESE:
        return "gb18030"
    if name in _TRADITIONAL:
        return "big5hkscs"
    if found is None and name in _WIDE:
        return _WIDE[name]
    if name in _WIDE:
        return "utf-8"  # the declaration could be read byte by byte, so it is wrong about itself
    raise _refused(name)


def _refused(name: str) -> PeerViolation:
    return PeerViolation("xml.encoding_not_allowed", f"encoding {name} is not accepted; use UTF-8")


def clean(text: str) -> str:
    """Text without the characters XML cannot carry in any form (2.2)."""
    return _CANNOT_CARRY.sub("", text)


def escape(text: str) -> str:
    """Clean text for element content and attributes; a carriage return survives only as a reference (2.11)."""
    text = _CANNOT_CARRY.sub("", text)
    if _MARKED.search(text) is None:
        return text
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text.replace('"', "&quot;").replace("\r", "&#13;")


def unescape(text: str) -> str | None:
    """Text with its references resolved once (4.6); None when one of them is not XML's own."""
    if "&" not in text:
        return text
    if _REFERENCE.sub("", text).count("&"):
        return None
    try:
        return _REFERENCE.sub(_character, text)
    except (ValueError, OverflowError):
        return None


def _character(found: re.Match[str]) -> str:
    if found[3]:
        return _NAMED[found[3]]
    character = chr(int(found[1], 16) if found[1] else int(found[2]))
    if _CANNOT_CARRY.match(character):
        raise ValueError("a reference to a character XML cannot carry")
    return character
