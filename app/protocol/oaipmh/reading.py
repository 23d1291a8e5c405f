"""A page is cut into the exact bytes of its records and parsed without them.

A record whose bytes are known then costs no parsing. In the parsed rest every run of records with nothing between them
has left an empty `<record/>` behind: only if the tree shows them all, in the list, was cutting by bytes the same as
parsing. Any
other page (prefixed elements, attributes on records, records inside records, a comment around one) takes the slow
road, a full parse whose records are serialised again.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from lxml import etree

from app.protocol import xml
from app.protocol.connector import Entry
from app.protocol.errors import PeerViolation
from app.protocol.oaipmh.answers import Identity, Listing

NAMESPACE: Final = "http://www.openarchives.org/OAI/2.0/"
_OAI: Final = f"{{{NAMESPACE}}}"
_XML_SPACE: Final = " \t\r\n"
_SPACE: Final = _XML_SPACE.encode()
_CLOSE: Final = b"</record>"
_HEADER: Final = re.compile(
    rb"""<record>\s*<header(\s+status\s*=\s*(?:"deleted"|'deleted'))?\s*>"""
    rb"""\s*<identifier>([^<\r]*)</identifier>\s*<datestamp>([^<&\r]*)</datestamp>"""
)
_START: Final = re.compile(rb"<record")
_OPAQUE: Final = re.compile(rb"<!--.*?-->|<!\[CDATA\[.*?\]\]>|<\?.*?\?>", re.DOTALL)
_NAME: Final = re.compile(rb"<([^\s>]+)")
_NEUTRAL: Final = b"<records>"
_LISTS: Final = ("ListRecords", "ListIdentifiers", "GetRecord")


def cut(content: bytes, *, charset: str | None = None) -> Listing:
    """A list page. Raises PeerViolation for anything that is not an OAI-PMH answer."""
    content = xml.decoded(content, expect="OAI-PMH answer", charset=charset)
    quick = _quick(content)
    if quick is not None:
        return quick
    root = _answer(content)
    listed = _list(root)
    entries = [_parsed(node) for node in listed] if listed is not None else []
    return _listing(root, _NEUTRAL, [item for item in entries if item is not None])


def _quick(content: bytes) -> Listing | None:
    """The page cut by bytes, None where only a parse can say what it holds."""
    taken = _taken(content)
    if taken is None:
        return None
    entries, rest = taken
    try:
        root = _answer(b"<record/>".join(rest))
    except PeerViolation as violation:
        if violation.kind == "oai.namespace":
            raise
        return None  # the whole page may still be well-formed: its parse decides
    listed = _list(root)
    left = listed.findall(f"{_OAI}record") if listed is not None else []
    if len(left) != len(rest) - 1 or any(len(node) or node.attrib or node.text for node in left):
        return None
    return _listing(root, _opening(root), entries) if left[0].nsmap == root.nsmap else None


def _taken(content: bytes) -> tuple[list[Entry], list[bytes]] | None:
    """The records, and what stands before, between and behind their runs; None at the first unusual one."""
    # All that begins like a record, in one look: a record inside a record ends behind the start of the next one.
    starts = [found.start() for found in _START.finditer(content)]
    if not starts:
        return None
    opaque = _holds(content, starts[0], b"<!") or _holds(content, starts[0], b"<?")
    entries: list[Entry] = []
    rest: list[bytes] = []
    at = 0
    for start in starts:
        end = content.find(_CLOSE, start) + len(_CLOSE)
        item = _sliced(content[start:end], opaque) if at <= start < end else None
        if item is None:
            return None
        entries.append(item)
        if not rest or content[at:start].strip(_SPACE):
            rest.append(content[at:start])
        at = end
    rest.append(content[at:])
    return entries, rest


def _holds(content: bytes, start: int, mark: bytes) -> bool:
    """Whether a page holds a mark; looked for once, and by its rarer byte first, because `<` is everywhere."""
    return content.find(mark[1:], start) >= 0 and content.find(mark, start) >= 0


def _sliced(raw: bytes, opaque: bool) -> Entry | None:
    found = _HEADER.match(raw)
    if found is None or (opaque and not _closed(raw)):
        return None
    try:
        identifier, datestamp = xml.unescape(found[2].decode()), found[3].decode()
    except UnicodeDecodeError:
        return None
    if identifier is None or "]]>" in identifier:
        return None
    return Entry(identifier.strip(_XML_SPACE), raw, datestamp.strip(_XML_SPACE), found[1] is not None)


def _closed(raw: bytes) -> bool:
    """Whether every comment, CDATA section and instruction of a slice ends inside it: `<` starts nothing else there."""
    if b"<!" not in raw and b"<?" not in raw:
        return True
    rest = _OPAQUE.sub(b"", raw)
    return b"<!" not in rest and b"<?" not in rest


def _parsed(node: etree._Element) -> Entry | None:
    whole = node.tag == f"{_OAI}record"
    header = node.find(f"{_OAI}header") if whole else node if node.tag == f"{_OAI}header" else None
    if header is None:
        return None
    identifier = _text(header, "identifier")
    raw = etree.tostring(node, encoding="utf-8", with_tail=False) if whole else b""
    return Entry(identifier, raw, _text(header, "datestamp"), header.get("status") == "deleted")


def _opening(root: etree._Element) -> bytes:
    """A start tag with the root's namespaces and nothing that differs between pages."""
    names = sorted((prefix or "", uri) for prefix, uri in root.nsmap.items())
    spaces = "".join(f' xmlns{":" if prefix else ""}{prefix}="{xml.escape(uri)}"' for prefix, uri in names)
    return f"<OAI-PMH{spaces}>".encode()


