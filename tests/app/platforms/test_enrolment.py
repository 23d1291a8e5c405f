"""From the application to the platform: every step with who, why and what it rests on; nobody skips one."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.access.audit import verify
from app.db import Database
from app.platforms.stages import APPROVED, HARVESTED, REFUSED, SUBMITTED, Stage, state_of
from tests.app.access.desk import Desk, desk
from tests.app.platforms.office import (  # fmt: skip
    FEED,
    Applicant,
    admitted,
    application,
    credit_code,
    decide,
    in_sandbox,
    proved,
    reported,
)


def test_a_vendor_comes_from_the_application_to_online_and_every_step_is_on_record(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with proved(hub) as vendor:
        code, client = admitted(hub, vendor, wang, li)
        assert decide(wang, code, "approve", reason="四周无故障", waive=True)["stage"] == "online"
    steps = [(s["from_stage"], s["to_stage"], s["verdict"], s["by"].split(":")[0]) for s in vendor.shown()["steps"]]
    assert steps == [
        ("", "applied", "moved", "anonymous"),
        ("applied", "applied", "proved", "key"),
        ("applied", "review", "moved", "key"),
        ("review", "sandbox", "moved", "person"),
        ("sandbox", "conformance", "moved", "key"),
        ("conformance", "trial", "voted", "person"),
        ("conformance", "trial", "moved", "person"),
        ("trial", "online", "moved", "person"),
    ]
    assert code == "E-110000-01"
    assert client.get(f"/api/v1/platforms/{code}").json()["state"] == "active"
    with hub.database.read() as connection:
        assert verify(connection) is None


def test_a_refusal_needs_a_reason_and_a_resubmission_keeps_the_history(hub: Desk) -> None:
    wang = hub.person("wang", "operator")
    with proved(hub) as vendor:
        vendor.post("submit")
        assert decide(wang, vendor.id, "refuse", 422)["kind"] == "enrol.reason_missing"
        assert decide(wang, vendor.id, "refuse", reason="营业执照看不清")["stage"] == "applied"
        better = {**vendor.said, "organisation": "示例教育科技（北京）有限公司"}
        assert vendor.post("submit", {"note": "重新上传", "application": better}).json()["stage"] == "review"
    found = vendor.shown()
    assert found["organisation"] == better["organisation"]
    assert [(s["verdict"], s["reason"]) for s in found["steps"]][-2:] == [
        ("refused", "营业执照看不清"),
        ("moved", "重新上传"),
    ]
    assert found["steps"][0]["given"]["organisation"] == vendor.said["organisation"]


def test_two_people_are_two_and_a_key_is_none(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with hub.database.write() as connection:
        from app.access import keys

        machine = hub.key_client(keys.issue(connection, None).key)
    with proved(hub) as vendor:
        code, _ = in_sandbox(hub, vendor, wang)
        reported(hub, vendor, code)
        vendor.post("submit")
        assert decide(machine, code, "approve", 403)["kind"] == "enrol.person_needed"
        assert decide(wang, code, "approve")["stage"] == "conformance"
        assert decide(wang, code, "approve", 409)["kind"] == "enrol.second_person"
        # A refusal between the two ends the first one's word.
        decide(li, code, "refuse", reason="先修正字段")
        vendor.post("submit")
        assert decide(li, code, "approve")["verdict"] == "voted"
        assert decide(wang, code, "approve")["stage"] == "trial"


def test_one_person_is_enough_where_the_setting_says_so(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, fetch_allow="127.0.0.0/8", enrol_two_people="") as hub, proved(hub) as vendor:
        wang = hub.person("wang", "operator")
        code, _ = in_sandbox(hub, vendor, wang)
        reported(hub, vendor, code)
        vendor.post("submit")
        assert decide(wang, code, "approve")["stage"] == "trial"


def test_a_step_rests_on_evidence(hub: Desk) -> None:
    wang = hub.person("wang", "operator")
    with proved(hub) as vendor:
        code, _ = in_sandbox(hub, vendor, wang)
        answer = vendor.post("submit")
        assert (answer.status_code, answer.json()["kind"]) == (422, "enrol.incomplete")
        sha = reported(hub, vendor, code)
        vendor.post("submit")
        assert vendor.shown()["steps"][-1]["rests_on"] == [sha]
        assert decide(wang, code, "approve", 422, rests_on=["0" * 64])["kind"] == "enrol.incomplete"
        paper = vendor.attach("conformance", b"all levels passed").json()["sha256"]
        decide(wang, code, "approve", rests_on=[paper])
        assert vendor.shown()["steps"][-1]["rests_on"] == [paper]


def test_a_review_rests_on_the_papers_that_were_there(hub: Desk) -> None:
    wang = hub.person("wang", "operator")
    with proved(hub) as vendor:
        vendor.attach("licence", b"unreadable")
        papers = [vendor.attach("licence", b"licence").json()["sha256"], vendor.attach("other", b"x").json()["sha256"]]
        in_sandbox(hub, vendor, wang)
    assert [step["rests_on"] for step in vendor.shown()["steps"]][-2:] == [sorted(papers), sorted(papers)]


def test_an_unproved_domain_is_not_submitted(hub: Desk) -> None:
    vendor = Applicant(hub, application())
    answer = vendor.post("submit")
    assert (answer.status_code, answer.json()["kind"]) == (422, "enrol.incomplete")


def test_no_stage_is_skipped(hub: Desk) -> None:
    """Every verb in every stage: what the machine of `stages` does not draw is a conflict and changes nothing."""
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with proved(hub) as vendor:
        for stage in (Stage.APPLIED, Stage.REVIEW, Stage.SANDBOX, Stage.CONFORMANCE, Stage.TRIAL, Stage.ONLINE):
            if stage == Stage.SANDBOX:
                reported(hub, vendor, vendor.shown()["code"])
            assert vendor.shown()["stage"] == stage
            for verb, moves, client in (
                ("submit", SUBMITTED, vendor.client),
                ("approve", APPROVED, wang),
                ("refuse", REFUSED, wang),
            ):
                if stage not in moves:
                    body = {"reason": "why"} if verb == "refuse" else {}
                    assert decide(client, vendor.id, verb, 409, **body)["kind"] == "enrol.stage"
            assert vendor.shown()["stage"] == stage
            _on(vendor, stage, wang, li)


def _on(vendor: Applicant, stage: Stage, wang: httpx.Client, li: httpx.Client) -> None:
    if stage in SUBMITTED:
        vendor.post("submit")
    elif stage in APPROVED:
        waiver = {"waive": True, "reason": "nothing was harvested"} if APPROVED[stage] == Stage.ONLINE else {}
        decide(wang, vendor.id, "approve", **waiver)
        if APPROVED[stage] == Stage.TRIAL:
            decide(li, vendor.id, "approve")


def test_only_trial_and_online_are_active() -> None:
    assert {stage for stage in Stage if state_of(stage) == "active"} == HARVESTED == {Stage.TRIAL, Stage.ONLINE}


@pytest.mark.parametrize(
    ("change", "kind", "word"),
    [
        ({"credit_code": credit_code()[:17] + ("0" if credit_code()[17] != "0" else "1")}, "enrol.credit_code", "校验位不符"),
        ({"credit_code": "9111"}, "enrol.credit_code", "18"),
        ({"credit_code": "9111000060003734OX"}, "enrol.credit_code", "I, O, S, V and Z"),
        ({"kind": "school", "school_code": "9999999999"}, "enrol.school_code", "学校"),
        ({"agreement": "2019-1"}, "enrol.agreement", "2026-1"),
        ({"region": "999999"}, "request.invalid", "region"),
        ({"kind": "platform", "level": "C"}, "request.invalid", "level"),
        ({"kind": "platform"}, "request.invalid", "level"),
        ({"domain": "https://x.example/"}, "request.invalid", "domain"),
        ({"domain": "evil.example/@10.0.0.1"}, "request.invalid", "domain"),
        ({"contacts": []}, "request.invalid", "contacts"),
        ({"contacts": [{"name": "x", "email": "no"}]}, "request.invalid", "email"),
        ({"contacts": [{"name": "x"}]}, "request.invalid", "contacts/0"),
        ({"stage": "online"}, "request.invalid", "stage"),
    ],
)  # fmt: skip
def test_a_wrong_application_is_refused_with_what_is_wrong(
    sqlite: Database, tmp_path: Path, change: dict[str, Any], kind: str, word: str
) -> None:
    with desk(sqlite, tmp_path) as hub:
        answer = httpx.post(f"{hub.url}/api/v1/enrolments", json={**application(), **change})
        assert (answer.status_code, answer.json()["kind"]) == (422, kind)
        assert word in answer.text


def test_a_school_applies_with_its_code_and_a_platform_with_its_level(hub: Desk) -> None:
    school = Applicant(hub, application(kind="school", school_code="3144010001", credit_code="", region="440105"))
    assert school.shown()["level"] == "S"
    city = Applicant(hub, application(kind="platform", level="C", region="440100", domain="edu.gz.example"))
    assert city.shown()["level"] == "C"


def test_a_vendor_connects_once_but_a_mere_application_keeps_nobody_out(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with proved(hub) as vendor, proved(hub) as rival:
        in_sandbox(hub, rival, wang)
        code, _ = admitted(hub, vendor, wang, li)
        with proved(hub, region="440000") as again:
            answer = again.post("submit")
        assert (answer.status_code, answer.json()["kind"]) == (409, "enrol.taken")
        assert code in answer.json()["detail"]
        reported(hub, rival, rival.shown()["code"])
        assert rival.post("submit").json()["kind"] == "enrol.taken", (
            "two of one organisation in the sandbox: one comes in"
        )


def test_a_closed_hub_and_a_full_one_take_no_applications(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, enrol_open=False) as hub:
        assert httpx.post(f"{hub.url}/api/v1/enrolments", json=application()).json()["kind"] == "enrol.closed"
    with desk(sqlite, tmp_path, enrol_waiting=1) as hub:
        Applicant(hub, application())
        answer = httpx.post(f"{hub.url}/api/v1/enrolments", json=application(number=1))
        assert (answer.status_code, answer.json()["kind"]) == (429, "enrol.too_many")
        assert int(answer.headers["Retry-After"]) > 0


def test_an_applicant_sees_and_changes_its_own_enrolment_only(hub: Desk) -> None:
    one, two = Applicant(hub, application()), Applicant(hub, application(number=1))
    sha = one.attach(content=b"secret paper").json()["sha256"]
    for method, path in (
        ("GET", ""), ("GET", f"/documents/{sha}"), ("POST", "/proof"), ("POST", "/submit"), ("POST", "/withdraw"),
        ("POST", "/credential"), ("POST", "/documents"),
    ):  # fmt: skip
        body = {"by": "file"} if path == "/proof" else {}
        answer = two.client.request(method, f"/api/v1/enrolments/{one.id}{path}", json=body)
        assert answer.status_code == 404, f"{method} {path}: {answer.text}"
    for path in ("feeds", "platforms", "enrolments", "notices", "runs/1"):
        assert two.client.get(f"/api/v1/{path}").status_code == 403
    assert two.client.post("/api/v1/preview", json={"url": "http://127.0.0.1/"}).status_code == 403


def test_an_operator_of_a_region_decides_on_that_region(hub: Desk) -> None:
    beijing = hub.person("wang", "operator", regions=("110000",))
    guangdong = hub.person("li", "operator", regions=("440000",))
    with proved(hub) as vendor:
        vendor.post("submit")
        assert guangdong.get("/api/v1/enrolments").json()["items"] == []
        assert decide(guangdong, vendor.id, "approve", 404)["kind"] == "not_found"
        assert [one["id"] for one in beijing.get("/api/v1/enrolments?stage=review").json()["items"]] == [vendor.id]
        assert decide(beijing, vendor.id, "approve")["stage"] == "sandbox"


def test_the_sandbox_key_ends_with_the_sandbox(hub: Desk) -> None:
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with proved(hub) as vendor:
        code, sandbox = in_sandbox(hub, vendor, wang)
        assert sandbox.post("/api/v1/feeds", json={**FEED, "platform": code}).status_code == 201
        assert sandbox.get("/api/v1/held").status_code == 200
        reported(hub, vendor, code)
        vendor.post("submit")
        decide(wang, code, "approve")
        decide(li, code, "approve")
        time.sleep(1)
        assert sandbox.get("/api/v1/feeds").status_code == 401
        main = hub.key_client(vendor.post("credential").json()["key"])
        assert [feed["platform"] for feed in main.get("/api/v1/feeds").json()["items"]] == [code]


def test_who_is_not_past_the_review_gets_no_platform_key(hub: Desk) -> None:
    vendor = Applicant(hub, application())
    answer = vendor.post("credential")
    assert (answer.status_code, answer.json()["kind"]) == (409, "enrol.stage")


def test_a_withdrawn_application_ends_with_its_key(hub: Desk) -> None:
    vendor = Applicant(hub, application())
    assert vendor.post("withdraw", {"reason": "改用省平台"}).json()["stage"] == "retired"
    time.sleep(1)
    assert vendor.client.get(f"/api/v1/enrolments/{vendor.id}").status_code == 401


def test_another_numbers_code_is_free_until_99(hub: Desk) -> None:
    from app.platforms import service

    with hub.database.write() as connection:
        for number in range(1, 100):
            if number != 7:
                service.register(connection, f"E-110000-{number:02}", "x")
    wang = hub.person("wang", "operator")
    with proved(hub) as vendor, proved(hub, 1) as late:
        assert in_sandbox(hub, vendor, wang)[0] == "E-110000-07"
        late.post("submit")
        assert "99" in decide(wang, late.id, "approve", 409)["detail"]


def test_what_an_operator_registers_is_online_and_on_record(hub: Desk) -> None:
    hub.platform("P-440000-01")
    wang = hub.person("wang", "operator")
    found = wang.get("/api/v1/enrolments/P-440000-01/file").json()
    assert (found["stage"], found["steps"][0]["reason"]) == ("online", "registered by the operator")
