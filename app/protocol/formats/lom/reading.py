"""LOM records read, whatever the binding; numbers in docstrings are those of the LOM data elements."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from app.protocol.connector import Draft
from app.protocol.formats.dublin_core import put, settled
from app.protocol.formats.lom import values
from app.protocol.formats.lom.values import Node

OWN: Final = "hutong:"
"""Prefix of a taxon path's source that names one of our fields."""
LISTS: Final = frozenset({"grade", "region_scope"})


def read_lom(metadata: Node) -> Draft:
    """A draft of a LOM record; a content package's manifest is searched for its first `lom`."""
    root = next((node for node in metadata.iter("*") if values.local(node) == "lom"), metadata)
    draft: dict[str, Any] = {}
    for category in root:
        name = values.local(category)
        if name in _WHOLE:
            _WHOLE[name](draft, category)
        for node in category if name in _CATEGORIES else ():
            take = _CATEGORIES[name].get(values.local(node))
            if take is not None:
                take(draft, node)
    return settled(draft)


def _take(element: str) -> Callable[[Draft, Node], None]:
    def take(draft: Draft, node: Node) -> None:
        if text := values.content(node):
            put(draft, element, text)

    return take


def _vocabulary(element: str) -> Callable[[Draft, Node], None]:
    def take(draft: Draft, node: Node) -> None:
        if text := values.term(node):
            put(draft, element, text)

    return take


def _title(draft: Draft, node: Node) -> None:
    """1.2: the first string is the title, its translations are other titles."""
    for text in values.strings(node):
        put(draft, "title", text)


def _keyword(draft: Draft, node: Node) -> None:
    """1.5: several strings in one element should be translations and are, in real records, several keywords."""
    for text in values.strings(node):
        put(draft, "subject", text)


def _first(element: str) -> Callable[[Draft, Node], None]:
    def take(draft: Draft, node: Node) -> None:
        for text in values.strings(node)[:1]:
            put(draft, element, text)

    return take


def _identifier(draft: Draft, node: Node) -> None:
    """1.1 catalog and entry (`catalogentry` in IMS 1.2); an address with no more than URI as its catalogue is a place."""
    entry = next(iter(text for part in values.at(node, "entry") for text in values.strings(part)), "")
    catalog = next(iter(values.texts(node, "catalog")), "")
    if not entry:
        entry = values.content(node) if len(node) == 0 else ""
    if entry and catalog and catalog.upper() not in ("URI", "URL"):
        draft.setdefault("identifiers", []).append({"catalog": catalog[:200], "entry": entry[:4000]})
    elif entry:
        put(draft, "identifier", entry)


def _version(draft: Draft, node: Node) -> None:
    for text in values.strings(node)[:1]:
        draft.setdefault("version", text[:200])


def _contribute(draft: Draft, node: Node) -> None:
    """2.3: one contributor for each entity; the date of a publisher is the date of publication."""
    role = next((text for part in values.at(node, "role") if (text := values.term(part))), "contributor")
    dates = [text for name in ("datetime", "dateTime") for text in values.texts(node, "date", name.lower())]
    entities = [*values.texts(node, "entity"), *values.texts(node, "centity", "vcard")]
    names = [name for entity in entities if (name := values.person(entity))]
    for name in names:
        person = {"role": role[:200], "name": name[:1000]}
        draft.setdefault("contributors", []).append({**person, **({"date": dates[0][:200]} if dates else {})})
    if dates and not names:
        draft["published"] = dates[0][:200]
    elif dates and role.lower() == "publisher":
        draft.setdefault("published", dates[0][:200])


def _size(draft: Draft, node: Node) -> None:
    """4.2, in bytes; `12 MB` is against the standard and says too little to be a number."""
    text = values.content(node)
    if text.isascii() and text.isdigit() and len(text) < 16:
        draft.setdefault("size_bytes", int(text))


def _place(draft: Draft, node: Node) -> None:
    if text := values.content(node):
        draft.setdefault("location", []).append(text[:4000])


def _needs(draft: Draft, node: Node) -> None:
    """4.4-4.6: `browser: any 5.0`, installation remarks, other requirements, each on its line."""
    lines = [_composite(part) for part in values.at(node, "orcomposite")]
    if not lines:
        lines = [_composite(node)] if values.local(node) == "requirement" else values.strings(node)[:1]
    text = "\n".join([draft.get("tech_req", ""), *lines]).strip()
    if text:
        draft["tech_req"] = text[:20_000]


def _composite(node: Node) -> str:
    kind = next((text for part in values.at(node, "type") if (text := values.term(part))), "")
    name = next((text for part in values.at(node, "name") if (text := values.term(part))), "")
    versions = [*values.texts(node, "minimumversion"), *values.texts(node, "maximumversion")]
    return ": ".join(text for text in (kind, " ".join([name, *versions]).strip()) if text)


