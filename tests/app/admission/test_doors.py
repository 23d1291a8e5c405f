"""The doors of admission: REST for people who have signed in, and the command."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest

from app.db import Database
from tests.app.access.desk import desk as hub_desk
from tests.app.admission.desk import CODE, Desk, desk, id_of
from tests.commands import hutong

ROOM = "/api/v1/admission"


class Door(NamedTuple):
    """A desk with thirty records to come, and who works there."""

    at: Desk
    reviewer: httpx.Client
    second: httpx.Client
    operator: httpx.Client
    elsewhere: httpx.Client
    vendor: httpx.Client


@pytest.fixture
def door(database: Database, tmp_path: Path) -> Iterator[Door]:
    """Two reviewers, an operator, a reviewer of another region, the platform's own manager."""
    with desk(database) as at, hub_desk(database, tmp_path) as hub:
        yield Door(
            at, hub.person("gao", "reviewer"), hub.person("lin", "reviewer", regions=("440000",)),
            hub.person("wang", "operator"), hub.person("he", "reviewer", regions=("650000",)),
            hub.person("chen", "platform-manager", platforms=(CODE,)),
        )  # fmt: skip


def _every(door: Door, **more: Any) -> None:
    assert door.operator.put(f"{ROOM}/policies", json={"platform": CODE, "mode": "every", **more}).status_code == 200
    door.at.again()


def _decided(who: httpx.Client, decision: str, ids: list[str], **more: Any) -> dict[str, Any]:
    body = {"decision": decision, "items": [{"id": id} for id in ids], **more}
    made: dict[str, Any] = who.post(f"{ROOM}/decisions", json=body).json()
    return made


def _results(made: dict[str, Any]) -> list[str]:
    return [item["result"] for item in made["items"]]


def test_a_reviewer_works_through_rest_alone(door: Door) -> None:
    at, client = door.at, door.reviewer
    _every(door, hold=["personal"])
    listed = client.get(f"{ROOM}/policies").json()["items"]
    assert [(p["platform"], p["mode"], p["hold"], "salt" in p) for p in listed] == [
        (CODE, "every", ["personal"], False)
    ]
    first = client.get(f"{ROOM}/queue", params={"limit": 20}).json()
    rest = client.get(f"{ROOM}/queue", params={"limit": 20, "cursor": first["next"]}).json()
    assert (len(first["items"]), len(rest["items"]), rest["next"], first["counts"]) == (20, 10, None, {"waiting": 30})
    claimed = client.post(f"{ROOM}/claims", json={"number": 2}).json()["items"]
    assert {row["claimed_by"] for row in claimed} == {"person:gao"}
    items = [{"id": row["id"], "hash": row["hash"]} for row in claimed]
    made = client.post(f"{ROOM}/decisions", json={"decision": "admit", "items": items}).json()
    assert _results(made) == ["admitted", "admitted"]
    assert _results(client.post(f"{ROOM}/decisions/{made['batch']}/undo").json()) == ["undone", "undone"]
    assert _results(_decided(client, "reject", [id_of(9)], reasons=["other"], text="重复提交")) == ["rejected"]
    said = client.get(f"{ROOM}/verdicts", params={"record": id_of(9)}).json()["items"]
    assert [(v["text"], v["reasons"][0]["code"], v["by"]) for v in said] == [("重复提交", "other", "person:gao")]
    page = client.get(f"{ROOM}/verdicts", params={"limit": 1}).json()
    assert client.get(f"{ROOM}/verdicts", params={"cursor": page["next"]}).json()["items"]
    assert client.delete(f"{ROOM}/claims").json() == {"released": 0}
    assert door.operator.delete(f"{ROOM}/policies", params={"platform": CODE}).status_code == 200
    assert at.live() == 0


def test_two_people_are_two_who_have_signed_in(door: Door) -> None:
    _every(door, people=2)
    assert _results(_decided(door.reviewer, "admit", [id_of(1)])) == ["first_of_two"]
    again = door.reviewer.post(
        f"{ROOM}/decisions", json={"decision": "admit", "items": [{"id": id_of(1)}], "by": "person:lin"}
    )
    assert again.status_code == 422, "nobody says who they are"
    assert _results(_decided(door.reviewer, "admit", [id_of(1)])) == ["admission.second_person"]
    assert _results(_decided(door.second, "admit", [id_of(1)])) == ["admitted"]
    assert door.at.live() == 2


