"""What LRMI adds to schema.org: kinds, audience, subject, level and alignments."""

import re
from typing import Any, Final

from app.protocol.connector import Draft
from app.protocol.jsonld import nodes
from app.protocol.jsonld.nodes import Take

_FIELD: Final = re.compile(r"/vocab/([a-z_]+)\Z")
_GRADE: Final = re.compile(r"grade\b|.*年级", re.IGNORECASE)
ALIGNED: Final = ("edition", "volume", "system", "textbook_node", "curriculum_standard")
"""Our fields that are alignments of this type (schema.org/AlignmentObject)."""


def terms(field: str, *schemes: str) -> Take:
    """Terms of a field, each by the first of its labels that one of the lists knows."""

    def take(draft: Draft, value: Any) -> None:
        found = [word[:200] for item in nodes.values(value) if (word := nodes.term(schemes, _audience(item))[1])]
        if found:
            draft[field] = nodes.once([*draft.get(field, ()), *found])

    return take


def _audience(item: Any) -> Any:
    bare = nodes.plain(item) if isinstance(item, dict) else {}
    role = bare.get("educationalRole") or bare.get("audienceType")
    return role if role else None if "Audience" in "".join(nodes.types(bare)) and "name" not in bare else item


def about(draft: Draft, value: Any) -> None:
    """The first subject that our list knows, else the first; the others are keywords."""
    found = [nodes.term(("subject",), item) for item in nodes.values(value)]
    words = [word for _, word in found if word]
    known = next((word for scheme, word in found if scheme), next(iter(words), ""))
    if known and draft.setdefault("subject", known[:200]) == known[:200]:
        words.remove(known)
    if words:
        draft["keywords"] = nodes.once([*draft.get("keywords", ()), *(word[:1000] for word in words)])


def level(draft: Draft, value: Any) -> None:
    """Grades and stages stand under one property: by the list the term names, the list that knows it, its words."""
    for item in nodes.values(value):
        scheme, word = nodes.term(("grade", "stage"), item)
        named = _FIELD.search(nodes.text(nodes.plain(item).get("inDefinedTermSet"))) if isinstance(item, dict) else None
        scheme = named[1] if named else scheme or ("grade" if _GRADE.match(word) else "stage")
        if word and scheme == "grade":
            draft["grade"] = nodes.once([*draft.get("grade", ()), word[:200]])
        elif word:
            draft.setdefault("stage", word[:200])


def alignment(draft: Draft, value: Any) -> None:
    """LRMI alignments: ours by name; subject and level as such; the first other one is the standard."""
    for item in nodes.values(value):
        bare = nodes.plain(item) if isinstance(item, dict) else {}
        kind = nodes.text(bare.get("alignmentType"))
        target = nodes.text(bare.get("identifier")) or nodes.text(bare.get("targetName"))
        target = target or nodes.text(bare.get("targetUrl"))
        if target and kind in ALIGNED:
            draft.setdefault(kind, target[:1000])
        elif target and kind == "educationalSubject":
            about(draft, target)
        elif target and kind == "educationalLevel":
            level(draft, target)
        elif target:
            draft.setdefault("curriculum_standard", target[:1000])
