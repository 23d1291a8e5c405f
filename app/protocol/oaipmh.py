"""OAI-PMH 2.0: pages cut and rendered (openarchives.org/OAI/openarchivesprotocol.html, cited by section).

A page is cut into the exact bytes of its records and parsed without them, so that a record whose bytes are known
costs no parsing. Pages with anything unusual (prefixes, CDATA, comments, other encodings) take the slow road: a
full parse whose records are serialised again.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from lxml import etree

from app.protocol import xml
from app.protocol.errors import PeerViolation

NAMESPACE: Final = "http://www.openarchives.org/OAI/2.0/"
_OAI: Final = f"{{{NAMESPACE}}}"
_RECORD: Final = re.compile(rb"<record>.*?</record>", re.DOTALL)
_IDENTIFIER: Final = re.compile(rb"<identifier>\s*([^<]*?)\s*</identifier>")
_DATESTAMP: Final = re.compile(rb"<datestamp>\s*([^<]*?)\s*</datestamp>")
_DELETED: Final = re.compile(rb"""<header\s+status\s*=\s*["']deleted["']\s*>""")
_ROOT: Final = re.compile(rb"<OAI-PMH[^>]*>")


@dataclass(frozen=True, slots=True)
class Slice:
    """One record or header as it came."""

    identifier: str
    datestamp: str
    deleted: bool
    raw: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of ListRecords or ListIdentifiers; `token` None ends the list (3.5)."""

    response_date: str
    context: bytes
    slices: Sequence[Slice]
    token: str | None
    total: int | None
    error: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Identity:
    """What an Identify answer says that a harvester must know (4.2)."""

    granularity: str
    deleted_record: str
    name: str


def cut(content: bytes) -> Listing:
    """A list page. Raises PeerViolation for anything that is not an OAI-PMH answer."""
    xml.refuse_unreadable(content)
    opening = _ROOT.search(content)
    usual = (
        opening is not None
        and xml.encoding(content) in ("utf-8", "utf8")
        and b"<!--" not in content
        and b"<![CDATA[" not in content
        and b"<record " not in content
    )
    if not usual or opening is None:
        return _parsed(content)
    found = _RECORD.findall(content)
    if not found or len(found) != content.count(b"<record>"):
        return _parsed(content)
    rest = _RECORD.sub(b"", content)
    slices = [_slice(raw) for raw in found]
    if any(item is None for item in slices):
        return _parsed(content)
    return _listing(xml.document(rest), opening[0], [item for item in slices if item is not None])


def _slice(raw: bytes) -> Slice | None:
    identifier, datestamp = _IDENTIFIER.search(raw), _DATESTAMP.search(raw)
    if identifier is None or datestamp is None:
        return None
    try:
        name = html.unescape(identifier[1].decode())
        return Slice(name, datestamp[1].decode(), _DELETED.search(raw) is not None, raw)
    except UnicodeDecodeError:
        return None


def _parsed(content: bytes) -> Listing:
    root = xml.document(content)
    slices = []
    for node in root.iter(f"{_OAI}record", f"{_OAI}header"):
        header = node if node.tag == f"{_OAI}header" else node.find(f"{_OAI}header")
        if header is None or (node.tag == f"{_OAI}header" and node.getparent().tag == f"{_OAI}record"):  # type: ignore[union-attr]
            continue
        identifier = (header.findtext(f"{_OAI}identifier") or "").strip()
        raw = etree.tostring(node, encoding="utf-8", with_tail=False) if node.tag == f"{_OAI}record" else b""
        stamp = (header.findtext(f"{_OAI}datestamp") or "").strip()
        slices.append(Slice(identifier, stamp, header.get("status") == "deleted", raw))
    return _listing(root, b"", slices)


def _listing(root: etree._Element, context: bytes, slices: list[Slice]) -> Listing:
    error = _refuse_foreign(root)
    token = root.find(f".//{_OAI}resumptionToken")
    total = token.get("completeListSize", "") if token is not None else ""
    text = (token.text or "").strip() if token is not None else ""
    date = (root.findtext(f"{_OAI}responseDate") or "").strip()
    return Listing(date, context, slices, text or None, int(total) if total.isdigit() else None, error)


def _refuse_foreign(root: etree._Element) -> tuple[str, str] | None:
    """The answer's OAI error, if any (3.6)."""
    if root.tag != f"{_OAI}OAI-PMH":
        namespace, _, name = str(root.tag).rpartition("}")
        detail = (
            f"root element {name} of namespace {namespace.lstrip('{') or '(none)'} instead of OAI-PMH of {NAMESPACE}"
        )
        raise PeerViolation("oai.namespace", detail)
    error = root.find(f"{_OAI}error")
    return (error.get("code", ""), (error.text or "").strip()) if error is not None else None


def identity(content: bytes) -> Identity:
    """An Identify answer. Raises PeerViolation."""
    root = xml.document(content)
    _refuse_foreign(root)
    found = root.find(f"{_OAI}Identify")
    if found is None:
        raise PeerViolation("oai.identify", "the answer to Identify has no Identify element")
    text = {
        name: (found.findtext(f"{_OAI}{name}") or "").strip()
        for name in ("granularity", "deletedRecord", "repositoryName")
    }
    return Identity(text["granularity"], text["deletedRecord"], text["repositoryName"])


def metadata(raws: Sequence[bytes], context: bytes) -> Iterator[etree._Element | None]:
    """The metadata's root element of each record, None where there is none; one parse for all. Raises PeerViolation."""
    if context:
        root = xml.document(context + b"".join(raws) + b"</OAI-PMH>")
        records: Sequence[etree._Element] = list(root)
    else:
        records = [xml.document(raw) for raw in raws]
    for record in records:
        holder = record.find(f"{_OAI}metadata")
        yield next(iter(holder.iterchildren("*")), None) if holder is not None else None


# Rendering: templates around stored documents, 3.2 of the performance notes in docs/architecture.md.

_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/ '
    'http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">\n<responseDate>{date}</responseDate>\n<request{arguments}>{url}</request>\n'
)
_DC_HEAD: Final = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/oai_dc/ http://www.openarchives.org/OAI/2.0/oai_dc.xsd">'
)


