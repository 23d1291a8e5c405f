"""The doors of admission: REST with the administrator's key, and the command."""

import os
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app.catalogue.tables import about
from app.db import Database
from app.settings import Settings
from tests.app.admission.desk import CODE, Desk, desk, id_of
from tests.served import served

KEY = "hk_test"


@pytest.fixture
def door(database: Database, tmp_path: Path) -> Iterator[tuple[Desk, httpx.Client]]:
    """A desk with thirty records waiting, and a client with the key."""
    with database.write() as connection:
        connection.execute(about.insert(), {"name": "admin_key_hash", "value": sha256(KEY.encode()).hexdigest()})
    url = database.url.render_as_string(hide_password=False)
    settings = Settings(database_url=url, data_dir=tmp_path, secret_key="k" * 32)
    headers = {"Authorization": f"Bearer {KEY}"}
    with desk(database) as at, served(settings) as base:
        with httpx.Client(base_url=f"{base}/api/v1/admission", headers=headers) as client:
            yield at, client


def test_a_reviewer_works_through_rest_alone(door: tuple[Desk, httpx.Client]) -> None:
    at, client = door
    policy: dict[str, Any] = {"platform": CODE, "mode": "every", "hold": ["personal"]}
    assert client.put("/policies", json=policy).status_code == 200
    listed = client.get("/policies").json()["items"]
    assert [(p["platform"], p["mode"], p["hold"], "salt" in p) for p in listed] == [
        (CODE, "every", ["personal"], False)
    ]
    at.again()
    first = client.get("/queue", params={"limit": 20}).json()
    rest = client.get("/queue", params={"limit": 20, "cursor": first["next"]}).json()
    assert (len(first["items"]), len(rest["items"]), rest["next"], first["counts"]) == (20, 10, None, {"waiting": 30})
    claimed = client.post("/claims", json={"by": "甲", "number": 2}).json()["items"]
    items = [{"id": row["id"], "hash": row["hash"]} for row in claimed]
    made = client.post("/decisions", json={"decision": "admit", "items": items, "by": "甲"}).json()
    assert [item["result"] for item in made["items"]] == ["admitted", "admitted"]
    undone = client.post(f"/decisions/{made['batch']}/undo", json={"by": "甲"}).json()
    assert [item["result"] for item in undone["items"]] == ["undone", "undone"]
    reject = {"decision": "reject", "items": [{"id": id_of(9)}], "by": "甲", "reasons": ["other"], "text": "重复提交"}
    assert client.post("/decisions", json=reject).json()["items"][0]["result"] == "rejected"
    said = client.get("/verdicts", params={"record": id_of(9)}).json()["items"]
    assert [(v["text"], v["reasons"][0]["code"]) for v in said] == [("重复提交", "other")]
    page = client.get("/verdicts", params={"limit": 1}).json()
    assert client.get("/verdicts", params={"cursor": page["next"]}).json()["items"]
    assert client.request("DELETE", "/claims", params={"by": "甲"}).json() == {"released": 0}
    assert client.request("DELETE", "/policies", params={"platform": CODE}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("PUT", "/policies", {"mode": "maybe"}, 422),
        ("PUT", "/policies", {"mode": "every", "people": 9}, 422),
        ("DELETE", "/policies?platform=P-110000-01", None, 404),
        ("POST", "/decisions", {"decision": "admit", "items": [], "by": "甲"}, 422),
        ("POST", "/decisions", {"decision": "reject", "items": [{"id": "x"}], "by": "甲"}, 422),
        ("POST", "/decisions/nothing/undo", {"by": "甲"}, 404),
        ("GET", "/queue?cursor=junk", None, 410),
        ("GET", "/queue?state=public", None, 422),
    ],
)
def test_errors_are_problem_documents(
    door: tuple[Desk, httpx.Client], method: str, path: str, body: Any, status: int
) -> None:
    answer = door[1].request(method, path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_every_route_needs_the_key(door: tuple[Desk, httpx.Client]) -> None:
    client = door[1]
    for method, path in (
        ("GET", "/policies"), ("PUT", "/policies"), ("DELETE", "/policies"), ("GET", "/queue"), ("POST", "/claims"),
        ("DELETE", "/claims"), ("POST", "/decisions"), ("POST", "/decisions/x/undo"), ("GET", "/verdicts"),
    ):  # fmt: skip
        assert client.request(method, path, json={}, headers={"Authorization": ""}).status_code == 401, (method, path)


def _run(at: Desk, folder: Path, *words: str) -> tuple[int, Any, str]:
    url = at.database.url.render_as_string(hide_password=False)
    env = {**os.environ, "HUTONG_DATABASE_URL": url, "HUTONG_DATA_DIR": str(folder)}
    command = [sys.executable, "-m", "app.cli", "admission", *words, "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
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
        code, [undone], _ = _run(at, tmp_path, "undo", made["batch"])
        assert (code, undone["items"][0]["result"]) == (0, "undone")
        code, _, said = _run(at, tmp_path, "decide", "admit", "ix:P-440000-01:none", "--by", "甲")
        assert code == 1
        code, _, said = _run(at, tmp_path, "decide", "reject", waiting[0]["id"])
        assert (code, "reason" in said, "Traceback" in said) == (2, True, False)
