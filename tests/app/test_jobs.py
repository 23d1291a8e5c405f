"""The jobs as REST and as commands: one engine behind both, keys asked for, errors by name."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import jsonschema
import pytest

from app import schema
from app.access import keys
from app.catalogue import queries
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import MAPPING, face
from app.main import create
from app.protocol import rules
from app.settings import Settings
from tests.commands import Done, hutong
from tests.hub import Hub
from tests.peers.replay import ReplayServer
from tests.served import listening

ROOT = Path(__file__).resolve().parents[2]


class Served(NamedTuple):
    """A hub over a real socket, the platform it has harvested, and the record to ask for."""

    client: httpx.Client
    folder: Path
    peer: str
    feed: int
    record: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("hub")
    settings = Settings(data_dir=folder, secret_key="k" * 32, fetch_allow="127.0.0.0/8")
    database = Database(settings.url)
    schema.upgrade(database)
    hub = Hub(database)
    with ReplayServer(face(DemoPlatform("P-650000-01", "新疆平台", "static-parts", "bad records", 200))) as peer:
        feed = hub.feed("static-parts", {"manifest_url": f"{peer}/data_version.json"}, "P-650000-01", mapping=MAPPING)
        hub.harvest(feed)
        with database.write() as connection:
            key = keys.issue(connection, None).key
            record = queries.changes(connection, after=0, limit=1)[0].id
        bearer = {"Authorization": f"Bearer {key}"}
        with (
            listening(create(settings, harvest=False)) as url,
            httpx.Client(base_url=f"{url}/api/v1", headers=bearer, trust_env=False, timeout=60) as client,
        ):
            yield Served(client, folder, peer, feed, record)
    database.close()


def _post(served: Served, path: str, body: Any, status: int = 200) -> Any:
    answer = served.client.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def test_probe_preview_validate_and_remap_answer_over_rest(served: Served) -> None:
    found = _post(served, "/probe", {"url": f"{served.peer}/data_version.json"})
    assert found["kinds"][0]["connector"] == "static-parts"
    assert found["mapping"]["fields"]["title"] == {"path": "title"}
    assert len(_post(served, "/preview", {"feed": served.feed})["records"]) == 20
    by_url = _post(served, "/preview", {"url": f"{served.peer}/data_version.json", "records": 5})
    assert [item["record"]["title"] != "" for item in by_url["records"]] == [True] * 5
    report = _post(served, "/validate", {"feed": served.feed, "records": 1000})
    assert (report["seen"], report["refused"], report["rules"][0]["rule"]) == (200, 2, "record.title_missing")
    mapping = {**MAPPING, "defaults": {"title": "无题"}}
    trial = _post(served, f"/feeds/{served.feed}/remap", {"mapping": mapping})
    assert (trial["live"], trial["same"], trial["mended"]) == (198, 198, 2)
    applied = _post(served, f"/feeds/{served.feed}/remap", {"mapping": mapping, "apply": True})
    assert (applied["live"]["unchanged"], applied["quarantined"]["created"]) == (198, 2)


def test_a_record_is_explained_over_rest(served: Served) -> None:
    found = served.client.get(f"/records/{served.record}/explain").json()
    assert {item["field"] for item in found["fields"]} >= {"title", "subject"}
    assert served.client.get("/records/ix:P-650000-01:no/1/explain").status_code == 404
    assert served.client.get(f"/records/{served.record}").json()["id"] == served.record


@pytest.mark.parametrize(
    ("path", "body", "says"),
    [
        ("/probe", {"url": "ftp://a"}, "url"),
        ("/preview", {}, "exactly one of"),
        ("/preview", {"feed": 1, "url": "http://127.0.0.1:1/"}, "exactly one of"),
        ("/preview", {"connector": "nothing"}, "there is no connector"),
        ("/preview", {"connector": "ix", "config": {"base": 1}}, "configuration of ix"),
        ("/preview", {"feed": 1, "mapping": {"version": 1, "fields": {"titel": {"path": "a"}}}}, "no such field titel"),
        ("/preview", {"feed": 1, "records": 5000}, "records"),
        ("/feeds/1/remap", {"mapping": {"version": 3, "fields": {}}}, "/version"),
    ],
)
def test_wrong_requests_are_named(served: Served, path: str, body: Any, says: str) -> None:
    answer = _post(served, path, body, 422)
    assert says in answer["detail"]
    assert answer["kind"] == "request.invalid"


def test_an_address_that_does_not_answer_is_the_other_sides_fault(served: Served) -> None:
    body = {"connector": "ix", "config": {"base_url": "http://127.0.0.1:1/"}}
    assert _post(served, "/preview", body, 502)["kind"].startswith(("peer.", "net."))
    assert _post(served, "/preview", {"feed": 99}, 404)["kind"] == "not_found"


@pytest.mark.parametrize("path", ["/probe", "/preview", "/validate", "/feeds/1/remap"])
def test_jobs_ask_for_the_administrators_key(served: Served, path: str) -> None:
    assert served.client.post(path, json={}, headers={"Authorization": "Bearer no"}).status_code == 401


def test_schema_rules_and_their_pages_are_open_to_all(served: Served) -> None:
    nobody = {"Authorization": ""}
    made = served.client.get("/mapping-schema", headers=nobody).json()
    jsonschema.Draft202012Validator(made).validate(MAPPING)
    listed = served.client.get("/rules", params={"severity": "error"}, headers=nobody).json()["items"]
    assert [item["id"] for item in listed] == [r.id for r in rules.RULES.values() if r.severity == "error"]
    root = str(served.client.base_url).replace("/api/v1/", "")
    for id in rules.RULES:
        page = httpx.get(f"{root}/problems/{id}", trust_env=False)
        assert page.status_code == 200
        assert f"`{id}`" in page.text


def _hutong(served: Served, *words: str) -> Done:
    return hutong(*words, HUTONG_DATA_DIR=str(served.folder), HUTONG_FETCH_ALLOW="127.0.0.0/8")


def test_the_commands_answer_with_tables_json_and_exit_codes(served: Served, tmp_path: Path) -> None:
    done = _hutong(served, "probe", f"{served.peer}/data_version.json", "--json")
    assert (done.returncode, json.loads(done.stdout)["kinds"][0]["connector"]) == (0, "static-parts")
    done = _hutong(served, "preview", str(served.feed), "-n", "3")
    assert done.returncode == 0
    assert "score" in done.stderr
    rest = tmp_path / "rest.csv"
    done = _hutong(served, "validate", str(served.feed), "--csv", str(rest), "--mapping", json.dumps(MAPPING), "--json")
    assert (done.returncode, json.loads(done.stdout)["refused"]) == (1, 2)
    assert "record.title_missing" in rest.read_text("utf-8-sig")
    done = _hutong(served, "record", served.record, "--explain", "--json")
    assert json.loads(done.stdout)["id"] == served.record
    done = _hutong(served, "feed", "remap", str(served.feed), "--mapping", json.dumps(MAPPING), "--json")
    assert (done.returncode, json.loads(done.stdout)["unkept"]) == (0, 0)


def test_a_wrong_command_is_one_sentence_and_no_traceback(served: Served) -> None:
    for words in (
        ("feed", "remap", "1", "--mapping", "@/no/such/file"),
        ("preview", "99"),
        ("probe", f"{served.peer}/nothing-here-["),
    ):
        done = _hutong(served, *words)
        assert done.returncode in (1, 2)
        assert done.stdout + done.stderr
