"""What a JSON-LD value says, in each of the ways it may be written (JSON-LD 1.1, sections 3 and 4).

One value or a list, a text or `{"@value": ...}`, an identifier or a node with a name, `@id` or `id`, `schema:name` or
the whole IRI: all of them are met in pages, and all mean the same.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from app.protocol import vocab
from app.protocol.connector import Draft

Node = Mapping[str, Any]
Take = Callable[[Draft, Any], None]
"""Puts the value of one property into a draft."""
_PREFIX: Final = re.compile(r"(?:https?://schema\.org/|schema:|sdo:)(?=\w)")
_KEYWORDS: Final = {"@id": "id", "@type": "type", "@value": "value", "@graph": "graph", "@list": "list", "@set": "list"}
_CHINESE_FIRST: Final = ("zh-hans", "zh-cn", "zh", "zh-hant", "en")
URL: Final = re.compile(r"https?://\S+\Z", re.IGNORECASE)
_TAG: Final = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8})*\Z")
LIMIT: Final = 1000
DEPTH: Final = 8
"""Lists in lists and names of names are followed this far."""


def plain(node: Node) -> dict[str, Any]:
    """A node whose keys are bare schema.org terms; keywords lose their `@`."""
    return {_KEYWORDS.get(key) or _PREFIX.sub("", key): value for key, value in node.items() if isinstance(key, str)}


def types(node: Node) -> list[str]:
    """The node's types as bare terms."""
    found = node.get("@type", node.get("type"))
    return [_PREFIX.sub("", kind) for kind in values(found) if isinstance(kind, str)]


def values(value: Any) -> Iterator[Any]:
    """Each value of a property, a thousand at most: lists and sets opened, null and blank left out."""
    return islice(_opened(value, DEPTH), LIMIT)


def _opened(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, list) and depth:
        for item in value:
            yield from _opened(item, depth - 1)
    elif isinstance(value, dict) and depth and (held := value.get("@list", value.get("@set"))) is not None:
        yield from _opened(held, depth - 1)
    elif isinstance(value, str):
        if text := value.strip():
            yield text
    elif isinstance(value, (dict, int, float)) and value != {}:
        yield value


def text(value: Any, depth: int = DEPTH) -> str:
    """A value as text: itself, a typed or language-tagged literal, a node's name, its label, else its identifier."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool) or not depth:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, list):
        return next((found for item in value if (found := text(item, depth - 1))), "")
    if not isinstance(value, dict):
        return ""
    if "@language" not in value and value and all(_is_tag(key) for key in value):
        return _translated(value)
    return next((found for found in labels(value, depth - 1)), "") or identifier(value)


def texts(value: Any, *keys: str) -> list[str]:
    """The texts of all values of a property; in a node, `keys` are looked into before its name."""
    return [found for item in values(value) if (found := _under(item, keys) or text(item))]


def _under(item: Any, keys: tuple[str, ...]) -> str:
    bare = plain(item) if keys and isinstance(item, dict) else {}
    return next((found for key in keys if (found := text(bare.get(key)))), "")


def labels(node: Node, depth: int = DEPTH) -> Iterator[str]:
    """What a node is called: literal, name, preferred label in Chinese, English and the others, in that order."""
    bare = plain(node)
    for key in ("value", "name", "prefLabel", "termCode", "targetName", "headline"):
        found = bare.get(key)
        if isinstance(found, dict) and all(_is_tag(tag) for tag in found):
            yield from _translations(found)
        elif label := text(found, depth):
            yield label


def identifier(node: Any) -> str:
    """A node's identifier, else its address."""
    if not isinstance(node, dict):
        return ""
    bare = plain(node)
    found = next((bare[key] for key in ("id", "url", "contentUrl") if isinstance(bare.get(key), str)), "")
    return found.strip()


def term(schemes: Iterable[str], value: Any) -> tuple[str, str]:
    """The list and the word of a concept: the first of its labels that one of the lists knows, else its first label.

    The last step of its identifier is tried too (`.../hcrt/course`), because many concepts come without a label.
    """
    named = list(labels(value)) if isinstance(value, dict) else texts(value)
    address = identifier(value) if isinstance(value, dict) else ""
    code = plain(value).get("termCode") if isinstance(value, dict) else None
    tried = [*([code] if isinstance(code, str) else []), *named]
    if address:
        tried.append(re.split(r"[/#]", address.rstrip("/"))[-1])
    for scheme in schemes:
        for word in tried:
            if vocab.resolve(scheme, word) is not None:
                return scheme, word
    return "", next(iter(named), address)


def once(found: list[Any]) -> list[Any]:
    """Each value at its first place."""
    return [item for number, item in enumerate(found) if item not in found[:number]]


def _is_tag(key: Any) -> bool:
    return isinstance(key, str) and _TAG.match(key) is not None and key not in ("id", "url")


def _translated(node: Node) -> str:
    return next(_translations(node), "")


def _translations(node: Node) -> Iterator[str]:
    folded = {key.lower(): value for key, value in node.items()}
    order = [*(tag for tag in _CHINESE_FIRST if tag in folded), *(tag for tag in folded if tag not in _CHINESE_FIRST)]
    for tag in order:
        for found in values(folded[tag]):
            if isinstance(found, str):
                yield found
