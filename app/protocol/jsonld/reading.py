"""A schema.org node as a draft; the table of properties is in docs/formats.md."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from app.protocol.amb import faults
from app.protocol.connector import Draft, Fault
from app.protocol.jsonld import choosing, nodes

Take = Callable[[Draft, Any], None]
AUDIT: Final = "GB/T 41469-2022 15"
"""Marks a `review` that is an assessment (审核): other reviews on a page are opinions."""
_AUDIT: Final = {"item": 200, "institution": 1000, "date": 200, "result": 200}
_SEPARATOR: Final = re.compile(r"[,;，；、]")
_FIELD: Final = re.compile(r"/vocab/([a-z_]+)\Z")
_GRADE: Final = re.compile(r"grade\b|.*年级", re.IGNORECASE)
ALIGNED: Final = ("edition", "volume", "system", "textbook_node", "curriculum_standard")
PEOPLE: Final = ("creator", "author", "editor", "translator", "illustrator", "publisher", "producer", "provider",
                 "funder", "sponsor", "contributor")  # fmt: skip
RELATED: Final = ("isPartOf", "hasPart", "isBasedOn", "citation", "exampleOfWork", "workExample", "translationOfWork",
                  "workTranslation")  # fmt: skip


def read(node: Any, *, page: str = "", profile: str | None = None) -> Draft | Fault:
    """The draft of a block, a list of blocks or a graph; never raises.

    `page` is the address of the page the blocks stand on: the resource's place where it names none. With `profile`
    "amb" the first broken rule of AMB is the answer. Other faults: jsonld.shape, jsonld.no_resource.
    """
    if not isinstance(node, (dict, list)):
        return Fault("jsonld.shape", "a block is an object or a list of objects", "", str(node)[:200])
    chosen = choosing.choose(node, page) if isinstance(node, list) else choosing.described(node, page)
    if profile == "amb" and (broken := faults(node if isinstance(node, dict) else chosen)):
        return broken[0]
    if chosen is None:
        kinds = ", ".join(nodes.types(node)) if isinstance(node, dict) else f"{len(node)} blocks"
        return Fault("jsonld.no_resource", "none of the blocks describes a resource", "@type", kinds[:200])
    bare, draft = nodes.plain(chosen), Draft()
    for name, take in _TAKES.items():
        if name in bare:
            take(draft, bare[name])
    if page and nodes.URL.match(page):
        draft.setdefault("location", [page])
    return draft


def _single(field: str, limit: int) -> Take:
    def take(draft: Draft, value: Any) -> None:
        if found := nodes.text(next(nodes.values(value), "")):
            draft.setdefault(field, found[:limit])

    return take


def _listed(field: str, limit: int) -> Take:
    def take(draft: Draft, value: Any) -> None:
        if found := [text[:limit] for text in nodes.texts(value)]:
            draft[field] = _once([*draft.get(field, ()), *found])

    return take


def _once(found: list[Any]) -> list[Any]:
    return [item for number, item in enumerate(found) if item not in found[:number]]


def _named(draft: Draft, value: Any) -> None:
    """The title; translations of it are other titles."""
    for text in nodes.texts(value):
        if "title" not in draft:
            draft["title"] = text[:1000]
        elif text != draft["title"]:
            draft["alt_titles"] = _once([*draft.get("alt_titles", ()), text[:1000]])


def _keywords(draft: Draft, value: Any) -> None:
    """A text of several keywords is cut at its separators; a list of keywords is taken as it is."""
    found = nodes.texts(value)
    if isinstance(value, str):
        found = [word.strip() for word in _SEPARATOR.split(value) if word.strip()]
    if found:
        draft["keywords"] = _once([*draft.get("keywords", ()), *(word[:1000] for word in found)])


def _identity(draft: Draft, value: Any) -> None:
    """An address is a place, `ix:` the record's own id, anything else an identifier."""
    if not isinstance(value, str) or not (text := value.strip()):
        return
    if nodes.URL.match(text):
        draft["location"] = _once([*draft.get("location", ()), text[:4000]])
    elif text.startswith("ix:"):
        draft["id"] = text
    elif not text.startswith("_:"):
        draft.setdefault("identifiers", []).append({"entry": text[:4000]})


