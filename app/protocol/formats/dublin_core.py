"""oai_dc and nsdl_dc: Dublin Core 1.1 elements, with the refinements of dcterms beside them.

The reader walks the elements once and asks each for its tag and text only: it runs for every changed record.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from lxml import etree

from app.protocol.connector import Draft

Take = Callable[[dict[str, Any], str], None]
_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_CATALOG: Final = re.compile(r"(?:urn:|info:)?(isbn|issn|doi|hdl|handle|ark|oai)[:/ ]\s*(?=\S)", re.IGNORECASE)
_GRADE: Final = re.compile(r"grade\b|.*年级", re.IGNORECASE)


def read_oai_dc(metadata: etree._Element) -> Draft:
    """A draft of a Dublin Core record; elements nobody mapped are passed over."""
    return draft((node.tag.rpartition("}")[2], words(node) if len(node) else node.text or "") for node in metadata)


def draft(elements: Iterable[tuple[str, str]]) -> Draft:
    """A draft of (local name, text) in the order of the record; the namespaces do not count."""
    made: dict[str, Any] = {}
    for name, text in elements:
        take = TAKES.get(name)
        if take is not None and (text := text.strip()):
            take(made, text)
    if keywords := made.get("keywords"):
        made.setdefault("subject", keywords[0][:200])
    return made


def read_nsdl_dc(metadata: etree._Element) -> Draft:
    """A draft of an NSDL record (nsdl_dc 1.02): Dublin Core with its dcterms, read alike."""
    return read_oai_dc(metadata)


def words(node: etree._Element) -> str:
    """All text inside an element, in one line."""
    return " ".join("".join(map(str, node.itertext())).split())


def _listed(field: str, limit: int) -> Take:
    def take(draft: dict[str, Any], text: str) -> None:
        draft.setdefault(field, []).append(text[:limit])

    return take


def _person(role: str) -> Take:
    def take(draft: dict[str, Any], text: str) -> None:
        draft.setdefault("contributors", []).append({"role": role, "name": text[:1000]})

    return take


def _related(kind: str) -> Take:
    def take(draft: dict[str, Any], text: str) -> None:
        draft.setdefault("relations", []).append({"type": kind, "target": text[:4000]})

    return take


def _title(draft: dict[str, Any], text: str) -> None:
    if "title" in draft:
        draft.setdefault("alt_titles", []).append(text[:1000])
    else:
        draft["title"] = text[:1000]


def _description(draft: dict[str, Any], text: str) -> None:
    draft["description"] = (f"{draft['description']}\n{text}" if "description" in draft else text)[:20_000]


def _identifier(draft: dict[str, Any], text: str) -> None:
    """An address is where it is; anything else is an entry in a catalogue, named where the text names it."""
    if _URL.match(text):
        draft.setdefault("location", []).append(text[:4000])
        return
    found = _CATALOG.match(text)
    item = {"catalog": found[1].upper(), "entry": text[found.end() :]} if found else {"entry": text}
    draft.setdefault("identifiers", []).append({**item, "entry": item["entry"][:4000]})


def _date(draft: dict[str, Any], text: str) -> None:
    draft.setdefault("published", text[:200])


def _rights(draft: dict[str, Any], text: str) -> None:
    rights = draft.setdefault("rights", {})
    if _URL.match(text) and " " not in text and "licence_uri" not in rights:
        rights["licence_uri"] = text[:4000]
    else:
        rights["statement"] = (f"{rights['statement']}\n{text}" if "statement" in rights else text)[:20_000]


def _level(draft: dict[str, Any], text: str) -> None:
    """dcterms educationLevel holds stages and grades alike; the first stage counts."""
    if _GRADE.match(text):
        draft.setdefault("grade", []).append(text[:200])
    else:
        draft.setdefault("stage", text[:200])


TAKES: Final[dict[str, Take]] = {
    "title": _title, "alternative": _listed("alt_titles", 1000), "language": _listed("languages", 200),
    "subject": _listed("keywords", 1000), "description": _description, "abstract": _description,
    "type": _listed("type", 200), "format": _listed("format", 1000), "medium": _listed("format", 1000),
    "audience": _listed("audience", 200), "educationLevel": _level, "identifier": _identifier,
    "creator": _person("creator"), "contributor": _person("contributor"), "publisher": _person("publisher"),
    "date": _date, "issued": _date, "created": _date, "available": _date, "hasVersion": _related("hasVersion"),
    "rights": _rights, "license": _rights, "accessRights": _rights,
    "relation": _related("relation"), "isPartOf": _related("isPartOf"), "hasPart": _related("hasPart"),
    "references": _related("references"), "isVersionOf": _related("isVersionOf"), "source": _related("source"),
}  # fmt: skip
