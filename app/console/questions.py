"""A connector's configuration as questions of a form, made from its own JSON Schema, and the answers back."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import orjson

from app.console.form import Form
from app.harvest.discovery import kinds
from app.protocol import json
from app.protocol.errors import BadRequest, PeerViolation

PREFIX: Final = "c-"
_TYPES: Final = {"integer": "number", "boolean": "flag", "string": "text"}


class Question(NamedTuple):
    """One field: `way` says how it is asked (text, address, number, flag, choice, lines, secret, json)."""

    name: str
    way: str
    required: bool
    value: str
    choices: tuple[str, ...] = ()
    default: str = ""


def questions(kind: str, config: Mapping[str, Any], typed: Form | None = None) -> list[Question]:
    """All fields of a kind, the required ones first; secrets are never filled in again."""
    schema = kinds()[kind].model_json_schema()
    needed = schema.get("required", [])
    found = [_question(name, said, name in needed, config) for name, said in schema["properties"].items()]
    if typed is not None and f"{PREFIX}kind" in typed.fields and typed.one(f"{PREFIX}kind") == kind:
        found = [q._replace(value=_typed(typed, q)) if q.way != "secret" else q for q in found]
    return sorted(found, key=lambda question: not question.required)


def _question(name: str, said: Mapping[str, Any], required: bool, config: Mapping[str, Any]) -> Question:
    plain = next((one for one in said.get("anyOf", ()) if one.get("type") != "null"), said)
    way, choices = _way(plain), tuple(str(one) for one in said.get("enum", plain.get("enum", ())) if one is not None)
    if "const" in plain:
        choices = (str(plain["const"]),)
    way = "choice" if choices else way
    if choices and not required and said.get("default") is None:
        choices = ("", *choices)
    default = said.get("default")
    value = "" if way == "secret" else _shown(config.get(name, default), way)
    return Question(name, way, required, value, choices, "" if default is None else _shown(default, way))


def _way(said: Mapping[str, Any]) -> str:
    if said.get("format") == "password":
        return "secret"
    if said.get("format") == "uri":
        return "address"
    if said.get("type") == "array" and said.get("items", {}).get("type") == "string":
        return "lines"
    return _TYPES.get(said.get("type", ""), "json")


def _shown(value: Any, way: str) -> str:
    if value is None or value == "":
        return ""
    if way == "lines":
        return "\n".join(map(str, value))
    if way == "flag":
        return "yes" if value else ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _typed(form: Form, question: Question) -> str:
    raw = form.fields.get(f"{PREFIX}{question.name}", [""])[0]
    return raw if question.way in ("choice", "lines", "json") else raw.strip()


def answers(kind: str, form: Form) -> dict[str, Any]:
    """The configuration that a form says; what was left empty is left out. Raises BadRequest for text that is no JSON."""
    if kind not in kinds():
        raise BadRequest(
            f"there is no connector {kind!r}", errors=[{"pointer": "kind", "detail": "choose one of the list"}]
        )
    found: dict[str, Any] = {}
    for question in questions(kind, {}):
        said = _typed(form, question)
        if question.way == "flag":
            found[question.name] = bool(said)
        elif said.strip() or (question.way == "choice" and said):
            found[question.name] = _answer(question, said)
    return found


def _answer(question: Question, said: str) -> Any:
    if question.way == "number":
        return int(said) if said.isdecimal() and len(said) < 10 else said
    if question.way == "lines":
        return [line.strip() for line in said.splitlines() if line.strip()]
    if question.way == "json":
        return read(said, question.name)
    return said


def read(text: str, place: str) -> Any:
    """JSON that somebody typed. Raises BadRequest that names the field."""
    try:
        return json.loads(text.encode(), strict=True)
    except PeerViolation as error:
        detail = f"{place}: this is not JSON: {error.detail}"
        raise BadRequest(detail, errors=[{"pointer": place, "detail": detail}]) from None


def faults(error: Any) -> dict[str, str]:
    """What is wrong by field, from an error's pointers."""
    found: dict[str, str] = {}
    for one in getattr(error, "errors", None) or ():
        found.setdefault(str(one["pointer"]).removeprefix("body/").split("/")[0], str(one["detail"]))
    return found
