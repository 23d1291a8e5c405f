"""What a property may hold, as functions that yield the rules a value breaks, each with the dotted path of the place."""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from app.protocol.connector import Fault
from app.protocol.vocab.languages import registered

Check = Callable[[Any, str], Iterator[Fault]]
CONTEXT: Final = "https://w3id.org/kim/amb/context.jsonld"
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+\Z")
_CLASS: Final = re.compile(r"[A-Z0-9][A-Za-z0-9]*\Z")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?)?\Z")


def _fault(rule: str, detail: str, at: str, value: Any = "") -> Fault:
    return Fault(rule, detail, at, str(value)[:200], "validate")


def _step(path: str, step: str | int) -> str:
    return f"{path}.{step}" if path else str(step)


def matching(rule: str, detail: str, accepts: Callable[[str], Any]) -> Check:
    """A text that the rule accepts."""

    def check(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, str) or not accepts(value):
            yield _fault(rule, detail, at, value)

    return check


def many(check: Check, holds: tuple[str, ...] = ()) -> Check:
    """A list, each value as `check` says; of concepts, one at least from the schemes in `holds`.

    A value without its list is a fault, and is looked into all the same.
    """

    def checked(value: Any, at: str) -> Iterator[Fault]:
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from check(item, _step(at, number))
        else:
            yield _fault("amb.array", "a list is needed, also for one value", at, value)
            yield from check(value, at)
        items = value if isinstance(value, list) else [value]
        if holds and not any(isinstance(item, dict) and _starts(item.get("id"), holds) for item in items):
            yield _fault("amb.scheme", f"no concept of {' or '.join(holds)} is among the values", at, value)

    return checked


def _starts(value: Any, prefixes: tuple[str, ...]) -> bool:
    return isinstance(value, str) and value.startswith(prefixes)


def holding(declared: Mapping[str, Check], needed: tuple[str, ...] = (), either: tuple[str, ...] = ()) -> Check:
    """An object: what it must have, of which one must be there, and what its declared properties may hold."""

    def check(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield _fault("amb.object", "an object is needed", at, value)
            return
        for name in needed:
            if name not in value:
                yield _fault("amb.missing", f"{name} is needed here", _step(at, name))
        if either and not any(name in value for name in either):
            rule = "amb.media_url" if "contentUrl" in either else "amb.identity"
            yield _fault(rule, f"one of {', '.join(either)} is needed", at, value)
        for name, inner in declared.items():
            if name in value:
                yield from inner(value[name], _step(at, name))

    return check


def labels(value: Any, at: str) -> Iterator[Fault]:
    """Labels by language: `{"de": "Kurs"}`."""
    if not isinstance(value, dict) or not all(isinstance(label, str) for label in value.values()):
        yield _fault("amb.labels", "labels are an object of language and text", at, value)
        return
    for tag in value:
        yield from language(tag, at)


def default_language(value: Any, at: str) -> Iterator[Fault]:
    """`@context`: a list that holds AMB's context and a default language; more may stand there."""
    entries = value if isinstance(value, list) else [value]
    if CONTEXT not in entries:
        yield _fault("amb.context", f"the context {CONTEXT} is needed", at, value)
    named = [
        (n, entry["@language"]) for n, entry in enumerate(entries) if isinstance(entry, dict) and "@language" in entry
    ]
    if not named:
        yield _fault("amb.default_language", 'a default language is needed: {"@language": "de"}', at, value)
    for number, tag in named:
        yield from language(tag, _step(_step(at, number), "@language"))


def resource_type(value: Any, at: str) -> Iterator[Fault]:
    """`type`: a list of class names, LearningResource among them."""
    yield from many(class_name)(value, at)
    if isinstance(value, list) and "LearningResource" not in value:
        yield _fault("amb.learning_resource", "LearningResource must be among the types", at, value)


def boolean(value: Any, at: str) -> Iterator[Fault]:
    """true or false, not their names."""
    if not isinstance(value, bool):
        yield _fault("amb.boolean", "true or false is needed", at, value)


def _is_date(text: str) -> bool:
    if not _DATE.match(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def one_of(*names: str) -> Check:
    """One of these class names."""
    return matching("amb.class", f"one of {', '.join(names)} is needed", names.__contains__)


def concept(ids: tuple[str, ...] = (), *, closed: bool = False) -> Check:
    """A SKOS concept; with `ids` its identifier is one of them (`closed`) or begins with one."""

    def named(value: Any, at: str) -> Iterator[Fault]:
        yield from uri(value, at)
        if ids and not (value in ids if closed else _starts(value, ids)):
            yield _fault("amb.concept", f"a concept of {' or '.join(ids)} is needed", at, value)

    return holding({"id": named, "type": one_of("Concept"), "prefLabel": labels}, ("id",))


text = matching("amb.text", "a text is needed", lambda _: True)
uri = matching("amb.uri", "a URI is needed", _URI.match)
date = matching("amb.date", "a date is needed: 2026-03-01 or 2026-03-01T08:00:00Z", _is_date)
language = matching(
    "amb.language", "a language of two letters is needed (ISO 639-1)",
    lambda text: len(text) == 2 and text.isascii() and text.islower() and registered(text),
)  # fmt: skip
class_name = matching("amb.class", "the name of a schema.org class is needed, not its IRI", _CLASS.match)
digits = matching(
    "amb.digits", "a whole number without unit is needed, as text", lambda text: re.fullmatch("[0-9]+", text)
)
