"""A MARC record in XML: its family, its leader and its fields."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from lxml import etree

from app.protocol.formats.dublin_core import mended

# Marks around words that sorting skips (UNIMARC NSB and NSE, also in their MARC-8 places): nothing that is shown.
_UNSORTED: Final = dict.fromkeys((0x88, 0x89, 0x98, 0x9C))
_ISBD: Final = "/:;,="
# The stop that ends a field, but no initial.
_STOP: Final = re.compile(r"(?<=\w\w)\.$")


class Field(NamedTuple):
    """A data field: tag, second indicator, subfields in order."""

    tag: str
    second: str
    subfields: list[tuple[str, str]]

    def all(self, codes: str) -> list[str]:
        """The texts of subfields with these codes, in the record's order."""
        return [text for code, text in self.subfields if code in codes]

    def joined(self, codes: str, by: str = " ") -> str:
        """These subfields as one text, without the punctuation around the field."""
        return shorn(by.join(self.all(codes)))


def record_in(metadata: etree._Element) -> etree._Element:
    """The record, also inside a collection."""
    return next((node for node in metadata.iter("*") if _local(node) == "record"), metadata)


def _local(node: etree._Element) -> str:
    return node.tag.rpartition("}")[2]


def is_unimarc(record: etree._Element) -> bool:
    """The family: as declared (marcxchange), by the field of the title, by the leader's entry map."""
    declared = (record.get("format") or "").upper()
    if declared:
        return declared in ("UNIMARC", "CNMARC", "CMARC")
    tags = {node.get("tag") for node in record}
    if ("200" in tags) != ("245" in tags):
        return "200" in tags
    return leader(record).ljust(24)[20:24] == "450 "


def leader(record: etree._Element) -> str:
    """The leader, blank where there is none."""
    return next((node.text or "" for node in record if _local(node) == "leader"), "")


def control(record: etree._Element) -> Iterator[tuple[str, str]]:
    """Tags and texts of the control fields."""
    for node in record:
        if _local(node) == "controlfield":
            yield node.get("tag", ""), node.text or ""


def fields(record: etree._Element) -> list[Field]:
    """Data fields, those in the original script first, under the tag they stand for (880 $6)."""
    found = []
    for node in record:
        if _local(node) != "datafield":
            continue
        subfields = [(part.get("code", ""), mended((part.text or "").translate(_UNSORTED).strip())) for part in node]
        tag = node.get("tag", "")
        linked = next((text[:3] for code, text in subfields if code == "6"), "") if tag == "880" else ""
        found.append((not linked, Field(linked or tag, node.get("ind2", " "), [part for part in subfields if part[1]])))
    return [field for _, field in sorted(found, key=lambda pair: pair[0])]


def joint(text: str) -> str:
    """Text without the ISBD punctuation that introduces the next subfield."""
    return text.rstrip().rstrip(_ISBD).rstrip()


def shorn(text: str) -> str:
    """Text without the punctuation that joins it to what follows, and without the stop that ends a field."""
    return text if "://" in text else _STOP.sub("", joint(text)).strip()
