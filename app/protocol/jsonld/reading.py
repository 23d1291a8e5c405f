"""A schema.org node as a draft; the table of properties is in docs/formats.md."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from app.protocol.amb import faults
from app.protocol.connector import Draft, Fault
from app.protocol.html import to_text
from app.protocol.jsonld import choosing, education, linked, nodes
from app.protocol.jsonld.nodes import Take

Profile = Annotated[
    Literal["amb"] | None,
    Field(description="records are JSON-LD of this profile: judged by its rules, no mapping needed"),
]
"""A setting of feeds whose records are JSON-LD."""
_SEPARATOR: Final = re.compile(r"[,;，；、]")


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


def _described(draft: Draft, value: Any) -> None:
    """schema.org says text; pages write HTML into it."""
    if found := nodes.text(next(nodes.values(value), "")):
        draft.setdefault("description", to_text(found, "unsure")[:20_000])


def _listed(field: str, limit: int) -> Take:
    def take(draft: Draft, value: Any) -> None:
        if found := [text[:limit] for text in nodes.texts(value)]:
            draft[field] = nodes.once([*draft.get(field, ()), *found])

    return take


def _named(draft: Draft, value: Any) -> None:
    """The title; translations of it are other titles."""
    for text in nodes.texts(value):
        if "title" not in draft:
            draft["title"] = text[:1000]
        elif text != draft["title"]:
            draft["alt_titles"] = nodes.once([*draft.get("alt_titles", ()), text[:1000]])


def _keywords(draft: Draft, value: Any) -> None:
    """A text of several keywords is cut at its separators; a list of keywords is taken as it is."""
    found = nodes.texts(value)
    if isinstance(value, str):
        found = [word.strip() for word in _SEPARATOR.split(value) if word.strip()]
    if found:
        draft["keywords"] = nodes.once([*draft.get("keywords", ()), *(word[:1000] for word in found)])


def _identity(draft: Draft, value: Any) -> None:
    """An address is a place, `ix:` the record's own id, anything else an identifier."""
    if not isinstance(value, str) or not (text := value.strip()):
        return
    if nodes.URL.match(text):
        draft["location"] = nodes.once([*draft.get("location", ()), text[:4000]])
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


_TAKES: Final[Mapping[str, Take]] = {
    "name": _named, "headline": _named, "alternateName": _listed("alt_titles", 1000), "url": _listed("location", 4000),
    "id": _identity, "identifier": _identifiers, "isbn": _isbn, "inLanguage": _listed("languages", 200),
    "description": _described, "abstract": _described,
    "keywords": _keywords, "learningResourceType": education.terms("type", "type"),
    **{role: linked.people(role) for role in linked.PEOPLE},
    "version": _single("version", 200), "about": education.about, "educationalLevel": education.level, "audience": education.terms("audience"),
    "educationalAlignment": education.alignment, "encodingFormat": _listed("format", 1000), "encoding": _media,
    "associatedMedia": _media, "contentUrl": _listed("location", 4000), "softwareRequirements": _single("tech_req", 20_000),
    "license": _licence, "copyrightNotice": _statement, "conditionsOfAccess": _conditions, "offers": _offer,
    "isAccessibleForFree": _free, "review": linked.audits, **{kind: linked.relations(kind) for kind in (*linked.RELATED, "mentions")},
    "spatialCoverage": _listed("region_scope", 200), "datePublished": _single("published", 200),
    "dateCreated": _single("published", 200),
}  # fmt: skip
"""Properties in the order they are taken: of two for one field the better comes first."""
