"""The quick look at a record says yes only to what the schema and the text rule accept and leave as it is."""

from typing import Any, get_type_hints

from hypothesis import example, given
from hypothesis import strategies as st

from app.protocol.exact import fits
from app.protocol.schema import SHAPE, Record, validate
from app.protocol.text import rule
from tests.protocol.drafts import RECORDS

_TEXT = st.text(st.characters(), max_size=5) | st.sampled_from(["", "x" * 200, "x" * 201, "课" * 1001, "y" * 4001])
_KEYS = st.sampled_from(["entry", "catalog", "name", "role", "target", "type", "statement", "restrictions", "no"])
_VALUES = st.recursive(
    _TEXT | st.integers() | st.booleans() | st.none() | st.floats() | st.binary(max_size=2),
    lambda inner: st.lists(inner, max_size=2) | st.tuples(inner) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=4,
)
_FIELDS = st.sampled_from([*sorted(get_type_hints(Record)), "no_such_field"])
_CONTENTS = st.dictionaries(_FIELDS, _VALUES, max_size=4).map(lambda content: {"title": "课", **content})


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts(one)]


@given(RECORDS)
def test_a_right_record_needs_no_second_look(content: dict[str, Any]) -> None:
    assert fits(content, SHAPE)


@given(_CONTENTS)
@example({"title": "课", "size_bytes": True})
@example({"title": "课", "contributors": [{"role": "author"}]})
@example({"title": "课", "keywords": ("x",)})
@example({"title": "课", "rights": {"restrictions": ["\ufffe"]}})
def test_what_fits_is_accepted_and_left_unchanged(content: dict[str, Any]) -> None:
    if fits(content, SHAPE):
        assert validate(content) == content
        assert not any(rule(text) for text in _texts(content))


@given(
    RECORDS,
    _FIELDS.filter("id".__ne__),
    st.sampled_from(["", [""], {"": ""}, b"x", 1.5, None, "\x85", ["\ufffe"], "x" * 20_001]),
)
def test_one_wrong_value_is_seen_wherever_it_stands(content: dict[str, Any], name: str, wrong: Any) -> None:
    assert not fits({**content, name: wrong}, SHAPE)


def test_a_record_without_a_title_does_not_fit() -> None:
    assert not fits({"id": "x"}, SHAPE)
