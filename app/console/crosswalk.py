"""A mapping as rows of a form, and back. What a form cannot hold is never lost: such a mapping is shown as JSON."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from app.console.form import Form
from app.protocol import json
from app.protocol.errors import BadRequest, PeerViolation
from app.protocol.record import TABLED

SOURCES: Final = ("path", "paths", "tag", "template", "constant")
SHAPES: Final = ("", "first", "list")
BETWEEN: Final = " | "  # no path and no date pattern holds a bar between blanks
ROWS: Final = 400


class Row(NamedTuple):
    """One rule of one field. `rest` holds the keys that have no input of their own, as JSON."""

    field: str = ""
    source: str = "path"
    value: str = ""
    html: bool = False
    split: str = ""
    match: str = ""
    date: str = ""
    shape: str = ""
    rest: str = ""


class Term(NamedTuple):
    """A term of the source, its field, and the code it means; `records` in how many live records it stands unmapped."""

    field: str
    term: str
    code: str = ""
    records: int = 0


def rows(mapping: Mapping[str, Any]) -> list[Row]:
    """The rules of a mapping, one a row."""
    return [_row(name, rule) for name, rules in mapping.get("fields", {}).items() for rule in _listed(rules)]


def _row(name: str, rule: Mapping[str, Any]) -> Row:
    rest = dict(rule)
    source = next((key for key in SOURCES if key in rest), "path")
    value, split, match, date = (rest.pop(key, None) for key in (source, "split", "match", "date"))
    shape = next((key for key in SHAPES[1:] if rest.get(key) is True), "")
    rest.pop(shape, None)
    if isinstance(match, dict) and set(match) == {"pattern"}:
        match = match["pattern"]
    elif match is not None and not isinstance(match, str):
        rest, match = {**rest, "match": match}, None
    return Row(
        name, source, BETWEEN.join(value) if source == "paths" else _shown(value), rest.pop("html", False) is True, " ".join(_listed(split)), match or "",
        BETWEEN.join(_listed(date)), shape, _text(rest) if rest else "",
    )  # fmt: skip


def _shown(value: Any) -> str:
    """A constant that is no text as JSON."""
    return value or "" if isinstance(value, str) or value is None else _text(value)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _text(value: Any) -> str:
    return orjson.dumps(value).decode()


def fits(mapping: Mapping[str, Any]) -> bool:
    """Whether the form holds all that this mapping says."""
    try:
        return _plain(document(rows(mapping), terms(mapping), others(mapping))) == _plain(mapping)
    except (BadRequest, TypeError, AttributeError, KeyError):
        return False


def _plain(mapping: Mapping[str, Any]) -> dict[str, Any]:
    """The same mapping with lists of one rule, separator and pattern written as their only element."""
    fields = {name: [_plain_rule(rule) for rule in _listed(rules)] for name, rules in mapping.get("fields", {}).items()}
    return {**mapping, "fields": fields, "terms": mapping.get("terms") or {}}


def _plain_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    match = rule.get("match")
    plain = {**rule, "match": match["pattern"] if isinstance(match, dict) and set(match) == {"pattern"} else match}
    plain |= {key: _listed(rule.get(key)) for key in ("split", "date", "paths")}
    return {key: value for key, value in plain.items() if value not in (None, [], False)}


def terms(mapping: Mapping[str, Any]) -> list[Term]:
    """The mapping's own terms."""
    tables = mapping.get("terms") or {}
    return [Term(field, term, code) for field, table in tables.items() for term, code in table.items()]


def others(mapping: Mapping[str, Any]) -> str:
    """What is neither a rule nor a term (defaults, language scheme, ...) as JSON."""
    return _text({key: value for key, value in mapping.items() if key not in ("version", "fields", "terms")})


def document(rules: Iterable[Row], known: Iterable[Term], rest: str) -> dict[str, Any]:
    """The mapping that rows, terms and the rest say; rows without a source say nothing. Raises BadRequest."""
    fields: dict[str, list[dict[str, Any]]] = {}
    for row in rules:
        if row.field and row.value:
            fields.setdefault(row.field, []).append(_rule(row))
    tables: dict[str, dict[str, str]] = {}
    for term in known:
        if term.term and term.code:
            tables.setdefault(term.field, {})[term.term] = term.code
    merged = {name: found[0] if len(found) == 1 else found for name, found in fields.items()}
    return {"version": 1, "fields": merged, **({"terms": tables} if tables else {}), **_object(rest, "others")}


def _rule(row: Row) -> dict[str, Any]:
    value: Any = row.value
    if row.source == "paths" or (row.source == "path" and BETWEEN in row.value):
        rule: dict[str, Any] = {"paths": [part.strip() for part in row.value.split(BETWEEN.strip()) if part.strip()]}
    else:
        if row.source == "constant" and value[0] in "[{":
            value = _json(value, row.field)
        rule = {row.source: value}
    rule |= {"html": True} if row.html else {}
    for key, separator in (("split", None), ("date", BETWEEN.strip())):
        if parts := [part.strip() for part in getattr(row, key).split(separator) if part.strip()]:
            rule[key] = parts[0] if key == "split" and len(parts) == 1 else parts
    rule |= {"match": row.match} if row.match else {}
    rule |= {row.shape: True} if row.shape else {}
    return {**rule, **_object(row.rest, row.field)}


def _object(text: str, place: str) -> dict[str, Any]:
    found = _json(text or "{}", place)
    if not isinstance(found, dict):
        raise BadRequest(f'{place}: this must be a JSON object such as {{"defaults": {{}}}}')
    return found


def _json(text: str, place: str) -> Any:
    try:
        return json.loads(text.encode(), strict=True)
    except PeerViolation as error:
        raise BadRequest(f"{place}: this is not JSON: {error.detail}") from None


def sent(form: Form) -> dict[str, Any]:
    """The mapping that a form's fields say, as rows or as one JSON text. Raises BadRequest."""
    if "json" in form.fields:
        found = _json(form.one("json"), "mapping")
        if not isinstance(found, dict):
            raise BadRequest("mapping: this must be a JSON object")
        return found
    known = [
        Term(form.one(f"term-{n}-field"), form.one(f"term-{n}-from"), form.one(f"term-{n}-to"))
        for n in range(ROWS * 5)
        if form.one(f"term-{n}-field") in TABLED
    ]
    return document([_sent_row(form, n) for n in range(ROWS) if form.one(f"row-{n}-field")], known, form.one("others"))


def _sent_row(form: Form, n: int) -> Row:
    texts = {name: form.one(f"row-{n}-{name}") for name in Row._fields if name != "html"}
    if texts["source"] not in SOURCES or texts["shape"] not in SHAPES:
        raise BadRequest(f"{texts['field']}: choose a source and a shape from the lists")
    return Row(**texts, html=bool(form.one(f"row-{n}-html")))
