"""The bounded JSON reader: what it takes, what it refuses by name, and exact slices (safety, JSON rules)."""

import json as standard
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import json
from app.protocol.errors import PeerViolation

SCALARS = st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
VALUES = st.recursive(
    SCALARS | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def kind(content: bytes, **limits: Any) -> str:
    """The rule under which these bytes are refused."""
    with pytest.raises(PeerViolation) as caught:
        json.loads(content, **limits)
    return caught.value.kind


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "json.malformed"),
        (b"[1,2", "json.malformed"),
        (b"[1]x", "json.malformed"),
        (b"NaN", "json.malformed"),
        (b"[Infinity]", "json.malformed"),
        (b'"\\ud800"', "json.text"),
        (b'"\xff"', "json.text"),
        (b'"\xed\xa0\x80"', "json.text"),
        (b'["a\\u0000b"]', "json.text"),
        (b"9223372036854775808", "json.number"),
        (b"[-9223372036854775809]", "json.number"),
        (b'{"n":18446744073709551616}', "json.number"),
        (b"1" * 5000, "json.number"),
        (b"1e999", "json.number"),
        (b"[" * 65 + b"]" * 65, "json.too_deep"),
        (b"[" * 100_000 + b"]" * 100_000, "json.too_deep"),
        (b'{"a":[' * 33 + b"]}" * 33, "json.too_deep"),
        (b" \n<!DOCTYPE html><html>", "page.html"),
    ],
)
def test_what_is_refused(content: bytes, rule: str) -> None:
    assert kind(content) == rule


def test_limits_of_the_caller() -> None:
    assert kind(b"[1,2,3]", max_bytes=6) == "json.too_large"
    assert kind(b"[[1]]", depth=1) == "json.too_deep"
    assert json.loads(b"[[1]]", depth=2) == [[1]]


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"\xef\xbb\xbf[1]", [1]),
        (b"[" * 64 + b"]" * 64, None),
        (b"[9223372036854775807,-9223372036854775808]", [(1 << 63) - 1, -(1 << 63)]),
        (b'["12345678901234567890123"]', ["12345678901234567890123"]),
        (b"[1.0000000000000000000001]", [1.0]),
        (rb'["a\\u0000","[[[[","\"]]"]', ["a\\u0000", "[[[[", '"]]']),
        (b'"' + b"[" * 1000 + b'"', "[" * 1000),
    ],
)
def test_what_is_taken(content: bytes, value: Any) -> None:
    found = json.loads(content)
    assert value is None or found == value


def test_duplicate_keys_are_refused_where_asked() -> None:
    content = b'[{"a":1,"b":{"c":1,"c":2}}]'
    assert kind(content, strict=True) == "json.duplicate_key"
    assert json.loads(content) == [{"a": 1, "b": {"c": 2}}]


@given(VALUES)
def test_json_of_others_is_read_as_they_mean_it(value: Any) -> None:
    for ascii_only in (True, False):
        assert json.loads(standard.dumps(value, ensure_ascii=ascii_only).encode(), strict=True) == value


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:\\u0d8 1', max_size=60).map(str.encode))
def test_any_bytes_give_a_value_or_a_violation(content: bytes) -> None:
    for read in (json.loads, json.items, json.members):
        with suppress(PeerViolation):
            read(content)


@given(st.lists(VALUES), st.sampled_from(["", " ", "\n\t"]))
def test_slices_are_the_exact_bytes(values: list[Any], blank: str) -> None:
    written = [standard.dumps(value, ensure_ascii=False).encode() for value in values]
    gap = blank.encode()
    found = json.items(gap + b"[" + gap + (gap + b"," + gap).join(written) + gap + b"]" + gap)
    assert found == list(zip(values, written, strict=True))


@given(st.dictionaries(TEXTS, VALUES))
def test_members_are_the_exact_bytes(value: dict[str, Any]) -> None:
    found = json.members(standard.dumps(value, indent=1).encode())
    assert {name: standard.loads(raw) for name, raw in found.items()} == value


@pytest.mark.parametrize("content", [b"[1,]", b"[,1]", b"[1 2]", b"[1]]", b"{}", b"[", b"", b"null", b"[1", b'["\n"]'])
def test_arrays_that_are_none(content: bytes) -> None:
    with pytest.raises(PeerViolation):
        json.items(content)


@pytest.mark.parametrize(
    "content", [b'{"a":1,}', b"{1:2}", b'{"a" 1}', b'{"a":1,"a":2}', b'{"a":1}}', b"[]", b"{", b'{"a"']
)
def test_objects_that_are_none(content: bytes) -> None:
    with pytest.raises(PeerViolation):
        json.members(content)


def test_a_bad_element_does_not_spoil_its_neighbours() -> None:
    """Cutting is lenient; each slice is judged alone."""
    found = json.items(rb'[{"a":1},{"a":"\ud800"},{"a":NaN},{"a":99999999999999999999},{"b":2}]')
    taken = []
    for _, raw in found:
        try:
            taken.append(json.loads(raw))
        except PeerViolation:
            taken.append(None)
    assert taken == [{"a": 1}, None, None, None, {"b": 2}]


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 65 + b'"' + rb"\"" * 1_000_000,
        b'["' + rb"\"" * 1_000_000 + b'"]',
        b"[" * 1_000_000,
        b'{"a":' * 300_000,
        b"[" + b"1" * 2_000_000 + b"]",
        b"[" + b"[]," * 100_000 + b"[]]",
        b" " * 2_000_000,
    ],
    ids=["open-string", "escapes", "brackets", "objects", "digits", "wide", "blank"],
)
def test_hostile_bytes_cost_no_more_than_a_second(content: bytes) -> None:
    for read in (json.loads, json.items):
        started = time.process_time()
        with suppress(PeerViolation):
            read(content)
        assert time.process_time() - started < 1


def test_real_poems_are_cut_exactly(data: Path) -> None:
    content = (data / "chinese-poetry" / "poet.tang.0.json").read_bytes()
    found = json.items(content)
    assert [value for value, _ in found] == standard.loads(content)
    assert all(raw in content and json.loads(raw) == value for value, raw in found)
