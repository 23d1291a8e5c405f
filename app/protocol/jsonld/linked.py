"""People, assessments and other resources: properties whose values may stand inside a Role (schema.org/Role)."""

from typing import Any, Final

from app.protocol.connector import Draft
from app.protocol.jsonld import nodes
from app.protocol.jsonld.nodes import Take

PEOPLE: Final = ("creator", "author", "editor", "translator", "illustrator", "publisher", "producer", "provider",
                 "funder", "sponsor", "contributor")  # fmt: skip
RELATED: Final = ("isPartOf", "hasPart", "isBasedOn", "citation", "exampleOfWork", "workExample", "translationOfWork",
                  "workTranslation")  # fmt: skip
AUDIT: Final = "GB/T 41469-2022 15"
"""Marks a `review` that is an assessment (审核): other reviews on a page are opinions."""
_AUDIT: Final = {"item": 200, "institution": 1000, "date": 200, "result": 200}


def people(role: str) -> Take:
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


def audits(draft: Draft, value: Any) -> None:
    """Reviews that are assessments."""
    for item in nodes.values(value):
        bare = nodes.plain(item) if isinstance(item, dict) else {}
        if bare.get("additionalType") == AUDIT:
            names = {"item": "reviewAspect", "institution": "author", "date": "datePublished", "result": "reviewBody"}
            found = {name: nodes.text(bare.get(key)) for name, key in names.items()}
            draft.setdefault("audits", []).append({name: text[: _AUDIT[name]] for name, text in found.items() if text})


def relations(kind: str) -> Take:
    """Addresses under a property, else names; a Role between names the relation."""

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
