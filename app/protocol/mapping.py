"""The crosswalk of a feed as data: source paths to fields, constants, joins, defaults and term tables.

A mapping also says what of a source does not count (data section 0, finding 2): `volatile` paths are left out
and lists at `unordered` paths are sorted before the fields are filled, so that neither can change a record.
"""

import re
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from app.protocol.connector import Draft
from app.protocol.errors import BadRequest
from app.protocol.record import CODED, Record

STEP: Final = re.compile(r"([^\s.\[\]=]+)(?:\[(?:([^\s.\[\]=]+)=([^\[\]]*))?\])?")
PATH: Final = re.compile(rf"{STEP.pattern}(?:\.{STEP.pattern})*")
TAGS: Final = "tag_list[tag_dimension_id={}].tag_name"
FIELDS: Final = frozenset(Record.__annotations__) - {"id"}
TABLES: Final = frozenset(CODED) | {"languages"}
LISTS: Final = frozenset(name for name, kind in Record.__annotations__.items() if "list[" in str(kind))

Steps = list[tuple[str, str | None, str | None]]


class Rule(BaseModel):
    """Where one field comes from: exactly one of a path, a tag dimension and a constant."""

    model_config = ConfigDict(extra="forbid")
    path: str | None = Field(default=None, description="a.b, a[].b or a[key=value].b")
    tag: str | None = Field(default=None, description="the names of a tag dimension of `tag_list`")
    constant: Any = None
    first: bool = False
    join: str | None = None
    list: bool = False
    each: dict[str, Any] | None = Field(default=None, description="for lists of objects: constants beside `name`")

    @model_validator(mode="after")
    def _one_source(self) -> "Rule":
        if sum(value is not None for value in (self.path, self.tag, self.constant)) != 1:
            raise ValueError("exactly one of `path`, `tag` and `constant` is needed")
        if (self.join is not None) + self.list + self.first + (self.each is not None) > 1:
            raise ValueError("only one of `first`, `join`, `list` and `each` can hold")
        _steps(self.source or "constant")
        return self

    @property
    def source(self) -> str | None:
        """The path, written out."""
        return TAGS.format(self.tag) if self.tag is not None else self.path


class Mapping(BaseModel):
    """A versioned mapping. What it does not name (CDN hosts, tag order, counters) cannot change a record."""

    model_config = ConfigDict(extra="forbid")
    version: Literal[1]
    fields: dict[str, Rule]
    terms: dict[str, dict[str, str]] = {}
    defaults: dict[str, Any] = {}
    volatile: list[str] = []
    unordered: list[str] = []

    @model_validator(mode="after")
    def _known_names(self) -> "Mapping":
        for place, names, known in (
            ("fields", self.fields, FIELDS),
            ("defaults", self.defaults, FIELDS),
            ("terms", self.terms, TABLES),
        ):
            if unknown := sorted(set(names) - known):
                raise ValueError(f"{place}: no such field {', '.join(unknown)[:200]}")
        for path in (*self.volatile, *self.unordered):
            _steps(path)
        return self


def checked(document: Any) -> Mapping:
    """The mapping behind a document. Raises BadRequest that names each wrong place."""
    try:
        return Mapping.model_validate(document)
    except ValidationError as error:
        errors = [{"pointer": _place(e), "detail": e["msg"]} for e in error.errors(include_url=False)]
        raise BadRequest("; ".join(f"mapping {e['pointer']}: {e['detail']}" for e in errors), errors=errors) from None


def _place(error: ErrorDetails) -> str:
    return "/" + "/".join(str(step) for step in error["loc"])


def compile(document: dict[str, Any]) -> Callable[[Draft], tuple[Draft, list[str]]]:
    """The mapping as a function from a source's object to a draft and flags. Raises BadRequest.

    A field that took its default is flagged `defaulted:<field>`. `terms` are not applied here: the record's
    own vocabulary step looks into them first, so that a term is resolved in one place.
    """
    mapping = checked(document)
    prepared = normaliser(document) if mapping.volatile or mapping.unordered else None
    plan = [(name, rule, _steps(rule.source) if rule.source else None) for name, rule in mapping.fields.items()]

    def apply(source: Draft) -> tuple[Draft, list[str]]:
        if prepared is not None:
            source = orjson.loads(prepared(source))
        draft: Draft = {}
        for name, rule, path in plan:
            value = rule.constant if path is None else _shape(name, rule, _walk([source], path))
            if value not in (None, "", []):
                draft[name] = value
        missing = [name for name in mapping.defaults if name not in draft]
        draft.update((name, mapping.defaults[name]) for name in missing)
        return draft, [f"defaulted:{name}" for name in missing]

    return apply


def normaliser(document: dict[str, Any]) -> Callable[[Draft], bytes]:
    """A function from a source's object to the bytes that stand for its meaning. Raises BadRequest."""
    mapping = checked(document)
    volatile = [_steps(path) for path in mapping.volatile]
    unordered = [_steps(path) for path in mapping.unordered]

    def normalised(raw: Draft) -> bytes:
        copy = orjson.loads(orjson.dumps(raw))
        for path in volatile:
            for holder in _holders(copy, path):
                _drop(holder, path[-1])
        for path in unordered:
            for holder in _holders(copy, path):
                if isinstance(found := holder.get(path[-1][0]), list):
                    found.sort(key=lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
        return orjson.dumps(copy, option=orjson.OPT_SORT_KEYS)

    return normalised


def _steps(path: str) -> Steps:
    # A dot may stand inside a selection's value, so steps are found one after the other and not by splitting.
    if not PATH.fullmatch(path):
        raise ValueError(f"{path[:200]!r} is not a path such as a.b, a[].b or a[key=value].b")
    return [(found[1], found[2], found[3]) for found in STEP.finditer(path)]


def _walk(values: list[Any], path: Steps) -> list[Any]:
    for step in path:
        values = list(chain.from_iterable(_chosen(value, step) for value in values))
    return values


def _chosen(value: Any, step: tuple[str, str | None, str | None]) -> Iterator[Any]:
    """What one step finds in one value; lists are entered whether the path says `[]` or not."""
    name, key, wanted = step
    found = value.get(name) if isinstance(value, dict) else None
    for item in found if isinstance(found, list) else (found,):
        if item is not None and _selected(item, key, wanted):
            yield item


def _selected(item: Any, key: str | None, wanted: str | None) -> bool:
    return key is None or (isinstance(item, dict) and str(item.get(key)) == wanted)


def _holders(source: Any, path: Steps) -> list[dict[str, Any]]:
    return [value for value in _walk([source], path[:-1]) if isinstance(value, dict)]


def _drop(holder: dict[str, Any], step: tuple[str, str | None, str | None]) -> None:
    """Removes a member, or from a list only the elements that the last step selects."""
    name, key, wanted = step
    if key is None:
        holder.pop(name, None)
    elif isinstance(found := holder.get(name), list):
        holder[name] = [item for item in found if not _selected(item, key, wanted)]


def _shape(name: str, rule: Rule, values: list[Any]) -> Any:
    values = [value.strip() if isinstance(value, str) else value for value in values]
    values = [value for value in values if value != ""]
    if rule.each is not None:
        return [{**rule.each, "name": str(value)} for value in values]
    if rule.join is not None:
        return rule.join.join(str(value) for value in values)
    if rule.list or (name in LISTS and not rule.first):
        return values
    # Several values for a field that holds one are not ours to choose from: the record's own check names the field.
    return values if len(values) > 1 and not rule.first else next(iter(values), None)