def _identifiers(draft: Draft, value: Any) -> None:
    for item in nodes.values(value):
        bare = nodes.plain(item) if isinstance(item, dict) else {"value": item}
        entry, catalog = nodes.text(bare.get("value")) or nodes.identifier(item), nodes.text(bare.get("propertyID"))
        if entry:
            named = {"catalog": catalog[:200]} if catalog else {}
            draft.setdefault("identifiers", []).append({**named, "entry": entry[:4000]})


def _isbn(draft: Draft, value: Any) -> None:
    found = [{"catalog": "ISBN", "entry": text[:4000]} for text in nodes.texts(value)]
    if found:
        draft["identifiers"] = [*draft.get("identifiers", ()), *found]


def _people(role: str) -> Take:
    """Names under a property; a Role between says what the property leaves out (schema.org/Role)."""

    def take(draft: Draft, value: Any) -> None:
        for item in nodes.values(value):
            inner, stated, date = item, role, ""
            if isinstance(item, dict) and "Role" in nodes.types(item):
                bare = nodes.plain(item)
                inner, stated = bare.get(role), nodes.text(bare.get("roleName")) or role
                date = nodes.text(bare.get("startDate"))
            if name := nodes.text(inner):
                person = {"role": stated[:200], "name": name[:1000]}
                draft.setdefault("contributors", []).append({**person, **({"date": date[:200]} if date else {})})

    return take


def _terms(field: str, *schemes: str) -> Take:
    def take(draft: Draft, value: Any) -> None:
        found = [word[:200] for item in nodes.values(value) if (word := nodes.term(schemes, _audience(item))[1])]
        if found:
            draft[field] = _once([*draft.get(field, ()), *found])

    return take


def _audience(item: Any) -> Any:
    bare = nodes.plain(item) if isinstance(item, dict) else {}
    role = bare.get("educationalRole") or bare.get("audienceType")
    return role if role else None if "Audience" in "".join(nodes.types(bare)) and "name" not in bare else item


def _about(draft: Draft, value: Any) -> None:
    """The first subject that our list knows, else the first; the others are keywords."""
    found = [nodes.term(("subject",), item) for item in nodes.values(value)]
    words = [word for _, word in found if word]
    known = next((word for scheme, word in found if scheme), next(iter(words), ""))
    if known and draft.setdefault("subject", known[:200]) == known[:200]:
        words.remove(known)
    if words:
        draft["keywords"] = _once([*draft.get("keywords", ()), *(word[:1000] for word in words)])


def _level(draft: Draft, value: Any) -> None:
    """Grades and stages stand under one property: by the list the term names, the list that knows it, its words."""
    for item in nodes.values(value):
        scheme, word = nodes.term(("grade", "stage"), item)
        named = _FIELD.search(nodes.text(nodes.plain(item).get("inDefinedTermSet"))) if isinstance(item, dict) else None
        scheme = named[1] if named else scheme or ("grade" if _GRADE.match(word) else "stage")
        if word and scheme == "grade":
            draft["grade"] = _once([*draft.get("grade", ()), word[:200]])
        elif word:
            draft.setdefault("stage", word[:200])


def _alignment(draft: Draft, value: Any) -> None:
    """LRMI alignments: ours by name; subject and level as such; the first other one is the standard."""
    for item in nodes.values(value):
        bare = nodes.plain(item) if isinstance(item, dict) else {}
        kind = nodes.text(bare.get("alignmentType"))
        target = nodes.text(bare.get("identifier")) or nodes.text(bare.get("targetName"))
        target = target or nodes.text(bare.get("targetUrl"))
        if target and kind in ALIGNED:
            draft.setdefault(kind, target[:1000])
        elif target and kind == "educationalSubject":
            _about(draft, target)
        elif target and kind == "educationalLevel":
            _level(draft, target)
        elif target:
            draft.setdefault("curriculum_standard", target[:1000])


