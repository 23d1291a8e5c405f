"""What a mapping can say: one source, the steps in their order, shapes, and where each field came from."""

import time
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import mapping
from app.protocol.errors import BadRequest
from app.protocol.mapping import dates
from app.protocol.record import Prepared, prepare

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "mappings"
BOOK: dict[str, Any] = {
    "id": 7,
    "book": "史记",
    "chapter": " 项羽本纪 ",
    "tags": "史、传;汉，",
    "people": [{"n": "司马迁", "r": "author"}, {"r": "editor"}, {"n": " 裴骃 "}],
    "press": "中华书局",
    "day": "1959年9月",
    "made": "2024-03-15T14:30:20.742+0800",
    "stamp": 1700000000000,
    "free": "YES",
    "intro": "&lt;p&gt;本纪 &amp;amp; <b>列传</b>&lt;/p&gt;<script>alert(1)</script>",
    "langs": ["hn", "bi", "th", "zh"],
    "$file": "/json/poet.tang.12000.json",
}


def mapped(fields: dict[str, Any], **more: Any) -> tuple[dict[str, Any], list[str]]:
    """The book through a mapping of these fields."""
    return mapping.compile({"version": 1, "fields": fields, **more})(BOOK)


@pytest.mark.parametrize(
    ("field", "rule", "value"),
    [
        ("title", {"template": "{book}·{chapter}"}, "史记·项羽本纪"),
        ("title", {"template": "{book}·{nowhere}"}, None),
        ("title", {"paths": ["nowhere", "chapter", "book"], "first": True}, "项羽本纪"),
        ("textbook_node", {"paths": ["book", "chapter"], "join": " > "}, "史记 > 项羽本纪"),
        ("keywords", {"path": "tags", "split": ["、", ";", "，"]}, ["史", "传", "汉"]),
        ("edition", {"path": "$file", "match": r"poet\.(tang|song)\."}, "tang"),
        ("volume", {"path": "$file", "match": {"pattern": r"(\w+)\.(\d+)\.json", "to": r"\1-\2"}}, "tang-12000"),
        ("price", {"path": "free", "map": {"YES": "免费", "NO": "收费"}}, "免费"),
        ("title", {"path": "book", "match": "x"}, None),
        ("title", {"path": "book", "match": {"pattern": "x", "keep": True}}, "史记"),
        ("published", {"path": "day", "date": ["yyyy", "yyyy年M月"]}, "1959-09"),
        ("published", {"path": "made", "date": ["yyyy-MM-ddTHH:mm:ss.SSSZ"]}, "2024-03-15T14:30:20+08:00"),
        ("published", {"path": "stamp", "date": ["epoch_ms"]}, "2023-11-14T22:13:20Z"),
        ("description", {"path": "intro", "html": True}, "本纪 & 列传"),
        ("identifiers", {"path": "id", "each": {"catalog": "book"}}, [{"catalog": "book", "entry": "7"}]),
        (
            "contributors",
            {"path": "people", "object": {"name": "n", "role": "r"}},
            [{"name": "司马迁", "role": "author"}, {"name": "裴骃"}],
        ),
        (
            "contributors",
            [{"path": "people", "object": {"name": "n"}, "each": {"role": "x"}}, {"path": "press", "each": {}}],
            [{"role": "x", "name": "司马迁"}, {"role": "x", "name": "裴骃"}, {"name": "中华书局"}],
        ),
        ("title", [{"path": "nowhere"}, {"path": "book"}], "史记"),
    ],
)
def test_sources_steps_and_shapes(field: str, rule: Any, value: Any) -> None:
    assert mapped({field: rule}) == ({} if value is None else {field: value}, [])


def test_members_of_rights_make_one_object() -> None:
    fields = {"rights.statement": {"path": "press"}, "rights.restrictions": {"path": "free"}}
    assert mapped(fields)[0] == {"rights": {"statement": "中华书局", "restrictions": ["YES"]}}


