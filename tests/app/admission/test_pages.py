"""The reviewers' pages, over a real socket with plain forms."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import httpx
import pytest

from app.db import Database
from tests.app.access.desk import desk as hub_desk
from tests.app.admission.desk import CODE, Desk, desk, id_of
from tests.app.admission.test_gate import _title


class Office(NamedTuple):
    """A desk with thirty records that wait, two reviewers and an operator."""

    at: Desk
    reviewer: httpx.Client
    second: httpx.Client
    operator: httpx.Client


@pytest.fixture
def office(sqlite: Database, tmp_path: Path) -> Iterator[Office]:
    with desk(sqlite) as at, hub_desk(sqlite, tmp_path) as hub:
        people = (hub.person("gao", "reviewer"), hub.person("lin", "reviewer"), hub.person("wang", "operator"))
        for one in people:
            one.headers["accept"] = "text/html"
        yield Office(at, *people)


def _post(who: Any, path: str, **fields: Any) -> httpx.Response:
    """A form's answer, or the page it leads to."""
    answer: httpx.Response = who.post(path, data={"csrf_token": who.csrf, **fields})
    return who.get(answer.headers["location"]) if answer.status_code == 303 else answer


def _items(page: str) -> list[str]:
    return [unescape(value) for value in re.findall(r'name="item" value="([^"]+)"', page)]


POLICY = {
    "platform": CODE,
    "kind": "*",
    "mode": "every",
    "visibility": "nation",
    "fields": ["title"],
    "audit": ["content"],
}


def test_an_operator_sets_a_policy_and_a_reviewer_claims_decides_and_undoes(office: Office) -> None:
    at, reviewer = office.at, office.reviewer
    assert CODE in _post(office.operator, "/admission/policies", **POLICY).text
    at.again()
    mine = _post(reviewer, "/admission/claims", platform=CODE)
    assert (mine.status_code, len(_items(mine.text))) == (200, 20)
    assert "gao" in mine.text
    refused = _post(reviewer, "/admission/decisions", item=_items(mine.text)[:2], decision="reject", reason="", text="")
    assert (refused.status_code, "reason" in refused.text, len(at.kept())) == (422, True, 30)
    done = _post(reviewer, "/admission/decisions", item=_items(mine.text)[:2], decision="admit", reason="", text="")
    assert (done.status_code, at.live()) == (200, 4)
    batch = re.search(r'action="/admission/undo/(\w+)"', done.text)
    assert batch is not None
    assert _post(office.second, f"/admission/undo/{batch[1]}").status_code == 403
    assert _post(reviewer, f"/admission/undo/{batch[1]}").status_code == 200
    assert (at.live(), len(at.kept())) == (0, 30)
    none = _post(reviewer, "/admission/decisions", decision="admit")
    assert (none.status_code, len(at.kept())) == (422, 30)


def test_a_record_is_seen_as_everybody_will_see_it_with_what_has_changed(office: Office) -> None:
    at, reviewer = office.at, office.reviewer
    at.again()
    at.policy(mode="every", people=2)
    at.edit = _title(3, "改后的标题&lt;script&gt;")
    at.again()
    page = reviewer.get(f"/admission/record/{quote(id_of(3), safe='')}").text
    assert page.count("改后的标题&lt;script&gt;") >= 2
    assert "<script>" not in page.split("</head>")[1]
    [item] = _items(page)
    _post(reviewer, "/admission/decisions", item=item, decision="admit", audits="yes", audit=["politics"])
    assert "gao" in office.second.get("/admission?stage=second").text
    _post(office.second, "/admission/decisions", item=item, decision="admit", audits="yes", audit=["politics"])
    shown = reviewer.get(f"/r/{quote(id_of(3), safe='')}").text
    assert "改后的标题" in shown
    assert reviewer.get(f"/admission/record/{quote(id_of(3), safe='')}").status_code == 404


def test_the_queue_is_narrowed_by_platform_rule_and_stage(office: Office) -> None:
    at, reviewer = office.at, office.reviewer
    at.policy(platform=CODE, kind="courseware", mode="every")
    at.policy(platform=CODE, kind="*", visibility="school")
    at.again()
    by_rule = {
        rule: len(_items(reviewer.get(f"/admission?rule={rule}").text)) for rule in ("every", "visibility", "flag")
    }
    assert by_rule["every"] + by_rule["visibility"] == 30
    assert by_rule["every"] > 0
    assert by_rule["flag"] == 0
    assert _items(reviewer.get("/admission?platform=P-110000-01").text) == []
    at.decide("reject", [id_of(3)], reasons=("rights",))
    assert [item.split(" ")[1] for item in _items(reviewer.get("/admission?stage=rejected").text)] == [id_of(3)]
    assert reviewer.get("/admission?stage=public").status_code == 422


def test_pages_of_reviewers_are_for_reviewers(office: Office) -> None:
    assert office.operator.get("/admission").status_code == 403
    assert _post(office.operator, "/admission/claims").status_code == 403
    assert _post(office.reviewer, "/admission/policies", **POLICY).status_code == 403
    assert 'href="/admission"' not in office.operator.get("/").text
    assert 'href="/admission"' in office.reviewer.get("/").text
    for name, value in (("mode", "maybe"), ("percent", "ten"), ("people", "9"), ("fields", [])):
        assert _post(office.operator, "/admission/policies", **{**POLICY, name: value}).status_code == 422
    assert _post(office.operator, "/admission/policies", **POLICY, drop="yes").status_code == 404


def test_a_record_that_is_shown_is_withdrawn_from_its_own_page(office: Office) -> None:
    at, reviewer = office.at, office.reviewer
    at.again()
    page = f"/r/{quote(id_of(3), safe='')}"
    assert 'value="withdraw"' not in office.operator.get(page).text
    [item] = _items(reviewer.get(page).text)
    _post(reviewer, "/admission/decisions", item=item, decision="withdraw", reason="complaint", text="")
    assert (reviewer.get(page).status_code, at.kept("withdrawn"), at.live()) == (410, [id_of(3)], 29)
