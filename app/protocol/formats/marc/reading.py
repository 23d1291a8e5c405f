"""MARC records read by the tables of their family."""

import re
from collections.abc import Callable
from typing import Any, Final

from lxml import etree

from app.protocol.connector import Draft
from app.protocol.formats.dublin_core import put, settled
from app.protocol.formats.marc import records
from app.protocol.formats.marc.records import Field
from app.protocol.formats.marc.tables import MARC21, RELATORS, TYPES, UNIMARC

Action = Callable[[dict[str, Any], Field, str], None]
_YEAR: Final = re.compile(r"(\d{4})")
_HAN: Final = re.compile("[\u3400-\u9fff]")
_ISBN: Final = re.compile(r"[0-9M][0-9Xx-]+")


def read_marcxml(metadata: etree._Element) -> Draft:
    """A draft of a MARC record of either family."""
    record = records.record_in(metadata)
    return read_unimarc(record) if records.is_unimarc(record) else read_marc21(record)


def read_marc21(metadata: etree._Element) -> Draft:
    """A draft of a MARC 21 record; titles and names in their own script (880) come before their transcription."""
    record = records.record_in(metadata)
    draft = _read(record, MARC21)
    code = next((text[35:38] for tag, text in records.control(record) if tag == "008"), "").strip(" |")
    if code and "languages" not in draft:
        put(draft, "language", code)
    return settled(draft)


def read_unimarc(metadata: etree._Element) -> Draft:
    """A draft of a UNIMARC or CNMARC record."""
    return settled(_read(records.record_in(metadata), UNIMARC))


def _read(record: etree._Element, family: dict[str, tuple[str, str]]) -> dict[str, Any]:
    draft: dict[str, Any] = {}
    for tag, text in records.control(record):
        if tag == "001" and text.strip():
            draft["identifiers"] = [{"entry": text.strip()[:4000]}]
    if (kind := TYPES.get(records.leader(record)[6:7])) is not None:
        draft["type"] = [kind]
    for field in records.fields(record):
        action = family.get(field.tag)
        if action is not None:
            _ACTIONS[action[0]](draft, field, action[1])
    return draft


def _joined(element: str) -> Action:
    def act(draft: dict[str, Any], field: Field, codes: str) -> None:
        if text := field.joined(codes):
            put(draft, element, text)

    return act


def _each(element: str) -> Action:
    def act(draft: dict[str, Any], field: Field, codes: str) -> None:
        for text in field.all(codes):
            if text := records.shorn(text):
                put(draft, element, text)

    return act


def _title(draft: dict[str, Any], field: Field, codes: str) -> None:
    """Title proper with its other parts; a second title proper or a parallel one is another title."""
    texts = [records.joint(text) for code, text in field.subfields if code in codes]
    if text := records.shorn(" ".join(texts)):
        put(draft, "title", text)
    if field.tag == "200":
        _each("alternative")(draft, field, "d")


def _number(draft: dict[str, Any], field: Field, catalog: str) -> None:
    """A number in subfield a: of ISBN and ISSN without what stands behind it (binding, price), else named by $2."""
    catalog = catalog or field.joined("2").upper()
    for text in field.all("a"):
        found = _ISBN.match(text) if catalog in ("ISBN", "ISSN", "ISMN") else None
        if catalog:
            entry = found[0] if found else text
            draft.setdefault("identifiers", []).append({"catalog": catalog[:200], "entry": entry[:4000]})


def _languages(draft: dict[str, Any], field: Field, codes: str) -> None:
    """Three-letter codes; old records write several into one subfield."""
    for text in field.all(codes):
        for at in range(0, len(text), 3) if text.isascii() and text.isalpha() and len(text) % 3 == 0 else ():
            put(draft, "language", text[at : at + 3])


def _person(draft: dict[str, Any], field: Field, codes: str) -> None:
    """`abcq author`: the subfields of the name, and the role of a heading that states none ($4, $e)."""
    code, _, default = codes.partition(" ")
    name = field.joined(code)
    stated = next(iter([*field.all("4"), *field.all("e")]), "")
    role = RELATORS.get(stated.lower()) or records.shorn(stated) or default
    if name:
        draft.setdefault("contributors", []).append({"role": role[:200], "name": name[:1000]})


def _heading(draft: dict[str, Any], field: Field, codes: str) -> None:
    """A personal name of UNIMARC: entry element and the rest, `Ozaki, Yei`; written together in Han."""
    family, rest = field.joined("a"), field.joined("b")
    name = family + rest if _HAN.match(family) else ", ".join(part for part in (family, rest) if part)
    whole = [("a", name), *(part for part in field.subfields if part[0] not in "ab")]
    _person(draft, field._replace(subfields=whole), codes)


def _imprint(draft: dict[str, Any], field: Field, codes: str) -> None:
    """Publisher and date: `b` and `c` in MARC 21, `c` and `d` in UNIMARC; of a date only the year counts."""
    for text in field.all(codes[0]):
        if text := records.shorn(text.strip("[]")):
            put(draft, "publisher", text)
    for text in field.all(codes[1]):
        if found := _YEAR.search(text):
            put(draft, "date", found[1])


def _edition(draft: dict[str, Any], field: Field, codes: str) -> None:
    if text := field.joined(codes):
        draft.setdefault("version", text[:200])


def _related(draft: dict[str, Any], field: Field, kind: str) -> None:
    target = field.joined("u") or field.joined("t") or field.joined("a")
    if target:
        draft.setdefault("relations", []).append({"type": kind, "target": target[:4000]})


def _address(draft: dict[str, Any], field: Field, codes: str) -> None:
    """856: a second indicator of 2 says that the address is of something related, not of the resource."""
    for text in field.all(codes):
        if field.second == "2":
            draft.setdefault("relations", []).append({"type": "relation", "target": text[:4000]})
        else:
            draft.setdefault("location", []).append(text[:4000])
    for text in field.all("q"):
        put(draft, "format", text)


_ACTIONS: Final[dict[str, Action]] = {
    "title": _title, "alternative": _joined("alternative"), "number": _number, "languages": _languages,
    "person": _person, "heading": _heading, "imprint": _imprint, "edition": _edition, "extent": _joined("extent"),
    "description": _joined("description"), "audience": _joined("audience"), "rights": _joined("rights"),
    "licence": _each("rights"), "keywords": _each("subject"), "genre": _each("type"), "related": _related,
    "address": _address,
}  # fmt: skip
