"""Flat metadata read from its bytes: what most repositories send needs no tree.

A record is flat when its bytes are `<record>`, a plain header, `<metadata>` and one element that holds nothing but
childless elements and attributes with declared prefixes. Anything else (comments, CDATA, carriage
returns, other references than XML's own, a bare `>`, an `<about>`) answers None and is left to the parser, so
that a record means the same on both roads: a property test holds them together.
"""

import re
from functools import lru_cache
from typing import Final

from app.protocol import xml
from app.protocol.errors import PeerViolation

Pairs = list[tuple[str, str]]

_HEAD: Final = re.compile(
    r"<record>\s*<header>(?:\s*<(identifier|datestamp|setSpec)>[^<]*</\1>)*\s*</header>\s*<metadata>\s*"
    r"(<([A-Za-z_][\w.:-]*)(?:\s[^<>]*)?>)",
    re.ASCII,
)
_TAIL: Final = re.compile(r"\s*</metadata>\s*</record>", re.ASCII)
_START: Final = re.compile(
    r"(([A-Za-z_][\w.-]*):([A-Za-z_][\w.-]*))((?:\s+(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*=\"[^\"<>&]*\")*)", re.ASCII
)
_ATTRIBUTE: Final = re.compile(r"(?:([\w.-]*):)?([\w.-]+)=\"", re.ASCII)
# Bytes of what XML 1.0 can carry (2.2), without the carriage return that a parser turns into a line feed (2.11).
_CARRIED: Final = bytes(code for code in range(256) if code >= 0x20 or code in b"\t\n")
_NAMES_LIMIT: Final = 1000


def elements(raw: bytes, context: bytes) -> Pairs | None:
    """(local name, text) of each element of a flat record in order; None when only a parser can say."""
    if raw.translate(None, _CARRIED):
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    head = None if "\ufffe" in text or "\uffff" in text else _HEAD.match(text)
    end = text.rfind(f"</{head[3]}>") if head else -1
    if head is None or end < head.end() or not _TAIL.fullmatch(text, end + len(head[3]) + 3):
        return None
    pairs = _pairs(text[head.end() : end], _names(head[2], context))
    return _unescaped(pairs) if pairs and "&" in text else pairs


def _pairs(body: str, names: "_Names | None") -> Pairs | None:
    """Cut at every bracket, a flat body is gap, start, text, end, gap, start, ...; gaps mean nothing on either road."""
    parts = body.replace(">", "<").split("<")
    if names is None or len(parts) % 4 != 1:
        return None
    try:
        found = [names[start] for start in parts[1::4]]
    except KeyError:
        return None
    if [end for _, end in found] != parts[3::4]:
        return None
    return [(name, text) for (name, _), text in zip(found, parts[2::4], strict=True)]


def _unescaped(pairs: Pairs) -> Pairs | None:
    made = [(name, xml.unescape(value)) for name, value in pairs]
    whole = [(name, value) for name, value in made if value is not None]
    return whole if len(whole) == len(made) else None


class _Names(dict[str, tuple[str, str]]):
    """(local name, end tag) by start tag, for the prefixes that are declared; KeyError for any other."""

    def __init__(self, prefixes: frozenset[str]) -> None:
        super().__init__()
        self.prefixes = prefixes
        self.allowed = prefixes | {"", "xml"}

    def __missing__(self, start: str) -> tuple[str, str]:
        found = _START.fullmatch(start)
        if found is None or found[2] not in self.prefixes or len(self) >= _NAMES_LIMIT:
            raise KeyError(start)
        attributes = _ATTRIBUTE.findall(found[4])
        if len(set(attributes)) < len(attributes) or {prefix for prefix, _ in attributes} - self.allowed:
            raise KeyError(start)
        self[start] = found[3], f"/{found[1]}"
        return self[start]


@lru_cache(maxsize=256)
def _names(opening: str, context: bytes) -> _Names | None:
    """What a container's start tag declares, asked of the parser once; None when it is not well-formed."""
    holder = context or b"<records>"
    closing = b"</" + holder[1:].split(b">")[0].split()[0] + b">"
    try:
        root = xml.document(holder + opening[:-1].encode() + b"/>" + closing, expect="start tag")
    except PeerViolation:
        return None
    return _Names(frozenset(prefix for prefix in root[0].nsmap if prefix)) if len(root) == 1 else None
