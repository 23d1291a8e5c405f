"""Flat metadata read from its bytes: what most repositories send needs no tree.

A record is flat when its bytes are `<record>`, a plain header, `<metadata>` and one element that holds nothing but
childless elements and attributes with declared prefixes. Anything else (comments, CDATA, carriage
returns, other references than XML's own, a bare `>`, an `<about>`) answers None and is left to the parser, so
that a record means the same on both roads: a property test holds them together.

Records of one source are built alike: what a row of tags means is judged once, and looked up whole afterwards.
"""

import re
from functools import lru_cache
from typing import Final, NamedTuple

from app.protocol import xml
from app.protocol.errors import PeerViolation
from app.protocol.text import rule

Flat = tuple[tuple[str, ...], list[str], bool]
"""The local names of a record's elements, their texts, in the order of the record, and whether the text rule is known
to accept all of these, so that nobody need look at each again."""

_HEADER: Final = frozenset({"identifier", "datestamp", "setSpec"})
_FIRST: Final = 2  # tags: record, header
_LAST: Final = ("/metadata", "/record")
_END: Final = -6  # the parts behind the last element: a gap and a tag for each of three end tags, and what follows
_CONTAINER: Final = re.compile(r"([A-Za-z_][\w.:-]*)(?:\s.*)?", re.ASCII | re.DOTALL)
_START: Final = re.compile(
    r"(([A-Za-z_][\w.-]*):([A-Za-z_][\w.-]*))((?:\s+(?:[A-Za-z_][\w.-]*:)?[A-Za-z_][\w.-]*=\"[^\"<>&]*\")*)", re.ASCII
)
_ATTRIBUTE: Final = re.compile(r"(?:([\w.-]*):)?([\w.-]+)=\"", re.ASCII)
# Bytes of what XML 1.0 can carry (2.2) beside brackets, without the carriage return that a parser turns into a line
# feed (2.11): without them a record is its brackets alone, and each must be closed before the next opens.
_CARRIED: Final = bytes(code for code in range(256) if (code >= 0x20 and code not in b"<>") or code in b"\t\n")
_BRACKETS: Final = b"<>" * 4096
_NAMES_LIMIT: Final = 1000
_TAGS_LIMIT: Final = 2_000_000  # bytes, about, of all tags that are kept for one context
_ROW: Final = 200  # what a row takes beside its characters
_ALWAYS: Final = frozenset({"", "xml"})
_NONE: Final = ("", "<")


class _Layout(NamedTuple):
    """Which of a record's parts, cut at every bracket, is the first element's text, and what the elements are called."""

    first: int
    names: tuple[str, ...]


def elements(raw: bytes, context: bytes) -> Flat | None:
    """The elements of a flat record in order; None when only a parser can say."""
    brackets = raw.translate(None, _CARRIED)
    if not _BRACKETS.startswith(brackets) or len(brackets) % 2:
        return None
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    if "\ufffe" in text or "\uffff" in text:
        return None
    parts = text.replace(">", "<").split("<")  # gap, tag, text, tag, gap ...; gaps mean nothing on either road
    layout = _layouts(context).layout("<".join(parts[1::2]))
    if layout is None or parts[0] or parts[-1]:
        return None
    texts = parts[layout.first : _END : 4]
    if "&" in text:
        # The bracket between parts is in no reference, so that none can begin in one part and end in the next.
        if xml.unescape("<".join(parts[::2])) is None:
            return None
        texts = [text if "&" not in text else xml.unescape(text) or "" for text in texts]
    return layout.names, texts, rule("".join(texts)) is None


class _Layouts:
    """What rows of tags, joined by `<`, mean under one context."""

    def __init__(self, context: bytes) -> None:
        self.context: Final = context
        self.known: Final[dict[str, _Layout]] = {}
        self.room = _TAGS_LIMIT

    def layout(self, row: str) -> _Layout | None:
        """Where the elements of a record with these tags are; None when only a parser can say."""
        if (known := self.known.get(row)) is not None:
            return known
        found = self._judged(tuple(row.split("<")))
        if found is not None and (left := self.room - len(row) - _ROW) >= 0:
            self.known[row], self.room = found, left
        return found

    def _judged(self, tags: tuple[str, ...]) -> _Layout | None:
        at = _container_at(tags)
        opening = _CONTAINER.fullmatch(tags[at]) if at else None
        if opening is None or tags[-3:] != (f"/{opening[1]}", *_LAST):
            return None
        names = _names(tags[at], self.context)
        listed = names.listed(tags[at + 1 : -3]) if names is not None else None
        # The tag at place n stands between parts 2n and 2n + 2.
        return _Layout(2 * at + 4, listed) if listed is not None else None


def _container_at(tags: tuple[str, ...]) -> int:
    """The place of the tag behind a plain header and `<metadata>`; 0 where that is not how the record begins."""
    if tags[:_FIRST] != ("record", "header"):
        return 0
    at = _FIRST
    while at + 1 < len(tags) and tags[at] in _HEADER and tags[at + 1] == f"/{tags[at]}":
        at += 2
    return at + 2 if tags[at : at + 2] == ("/header", "metadata") and at + 2 < len(tags) else 0


@lru_cache(maxsize=64)
def _layouts(context: bytes) -> _Layouts:
    return _Layouts(context)


class _Names:
    """The local names behind the tags inside one container."""

    def __init__(self, prefixes: frozenset[str]) -> None:
        self.prefixes: Final = prefixes
        self.starts: Final[dict[str, tuple[str, str]]] = {}

    def listed(self, tags: tuple[str, ...]) -> tuple[str, ...] | None:
        """The local name of each start tag of `start, end, start, end ...`; None when only a parser can say."""
        found = [self._start(tag) for tag in tags[::2]]
        return tuple([name for name, _ in found]) if tuple([end for _, end in found]) == tags[1::2] else None

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
        root = xml.document(holder + b"<" + opening.encode() + b"/>" + closing, expect="start tag")
    except PeerViolation:
        return None
    return _Names(frozenset(prefix for prefix in root[0].nsmap if prefix)) if len(root) == 1 else None
