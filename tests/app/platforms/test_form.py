"""What a vendor's form asks for, before anybody knows the vendor: terms, faults by field, a draft, a key to try with."""

import time

import httpx
import pytest

from tests.app.access.desk import Desk
from tests.app.platforms.office import (  # fmt: skip
    Applicant,
    admitted,
    application,
    decide,
    in_sandbox,
    proved,
    reported,
    website,
)

PLACE = "/.well-known/hutong-challenge"
LINE = '{"id":"a1","title":"一元二次方程"}\n'


def _looked(client: httpx.Client, url: str) -> httpx.Response:
    config = {"url": url, "id_paths": ["id"]}
    return client.post("/api/v1/preview", json={"connector": "ndjson", "config": config, "records": 5})


def test_the_terms_say_what_an_application_is_held_against(hub: Desk) -> None:
    terms = httpx.get(f"{hub.url}/api/v1/enrolments/terms").json()
    assert (terms["open"], terms["agreement"], terms["two_people"]) == (
        True,
        {"version": "2026-1", "url": None},
        ["trial"],
    )
    good = application(agreement=terms["agreement"]["version"])
    assert httpx.post(f"{hub.url}/api/v1/enrolments/check", json=good).json() == {"wrong": []}


def test_a_form_is_told_all_that_is_wrong_at_once_and_nothing_is_kept(hub: Desk) -> None:
    bad = application(domain="no domain", credit_code="9111", region="999999", contacts=[{"name": "x"}], agreement="0")
    wrong = httpx.post(f"{hub.url}/api/v1/enrolments/check", json=bad).json()["wrong"]
    assert [(one["field"], one["kind"]) for one in wrong] == [
        ("region", "request.invalid"),
        ("credit_code", "enrol.credit_code"),
        ("contacts/0", "request.invalid"),
        ("domain", "request.invalid"),
        ("agreement", "enrol.agreement"),
    ]
    answer = httpx.post(f"{hub.url}/api/v1/enrolments", json=bad).json()
    assert [one["pointer"] for one in answer["errors"]] == [f"body/{one['field']}" for one in wrong]
    wang = hub.person("wang", "operator")
    assert wang.get("/api/v1/enrolments").json()["items"] == []


def test_a_draft_is_put_right_before_it_is_submitted_and_the_history_keeps_both(hub: Desk) -> None:
    pages: dict[str, str] = {}
    with website(pages) as domain:
        vendor = Applicant(hub, application("wrong.example.com"))
        right = application(domain, icp="京ICP备10000000号-1")
        shown = vendor.client.put(f"/api/v1/enrolments/{vendor.id}", json=right).json()
        assert (shown["domain"], shown["icp"]) == (domain, right["icp"])
        assert shown["challenge"] != vendor.challenge
        pages[PLACE] = shown["challenge"]
        assert vendor.post("proof", {"by": "file"}).status_code == 200
    assert [step["given"]["domain"] for step in shown["steps"]] == ["wrong.example.com", domain]
    assert [step["verdict"] for step in shown["steps"]] == ["moved", "amended"]
    vendor.post("submit")
    answer = vendor.client.put(f"/api/v1/enrolments/{vendor.id}", json=right)
    assert (answer.status_code, answer.json()["kind"]) == (409, "enrol.stage")


