"""MARCXML: MARC 21, and UNIMARC with its Chinese form CNMARC (GB/T 33286), told apart by what the record shows.

Both travel in one XML form (MARC21 slim, or ISO 25577 marcxchange), so a namespace says nothing: field 200 is the
title in UNIMARC and does not exist in MARC 21, whose title is 245; the leader's entry map ends in `450 ` there and
in `4500` here (leader 20-23).
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

from lxml import etree

from app.protocol.connector import Draft
from app.protocol.formats.dublin_core import TAKES, mended, settled
from app.protocol.formats.marc_fields import MARC21, RELATORS, TYPES, UNIMARC

# Marks around words that sorting skips (UNIMARC NSB and NSE, also in their MARC-8 places): nothing that is shown.
_UNSORTED: Final = dict.fromkeys((0x88, 0x89, 0x98, 0x9C))
# ISBD punctuation that introduces the next subfield, and the stop that ends a field but no abbreviation.
_BEFORE_NEXT: Final = re.compile(r"\s*[/:;,=]+\s*$")
_STOP: Final = re.compile(r"(?<=\w\w)\.$")
_YEAR: Final = re.compile(r"(\d{4})")
_HAN: Final = re.compile("[\u3400-\u9fff]")
_ISBN: Final = re.compile(r"[0-9M][0-9Xx-]+")


class _Field(NamedTuple):
    """A data field: tag, second indicator, subfields in order."""

    tag: str
    second: str
    subfields: list[tuple[str, str]]

    def all(self, codes: str) -> list[str]:
        """The texts of subfields with these codes, in the record's order."""
        return [text for code, text in self.subfields if code in codes]

    def joined(self, codes: str, by: str = " ") -> str:
        """These subfields as one text, without the punctuation around the field."""
        return _shorn(by.join(self.all(codes)))


def read_marcxml(metadata: etree._Element) -> Draft:
    """A draft of a MARC record of either family."""
    record = _record(metadata)
    return read_unimarc(record) if _is_unimarc(record) else read_marc21(record)


def read_marc21(metadata: etree._Element) -> Draft:
    """A draft of a MARC 21 record; titles and names in their own script (880) come before their transcription."""
    record = _record(metadata)
    draft = _read(record, MARC21)
    code = next((text[35:38] for tag, text in _control(record) if tag == "008"), "").strip(" |")
    if code and "languages" not in draft:
        TAKES["language"](draft, code)
    return settled(draft)


def read_unimarc(metadata: etree._Element) -> Draft:
    """A draft of a UNIMARC or CNMARC record."""
    return settled(_read(_record(metadata), UNIMARC))


def _record(metadata: etree._Element) -> etree._Element:
    """The record, also inside a collection."""
    return next((node for node in metadata.iter("*") if _local(node) == "record"), metadata)


def _local(node: etree._Element) -> str:
    return node.tag.rpartition("}")[2]


def _is_unimarc(record: etree._Element) -> bool:
    declared = (record.get("format") or "").upper()
    if declared:
        return declared in ("UNIMARC", "CNMARC", "CMARC")
    tags = {node.get("tag") for node in record}
    if ("200" in tags) != ("245" in tags):
        return "200" in tags
    return _leader(record)[20:24] == "450 "


def _leader(record: etree._Element) -> str:
    return next((node.text or "" for node in record if _local(node) == "leader"), "")


def _control(record: etree._Element) -> Iterator[tuple[str, str]]:
    for node in record:
        if _local(node) == "controlfield":
            yield node.get("tag", ""), node.text or ""


def _fields(record: etree._Element) -> list[_Field]:
    """Data fields, those in the original script first, under the tag they stand for (880 $6)."""
    found = []
    for node in record:
        if _local(node) != "datafield":
            continue
        subfields = [(part.get("code", ""), mended((part.text or "").translate(_UNSORTED).strip())) for part in node]
        tag = node.get("tag", "")
        linked = next((text[:3] for code, text in subfields if code == "6"), "") if tag == "880" else ""
        found.append(
            (not linked, _Field(linked or tag, node.get("ind2", " "), [part for part in subfields if part[1]]))
        )
    return [field for _, field in sorted(found, key=lambda pair: pair[0])]


def _read(record: etree._Element, family: dict[str, tuple[str, str]]) -> dict[str, Any]:
    draft: dict[str, Any] = {}
    for tag, text in _control(record):
        if tag == "001" and text.strip():
            draft["identifiers"] = [{"entry": text.strip()[:4000]}]
    if (kind := TYPES.get(_leader(record)[6:7])) is not None:
        draft["type"] = [kind]
    for field in _fields(record):
        action = family.get(field.tag)
        if action is not None:
            _ACTIONS[action[0]](draft, field, action[1])
    return draft


