"""REST and commands of monitoring, over real sockets and in real processes."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import schema
from app.access import keys
from app.access.keyring import keyring
from app.db import Database
from app.harvest import runs
from app.monitor import incidents
from app.monitor.causes import Cause, Rule
from app.protocol.errors import PeerUnavailable
from app.settings import Settings
from tests.app.monitor.receivers import Receiver
from tests.commands import hutong
from tests.hub import Hub
from tests.served import served

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A hub's data with a dead feed and three open incidents."""
    made = tmp_path_factory.mktemp("hub")
    database = Database(Settings(data_dir=made).url)
    schema.upgrade(database)
    number = Hub(database).feed("ix", {"base_url": "http://127.0.0.1:9"})
    with database.write() as connection:
        runs.end(connection, runs.begin(connection, number, "harvest"), PeerUnavailable("nobody there"))
        held = [Cause(f"held:{n}", Rule.HELD, "source", f"cause {n}", (n,)) for n in (1, 2, 3)]
        incidents.reconcile(connection, held)
    database.close()
    return made


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    settings = Settings(data_dir=folder, secret_key="k" * 32, fetch_allow="127.0.0.0/8", alert_every_s=0)
    database = Database(settings.url)
    with database.write() as connection:
        key = keys.issue(connection, None).key
    database.close()
    with served(settings) as base:
        headers = {"Authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"{base}/api/v1", headers=headers, trust_env=False, timeout=60) as made:
            yield made


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/incidents"), ("GET", "/incidents/1"), ("POST", "/incidents/1/ack"), ("GET", "/alert-routes"),
     ("POST", "/alert-routes"), ("POST", "/alert-routes/1/test"), ("POST", "/alert-routes/1/pause"),
     ("DELETE", "/alert-routes/1"), ("GET", "/feeds/1/objective"), ("PUT", "/feeds/1/objective"),
     ("DELETE", "/feeds/1/objective"), ("GET", "/waits")],
)  # fmt: skip
def test_every_door_asks_for_the_key(client: httpx.Client, method: str, path: str) -> None:
    answer = client.request(method, path, headers={"Authorization": "Bearer other"}, json={})
    assert answer.status_code == 401, answer.text


def test_incidents_page_by_cursor_and_are_acknowledged(client: httpx.Client) -> None:
    first = client.get("/incidents", params={"limit": 2}).json()
    rest = client.get("/incidents", params={"limit": 2, "cursor": first["next"]}).json()
    assert [one["id"] for one in first["items"] + rest["items"]] == [3, 2, 1]
    assert rest["next"] is None
    found = client.post("/incidents/2/ack", json={"by": "王敏"}).json()
    assert (found["state"], client.get("/incidents/2").json()["acknowledged_by"]) == ("acknowledged", "王敏")
    assert client.get("/incidents/99").status_code == 404
    assert client.get("/incidents/99999999999999999999").status_code == 422
    assert client.get("/incidents", params={"cursor": "forged"}).status_code == 410
    assert client.get("/incidents", params={"state": "maybe"}).status_code == 422
    assert client.post("/incidents/1/ack", json={"by": ""}).status_code == 422


def test_a_route_is_made_tested_paused_and_forgotten_and_tells_its_key_once(client: httpx.Client) -> None:
    with Receiver().serving() as receiver:
        body = {"name": "监控室", "kind": "webhook", "url": f"{receiver.url}/hook?token=of-route", "rules": ["failing"]}
        made = client.post("/alert-routes", json=body)
        assert (made.status_code, made.json()["key"][:6]) == (201, "whsec_")
        number = made.json()["id"]
        listed = client.get("/alert-routes").text
        assert "whsec_" not in listed
        assert "of-route" not in listed
        assert client.post(f"/alert-routes/{number}/test").json()["told"] is True
        receiver.status = 500
        failed = client.post(f"/alert-routes/{number}/test")
        assert (failed.status_code, failed.json()["kind"]) == (502, "alert.undelivered")
        assert client.post("/alert-routes", json=body).status_code == 409
    assert client.post(f"/alert-routes/{number}/pause").json()["state"] == "paused"
    assert client.delete(f"/alert-routes/{number}").status_code == 204
    assert client.delete(f"/alert-routes/{number}").status_code == 404


