"""AMB, the profile of schema.org for learning resources (dini-ag-kim, version 20231019), as declarations of our own.

Each property is declared once, by what it may hold; each broken declaration is a rule with a name of its own. A block
is judged to its end, so that its owner sees everything at once. No context and no schema is fetched.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

import langcodes

from app.protocol.connector import Fault

Check = Callable[[Any, str], Iterator[Fault]]
CONTEXT: Final = "https://w3id.org/kim/amb/context.jsonld"
LIMIT: Final = 100
"""Faults of one block that are told; the rest says nothing new."""
_SUBJECTS: Final = ("https://w3id.org/kim/hochschulfaechersystematik/", "http://w3id.org/kim/schulfaecher/")
_KINDS: Final = ("https://w3id.org/kim/hcrt/", "http://w3id.org/openeduhub/vocabs/new_lrt/")
_LEVELS: Final = ("https://w3id.org/kim/educationalLevel/",)
_ACCESS: Final = tuple(f"http://w3id.org/kim/conditionsOfAccess/{name}" for name in ("no_login", "login"))
_ACTIVITY: Final = tuple(
    f"http://purl.org/dcx/lrmi-vocabs/interactivityType/{name}" for name in ("active", "expositive", "mixed")
)
_LICENCE: Final = re.compile(
    r"https?://(?:creativecommons\.org/(?:licen[sc]es|publicdomain)/|www\.(?:gnu|apache)\.org/licenses/"
    r"|(?:www\.)?opensource\.org/licenses/(?:MIT|BSD))"
)
_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s<>\"{}|\\^`]+\Z")
_CLASS: Final = re.compile(r"[A-Z0-9][A-Za-z0-9]*\Z")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)?)?\Z")
_DURATION: Final = re.compile(
    r"-?P(?=.)(?:\d+Y)?(?:\d+M)?(?:\d+[DW])?(?:T(?=.)(?:\d+H)?(?:\d+M)?(?:\d+(?:\.\d+)?S)?)?\Z"
)
_MEDIA: Final = re.compile(
    r"(?:application|audio|example|font|image|message|model|multipart|text|video)/[A-Za-z0-9+_.-]+\Z"
)


def faults(node: Any) -> list[Fault]:
    """Every broken rule of a block, `amb.*` with the dotted path of the place; empty where it is AMB. Never raises."""
    found: list[Fault] = []
    for fault in _RESOURCE(node, ""):
        found.append(fault)
        if len(found) == LIMIT:
            break
    return found


def _fault(rule: str, detail: str, at: str, value: Any = "") -> Fault:
    return Fault(rule, detail, at, str(value)[:200], "validate")


def _at(path: str, step: str | int) -> str:
    return f"{path}.{step}" if path else str(step)


def _matching(rule: str, detail: str, accepts: Callable[[str], Any]) -> Check:
    """A text that the rule accepts."""

    def check(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, str) or not accepts(value):
            yield _fault(rule, detail, at, value)

    return check


def _many(check: Check, holds: tuple[str, ...] = ()) -> Check:
    """A list, each value as `check` says; of concepts, one at least from the schemes in `holds`.

    A value without its list is a fault, and is looked into all the same.
    """

    def checked(value: Any, at: str) -> Iterator[Fault]:
        if isinstance(value, list):
            for number, item in enumerate(value):
                yield from check(item, _at(at, number))
        else:
            yield _fault("amb.array", "a list is needed, also for one value", at, value)
            yield from check(value, at)
        items = value if isinstance(value, list) else [value]
        if holds and not any(isinstance(item, dict) and _starts(item.get("id"), holds) for item in items):
            yield _fault("amb.scheme", f"no concept of {' or '.join(holds)} is among the values", at, value)

    return checked


def _starts(value: Any, prefixes: tuple[str, ...]) -> bool:
    return isinstance(value, str) and value.startswith(prefixes)


def _object(declared: Mapping[str, Check], needed: tuple[str, ...] = (), either: tuple[str, ...] = ()) -> Check:
    """An object: what it must have, of which one must be there, and what its declared properties may hold."""

    def check(value: Any, at: str) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield _fault("amb.object", "an object is needed", at, value)
            return
        for name in needed:
            if name not in value:
                yield _fault("amb.missing", f"{name} is needed here", _at(at, name))
        if either and not any(name in value for name in either):
            rule = "amb.media_url" if "contentUrl" in either else "amb.identity"
            yield _fault(rule, f"one of {', '.join(either)} is needed", at, value)
        for name, inner in declared.items():
            if name in value:
                yield from inner(value[name], _at(at, name))

    return check


def _labels(value: Any, at: str) -> Iterator[Fault]:
    """Labels by language: `{"de": "Kurs"}`."""
    if not isinstance(value, dict) or not all(isinstance(label, str) for label in value.values()):
        yield _fault("amb.labels", "labels are an object of language and text", at, value)
        return
    for tag in value:
        yield from _language(tag, at)


def _default_language(value: Any, at: str) -> Iterator[Fault]:
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
        yield from _language(tag, _at(_at(at, number), "@language"))


def _resource_type(value: Any, at: str) -> Iterator[Fault]:
    yield from _many(_class)(value, at)
    if isinstance(value, list) and "LearningResource" not in value:
        yield _fault("amb.learning_resource", "LearningResource must be among the types", at, value)


def _boolean(value: Any, at: str) -> Iterator[Fault]:
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


def _one_of(*names: str) -> Check:
    return _matching("amb.class", f"one of {', '.join(names)} is needed", names.__contains__)


def _concept(ids: tuple[str, ...] = (), *, closed: bool = False) -> Check:
    """A SKOS concept; with `ids` its identifier is one of them (`closed`) or begins with one."""

    def named(value: Any, at: str) -> Iterator[Fault]:
        yield from _uri(value, at)
        if ids and not (value in ids if closed else _starts(value, ids)):
            yield _fault("amb.concept", f"a concept of {' or '.join(ids)} is needed", at, value)

    return _object({"id": named, "type": _one_of("Concept"), "prefLabel": _labels}, ("id",))


_text = _matching("amb.text", "a text is needed", lambda _: True)
_uri = _matching("amb.uri", "a URI is needed", _URI.match)
_date = _matching("amb.date", "a date is needed: 2026-03-01 or 2026-03-01T08:00:00Z", _is_date)
_language = _matching(
    "amb.language", "a language of two letters is needed (ISO 639-1)",
    lambda text: len(text) == 2 and text.isascii() and text.islower() and langcodes.tag_is_valid(text),
)  # fmt: skip
_class = _matching("amb.class", "the name of a schema.org class is needed, not its IRI", _CLASS.match)
_digits = _matching(
    "amb.digits", "a whole number without unit is needed, as text", lambda text: re.fullmatch("[0-9]+", text)
)
_AFFILIATION = _object({"type": _one_of("Organization"), "id": _uri, "name": _text}, ("name", "type"))
_AGENT = {"id": _uri, "name": _text, "honorificPrefix": _text, "affiliation": _AFFILIATION}
_PERSON = _object({**_AGENT, "type": _one_of("Person", "Organization")}, ("name", "type"))
_FUNDER = _object({**_AGENT, "type": _one_of("Person", "FundingScheme", "Organization")}, ("name", "type"))
_PROVIDER = _object({"id": _uri, "type": _text, "name": _text}, ("id",))
_LICENSE = _object(
    {"id": _matching("amb.licence", "an open licence is needed: CC, GNU, Apache, MIT or BSD", _LICENCE.match)}, ("id",)
)
_MEDIUM = {
    "contentUrl": _uri, "embedUrl": _uri, "contentSize": _digits, "bitrate": _digits,
    "encodingFormat": _matching("amb.media_type", "a media type is needed: video/mp4", _MEDIA.match),
    "sha256": _matching("amb.hash", "64 hexadecimal digits are needed", lambda text: re.fullmatch("[0-9A-Fa-f]{64}", text)),
}  # fmt: skip
_PLACES = ("contentUrl", "embedUrl")
_PART = _object({"id": _uri, "type": _resource_type, "name": _text}, ("id",))
_ORIGIN = _object(
    {
        "id": _uri,
        "type": _resource_type,
        "name": _text,
        "creator": _many(_PERSON),
        "license": _LICENSE,
        "provider": _PROVIDER,
    },
    either=("name", "id"),
)
_PAGE = _object(
    {"id": _uri, "type": _one_of("WebContent"), "provider": _PROVIDER, "dateCreated": _date, "dateModified": _date},
    ("id",),
)
_CAPTION = _object(
    {"type": _one_of("MediaObject"), "id": _uri, "encodingFormat": _text, "inLanguage": _language}, ("id", "type")
)
_RESOURCE = _object(
    {
        "@context": _default_language, "id": _uri, "type": _resource_type, "name": _text, "description": _text,
        "creator": _many(_PERSON), "contributor": _many(_PERSON), "publisher": _many(_PERSON), "funder": _many(_FUNDER),
        "about": _many(_concept(), _SUBJECTS), "learningResourceType": _many(_concept(), _KINDS),
        "educationalLevel": _many(_concept(_LEVELS)), "audience": _many(_concept()),
        "assesses": _many(_concept()), "teaches": _many(_concept()), "competencyRequired": _many(_concept()),
        "conditionsOfAccess": _concept(_ACCESS, closed=True), "interactivityType": _concept(_ACTIVITY, closed=True),
        "license": _LICENSE, "isAccessibleForFree": _boolean, "image": _uri, "keywords": _many(_text),
        "inLanguage": _many(_language), "dateCreated": _date, "datePublished": _date, "dateModified": _date,
        "duration": _matching("amb.duration", "an ISO 8601 duration is needed: PT47M58S", _DURATION.match),
        "encoding": _many(_object({**_MEDIUM, "type": _one_of("MediaObject")}, ("type",), _PLACES)),
        "trailer": _object({**_MEDIUM, "type": _one_of("VideoObject", "AudioObject")}, ("type",), _PLACES),
        "caption": _many(_CAPTION), "isBasedOn": _many(_ORIGIN), "isPartOf": _many(_PART), "hasPart": _many(_PART),
        "mainEntityOfPage": _many(_PAGE),
    },
    ("@context", "id", "type", "name"),
)  # fmt: skip
