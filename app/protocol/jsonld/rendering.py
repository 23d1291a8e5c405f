"""A record as schema.org JSON-LD: what `read` reads back is the record (contributors and relations grouped by kind)."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import orjson

from app.protocol import vocab
from app.protocol.jsonld import nodes
from app.protocol.jsonld.education import ALIGNED
from app.protocol.jsonld.linked import AUDIT, PEOPLE, RELATED

_AS_IT_IS: Final = {
    "title": "name", "alt_titles": "alternateName", "languages": "inLanguage", "description": "description",
    "keywords": "keywords", "version": "version", "format": "encodingFormat", "location": "url",
    "tech_req": "softwareRequirements", "region_scope": "spatialCoverage", "published": "datePublished",
}  # fmt: skip
_FREE: Final = frozenset({"免费", "free"})


def render(record: Mapping[str, Any], *, base: str = "") -> dict[str, Any]:
    """The JSON-LD of a record's public page; `base` is the hub's public address, before `/api/v1/vocab/...`.

    The types are CreativeWork's LearningResource only: whether a resource is a video or a book its record does not say
    in schema.org's words. People have no type for the same reason.
    """
    node: dict[str, Any] = {"@context": "https://schema.org", "@type": "LearningResource"}
    if "id" in record:
        node["@id"] = record["id"]
    node.update((key, record[field]) for field, key in _AS_IT_IS.items() if field in record)
    for key, value in _parts(record, f"{base.rstrip('/')}/api/v1/vocab/"):
        node.setdefault(key, []).append(value)
    rights = record.get("rights", {})
    for field, key in (
        ("licence_uri", "license"),
        ("statement", "copyrightNotice"),
        ("restrictions", "conditionsOfAccess"),
    ):
        if field in rights:
            node[key] = rights[field]
    if record.get("price") in _FREE:
        node["isAccessibleForFree"] = True
    return node


def script(node: Mapping[str, Any]) -> str:
    """A rendered node as the content of a `script` element: no text in it can end the element or open a comment.

    HTML does not resolve references inside scripts (13.1.2.1), so JSON's own escape has to do.
    """
    return orjson.dumps(node).decode().replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _parts(record: Mapping[str, Any], lists: str) -> Iterator[tuple[str, Any]]:
    """Pairs of a property and one of its values."""
    for item in record.get("identifiers", ()):
        named = {"propertyID": item["catalog"]} if "catalog" in item else {}
        yield "identifier", {"@type": "PropertyValue", **named, "value": item["entry"]}
    for field, key in (("type", "learningResourceType"), ("subject", "about"), ("stage", "educationalLevel"),
                       ("grade", "educationalLevel")):  # fmt: skip
        value = record.get(field, ())
        for code in [value] if isinstance(value, str) else value:
            yield key, _defined(field, code, lists)
    for role in record.get("audience", ()):
        yield "audience", {"@type": "EducationalAudience", "educationalRole": role}
    for field in ALIGNED:
        if field in record:
            yield "educationalAlignment", _aligned(field, record[field])
    for person in record.get("contributors", ()):
        yield _person(person)
    if "size_bytes" in record:
        yield "encoding", {"@type": "MediaObject", "contentSize": str(record["size_bytes"])}
    if "price" in record:
        yield "offers", {"@type": "Offer", "description": record["price"]}
    for audit in record.get("audits", ()):
        yield "review", _audit(audit)
    for relation in record.get("relations", ()):
        yield _relation(relation)


def _defined(field: str, code: str, lists: str) -> dict[str, Any]:
    """A coded term with its label; a term no list knows is a name in the same list."""
    term: dict[str, Any] = {"@type": "DefinedTerm", "inDefinedTermSet": lists + field}
    if code in vocab.scheme(field).concepts:
        term["termCode"] = code
    return {**term, "name": vocab.label(field, code)}


def _aligned(field: str, code: str) -> dict[str, Any]:
    label = vocab.label(field, code) if field in vocab.SCHEMES else code
    coded = {"identifier": code} if label != code else {}
    return {"@type": "AlignmentObject", "alignmentType": field, "targetName": label, **coded}


def _person(person: Mapping[str, str]) -> tuple[str, Any]:
    """Under the property of that name where schema.org has one and there is no date, else inside a Role."""
    role, date = person.get("role", "contributor"), person.get("date")
    if role in PEOPLE and date is None:
        return role, {"name": person["name"]}
    key = role if role in PEOPLE else "contributor"
    dated = {"startDate": date} if date is not None else {}
    return key, {"@type": "Role", "roleName": role, **dated, key: {"name": person["name"]}}


def _audit(audit: Mapping[str, str]) -> dict[str, Any]:
    keys = {"item": "reviewAspect", "date": "datePublished", "result": "reviewBody"}
    named = {"author": {"@type": "Organization", "name": audit["institution"]}} if "institution" in audit else {}
    found = {key: audit[name] for name, key in keys.items() if name in audit}
    return {"@type": "Review", "additionalType": AUDIT, **found, **named}


def _relation(relation: Mapping[str, str]) -> tuple[str, Any]:
    kind, target = relation.get("type", "relation"), relation["target"]
    node = {"@type": "CreativeWork", ("@id" if nodes.URL.match(target) else "name"): target}
    return (kind, node) if kind in RELATED else ("mentions", {"@type": "Role", "roleName": kind, "mentions": node})