def test_th_of_a_yunnan_platform_is_not_thai_and_hn_is_korean() -> None:
    draft, flags = mapped({"title": {"path": "book"}, "languages": {"path": "langs"}}, language_scheme="gb4881-2letter")
    assert draft["languages"] == ["ko", "und-x-bi", "tai", "zh"]
    assert flags == ["unmapped:languages"]
    stored = prepare(draft, "ix:P-530000-01:a/1", flagged=flags)
    assert isinstance(stored, Prepared)
    assert b'"th"' not in stored.document


def test_a_table_of_the_platform_goes_before_its_language_scheme() -> None:
    more = {"language_scheme": "gb4881-2letter", "terms": {"languages": {"bi": "bca"}}}
    assert mapped({"languages": {"path": "langs"}}, **more)[0]["languages"] == ["ko", "bi", "tai", "zh"]


def test_an_empty_system_means_six_three_and_says_so() -> None:
    draft, flags = mapped({"title": {"path": "book"}, "system": {"path": "nowhere"}}, defaults={"system": "六·三"})
    assert (draft["system"], flags) == ("六·三", ["defaulted:system"])


def test_a_date_that_no_pattern_fits_stays_and_is_flagged() -> None:
    draft, flags = mapped({"published": {"path": "book", "date": ["yyyy"]}})
    assert (draft, flags) == ({"published": "史记"}, ["unread:published"])


def test_what_the_connector_understood_stays_where_the_mapping_keeps_it() -> None:
    document = {"version": 1, "keep": True, "fields": {"subject": {"path": "keywords", "first": True}}}
    draft, _ = mapping.compile(document)({"title": "草原", "keywords": ["语文"], "$file": "x", "other": 1})
    assert draft == {"title": "草原", "keywords": ["语文"], "subject": "语文"}


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"path": "a", "match": r"(a)\1"}, "/fields/title/match"),
        ({"path": "a", "match": "(?=x)"}, "refused by RE2"),
        ({"path": "a", "match": {"pattern": "a", "to": r"\1"}}, "names a group"),
        ({"path": "a", "match": "a" * 600}, "/fields/title/match"),
        ({"path": "a", "date": ["MM-dd"]}, "yyyy is needed"),
        ({"path": "a", "date": ["yyyy-dd"]}, "has a gap"),
        ({"path": "a", "split": ""}, "must not be empty"),
        ({"template": "{a..b}"}, "is not a path"),
        ([{"path": "a"}, {"pth": "b"}], "/fields/title/1/pth"),
        ({"path": "a", "each": {}}, "title holds none"),
    ],
)
def test_refusals_of_steps_name_the_place(rule: Any, says: str) -> None:
    with pytest.raises(BadRequest) as caught:
        mapping.compile({"version": 1, "fields": {"title": rule}})
    assert says in caught.value.detail


def test_a_hostile_pattern_takes_linear_time() -> None:
    apply = mapping.compile({"version": 1, "fields": {"title": {"path": "t", "match": r"^(a+)+$"}}})
    began = time.perf_counter()
    assert apply({"t": "a" * 100_000 + "!"})[0] == {}
    assert time.perf_counter() - began < 2


@given(st.dates())
def test_a_written_date_is_read_back_with_its_precision(day: Any) -> None:
    year, month = f"{day.year:04}", f"{day.month}"
    assert dates.compiled("yyyy年M月d日")(f"{year}年{month}月{day.day}日") == day.isoformat()
    assert dates.compiled("yyyy年M月")(f"{year}年{month}月") == day.isoformat()[:7]
    assert dates.compiled("yyyy")(year) == year
    assert dates.iso(day.isoformat()) == day.isoformat()


@pytest.mark.parametrize(
    "text", ["2024-02-30", "2024-13", "0000", "20240301", "2024-03-01 10:00", "", "2024-03-01T25:00Z"]
)
def test_what_is_no_iso_date_is_none(text: str) -> None:
    assert dates.iso(text) is None


@given(st.text(max_size=30), st.sampled_from(["yyyy-MM-dd", "yyyy年M月", "epoch_s", "epoch_ms"]))
def test_no_text_breaks_a_date_pattern(text: str, form: str) -> None:
    found = dates.compiled(form)(text)
    assert found is None or dates.iso(found) == found


