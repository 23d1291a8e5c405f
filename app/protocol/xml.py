"""The hardened XML reader: lxml with nothing external, no DOCTYPE, no recovery, encodings by allow list."""

import re
from typing import Final

from lxml import etree

from app.protocol.errors import PeerViolation

_DECLARED: Final = re.compile(rb"""^\s*<\?xml[^>]*?encoding\s*=\s*["']([A-Za-z0-9._-]+)["'][^>]*\?>""")
_ALLOWED: Final = {"utf-8", "utf8", "us-ascii", "ascii", "utf-16", "utf-16le", "utf-16be"}
_CHINESE: Final = {"gb18030", "gbk", "gb2312"}
_CANNOT_CARRY: Final = re.compile("[\0-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def document(content: bytes) -> etree._Element:
    """The root element. Raises PeerViolation: page.empty, page.html, xml.doctype_forbidden,
    xml.encoding_not_allowed or xml.malformed. Recovery is off: a truncated page must not look like fewer records.
    """
    refuse_unreadable(content)
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, recover=False)
    try:
        root = etree.fromstring(_decoded(content), parser)
    except etree.XMLSyntaxError as error:
        raise PeerViolation("xml.malformed", f"not well-formed XML: {error.msg}") from None
    if getattr(root.getroottree().docinfo, "doctype", ""):
        raise PeerViolation("xml.doctype_forbidden", "a DOCTYPE is not accepted")
    return root


def refuse_unreadable(content: bytes) -> None:
    """Names what is not an XML page before a parser sees it."""
    start = content[:2000].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not start:
        raise PeerViolation("page.empty", "the answer has no content")
    if start.startswith((b"<!doctype html", b"<html")):
        raise PeerViolation("page.html", "the answer is an HTML page, not the protocol's XML (a login or error page?)")
    if b"<!doctype" in start or b"<!DOCTYPE" in content:
        raise PeerViolation("xml.doctype_forbidden", "a DOCTYPE is not accepted")


def encoding(content: bytes) -> str:
    """The declared encoding in lower case, `utf-8` when none. Raises PeerViolation when it is not allowed."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "utf-16"
    found = _DECLARED.match(content.lstrip(b"\xef\xbb\xbf")[:200])
    name = found[1].decode().lower() if found else "utf-8"
    if name not in _ALLOWED | _CHINESE:
        raise PeerViolation("xml.encoding_not_allowed", f"encoding {name} is not accepted; use UTF-8")
    return name


def _decoded(content: bytes) -> bytes:
    """UTF-8 for the Chinese encodings, which libxml2 may read differently; other bytes as they are."""
    name = encoding(content)
    if name == "utf-16":
        try:
            return _DECLARED.sub(b"", content.decode("utf-16").encode())
        except UnicodeError as error:
            raise PeerViolation("xml.malformed", f"bytes are not UTF-16: {error}") from None
    if name not in _CHINESE:
        return content
    try:
        return _DECLARED.sub(b"", content).decode("gb18030").encode()
    except UnicodeDecodeError as error:
        raise PeerViolation("xml.malformed", f"bytes are not {name}: {error.reason} at {error.start}") from None


def escape(text: str) -> str:
    """Text for XML content and attributes, without the characters XML cannot carry."""
    text = _CANNOT_CARRY.sub("", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
