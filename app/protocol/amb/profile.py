"""AMB's properties, each declared once by what it may hold."""

import re
from typing import Any, Final

from app.protocol.amb import checks
from app.protocol.connector import Fault

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


_AFFILIATION = checks.holding(
    {"type": checks.one_of("Organization"), "id": checks.uri, "name": checks.text}, ("name", "type")
)
_AGENT = {"id": checks.uri, "name": checks.text, "honorificPrefix": checks.text, "affiliation": _AFFILIATION}
_PERSON = checks.holding({**_AGENT, "type": checks.one_of("Person", "Organization")}, ("name", "type"))
_FUNDER = checks.holding({**_AGENT, "type": checks.one_of("Person", "FundingScheme", "Organization")}, ("name", "type"))
_PROVIDER = checks.holding({"id": checks.uri, "type": checks.text, "name": checks.text}, ("id",))
_LICENSE = checks.holding(
    {"id": checks.matching("amb.licence", "an open licence is needed: CC, GNU, Apache, MIT or BSD", _LICENCE.match)},
    ("id",),
)
_MEDIUM = {
    "contentUrl": checks.uri, "embedUrl": checks.uri, "contentSize": checks.digits, "bitrate": checks.digits,
    "encodingFormat": checks.matching("amb.media_type", "a media type is needed: video/mp4", _MEDIA.match),
    "sha256": checks.matching("amb.hash", "64 hexadecimal digits are needed", lambda text: re.fullmatch("[0-9A-Fa-f]{64}", text)),
}  # fmt: skip
_PLACES = ("contentUrl", "embedUrl")
_PART = checks.holding({"id": checks.uri, "type": checks.resource_type, "name": checks.text}, ("id",))
_ORIGIN = checks.holding(
    {
        "id": checks.uri,
        "type": checks.resource_type,
        "name": checks.text,
        "creator": checks.many(_PERSON),
        "license": _LICENSE,
        "provider": _PROVIDER,
    },
    either=("name", "id"),
)
_PAGE = checks.holding(
    {
        "id": checks.uri,
        "type": checks.one_of("WebContent"),
        "provider": _PROVIDER,
        "dateCreated": checks.date,
        "dateModified": checks.date,
    },
    ("id",),
)
_CAPTION = checks.holding(
    {
        "type": checks.one_of("MediaObject"),
        "id": checks.uri,
        "encodingFormat": checks.text,
        "inLanguage": checks.language,
    },
    ("id", "type"),
)
_RESOURCE = checks.holding(
    {
        "@context": checks.default_language, "id": checks.uri, "type": checks.resource_type, "name": checks.text, "description": checks.text,
        "creator": checks.many(_PERSON), "contributor": checks.many(_PERSON), "publisher": checks.many(_PERSON), "funder": checks.many(_FUNDER),
        "about": checks.many(checks.concept(), _SUBJECTS), "learningResourceType": checks.many(checks.concept(), _KINDS),
        "educationalLevel": checks.many(checks.concept(_LEVELS)), "audience": checks.many(checks.concept()),
        "assesses": checks.many(checks.concept()), "teaches": checks.many(checks.concept()), "competencyRequired": checks.many(checks.concept()),
        "conditionsOfAccess": checks.concept(_ACCESS, closed=True), "interactivityType": checks.concept(_ACTIVITY, closed=True),
        "license": _LICENSE, "isAccessibleForFree": checks.boolean, "image": checks.uri, "keywords": checks.many(checks.text),
        "inLanguage": checks.many(checks.language), "dateCreated": checks.date, "datePublished": checks.date, "dateModified": checks.date,
        "duration": checks.matching("amb.duration", "an ISO 8601 duration is needed: PT47M58S", _DURATION.match),
        "encoding": checks.many(checks.holding({**_MEDIUM, "type": checks.one_of("MediaObject")}, ("type",), _PLACES)),
        "trailer": checks.holding({**_MEDIUM, "type": checks.one_of("VideoObject", "AudioObject")}, ("type",), _PLACES),
        "caption": checks.many(_CAPTION), "isBasedOn": checks.many(_ORIGIN), "isPartOf": checks.many(_PART), "hasPart": checks.many(_PART),
        "mainEntityOfPage": checks.many(_PAGE),
    },
    ("@context", "id", "type", "name"),
)  # fmt: skip
