"""The rules: each breaks on its example and holds on its opposite; one engine; the page is the declaration."""

import ast
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import rules
from app.protocol.connector import Fault
from app.protocol.errors import BadRequest
from app.protocol.record import Prepared, prepare
from app.protocol.rules import RULES

ROOT = Path(__file__).resolve().parents[2]
ID = "ix:P-440000-01:a/1"


def _code(catalog: str, entry: str) -> dict[str, Any]:
    return {"identifiers": [{"catalog": catalog, "entry": entry}]}


CASES: list[tuple[str, dict[str, Any], dict[str, Any], str]] = [
    ("obligation.recommended", {}, {"description": "d", "keywords": ["k"]}, "description"),
    ("obligation.grade", {"stage": "2"}, {"stage": "2", "grade": ["P3"]}, "grade"),
    ("obligation.stage", {"grade": ["P3"]}, {"grade": ["P3"], "stage": "2"}, "stage"),
    ("obligation.long_description", {"description": "长" * 2001}, {"description": "长" * 2000}, "description"),
    ("obligation.role", {"contributors": [{"name": "王"}]}, {"contributors": [{"name": "王", "role": "author"}]}, "contributors[0].role"),
    ("url.malformed", {"location": ["www.a.cn/x"]}, {"location": ["https://a.cn/中文?x=1"]}, "location[0]"),
    ("url.malformed", {"rights": {"licence_uri": "CC BY"}}, {"rights": {"licence_uri": "https://cc.org/by"}}, "rights.licence_uri"),
    ("url.malformed", {"location": ["https://a.cn/x", "http://[::1"]}, {"location": ["http://[::1]/x"]}, "location[1]"),
    ("url.plain", {"location": ["http://a.cn"]}, {"location": ["https://a.cn"]}, "location[0]"),
    ("date.form", {"published": "2024-02-30"}, {"published": "2024"}, "published"),
    ("date.form", {"audits": [{"date": "去年"}]}, {"audits": [{"date": "2024-03"}]}, "audits[0].date"),
    ("language.tag", {"languages": ["x!"]}, {"languages": ["mn-Mong", "ug-Arab-CN"]}, "languages[0]"),
    ("language.script", {"languages": ["mn"]}, {"languages": ["mn-Mong", "en", "bo"]}, "languages[0]"),
    ("id.isbn", _code("ISBN", "978-7-107-00000-0"), _code("isbn", "urn:isbn:978-0-306-40615-7"), "identifiers[0].entry"),
    ("id.issn", _code("ISSN", "0378-5956"), _code("ISSN", "0378-5955"), "identifiers[0].entry"),
    ("id.credit_code", _code("统一社会信用代码", "91110000600037341X"), _code("USCC", "91110000600037341L"), "identifiers[0].entry"),
    ("id.school", _code("学校标识码", "4199010003"), _code("学校标识码", "4111010003"), "identifiers[0].entry"),
    ("id.school", _code("学校标识码", "4011010003"), _code("学校(机构)标识码", "2144000501"), "identifiers[0].entry"),
    ("personal.identity", {"description": "身份证11010519491231002X。"}, {"description": "编号110105194912310021"}, "description"),
    ("personal.mobile", {"keywords": ["咨询 138-0013-8000"]}, {"keywords": ["12800138000", "https://a.cn/13800138000"]}, "keywords[0]"),
    ("personal.email", {"contributors": [{"name": "wang@example.edu.cn"}]}, {"contributors": [{"name": "@wang"}]}, "contributors[0].name"),
]  # fmt: skip


def _judged(content: dict[str, Any]) -> list[rules.Finding]:
    return list(rules.judge(prepare({"title": "草原", **content}, ID)))


@pytest.mark.parametrize(("id", "bad", "good", "path"), CASES)
def test_each_rule_breaks_with_its_place_and_holds(
    id: str, bad: dict[str, Any], good: dict[str, Any], path: str
) -> None:
    assert (id, RULES[id].severity, path) in [finding[:3] for finding in _judged(bad)]
    assert id not in [finding.rule for finding in _judged(good)]