def test_a_reviewer_decides_on_records_of_their_regions_only(door: Door) -> None:
    _every(door)
    assert door.elsewhere.get(f"{ROOM}/queue").json()["items"] == []
    assert door.elsewhere.get(f"{ROOM}/queue").json()["counts"] == {}
    assert door.elsewhere.post(f"{ROOM}/claims", json={}).json()["items"] == []
    assert _results(_decided(door.elsewhere, "admit", [id_of(1)])) == ["admission.not_waiting"]
    made = _decided(door.second, "admit", [id_of(1)])
    assert _results(made) == ["admitted"]
    assert _results(_decided(door.elsewhere, "withdraw", [id_of(1)], reasons=["notice"])) == ["admission.not_public"]
    assert door.elsewhere.post(f"{ROOM}/decisions/{made['batch']}/undo").status_code == 404
    assert door.elsewhere.get(f"{ROOM}/verdicts").json()["items"] == []
    assert _results(_decided(door.second, "withdraw", [id_of(1)], reasons=["notice"])) == ["withdrawn"]
    assert len(door.second.get(f"{ROOM}/verdicts").json()["items"]) == 2


def test_a_batch_is_undone_by_who_gave_it(door: Door) -> None:
    _every(door)
    made = _decided(door.second, "admit", [id_of(1)])
    assert door.reviewer.post(f"{ROOM}/decisions/{made['batch']}/undo").status_code == 403
    assert _results(door.second.post(f"{ROOM}/decisions/{made['batch']}/undo").json()) == ["undone"]


def test_a_policy_is_set_by_whoever_looks_after_the_platform(door: Door, database: Database) -> None:
    _every(door)
    assert [p["platform"] for p in door.vendor.get(f"{ROOM}/policies").json()["items"]] == [CODE]
    assert door.elsewhere.get(f"{ROOM}/policies").json()["items"] == []
    for who in (door.reviewer, door.vendor):
        assert who.put(f"{ROOM}/policies", json={"platform": CODE, "mode": "automatic"}).status_code == 403
        assert who.delete(f"{ROOM}/policies", params={"platform": CODE}).status_code == 403
    with database.write() as connection:
        from app.access import people

        people.add(connection, "xin", "rice-lantern-velvet-41", ["operator"], regions=("650000",), initial=False)
    answer = httpx.post(
        f"{door.reviewer.base_url}/api/v1/login", json={"name": "xin", "password": "rice-lantern-velvet-41"}
    )
    from tests.app.access.desk import Signed

    with Signed(str(door.reviewer.base_url), answer) as far:
        for platform in (CODE, "*"):
            assert far.put(f"{ROOM}/policies", json={"platform": platform, "mode": "automatic"}).status_code == 403
        assert far.put(f"{ROOM}/policies", json={"platform": "P-650000-01", "mode": "every"}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/policies", {"mode": "maybe"}, 422),
        ("PUT", "/policies", {"mode": "every", "people": 9}, 422),
        ("DELETE", "/policies?platform=P-110000-01", None, 404),
        ("DELETE", "/policies?platform=x", None, 404),
        ("POST", "/decisions", {"decision": "admit", "items": []}, 422),
        ("POST", "/decisions", {"decision": "reject", "items": [{"id": "x"}]}, 422),
        ("POST", "/decisions", {"decision": "withdraw", "items": [{"id": "x"}], "reasons": ["rights"]}, 200),
        ("POST", "/decisions/nothing/undo", None, 404),
        ("GET", "/queue?cursor=junk", None, 410),
        ("GET", "/queue?state=public", None, 422),
    ],
)
def test_errors_are_problem_documents(door: Door, method: str, path: str, body: Any, status: int) -> None:
    client = door.operator if "policies" in path else door.reviewer
    answer = client.request(method, ROOM + path, json=body)
    assert answer.status_code == status
    assert (status == 200) != (answer.headers["content-type"] == "application/problem+json")


def _run(at: Desk, folder: Path, *words: str) -> tuple[int, Any, str]:
    url = at.database.url.render_as_string(hide_password=False)
    done = hutong("admission", *words, "--json", HUTONG_DATABASE_URL=url, HUTONG_DATA_DIR=str(folder))
    return done.returncode, [orjson.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_the_command_sets_a_policy_lists_decides_and_undoes(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite) as at:
        code, policies, _ = _run(at, tmp_path, "policy", "--platform", CODE, "--mode", "every")
        assert (code, policies[0]["mode"], policies[0]["people"]) == (0, "every", 1)
        at.again()
        _, waiting, _ = _run(at, tmp_path, "queue", "-n", "3")
        assert len(waiting) == 3
        code, [made], _ = _run(at, tmp_path, "decide", "admit", waiting[0]["id"], "--by", "甲")
        assert (code, made["items"][0]["result"]) == (0, "admitted")
        code, _, said = _run(at, tmp_path, "undo", made["batch"], "--by", "乙")
        assert (code, "somebody else" in said) == (1, True)
        code, [undone], _ = _run(at, tmp_path, "undo", made["batch"], "--by", "甲")
        assert (code, undone["items"][0]["result"]) == (0, "undone")
        code, _, said = _run(at, tmp_path, "decide", "admit", "ix:P-440000-01:none", "--by", "甲")
        assert code == 1
        code, _, said = _run(at, tmp_path, "decide", "reject", waiting[0]["id"])
        assert (code, "reason" in said) == (2, True)
