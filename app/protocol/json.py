"""The bounded JSON reader: size, depth, text and numbers are limited, and arrays can be cut into exact slices.

CPython's reader takes NaN, duplicate keys, lone surrogates and integers of any size; what it takes then breaks
something further in (an answer that cannot be encoded, a column that cannot hold it), so it is refused here.
"""

import json
import re
from typing import Any, Final, TypeVar

import orjson

from app.protocol.errors import PeerViolation

DEPTH: Final = 64
_BOM: Final = b"\xef\xbb\xbf"
_BLANK: Final = re.compile(r"[ \t\r\n]*")
_FLAT: Final = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")
_LONG: Final = re.compile(rb"[0-9]{19}")
_NUMBER: Final = re.compile(rb"(-?[0-9]+)([.eE][0-9.eE+-]*)?")
_Found = TypeVar("_Found")
_SCAN: Final = json.JSONDecoder().raw_decode


def loads(content: bytes, *, max_bytes: int = 64 << 20, depth: int = DEPTH, strict: bool = False) -> Any:
    """The value. `strict` also refuses duplicate keys: for manifests and request bodies.

    The hook that sees duplicate keys runs in Python for each object and makes reading about twice as slow. A key
    twice in one record of a bulk part can harm that record only; in a manifest it could hide half a catalogue.

    Raises PeerViolation: json.too_large, json.too_deep, json.malformed, json.text, json.number,
    json.duplicate_key, page.html.
    """
    content = _bounded(content, max_bytes)
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise _refusal(str(error)) from None
    # Only now, because all scans below rely on the bytes being JSON: an open string cannot lead them astray.
    _inspect(content, depth)
    if strict:
        json.loads(content, object_pairs_hook=_unique)
    return value


def items(content: bytes, *, max_bytes: int = 64 << 20) -> list[tuple[Any, bytes]]:
    """Each element of a top-level array with its exact bytes.

    Elements are only cut here, with the lenient standard scanner: an element that breaks the rules of `loads`
    is refused alone when its bytes are parsed, and its neighbours stay. Raises PeerViolation: json.too_large,
    json.malformed, json.text, json.too_deep, page.html.
    """
    text, at = _opened(content, max_bytes, "[", "array")
    found: list[tuple[Any, bytes]] = []
    while text[at : at + 1] != "]" or found:
        value, end = _element(text, at)
        found.append((value, text[at:end].encode()))
        at, more = _separated(text, end, "]")
        if not more:
            return _ended(found, text, at)
    return _ended(found, text, at + 1)


def members(content: bytes, *, max_bytes: int = 64 << 20) -> dict[str, bytes]:
    """Each member of a top-level object as the exact bytes of its value. Raises PeerViolation as `items`."""
    text, at = _opened(content, max_bytes, "{", "object")
    found: dict[str, bytes] = {}
    while text[at : at + 1] != "}" or found:
        name, colon = _element(text, at)
        colon = _skip(text, colon)
        if not isinstance(name, str) or text[colon : colon + 1] != ":":
            raise PeerViolation("json.malformed", f"not JSON: a key and a colon were expected at character {at}")
        if name in found:
            raise PeerViolation("json.duplicate_key", f"the key {name[:100]!r} stands twice in one object")
        start = _skip(text, colon + 1)
        _, end = _element(text, start)
        found[name] = text[start:end].encode()
        at, more = _separated(text, end, "}")
        if not more:
            return _ended(found, text, at)
    return _ended(found, text, at + 1)


def _bounded(content: bytes, max_bytes: int) -> bytes:
    if len(content) > max_bytes:
        raise PeerViolation("json.too_large", f"{len(content)} bytes, the limit is {max_bytes}")
    content = content.removeprefix(_BOM)
    if content[:1000].lstrip()[:1] == b"<":
        raise PeerViolation("page.html", "the answer is an HTML or XML page, not JSON")
    return content


def _refusal(reason: str) -> PeerViolation:
    """The rule behind the parser's words."""
    rule = "json.malformed"
    if "depth" in reason or "recursion" in reason.lower():
        rule = "json.too_deep"
    elif "UTF-8" in reason or "surrogate" in reason:
        rule = "json.text"
    elif "infinity" in reason:
        rule = "json.number"
    return PeerViolation(rule, f"not JSON: {reason}")


def _inspect(content: bytes, depth: int) -> None:
    """Depth, NUL and 64-bit integers of bytes that are known to be JSON; every step is one linear pass in C."""
    if b"\\" in content:
        content = content.replace(rb"\\", b"")
        if rb"\u0000" in content:
            raise PeerViolation("json.text", "a text holds U+0000")
        content = content.replace(rb"\"", b"")
    outside = b'"'.join(content.split(b'"')[::2])
    brackets = outside.translate(_FLAT, _NOT_BRACKETS)
    for _ in range(depth):
        if not brackets:
            break
        brackets = brackets.replace(b"[]", b"")  # the innermost level; what that uncovers waits for the next turn
    if brackets:
        raise PeerViolation("json.too_deep", f"nested deeper than {depth}")
    if _LONG.search(outside):
        _refuse_large(outside)


def _refuse_large(outside: bytes) -> None:
    for found in _NUMBER.finditer(outside):
        if found[2] is None and (len(found[1]) > 20 or not -(1 << 63) <= int(found[1]) < 1 << 63):
            raise PeerViolation("json.number", f"{found[1][:40].decode()} does not fit into 64 bits with a sign")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise PeerViolation("json.duplicate_key", f"the key {twice[:100]!r} stands twice in one object")
    return found


def _opened(content: bytes, max_bytes: int, bracket: str, kind: str) -> tuple[str, int]:
    """The text and the place of its first element or closing bracket."""
    try:
        text = _bounded(content, max_bytes).decode()
    except UnicodeDecodeError as error:
        raise PeerViolation("json.text", f"not UTF-8: {error.reason} at byte {error.start}") from None
    at = _skip(text, 0)
    if text[at : at + 1] != bracket:
        raise PeerViolation("json.malformed", f"an {kind} was expected")
    return text, _skip(text, at + 1)


def _element(text: str, at: int) -> tuple[Any, int]:
    try:
        return _SCAN(text, at)
    except RecursionError:
        raise PeerViolation("json.too_deep", f"nested too deep at character {at}") from None
    except ValueError as error:
        raise PeerViolation("json.malformed", f"not JSON: {str(error)[:200]}") from None


def _separated(text: str, end: int, closing: str) -> tuple[int, bool]:
    """Where the next element begins and whether there is one; after the last, the place behind the bracket."""
    at = _skip(text, end)
    if text[at : at + 1] == ",":
        return _skip(text, at + 1), True
    if text[at : at + 1] == closing:
        return at + 1, False
    raise PeerViolation("json.malformed", f"not JSON: a comma or {closing} was expected at character {at}")


def _ended(found: _Found, text: str, at: int) -> _Found:
    if _skip(text, at) != len(text):
        raise PeerViolation("json.malformed", "not JSON: something follows the end")
    return found


def _skip(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]