def test_every_rule_with_a_check_is_tried_above() -> None:
    assert {rule.id for rule in RULES.values() if rule.check} == {case[0] for case in CASES}


def test_faults_and_flags_of_the_preparation_are_rules_of_the_same_list() -> None:
    assert [f.rule for f in rules.judge(prepare({}, ID))] == ["record.title_missing"]
    assert [f.rule for f in rules.judge(prepare({"title": "a\0"}, ID))] == ["text.nul"]
    found = {(f.rule, f.path) for f in _judged({"subject": "无此学科", "stage": "小学"})}
    assert {("missing", "languages"), ("missing", "location"), ("unmapped", "subject")} <= found


def test_every_fault_of_record_and_text_is_declared() -> None:
    named = set()
    for file in ("app/protocol/record.py", "app/protocol/text.py", "app/harvest/prepare.py"):
        for node in ast.walk(ast.parse((ROOT / file).read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if node.value.startswith(("record.", "text.", "mapping.")) and " " not in node.value:
                    named.add(node.value)
    assert named
    assert named <= set(RULES)


def test_every_rule_says_all_of_it_in_both_languages() -> None:
    for rule in RULES.values():
        assert all([rule.zh, rule.en, rule.example, rule.remedy_zh, rule.remedy]), rule.id
        assert any("\u4e00" <= sign <= "\u9fff" for sign in rule.zh), rule.id


def test_the_page_of_rules_is_what_is_declared() -> None:
    assert (ROOT / "docs" / "rules.md").read_text() == rules.markdown(), "run `hutong rules --markdown > docs/rules.md`"


def test_a_leak_is_shown_masked() -> None:
    found = [f for f in _judged({"description": "13800138000 11010519491231002X"}) if f.rule.startswith("personal")]
    assert {f.value for f in found} == {"138******00", "110*************2X"}


def test_a_policy_flags_refuses_or_stays_out() -> None:
    record = prepare({"title": "电话 13800138000", "location": ["nowhere"]}, ID)
    assert isinstance(record, Prepared)
    assert rules.live("") is None
    assert rules.live("personal=off") is None
    flag, refuse = rules.live("personal=flag"), rules.live("all=flag,personal.mobile=refuse")
    assert flag is not None
    assert refuse is not None
    flagged = flag(record)
    assert isinstance(flagged, Prepared)
    assert flagged.flags.split()[-1] == "personal.mobile:title"
    assert (flagged.hash, flagged.document) == (record.hash, record.document)
    fault = refuse(record)
    assert isinstance(fault, Fault)
    assert (fault.rule, fault.path, fault.stage) == ("personal.mobile", "title", "validate")
    clean = prepare({"title": "草原"}, ID)
    assert isinstance(clean, Prepared)
    assert flag(clean) is clean


@pytest.mark.parametrize(
    "policy", ["personal", "personal=maybe", "nothing=flag", "record.too_long=off", "missing=refuse"]
)
def test_a_wrong_policy_is_refused_by_its_word(policy: str) -> None:
    with pytest.raises(BadRequest, match=policy):
        rules.selected(policy)


PIECES = st.sampled_from(
    ["13800138000", "138 0013 8000", "11010519491231002X", "a@b.cn", "文", " ", "1", "9", "-", "x"]
)


@given(st.lists(PIECES, max_size=8).map("".join))
def test_a_hint_never_hides_what_its_check_would_find(text: str) -> None:
    record = prepare({"title": "t", "description": text or "d"}, ID)
    assert isinstance(record, Prepared)
    found = {f.rule for f in rules.judge(record) if f.rule.startswith("personal")}
    for id in found:
        assert RULES[id].hint is not None
        assert RULES[id].hint(record.document)  # type: ignore[misc]