def test_an_applicant_reads_whose_turn_it_is_and_what_is_missing(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    seen = []
    fresh = Applicant(hub, application(number=1)).shown()["next"]
    assert (fresh["turn"], fresh["missing"]) == ("applicant", ["proof"])
    assert fresh["until"] > time.time() * 1_000_000
    with proved(hub) as vendor:
        seen.append(vendor.shown()["next"])
        code, _ = in_sandbox(hub, vendor, wang)
        seen.append(vendor.shown()["next"])
        reported(hub, vendor, code)
        seen.append(vendor.shown()["next"])
        vendor.post("submit")
        seen.append(vendor.shown()["next"])
        decide(wang, code, "approve")
        decide(li, code, "approve")
        decide(wang, code, "approve", waive=True, reason="nothing was harvested")
        seen.append(vendor.shown()["next"])
    assert [(one["turn"], one["missing"]) for one in seen] == [
        ("applicant", []), ("applicant", ["validation"]), ("applicant", []), ("hub", []), (None, []),
    ]  # fmt: skip


def test_who_holds_only_a_key_finds_its_enrolment(hub: Desk) -> None:
    one, _ = Applicant(hub, application()), Applicant(hub, application(number=1))
    found = one.client.get("/api/v1/enrolments/mine").json()["items"]
    assert [item["id"] for item in found] == [one.id]
    assert {"challenge", "origin", "contacts"} & set(found[0]) == set()


def test_a_test_key_is_given_at_once_and_looks_at_the_proved_domain_only(hub: Desk) -> None:
    pages = {"/c.ndjson": LINE}
    with (
        website(pages) as elsewhere,
        website(pages, {"/away": f"http://localhost:{elsewhere[10:]}/c.ndjson"}) as domain,
    ):
        vendor = Applicant(hub, application(domain))
        assert vendor.post("credential").json()["kind"] == "enrol.stage"
        pages[PLACE] = vendor.challenge
        vendor.post("proof", {"by": "file"})
        given = vendor.post("credential").json()
        assert (given["label"], given["platform"]) == ("test", vendor.id)
        test = hub.key_client(given["key"])
        assert _looked(test, f"http://{domain}/c.ndjson").json()["seen"] == 1
        for url in (f"http://localhost:{elsewhere[10:]}/c.ndjson", f"http://{domain}/away"):
            refused = _looked(test, url)
            assert (refused.status_code, refused.json()["kind"]) == (403, "net.out_of_bounds"), refused.text
        assert test.post("/api/v1/feeds", json={"platform": "E-110000-01", "name": "f", "connector": "ix", "config": {"base_url": f"http://{domain}/"}}).status_code == 404  # fmt: skip
        wang = hub.person("wang", "operator")
        in_sandbox(hub, vendor, wang)
        time.sleep(1)
        assert _looked(test, f"http://{domain}/c.ndjson").status_code == 401, "the sandbox has a key of its own"


def test_another_domain_ends_the_test_key(hub: Desk) -> None:
    with proved(hub) as vendor:
        test = hub.key_client(vendor.post("credential").json()["key"])
        assert test.get(f"/api/v1/enrolments/{vendor.id}").status_code == 200
        vendor.client.put(f"/api/v1/enrolments/{vendor.id}", json=application("other.example.com"))
        time.sleep(1)
        assert test.get(f"/api/v1/enrolments/{vendor.id}").status_code == 401


def test_a_suspended_vendor_reads_why_and_acknowledges_with_its_enrolment_key(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with proved(hub) as vendor, proved(hub, 1) as other:
        code, main = admitted(hub, vendor, wang, li)
        decide(wang, code, "suspend", reason="安全事件处置")
        time.sleep(1)
        assert main.get("/api/v1/notices").status_code == 401
        told = vendor.client.get(f"/api/v1/enrolments/{code}/notices").json()["items"]
        assert [(one["title"], one["body"]) for one in told] == [("已暂停接入 suspended", "安全事件处置")]
        path, body = f"/api/v1/notices/{told[0]['id']}/acknowledge", {"platform": code, "answer": "已整改"}
        assert other.client.post(path, json=body).status_code == 404
        assert other.client.get(f"/api/v1/enrolments/{code}/notices").status_code == 404
        assert vendor.client.post(path, json=body).status_code == 200
        assert vendor.client.post(path, json=body).json()["kind"] == "enrol.acknowledged"
        filed = {"level": 3, "filing": "11010543001-26001", "expires_on": "2099-06-30"}
        answers = [one.client.post(f"/api/v1/platforms/{code}/grading", json=filed) for one in (vendor, other)]
        assert [answer.status_code for answer in answers] == [201, 404]
        assert other.client.post(f"/api/v1/platforms/{other.id}/grading", json=filed).status_code == 404, (
            "no platform yet"
        )
    assert wang.get("/api/v1/notices").json()["items"][0]["acknowledged"] == 1
    assert vendor.shown()["next"] == {"turn": None, "missing": [], "until": None}


@pytest.mark.parametrize("path", ["check", ""])
def test_a_form_of_nonsense_is_a_422_that_names_the_field(hub: Desk, path: str) -> None:
    answer = httpx.post(f"{hub.url}/api/v1/enrolments/{path}".rstrip("/"), json={"kind": "x", "extra": "\x00"})
    assert answer.status_code == 422
    assert "kind" in answer.text
