"""The crosswalk as data: shapes, selections, defaults, refusals by place, the normalised source form (data 0.2)."""

import copy
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import json, mapping
from app.protocol.errors import BadRequest
from app.protocol.record import Prepared, prepare

LESSON: dict[str, Any] = {
    "id": "a1",
    "title": " 草原 ",
    "description": None,
    "language": "zh-CN",
    "thumbnail": "https://r1.example.org/a.jpg",
    "provider": {"name": "教研室"},
    "paragraphs": ["天苍苍", "", "野茫茫"],
    "tag_list": [
        {"tag_dimension_id": "zxxxk", "tag_name": "语文", "order_num": 3},
        {"tag_dimension_id": "zxxnj", "tag_name": "五年级", "order_num": 1},
        {"tag_dimension_id": "zxxnj", "tag_name": "六年级", "order_num": 2},
        {"tag_dimension_id": None, "tag_name": "x.y", "order_num": 4},
    ],
}


def mapped(fields: dict[str, Any], **more: Any) -> tuple[dict[str, Any], list[str]]:
    """The lesson through a mapping of these fields."""
    return mapping.compile({"version": 1, "fields": fields, **more})(LESSON)


@pytest.mark.parametrize(
    ("field", "rule", "value"),
    [
        ("title", {"path": "title"}, "草原"),
        ("languages", {"path": "language", "list": True}, ["zh-CN"]),
        ("languages", {"path": "language"}, ["zh-CN"]),
        ("subject", {"tag": "zxxxk"}, "语文"),
        ("grade", {"tag": "zxxnj"}, ["五年级", "六年级"]),
        ("edition", {"tag": "zxxnj", "first": True}, "五年级"),
        ("edition", {"path": "tag_list[].tag_name", "first": True}, "语文"),
        ("keywords", {"path": "tag_list[tag_name=x.y].order_num"}, [4]),
        ("publisher", None, None),
        (
            "contributors",
            {"path": "provider.name", "each": {"role": "creator"}},
            [{"role": "creator", "name": "教研室"}],
        ),
        ("description", {"path": "paragraphs", "join": "\n"}, "天苍苍\n野茫茫"),
        ("type", {"constant": ["literature"]}, ["literature"]),
    ],
)
def test_shapes(field: str, rule: dict[str, Any] | None, value: Any) -> None:
    if rule is None:
        with pytest.raises(BadRequest, match=f"no such field {field}"):
            mapped({field: {"path": "title"}})
    else:
        assert mapped({field: rule}) == ({field: value}, [])


def test_null_missing_and_empty_take_the_default_and_say_so() -> None:
    fields = {"description": {"path": "description"}, "price": {"path": "no.such"}, "title": {"path": "title"}}
    found, flags = mapped(fields, defaults={"description": "无", "title": "无题", "system": "普通"})
    assert found == {"title": "草原", "description": "无", "system": "普通"}
    assert sorted(flags) == ["defaulted:description", "defaulted:system"]


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"version": 1, "fields": {"title": {"pth": "title"}}}, "/fields/title/pth"),
        ({"version": 1, "fields": {"title": {}}}, "exactly one of"),
        ({"version": 1, "fields": {"title": {"path": "a", "tag": "b"}}}, "exactly one of"),
        ({"version": 1, "fields": {"title": {"path": "a", "first": True, "join": ","}}}, "only one of"),
        ({"version": 1, "fields": {"title": {"path": "a..b"}}}, "'a..b' is not a path"),
        ({"version": 1, "fields": {"title": {"path": "a[b"}}}, "is not a path"),
        ({"version": 1, "fields": {"title": {"tag": "a]"}}}, "is not a path"),
        ({"version": 1, "fields": {"titel": {"path": "a"}}}, "no such field titel"),
        ({"version": 1, "fields": {"id": {"path": "a"}}}, "no such field id"),
        ({"version": 1, "fields": {}, "defaults": {"titel": "x"}}, "defaults: no such field titel"),
        ({"version": 1, "fields": {}, "terms": {"subjects": {}}}, "terms: no such field subjects"),
        ({"version": 1, "fields": {}, "terms": {"subject": {"语文": 13}}}, "/terms/subject/语文"),
        ({"version": 1, "fields": {}, "volatile": ["a b"]}, "is not a path"),
        ({"version": 2, "fields": {}}, "/version"),
        ({"fields": {}}, "/version"),
        ([], "mapping"),
    ],
)
def test_refusals_name_the_place(document: Any, place: str) -> None:
    with pytest.raises(BadRequest) as caught:
        mapping.compile(document)
    assert place in caught.value.detail
    assert caught.value.errors


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner) | st.dictionaries(
    st.sampled_from(["title", "tag_list", "tag_name", "tag_dimension_id", "provider", "name"]), inner), max_leaves=20)
)  # fmt: skip
def test_no_source_can_break_a_mapping(source: Any) -> None:
    fields = {"title": {"path": "title"}, "subject": {"tag": "zxxxk"}, "keywords": {"path": "tag_list[].tag_name"},
              "contributors": {"path": "provider.name", "each": {}}, "price": {"path": "title", "join": ","}}  # fmt: skip
    found, _ = mapping.compile({"version": 1, "fields": fields})(source)
    assert set(found) <= set(fields)


NORMAL = {"version": 1, "fields": {}, "volatile": ["thumbnail", "tag_list[].order_num"], "unordered": ["tag_list"]}


@given(st.randoms(use_true_random=False), st.integers(1, 3))
def test_hosts_order_and_counters_do_not_change_the_normalised_form(chance: random.Random, host: int) -> None:
    normalised, other = mapping.normaliser(NORMAL), copy.deepcopy(LESSON)
    other["thumbnail"] = f"https://r{host}.example.org/a.jpg"
    chance.shuffle(other["tag_list"])
    for number, tag in enumerate(other["tag_list"]):
        tag["order_num"] = number
    assert normalised(dict(reversed(other.items()))) == normalised(LESSON)


def test_a_changed_tag_changes_the_normalised_form_and_the_source_stays_whole() -> None:
    normalised, before = mapping.normaliser(NORMAL), copy.deepcopy(LESSON)
    other = copy.deepcopy(LESSON)
    other["tag_list"][0]["tag_name"] = "数学"
    assert normalised(other) != normalised(LESSON)
    assert before == LESSON


def test_a_selection_as_volatile_removes_only_its_elements() -> None:
    normalised = mapping.normaliser({"version": 1, "fields": {}, "volatile": ["tag_list[tag_dimension_id=zxxnj]"]})
    kept = json.loads(normalised(LESSON))["tag_list"]
    assert [tag["tag_name"] for tag in kept] == ["语文", "x.y"]


def test_real_poems_become_records(data: Path) -> None:
    fields = {
        "title": {"path": "title"}, "description": {"path": "paragraphs", "join": "\n"}, "keywords": {"path": "tags"},
        "contributors": {"path": "author", "each": {"role": "creator"}}, "subject": {"constant": "语文"},
    }  # fmt: skip
    document = {"version": 1, "fields": fields, "terms": {"subject": {"语文": "13"}}, "defaults": {"title": "无题"}}
    apply = mapping.compile(document)
    for poem, _ in json.items((data / "chinese-poetry" / "poet.tang.0.json").read_bytes()):
        draft, flags = apply(poem)
        found = prepare(draft, f"ix:P-440000-01:poems/{poem['id']}", tables=document["terms"])  # type: ignore[arg-type]
        assert flags == ([] if poem["title"].strip() else ["defaulted:title"])
        assert not isinstance(found, Prepared) or found.subject == "13"
