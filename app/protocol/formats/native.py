"""The native record inside XML: its canonical JSON as the text of one element, so that its hash survives the journey.

An element for each field would need a canonical form of its own before two platforms could agree on a hash; the
canonical JSON (RFC 8785) has one. It holds no character that XML cannot carry: JSON escapes C0 controls, and the
text rule keeps noncharacters out.
"""

from typing import Final

from lxml import etree

from app.protocol import json, xml
from app.protocol.connector import Draft, Fault
from app.protocol.errors import PeerViolation

NAMESPACE: Final = "urn:hutong:ix:1:record"

SCHEMA: Final = f"""<?xml version="1.0" encoding="UTF-8"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{NAMESPACE}">
  <xs:element name="record" type="xs:string">
    <xs:annotation><xs:documentation>One IX/1 record: its canonical JSON (RFC 8785) as text.</xs:documentation></xs:annotation>
  </xs:element>
</xs:schema>
"""


def read_ix(metadata: etree._Element) -> Draft | Fault:
    """The record as its origin wrote it; the origin's identifier becomes one of `identifiers`, for this hub's own id
    is made of the feed that brought the record. A Fault where the text is not a JSON object."""
    try:
        content = json.loads("".join(map(str, metadata.itertext())).encode(), strict=True)
    except PeerViolation as error:
        return Fault(error.kind, error.detail, "metadata")
    if not isinstance(content, dict):
        return Fault("record.shape", "a record is a JSON object", "metadata", str(content)[:200])
    draft: Draft = dict(content)
    origin, found = draft.pop("id", None), draft.get("identifiers", [])
    if isinstance(origin, str) and origin and isinstance(found, list):
        entry = {"catalog": "IX", "entry": origin}
        draft["identifiers"] = found if entry in found else [entry, *found]
    return draft


def render_ix(document: bytes) -> str:
    """A record's canonical bytes as an element; unescaped again they are the same bytes."""
    return f'<ix:record xmlns:ix="{NAMESPACE}">{xml.escape(document.decode())}</ix:record>'
