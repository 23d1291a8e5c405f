"""The bounded JSON reader: size, depth, no NaN, no lone surrogates, 64-bit integers, and exact slices of arrays."""

import json
import re
from typing import Any, Final

import orjson

from app.protocol.errors import PeerViolation

DEPTH: Final = 64
_BRACKETS: Final = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_BLANK: Final = re.compile(r"[ \t\r\n]*")


def loads(content: bytes, *, max_bytes: int = 64 << 20, strict: bool = False) -> Any:
    """The value. `strict` also refuses duplicate keys, which costs a slower parse: for manifests and requests.

    Raises PeerViolation: json.too_large, json.too_deep, json.malformed, json.duplicate_key.
    """
    if len(content) > max_bytes:
        raise PeerViolation("json.too_large", f"{len(content)} bytes, the limit is {max_bytes}")
    content = content.removeprefix(b"\xef\xbb\xbf")
    if content.lstrip()[:1] == b"<":
        raise PeerViolation("page.html", "the answer is an HTML or XML page, not JSON")
    _refuse_deep(content)
    try:
        value = orjson.loads(content)
        if strict:
            json.loads(content, object_pairs_hook=_unique)
    except ValueError as error:
        raise PeerViolation("json.malformed", f"not JSON: {error}") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise PeerViolation("json.duplicate_key", f"the key {twice!r} stands twice in one object")
    return found


def _refuse_deep(content: bytes) -> None:
    if content.count(b"[") + content.count(b"{") <= DEPTH:
        return
    depth = 0
    for found in _BRACKETS.finditer(content):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(found[0], 0)
        if depth > DEPTH:
            raise PeerViolation("json.too_deep", f"nested deeper than {DEPTH}")


def items(content: bytes) -> list[tuple[Any, bytes]]:
    """Each element of a top-level array with its exact bytes. Raises PeerViolation as `loads`."""
    values = loads(content)
    if not isinstance(values, list):
        raise PeerViolation("json.malformed", f"an array was expected, not {type(values).__name__}")
    text = content.removeprefix(b"\xef\xbb\xbf").decode()
    scan, at = json.JSONDecoder().raw_decode, _skip(text, _skip(text, 0) + 1)
    found = []
    for value in values:
        _, end = scan(text, at)
        found.append((value, text[at:end].encode()))
        at = _skip(text, _skip(text, end) + 1)
    return found


def _skip(text: str, at: int) -> int:
    return _BLANK.match(text, at).end()  # type: ignore[union-attr]