def _cost(draft: Draft, node: Node) -> None:
    """6.1 knows yes and no; only no says what the price is."""
    if values.term(node).lower() in ("no", "否", "non"):
        draft.setdefault("price", "免费")


def _rights(draft: Draft, node: Node) -> None:
    """6.3: a statement with its translations, of which the first counts, and addresses of a licence among them."""
    strings = values.strings(node)
    statements = [text for text in strings if not text.startswith(("http://", "https://"))]
    for text in [*statements[:1], *(text for text in strings if text not in statements)]:
        put(draft, "rights", text)


def _relation(draft: Draft, node: Node) -> None:
    """7: kind and target, by identifier else by description."""
    kind = next((text for part in values.at(node, "kind") if (text := values.term(part))), "relation")
    for resource in values.at(node, "resource"):
        found = values.texts(resource, "identifier", "entry") or values.texts(resource, "catalogentry", "entry")
        found = found or values.texts(resource, "identifier")
        found = found or [text for part in values.at(resource, "description") for text in values.strings(part)]
        if found:
            draft.setdefault("relations", []).append({"type": kind[:200], "target": found[0][:4000]})


def _classification(draft: Draft, node: Node) -> None:
    """9: discipline gives keywords (and through them the subject), level gives stage and grades; keywords of 9.4 too."""
    purpose = "".join(next((values.term(part) for part in values.at(node, "purpose")), "").lower().split())
    for path in values.at(node, "taxonpath"):
        source = next(iter([text for part in values.at(path, "source") for text in values.strings(part)]), "")
        taxons = [taxon for taxon in _taxons(path) if any(taxon)]
        if source.startswith(OWN):
            _own(draft, source.removeprefix(OWN), taxons)
        elif taxons and purpose in _PURPOSES:
            put(draft, _PURPOSES[purpose], taxons[-1][1] or taxons[-1][0])
    for keyword in values.at(node, "keyword"):
        _keyword(draft, keyword)


def _taxons(path: Node) -> Iterator[tuple[str, str]]:
    """Identifier and label from the root of the tree to the leaf; IMS 1.2 nests a taxon in its parent."""
    for taxon in path.iter("*"):
        if values.local(taxon) == "taxon":
            label = next(iter([text for part in values.at(taxon, "entry") for text in values.strings(part)]), "")
            yield next(iter(values.texts(taxon, "id")), ""), label


def _own(draft: Draft, field: str, taxons: list[tuple[str, str]]) -> None:
    """A field of ours, as `render_lom` writes it."""
    values = [code or label for code, label in taxons]
    if field == "restrictions":
        draft.setdefault("rights", {}).setdefault("restrictions", []).extend(values)
    elif field in LISTS:
        draft.setdefault(field, []).extend(values)
    elif field in OWN_FIELDS and values:
        draft[field] = values[0]


OWN_FIELDS: Final[Mapping[str, str]] = {
    "subject": "discipline", "textbook_node": "discipline", "edition": "discipline", "volume": "discipline",
    "stage": "educational level", "grade": "educational level", "system": "educational level",
    "curriculum_standard": "educational objective", "restrictions": "accessibility restrictions",
    "region_scope": "accessibility restrictions", "price": "accessibility restrictions",
}  # fmt: skip
"""Our fields that LOM carries in classifications (9), each with its purpose (9.1)."""
_PURPOSES: Final = {
    "discipline": "subject", "idea": "subject", "学科": "subject", "educationallevel": "educationLevel",
    "学段": "educationLevel", "年级": "educationLevel", "schoollevel": "educationLevel", "competency": "conformsTo",
    "educationalobjective": "conformsTo",
}  # fmt: skip
_WHOLE: Final = {"relation": _relation, "classification": _classification}
_CATEGORIES: Final[Mapping[str, Mapping[str, Callable[[Draft, Node], None]]]] = {
    "general": {
        "identifier": _identifier, "catalogentry": _identifier, "title": _title, "language": _take("language"),
        "description": _first("description"), "keyword": _keyword, "documenttype": _vocabulary("type"),
        "generalresourcetype": _vocabulary("type"),
    },
    "lifecycle": {"version": _version, "contribute": _contribute},
    "technical": {
        "format": _take("format"), "size": _size, "location": _place, "requirement": _needs,
        "installationremarks": _needs, "otherplatformrequirements": _needs,
    },
    "educational": {
        "learningresourcetype": _vocabulary("type"), "educationalresourcetype": _vocabulary("type"),
        "intendedenduserrole": _vocabulary("audience"), "context": _vocabulary("educationLevel"),
    },
    "rights": {"cost": _cost, "description": _rights},
}  # fmt: skip
