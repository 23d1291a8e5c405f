"""The crosswalk of a feed as data: source paths to fields, constants, joins, defaults, term tables (docs/mapping.md)."""

import re
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.protocol.connector import Draft
from app.protocol.errors import BadRequest
from app.protocol.record import Record

_STEP = re.compile(r"([\w-]+)(?:\[(?:([\w-]+)=([^\]]*))?\])?")


class Rule(BaseModel):
    """Where one field comes from: a path or a constant."""

    model_config = ConfigDict(extra="forbid")
    path: str | None = None
    constant: Any = None
    first: bool = False
    join: str | None = None
    list: bool = False
    each: dict[str, Any] | None = Field(default=None, description="for lists of objects: constants beside `name`")


class Mapping(BaseModel):
    """A versioned mapping. What it does not name (CDN hosts, tag order, counters) cannot change a record."""

    model_config = ConfigDict(extra="forbid")
    version: int
    fields: dict[str, Rule]
    terms: dict[str, dict[str, str]] = {}
    defaults: dict[str, Any] = {}


def compile(document: dict[str, Any]) -> Callable[[Draft], tuple[Draft, list[str]]]:
    """The mapping as a function. Raises BadRequest that names each wrong place."""
    try:
        mapping = Mapping.model_validate(document)
    except ValidationError as error:
        errors = [{"pointer": "/".join(map(str, e["loc"])), "detail": e["msg"]} for e in error.errors()]
        raise BadRequest("; ".join(f"mapping {e['pointer']}: {e['detail']}" for e in errors), errors=errors) from None
    if unknown := set(mapping.fields) - set(Record.__annotations__):
        raise BadRequest(f"mapping: no such field {', '.join(sorted(unknown))}")
    steps = [(name, rule, _steps(rule.path)) for name, rule in mapping.fields.items()]

    def apply(source: Draft) -> tuple[Draft, list[str]]:
        draft: Draft = {}
        for name, rule, path in steps:
            value = rule.constant if path is None else _shape(rule, _walk([source], path))
            if value not in (None, "", []):
                draft[name] = value
            elif name in mapping.defaults:
                draft[name] = mapping.defaults[name]
        return {**{k: v for k, v in mapping.defaults.items() if k not in draft}, **draft}, []

    return apply


Steps = list[tuple[str, str | None, str | None]]


def _steps(path: str | None) -> Steps | None:
    if path is None:
        return None
    found = [_STEP.fullmatch(part) for part in path.split(".")]
    if not all(found):
        raise BadRequest(f"mapping: {path!r} is not a path such as a.b, a[].b or a[key=value].b")
    return [(m[1], m[2], m[3]) for m in found if m]


def _walk(values: list[Any], path: Steps) -> list[Any]:
    for name, key, wanted in path:
        met: list[Any] = []
        for value in values:
            found = value.get(name) if isinstance(value, dict) else None
            for item in found if isinstance(found, list) else [found]:
                if item is not None and (key is None or (isinstance(item, dict) and str(item.get(key)) == wanted)):
                    met.append(item)
        values = met
    return values


def _shape(rule: Rule, values: list[Any]) -> Any:
    if rule.each is not None:
        return [{**rule.each, "name": str(value)} for value in values]
    if rule.join is not None:
        return rule.join.join(str(value) for value in values)
    if rule.list or (len(values) > 1 and not rule.first):
        return [value.strip() if isinstance(value, str) else value for value in values]
    value = values[0] if values else None
    return value.strip() if isinstance(value, str) else value
