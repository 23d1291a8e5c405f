"""The native record: a small JSON core whose obligations come from GB/T 41469-2022 (docs/records.md).

Only a title is demanded: a record without one cannot be found by anybody. Whatever else the standard calls
mandatory is flagged `missing:<field>` when absent, and a term that no code list knows stays as it came and is
flagged `unmapped:<field>`: real catalogues would otherwise lose most of their records at the border.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from pydantic import ValidationError

from app.protocol.canonical import canonical, content_hash
from app.protocol.connector import Draft, Fault, Fine
from app.protocol.exact import fits
from app.protocol.schema import SHAPE, validate
from app.protocol.schema import Record as Record
from app.protocol.schema import Rights as Rights
from app.protocol.text import rule
from app.protocol.vocab.languages import language
from app.protocol.vocab.lookup import resolve

MANDATORY: Final = ("languages", "type", "contributors", "subject", "audience", "location", "rights")
CODED: Final = ("subject", "stage", "grade", "type", "edition", "volume")
TABLED: Final = (*CODED, "languages")
FACETS: Final = ("subject", "stage", "grade", "type", "edition", "languages")
FACET_NAMES: Final = {"languages": "language"}

_MISSING: Final = {name: f"missing:{name}" for name in MANDATORY}


class Prepared(NamedTuple):
    """A record ready to be stored: canonical bytes and everything that is derived from them."""

    id: str
    document: bytes
    hash: str
    subject: str
    terms: str
    flags: str
    text: str


def prepare(
    draft: Draft,
    id: str,
    *,
    tables: Mapping[str, Mapping[str, str]] | None = None,
    native: bool = False,
    flagged: Sequence[str] = (),
) -> Prepared | Fault:
    """The draft as a record under `id`, or why it cannot be one; never raises for a bad draft.

    A native draft is its origin's own content: it is checked and kept as it is, so that its hash stays equal.
    """
    if native:
        content, flags = dict(draft), []
    else:
        content = dict(draft)
        for name in [name for name, value in content.items() if not (value or value == 0)]:
            del content[name]
        flags = _code(content, tables or {})
        content["id"] = id
    if "title" not in content:
        return Fault("record.title_missing", "a record needs a title", "title", stage="validate")
    # Beside the draft's own texts there are only codes of our lists, unless the feed has tables.
    right = fits(content, SHAPE, isinstance(draft, Fine) and not tables and rule(id) is None)
    try:
        content = content if right else dict(validate(content))
        document = canonical(content)
    except ValidationError as error:
        return _fault(error)
    except (orjson.JSONEncodeError, TypeError):
        return _forbidden(content)
    if not right and (fault := _forbidden(content)).path:
        return fault
    flags += flagged
    flags += [flag for name, flag in _MISSING.items() if name not in content]
    subject, found, text = content.get("subject", ""), terms(content), _searchable(content)
    return Prepared(id, document, content_hash(document), subject, found, " ".join(flags), text)


def rebuilt(id: str, document: bytes, flags: str = "") -> Prepared:
    """The prepared record behind bytes that a preparation has made."""
    content = restore(document)
    subject = content.get("subject", "")
    return Prepared(id, document, content_hash(document), subject, terms(content), flags, _searchable(content))


def restore(document: bytes) -> dict[str, Any]:
    """The record behind canonical bytes."""
    content: dict[str, Any] = orjson.loads(document)
    return content


def terms(content: Mapping[str, Any]) -> str:
    """Facet terms of a record, `subject=14 stage=2 ...`, sorted, separated by blanks."""
    found: list[str | tuple[str, ...] | None] = []
    for name in FACETS:
        value = content.get(name)
        found.append(tuple(value) if isinstance(value, list) else value)
    return _terms(tuple(found))


@lru_cache(maxsize=16_384)
def _terms(values: tuple[str | tuple[str, ...] | None, ...]) -> str:
    found = set()
    for name, value in zip(FACETS, values, strict=True):
        for code in (value,) if isinstance(value, str) else value or ():
            found.add(f"{FACET_NAMES.get(name, name)}={code.replace(' ', '_')[:100]}")
    return " ".join(sorted(found))


def _searchable(content: Mapping[str, Any]) -> str:
    parts = [content["title"]]
    parts += content.get("alt_titles", ())
    parts += content.get("keywords", ())
    for person in content.get("contributors", ()):
        parts.append(person["name"])
    return "\n".join(parts)


def _code(content: dict[str, Any], tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Replaces known terms by their codes in place; the flags of those nobody knows."""
    flags: list[str] = []
    for name in TABLED:
        value = content.get(name)
        if value is None:
            continue
        table = tables.get(name)
        if isinstance(value, list):
            content[name] = _unique([_resolved(name, term, table, flags) for term in value])
        else:
            content[name] = _resolved(name, value, table, flags)
    return flags


def _resolved(name: str, term: Any, table: Mapping[str, str] | None, flags: list[str]) -> Any:
    if not isinstance(term, str):
        return term
    code = resolve(name, term, table) if name != "languages" else (table and table.get(term)) or language(term)
    if code is not None:
        return code
    if (flag := f"unmapped:{name}") not in flags:
        flags.append(flag)
    return term.strip()


def _unique(values: list[Any]) -> list[Any]:
    seen: list[Any] = []
    for value in values:
        if value not in seen and value != "":
            seen.append(value)
    return seen


def _fault(error: ValidationError) -> Fault:
    first = error.errors(include_url=False)[0]
    path = ".".join(str(step) for step in first["loc"])
    broken = {"extra_forbidden": "record.unknown_field", "string_too_long": "record.too_long"}.get(
        first["type"], "record.wrong_type"
    )
    return Fault(broken, first["msg"], path, str(first.get("input"))[:200], "validate")


def _forbidden(content: Any, path: str = "") -> Fault:
    """The first text with a character the text rule refuses; an empty path when there is none."""
    if isinstance(content, str):
        if (broken := rule(content)) is not None:
            shown = content[:100].encode("ascii", "backslashreplace").decode()
            return Fault(broken, "the text holds a character the text rule refuses", path or "-", shown, "validate")
        return Fault("", "")
    pairs: Sequence[tuple[Any, Any]] = ()
    if isinstance(content, dict):
        pairs = list(content.items())
    elif isinstance(content, list):
        pairs = list(enumerate(content))
    for name, value in pairs:
        if (fault := _forbidden(value, f"{path}.{name}".lstrip("."))).path:
            return fault
    return Fault("", "")
