"""JSON-LD of learning resources (schema.org LearningResource, LRMI, AMB) read into drafts of native records."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.protocol.connector import Draft, Fault
from app.protocol.pages import plain

_ROLES: Final = {
    "author": "creator", "creator": "creator", "contributor": "contributor", "publisher": "publisher",
    "provider": "publisher",
}  # fmt: skip
_TAG: Final = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_PLACES: Final = ("url", "@id", "id", "contentUrl")


def read(node: Mapping[str, Any]) -> Draft | Fault:
    """A draft of the resource a node describes; what it does not say stays unsaid."""
    draft: dict[str, Any] = {
        "title": plain(_first(node.get("name")) or _first(node.get("headline")))[:1000],
        "description": "\n".join(plain(text) for text in texts(node.get("description")))[:20_000],
        "keywords": _unique(word for text in texts(node.get("keywords")) for word in _split(text)),
        "languages": _unique(texts(node.get("inLanguage"))),
        "type": _unique(texts(node.get("learningResourceType")) or texts(node.get("additionalType"))),
        "audience": _unique(texts(node.get("audience"), "educationalRole", "audienceType", "name")),
        "contributors": [{"role": role, "name": name} for role, name in _people(node)],
        "location": [url[:4000] for key in _PLACES for url in texts(node.get(key), "@id") if "://" in url][:1],
        "published": _first(node.get("datePublished"))[:10],
        "rights": _rights(node.get("license")),
        "stage": _first(node.get("educationalLevel"))[:200],
        "subject": _first(node.get("about"))[:200],
    }
    return {name: value for name, value in draft.items() if value}


def texts(value: Any, *keys: str) -> list[str]:
    """The texts of a value that may be a text, an object with a name or label, a language map, or a list of these."""
    if isinstance(value, str):
        return [value.strip()] if value.strip() else []
    if isinstance(value, list):
        return [text for item in value for text in texts(item, *keys)]
    if not isinstance(value, dict):
        return []
    for key in (*keys, "name", "prefLabel", "@value", "id", "@id"):
        if found := texts(value.get(key)):
            return found
    said = (item for key, item in value.items() if isinstance(item, str) and _TAG.fullmatch(key))
    return [text for item in said if (text := item.strip())][:1]


def _first(value: Any) -> str:
    return next(iter(texts(value)), "")


def _split(text: str) -> list[str]:
    return [word.strip()[:1000] for word in text.split(",") if word.strip()]


def _unique(values: Any) -> list[str]:
    return list(dict.fromkeys(values))


def _people(node: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    found = [(role, name[:1000]) for key, role in _ROLES.items() for name in texts(node.get(key), "name")]
    return iter(dict.fromkeys(found))


def _rights(value: Any) -> dict[str, str]:
    text = "".join(texts(value, "id", "@id", "url")[:1])
    return ({"licence_uri": text[:4000]} if "://" in text else {"statement": text}) if text else {}