def test_each_field_knows_where_it_came_from() -> None:
    fields = {
        "title": {"template": "{book}·{chapter}"}, "languages": {"constant": ["zh"]}, "rights.statement": {"path": "press"},
        "contributors": {"path": "people", "object": {"name": "n"}},
    }  # fmt: skip
    made = mapping.Crosswalk({"version": 1, "fields": fields, "defaults": {"system": "六·三"}})
    told = {trace.field: trace for trace in made.explain(BOOK)}
    assert set(told) == {"title", "languages", "rights", "contributors", "system"}
    assert told["title"].places == [("book", "史记"), ("chapter", " 项羽本纪 ")]
    assert [place for place, _ in told["contributors"].places] == ["people[0]", "people[1]", "people[2]"]
    assert told["rights"].places == [("press", "中华书局")]
    assert (told["system"].how, told["system"].places, told["languages"].places) == ("default", [], [])


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.json")), ids=lambda file: file.stem)
def test_every_example_fits_the_published_schema(file: Path) -> None:
    document = orjson.loads(file.read_bytes())
    jsonschema.Draft202012Validator(mapping.schema()).validate(document)
    mapping.compile(document)


def test_the_schema_refuses_what_the_hub_refuses() -> None:
    validator = jsonschema.Draft202012Validator(mapping.schema())
    for wrong in ({"version": 2, "fields": {}}, {"version": 1}, {"version": 1, "fields": {"title": {"pth": "a"}}}):
        assert not validator.is_valid(wrong)
        with pytest.raises(BadRequest):
            mapping.checked(wrong)


def test_a_proposal_finds_tag_dimensions_dates_and_markup() -> None:
    samples = [
        {"id": n, "名称": f"第{n}课 草原", "简介": f"<p>第{n}课的内容很好</p>", "发布时间": f"2024年{n}月", "link": f"https://a.cn/{n}",
         "thumb": f"https://img.cn/{n}", "order": n, "tag_list": [
            {"tag_dimension_id": "zxxxk", "tag_name": ("语文", "数学")[n % 2]}, {"tag_dimension_id": "zxxnj", "tag_name": "三年级"}]}
        for n in range(1, 10)
    ]  # fmt: skip
    document, guesses, missing = mapping.propose(samples)
    fields = document["fields"]
    assert fields["title"] == {"path": "名称"}
    assert fields["description"] == {"path": "简介", "html": True}
    assert fields["published"] == {"path": "发布时间", "date": ["yyyy年M月"]}
    assert fields["subject"] == {"path": "tag_list[tag_dimension_id=zxxxk].tag_name"}
    assert fields["grade"] == {"path": "tag_list[tag_dimension_id=zxxnj].tag_name"}
    assert fields["location"] == {"path": "link"}
    assert fields["languages"] == {"constant": ["zh-Hans"]}
    assert set(fields) == {"title", "description", "published", "subject", "grade", "location", "languages"}
    assert missing == ["type", "contributors", "audience", "rights"]
    assert all(guess.reasons for guess in guesses)
    mapping.checked(document)


@given(st.lists(st.dictionaries(st.sampled_from(["title", "a.b", "", "tag_list", "x_id"]), st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.booleans(), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["x_id", "name", "标题", "a b"]), inner, max_size=3), max_leaves=8)), min_size=1, max_size=4)
)  # fmt: skip
def test_any_samples_give_a_mapping_that_is_accepted(samples: list[dict[str, Any]]) -> None:
    document, _, _ = mapping.propose(samples)
    mapping.compile(document)(samples[0])


def test_a_member_of_rights_never_reaches_the_default_of_the_next_record() -> None:
    fields, default = {"rights.statement": {"path": "press"}}, {"rights": {"licence_uri": "https://x.example.org/l"}}
    apply = mapping.compile({"version": 1, "fields": fields, "defaults": default})
    assert apply({"press": "中华书局"})[0]["rights"] == {**default["rights"], "statement": "中华书局"}
    assert apply({})[0]["rights"] == default["rights"]
