"""The native record's schema: fields, types and limits, declared once (docs/records.md).

What fits `SHAPE` (app/protocol/exact.py) is right as it stands; whatever does not is judged by `validate`.
"""

import sys
from typing import Annotated, Any, Final, Required, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter
from typing_extensions import TypedDict

from app.protocol.exact import Shape

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Long = Annotated[str, Field(min_length=1, max_length=20_000)]
Term = Annotated[str, Field(min_length=1, max_length=200)]
Url = Annotated[str, Field(min_length=1, max_length=4000)]


class Part(TypedDict, total=False):
    """Base of the small objects inside a record."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]


class Identifier(Part, total=False):
    """An identifier in somebody's catalogue: ISBN, DOI, the source's own (GB/T 41469 2)."""

    catalog: Term
    entry: Required[Url]


class Contributor(Part, total=False):
    """Who made it, in which role (GB/T 41469 7)."""

    role: Term
    name: Required[Text]
    date: Term


class Rights(Part, total=False):
    """What may be done with it (GB/T 41469 12)."""

    statement: Long
    licence_uri: Url
    restrictions: list[Term]


class Relation(Part, total=False):
    """A link to another resource (GB/T 41469 T2 7)."""

    type: Term
    target: Required[Url]


class Audit(Part, total=False):
    """An assessment already made (GB/T 41469 15)."""

    item: Term
    institution: Text
    date: Term
    result: Term


class Record(Part, total=False):
    """One resource's metadata. Dates are text with their own precision: the standard allows a bare year."""

    id: str
    title: Required[Text]
    alt_titles: list[Text]
    identifiers: list[Identifier]
    languages: list[Term]
    description: Long
    keywords: list[Text]
    type: list[Term]
    contributors: list[Contributor]
    version: Term
    subject: Term
    stage: Term
    grade: list[Term]
    audience: list[Term]
    edition: Term
    volume: Term
    system: Term
    textbook_node: Text
    curriculum_standard: Text
    format: list[Text]
    size_bytes: int
    location: list[Url]
    tech_req: Long
    rights: Rights
    price: Term
    audits: list[Audit]
    relations: list[Relation]
    region_scope: list[Term]
    published: Term


validate: Final = TypeAdapter(Record).validate_python
"""The record with the changes that types allow (a tuple becomes a list). Raises ValidationError."""


def _shape(kind: Any) -> Shape:
    made = Shape(tuple(sorted(kind.__required_keys__)))
    for name, declared in get_type_hints(kind).items():
        _declare(made, name, declared, get_type_hints(kind, include_extras=True)[name])
    return made


def _declare(made: Shape, name: str, declared: Any, limited: Any) -> None:
    if declared is str:
        made.texts[name] = _longest(limited)
    elif declared is int:
        made.numbers.add(name)
    elif get_origin(declared) is not list:
        made.objects[name] = _shape(declared)
    elif (inner := get_args(declared)[0]) is str:
        made.lists[name] = _longest(get_args(limited)[0])
    else:
        made.listed[name] = _shape(inner)


def _longest(declared: Any) -> int:
    """The longest text that an annotation allows."""
    if get_origin(declared) is Required:
        declared = get_args(declared)[0]
    limits = (getattr(limit, "max_length", None) for field in get_args(declared)[1:] for limit in field.metadata)
    return next(filter(None, limits), sys.maxsize)


SHAPE: Final = _shape(Record)
