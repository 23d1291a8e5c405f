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
_BODIES_LIMIT: Final = 100
_BODY_LIMIT: Final = 10_000  # characters of all its tags
_ALWAYS: Final = frozenset({"", "xml"})
_NONE: Final = ("", "<")


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
    listed = names.listed(parts[1::2])
    return list(zip(listed, parts[2::4], strict=True)) if listed is not None else None


def _unescaped(pairs: Pairs) -> Pairs | None:
    made = [(name, xml.unescape(value)) for name, value in pairs]
    whole = [(name, value) for name, value in made if value is not None]
    return whole if len(whole) == len(made) else None


class _Names:
    """The local names behind the tags of a body. Records of one source are built alike: what was judged is kept."""

    def __init__(self, prefixes: frozenset[str]) -> None:
        self.prefixes: Final = prefixes
        self.starts: Final[dict[str, tuple[str, str]]] = {}
        self.bodies: Final[dict[tuple[str, ...], list[str]]] = {}

    def listed(self, tags: list[str]) -> list[str] | None:
        """The local name of each start tag of `start, end, start, end ...`; None when only a parser can say."""
        body = tuple(tags)
        known = self.bodies.get(body)
        if known is not None:
            return known
        found = [self._start(tag) for tag in tags[::2]]
        if [end for _, end in found] != tags[1::2]:
            return None
        names = [name for name, _ in found]
        if len(self.bodies) < _BODIES_LIMIT and sum(map(len, tags)) < _BODY_LIMIT:
            self.bodies[body] = names
        return names

    def _start(self, tag: str) -> tuple[str, str]:
        """(local name, end tag) of a start tag whose prefixes are declared; the end tag of any other fits nothing."""
        known = self.starts.get(tag)
        if known is not None:
            return known
        found = _START.fullmatch(tag)
        if found is None or found[2] not in self.prefixes or len(self.starts) >= _NAMES_LIMIT:
            return _NONE
        attributes = _ATTRIBUTE.findall(found[4])
        if len(set(attributes)) < len(attributes) or {prefix for prefix, _ in attributes} - self.prefixes - _ALWAYS:
            return _NONE
        made = self.starts[tag] = found[3], f"/{found[1]}"
        return made


@lru_cache(maxsize=64)
def _names(opening: str, context: bytes) -> _Names | None:
    """What a container's start tag declares, asked of the parser once; None when it is not well-formed."""
    holder = context or b"<records>"
    closing = b"</" + holder[1:].split(b">")[0].split()[0] + b">"
    try:
        root = xml.document(holder + opening[:-1].encode() + b"/>" + closing, expect="start tag")
    except PeerViolation:
        return None
    return _Names(frozenset(prefix for prefix in root[0].nsmap if prefix)) if len(root) == 1 else None