def test_an_objective_is_agreed_and_taken_back(client: httpx.Client) -> None:
    assert client.put("/feeds/1/objective", json={"within_s": 7200, "permille": 990}).json()["own"] is True
    assert client.get("/feeds/1/objective").json()["permille"] == 990
    assert client.delete("/feeds/1/objective").json()["within_s"] == 1800
    assert client.put("/feeds/1/objective", json={"within_s": 10}).status_code == 422
    assert client.put("/feeds/404/objective", json={"within_s": 7200}).status_code == 404
    assert [wait["why"] for wait in client.get("/waits").json()["items"]] == ["due"]


def _hutong(folder: Path, *words: str) -> tuple[int, Any, str]:
    done = hutong(*words, HUTONG_DATA_DIR=str(folder), HUTONG_FETCH_ALLOW="127.0.0.0/8")
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return done.returncode, lines, done.stdout + done.stderr


@pytest.mark.usefixtures("as_in_production")
def test_the_commands_do_what_the_doors_do(folder: Path) -> None:
    status, (found,), _ = _hutong(folder, "doctor", "--json")
    assert (status, found["good"]) == (1, False)
    assert [check["check"] for check in found["checks"] if not check["good"]] == ["feeds"]
    assert _hutong(folder, "doctor")[0] == 1
    assert [one["id"] for one in _hutong(folder, "alerts", "list", "--json")[1]] == [3, 2, 1]
    assert _hutong(folder, "alerts", "ack", "3", "--by", "李雷", "--json")[1][0]["acknowledged_by"] == "李雷"
    assert _hutong(folder, "alerts", "ack", "404", "--by", "李雷")[0] == 1
    assert _hutong(folder, "objective", "1", "--within", "3600", "--share", "99", "--json")[1][0]["permille"] == 990
    assert _hutong(folder, "objective", "1", "--within", "1")[0] == 2
    with Receiver().serving() as receiver:
        words = ("alerts", "route", "add", "bot", "--kind", "wecom", "--url", f"{receiver.url}/send?key=hush", "--json")
        status, (route,), said = _hutong(folder, *words)
        assert (status, "hush" in said) == (0, False)
        assert _hutong(folder, "alerts", "test", str(route["id"]))[0] == 0
        assert len(receiver.posted) == 1
        assert "hush" not in _hutong(folder, "alerts", "route", "list", "--json")[2]
    status, _, said = _hutong(folder, "alerts", "test", str(route["id"]))
    assert (status, "alert.undelivered" in said, "hush" in said) == (1, True, False)
    assert _hutong(folder, "alerts", "route", "remove", str(route["id"]))[0] == 0
    assert _hutong(folder, "alerts", "route", "add", "m", "--kind", "mail", "--to", "a@b.cn")[0] == 2


def test_two_hubs_on_one_database_look_by_themselves_and_tell_once(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, secret_key="k" * 32, fetch_allow="127.0.0.0/8", alert_every_s=0.3)
    database = Database(settings.url)
    schema.upgrade(database)
    number = Hub(database).feed("ix", {"base_url": "http://127.0.0.1:9"})
    from app.monitor import alert_routes

    with Receiver().serving() as receiver:
        with database.write() as connection:
            alert_routes.add(
                connection, keyring(settings), name="bot", kind="wecom", url=receiver.url, rules=["failing"]
            )
            runs.end(connection, runs.begin(connection, number, "harvest"), PeerUnavailable("nobody there"))
        with served(settings), served(settings):
            until = time.monotonic() + 20
            while not receiver.posted and time.monotonic() < until:
                time.sleep(0.05)
            time.sleep(1.5)
        assert len(receiver.posted) == 1
    with database.read() as connection:
        assert [one["cause"] for one in incidents.incidents(connection)] == ["host:127.0.0.1:9"]
    database.close()