def _media(draft: Draft, value: Any) -> None:
    """Files: their places and formats; a size only of a single file, for the resource's own."""
    files = [nodes.plain(item) for item in nodes.values(value) if isinstance(item, dict)]
    for file in files:
        _listed("format", 1000)(draft, file.get("encodingFormat"))
        _listed("location", 4000)(draft, file.get("contentUrl") or file.get("embedUrl"))
    size = nodes.text(files[0].get("contentSize")) if len(files) == 1 else ""
    if size.isascii() and size.isdigit() and len(size) < 16:
        draft["size_bytes"] = int(size)


def _licence(draft: Draft, value: Any) -> None:
    rights = draft.setdefault("rights", {})
    for item in nodes.values(value):
        text = (nodes.identifier(item) or nodes.text(item))[:4000]
        if nodes.URL.match(text):
            rights.setdefault("licence_uri", text)
        elif text:
            rights.setdefault("statement", text)
    if not rights:
        del draft["rights"]


def _statement(draft: Draft, value: Any) -> None:
    if text := nodes.text(value):
        draft.setdefault("rights", {})["statement"] = text[:20_000]


def _conditions(draft: Draft, value: Any) -> None:
    if found := nodes.texts(value):
        draft.setdefault("rights", {})["restrictions"] = [text[:200] for text in found]


def _free(draft: Draft, value: Any) -> None:
    if value in (True, "true", "True", "http://schema.org/True", "https://schema.org/True"):
        draft.setdefault("price", "免费")


def _offer(draft: Draft, value: Any) -> None:
    for item in nodes.values(value):
        bare = nodes.plain(item) if isinstance(item, dict) else {}
        price = f"{nodes.text(bare.get('price'))} {nodes.text(bare.get('priceCurrency'))}".strip()
        if text := nodes.text(bare.get("description")) or price:
            draft.setdefault("price", text[:200])


def _audits(draft: Draft, value: Any) -> None:
    for item in nodes.values(value):
        bare = nodes.plain(item) if isinstance(item, dict) else {}
        if bare.get("additionalType") == AUDIT:
            names = {"item": "reviewAspect", "institution": "author", "date": "datePublished", "result": "reviewBody"}
            found = {name: nodes.text(bare.get(key)) for name, key in names.items()}
            draft.setdefault("audits", []).append({name: text[: _AUDIT[name]] for name, text in found.items() if text})


def _relations(kind: str) -> Take:
    def take(draft: Draft, value: Any) -> None:
        for item in nodes.values(value):
            inner, stated = item, kind
            if isinstance(item, dict) and "Role" in nodes.types(item):
                bare = nodes.plain(item)
                inner, stated = bare.get(kind), nodes.text(bare.get("roleName")) or kind
            elif kind == "mentions":
                continue  # what a page mentions is no relation of the resource unless it says which
            if target := nodes.identifier(inner) or nodes.text(inner):
                draft.setdefault("relations", []).append({"type": stated[:200], "target": target[:4000]})

    return take


_TAKES: Final[Mapping[str, Take]] = {
    "name": _named, "headline": _named, "alternateName": _listed("alt_titles", 1000), "url": _listed("location", 4000),
    "id": _identity, "identifier": _identifiers, "isbn": _isbn, "inLanguage": _listed("languages", 200),
    "description": _single("description", 20_000), "abstract": _single("description", 20_000),
    "keywords": _keywords, "learningResourceType": _terms("type", "type"),
    **{role: _people(role) for role in PEOPLE},
    "version": _single("version", 200), "about": _about, "educationalLevel": _level, "audience": _terms("audience"),
    "educationalAlignment": _alignment, "encodingFormat": _listed("format", 1000), "encoding": _media,
    "associatedMedia": _media, "contentUrl": _listed("location", 4000), "softwareRequirements": _single("tech_req", 20_000),
    "license": _licence, "copyrightNotice": _statement, "conditionsOfAccess": _conditions, "offers": _offer,
    "isAccessibleForFree": _free, "review": _audits, **{kind: _relations(kind) for kind in (*RELATED, "mentions")},
    "spatialCoverage": _listed("region_scope", 200), "datePublished": _single("published", 200),
    "dateCreated": _single("published", 200),
}  # fmt: skip
"""Properties in the order they are taken: of two for one field the better comes first."""