def _shorn(text: str) -> str:
    return text if "://" in text else _STOP.sub("", _BEFORE_NEXT.sub("", text)).strip()


def _joined(element: str) -> Callable[[dict[str, Any], _Field, str], None]:
    def act(draft: dict[str, Any], field: _Field, codes: str) -> None:
        if text := field.joined(codes):
            TAKES[element](draft, text)

    return act


def _each(element: str) -> Callable[[dict[str, Any], _Field, str], None]:
    def act(draft: dict[str, Any], field: _Field, codes: str) -> None:
        for text in field.all(codes):
            if text := _shorn(text):
                TAKES[element](draft, text)

    return act


def _title(draft: dict[str, Any], field: _Field, codes: str) -> None:
    """Title proper with its other parts; a second title proper or a parallel one is another title."""
    texts = [_BEFORE_NEXT.sub("", text) for code, text in field.subfields if code in codes]
    if text := _shorn(" ".join(texts)):
        TAKES["title"](draft, text)
    if field.tag == "200":
        _each("alternative")(draft, field, "d")


def _number(draft: dict[str, Any], field: _Field, catalog: str) -> None:
    """A number in subfield a: of ISBN and ISSN without what stands behind it (binding, price), else named by $2."""
    catalog = catalog or field.joined("2").upper()
    for text in field.all("a"):
        found = _ISBN.match(text) if catalog in ("ISBN", "ISSN", "ISMN") else None
        if catalog:
            entry = found[0] if found else text
            draft.setdefault("identifiers", []).append({"catalog": catalog[:200], "entry": entry[:4000]})


def _languages(draft: dict[str, Any], field: _Field, codes: str) -> None:
    """Three-letter codes; old records write several into one subfield."""
    for text in field.all(codes):
        for at in range(0, len(text), 3) if text.isalpha() and len(text) % 3 == 0 else ():
            TAKES["language"](draft, text[at : at + 3])


def _person(draft: dict[str, Any], field: _Field, codes: str) -> None:
    """`abcq author`: the subfields of the name, and the role of a heading that states none ($4, $e)."""
    code, _, default = codes.partition(" ")
    name = field.joined(code)
    stated = next(iter([*field.all("4"), *field.all("e")]), "")
    role = RELATORS.get(stated.lower()) or _shorn(stated) or default
    if name:
        draft.setdefault("contributors", []).append({"role": role[:200], "name": name[:1000]})


def _heading(draft: dict[str, Any], field: _Field, codes: str) -> None:
    """A personal name of UNIMARC: entry element and the rest, `Ozaki, Yei`; written together in Han."""
    family, rest = field.joined("a"), field.joined("b")
    name = family + rest if _HAN.match(family) else ", ".join(part for part in (family, rest) if part)
    whole = [("a", name), *(part for part in field.subfields if part[0] not in "ab")]
    _person(draft, field._replace(subfields=whole), codes)


def _imprint(draft: dict[str, Any], field: _Field, codes: str) -> None:
    """Publisher and date: `b` and `c` in MARC 21, `c` and `d` in UNIMARC; of a date only the year counts."""
    for text in field.all(codes[0]):
        if text := _shorn(text.strip("[]")):
            TAKES["publisher"](draft, text)
    for text in field.all(codes[1]):
        if found := _YEAR.search(text):
            TAKES["date"](draft, found[1])


def _edition(draft: dict[str, Any], field: _Field, codes: str) -> None:
    if text := field.joined(codes):
        draft.setdefault("version", text[:200])


def _related(draft: dict[str, Any], field: _Field, kind: str) -> None:
    target = field.joined("u") or field.joined("t") or field.joined("a")
    if target:
        draft.setdefault("relations", []).append({"type": kind, "target": target[:4000]})


def _address(draft: dict[str, Any], field: _Field, codes: str) -> None:
    """856: a second indicator of 2 says that the address is of something related, not of the resource."""
    for text in field.all(codes):
        if field.second == "2":
            draft.setdefault("relations", []).append({"type": "relation", "target": text[:4000]})
        else:
            draft.setdefault("location", []).append(text[:4000])
    for text in field.all("q"):
        TAKES["format"](draft, text)


_ACTIONS: Final[dict[str, Callable[[dict[str, Any], _Field, str], None]]] = {
    "title": _title, "alternative": _joined("alternative"), "number": _number, "languages": _languages,
    "person": _person, "heading": _heading, "imprint": _imprint, "edition": _edition, "extent": _joined("extent"),
    "description": _joined("description"), "audience": _joined("audience"), "rights": _joined("rights"),
    "licence": _each("rights"), "keywords": _each("subject"), "genre": _each("type"), "related": _related,
    "address": _address,
}  # fmt: skip