def _list(root: etree._Element) -> etree._Element | None:
    return next((node for name in _LISTS if (node := root.find(_OAI + name)) is not None), None)


def _text(node: etree._Element, name: str) -> str:
    return (node.findtext(_OAI + name) or "").strip(_XML_SPACE)


def _listing(root: etree._Element, context: bytes, entries: list[Entry]) -> Listing:
    listed = _list(root)
    token = listed.find(f"{_OAI}resumptionToken") if listed is not None else None
    total = token.get("completeListSize", "") if token is not None else ""
    count = int(total) if total.isascii() and total.isdigit() and len(total) < 16 else None
    text = (token.text or "").strip(_XML_SPACE) if token is not None else ""
    verb = listed.tag.removeprefix(_OAI) if listed is not None else None
    return Listing(_text(root, "responseDate"), context, entries, text or None, count, _error(root), verb)


def _answer(content: bytes) -> etree._Element:
    """The root of an OAI-PMH answer; a foreign namespace is refused by its name (3.2)."""
    root = xml.document(content, expect="OAI-PMH answer")
    if root.tag != f"{_OAI}OAI-PMH":
        namespace, _, name = root.tag.rpartition("}")
        shown = namespace.lstrip("{") or "(none)"
        raise PeerViolation(
            "oai.namespace", f"root element {name} of namespace {shown} instead of OAI-PMH of {NAMESPACE}"
        )
    return root


def _error(root: etree._Element) -> tuple[str, str] | None:
    """The answer's OAI error, if any (3.6)."""
    error = root.find(f"{_OAI}error")
    return (error.get("code", ""), (error.text or "").strip(_XML_SPACE)) if error is not None else None


def identity(content: bytes, *, charset: str | None = None) -> Identity | None:
    """An Identify answer; None where the repository answers with an OAI error instead. Raises PeerViolation."""
    root = _answer(xml.decoded(content, expect="answer to Identify", charset=charset))
    found = root.find(f"{_OAI}Identify")
    if found is None:
        if _error(root) is not None:
            return None
        raise PeerViolation("oai.identify", "the answer to Identify has no Identify element")
    names = ("granularity", "deletedRecord", "repositoryName", "baseURL", "earliestDatestamp")
    return Identity(*(_text(found, name) for name in names))


def formats(content: bytes, *, charset: str | None = None) -> list[tuple[str, str]] | None:
    """The (prefix, namespace) of each format of a ListMetadataFormats answer (4.4); None for another answer."""
    root = _answer(xml.decoded(content, expect="OAI-PMH answer", charset=charset))
    listed = root.find(f"{_OAI}ListMetadataFormats")
    if listed is None:
        return None
    found = [(_text(node, "metadataPrefix"), _text(node, "metadataNamespace")) for node in listed]
    return [(prefix, namespace) for prefix, namespace in found if prefix]


def metadata(raws: Sequence[bytes], context: bytes) -> Iterator[etree._Element | None]:
    """The metadata's root element of each record, None where there is none; one parse for all.

    Raises PeerViolation when the bytes together are not as many records.
    """
    opening = context or _NEUTRAL
    name = _NAME.match(opening)
    closing = b"</" + (name[1] if name else b"") + b">"
    # The bar behind each slice shows that it was one element: an empty one and a double one would shift the others.
    records = list(xml.document(opening + b"".join([raw + b"|" for raw in raws]) + closing, expect="record"))
    if len(records) != len(raws) or any(record.tail != "|" for record in records):
        raise PeerViolation("xml.malformed", "the bytes of a record are not one element")
    for record in records:
        holder = record.find(f"{_OAI}metadata")
        yield next(iter(holder), None) if holder is not None else None
