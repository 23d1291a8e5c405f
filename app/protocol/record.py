"""The native record: a small JSON core whose obligations come from GB/T 41469-2022 (docs/records.md).

Only a title is demanded: a record without one cannot be found by anybody. Whatever else the standard calls
mandatory is flagged `missing:<field>` when absent, and a term that no code list knows stays as it came and is
flagged `unmapped:<field>`: real catalogues would otherwise lose most of their records at the border.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Final, NamedTuple, Required

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from app.protocol import vocab
from app.protocol.canonical import canonical, content_hash
from app.protocol.connector import Draft, Fault
from app.protocol.text import rule

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


MANDATORY: Final = ("languages", "type", "contributors", "subject", "audience", "location", "rights")
CODED: Final = ("subject", "stage", "grade", "type", "edition", "volume")
TABLED: Final = (*CODED, "languages")
FACETS: Final = ("subject", "stage", "grade", "type", "edition", "languages")
FACET_NAMES: Final = {"languages": "language"}

_validate = TypeAdapter(Record).validate_python


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
        content = {name: value for name, value in draft.items() if value or value == 0}
        flags = _code(content, tables or {})
        content["id"] = id
    if "title" not in content:
        return Fault("record.title_missing", "a record needs a title", "title", stage="validate")
    try:
        content = dict(_validate(content))
        document = canonical(content)
    except ValidationError as error:
        return _fault(error)
    except (orjson.JSONEncodeError, TypeError):
        return _forbidden(content)
    if not _plain(document) and (fault := _forbidden(content)).path:
        return fault
    flags += [*flagged, *(f"missing:{name}" for name in MANDATORY if name not in content)]
    return Prepared(
        id,
        document,
        content_hash(document),
        content.get("subject", ""),
        terms(content),
        " ".join(flags),
        _searchable(content),
    )


def rebuilt(id: str, document: bytes, flags: str = "") -> Prepared:
    """The prepared record behind bytes that a preparation has made."""
    content = restore(document)
    subject = content.get("subject", "")
    return Prepared(id, document, content_hash(document), subject, terms(content), flags, _searchable(content))


def _plain(document: bytes) -> bool:
    """Whether no text can break the text rule: nothing escaped (orjson escapes C0) and everything printable.

    One look at the bytes instead of one a value; where it fails `text.rule` judges and names the place.
    """
    return b"\\" not in document and document.decode().replace("\u3000", "").isprintable()


def restore(document: bytes) -> dict[str, Any]:
    """The record behind canonical bytes."""
    content: dict[str, Any] = orjson.loads(document)
    return content


def terms(content: Mapping[str, Any]) -> str:
    """Facet terms of a record, `subject=14 stage=2 ...`, sorted, separated by blanks."""
    found = []
    for name in FACETS:
        value = content.get(name)
        if isinstance(value, str):
            found.append(_term(name, value))
        elif value:
            found += [_term(name, code) for code in value]
    return " ".join(sorted(set(found)))


@lru_cache(maxsize=65_536)
def _term(name: str, code: str) -> str:
    return f"{FACET_NAMES.get(name, name)}={code.replace(' ', '_')[:100]}"


def _searchable(content: Mapping[str, Any]) -> str:
    parts = [content["title"], *content.get("alt_titles", ()), *content.get("keywords", ())]
    parts += [person["name"] for person in content.get("contributors", ())]
    return "\n".join(parts)


def _code(content: dict[str, Any], tables: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Replaces known terms by their codes in place; the flags of those nobody knows."""
    flags: list[str] = []
    for name in TABLED:
        value = content.get(name)
        if isinstance(value, str):
            content[name] = _resolved(name, value, tables, flags)
        elif isinstance(value, list):
            content[name] = _unique(_resolved(name, term, tables, flags) for term in value)
    return flags


def _resolved(name: str, term: Any, tables: Mapping[str, Mapping[str, str]], flags: list[str]) -> Any:
    if not isinstance(term, str):
        return term
    table = tables.get(name)
    code = vocab.resolve(name, term, table) if name != "languages" else (table or {}).get(term) or vocab.language(term)
    if code is not None:
        return code
    if (flag := f"unmapped:{name}") not in flags:
        flags.append(flag)
    return term.strip()


def _unique(values: Any) -> list[Any]:
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