def envelope(date: str, url: str, arguments: Mapping[str, str], body: str) -> bytes:
    """A whole answer. `arguments` are repeated on `<request>` and must be empty after badVerb or badArgument (3.6)."""
    attributes = "".join(f' {name}="{xml.escape(value)}"' for name, value in arguments.items())
    head = _HEAD.format(date=date, arguments=attributes, url=xml.escape(url))
    return f"{head}{body}\n</OAI-PMH>\n".encode()


def error(code: str, text: str) -> str:
    """An OAI error (3.6)."""
    return f'<error code="{code}">{xml.escape(text)}</error>'


def header(identifier: str, datestamp: str, sets: Sequence[str], *, deleted: bool) -> str:
    """A record's header (2.5)."""
    specs = "".join(f"<setSpec>{xml.escape(spec)}</setSpec>" for spec in sets)
    status = ' status="deleted"' if deleted else ""
    return f"<header{status}><identifier>{xml.escape(identifier)}</identifier><datestamp>{datestamp}</datestamp>{specs}</header>"


def resumption(token: str, *, cursor: int) -> str:
    """A resumptionToken; the empty one ends a list that was sent in parts (3.5)."""
    return f'<resumptionToken cursor="{cursor}">{xml.escape(token)}</resumptionToken>'


def render_dc(record: Mapping[str, Any]) -> str:
    """A record as oai_dc; what `read_dc` reads comes back as it was."""
    lines = [_DC_HEAD]

    def add(name: str, value: str) -> None:
        lines.append(f"<dc:{name}>{xml.escape(value)}</dc:{name}>")

    for title in (record["title"], *record.get("alt_titles", ())):
        add("title", title)
    for person in record.get("contributors", ()):
        role = person.get("role", "")
        add(
            role if role in ("creator", "publisher") else "creator" if role in ("author", "作者") else "contributor",
            person["name"],
        )
    subjects = [record["subject"]] if "subject" in record else []
    for subject in dict.fromkeys([*subjects, *record.get("keywords", ())]):
        add("subject", subject)
    if "description" in record:
        add("description", record["description"])
    for name, field in (("language", "languages"), ("type", "type"), ("format", "format"), ("identifier", "location")):
        for value in record.get(field, ()):
            add(name, value)
    add("identifier", record["id"])
    if "published" in record:
        add("date", record["published"])
    for value in record.get("rights", {}).values():
        add("rights", value if isinstance(value, str) else "; ".join(value))
    return "".join(lines) + "</oai_dc:dc>"
