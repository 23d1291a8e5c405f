"""A feed's own brakes: what waits for a person follows the feed's limit where it has one, the hub's where not."""

from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app import cli
from app.access import keys
from app.db import Database
from app.feeds import brakes
from app.feeds.brakes import Brake
from app.main import create
from app.protocol.errors import BadRequest
from app.settings import Settings
from tests.app.harvest.test_host_brake import COUNT, MAPPING, NEW, Desk, Shelf
from tests.hub import Hub
from tests.peers.replay import ReplayServer

FEW = 20  # of COUNT: below the hub's 50 records, above 10 %


def _set(database: Database, feed: int, **limits: str | None) -> dict[str, Any]:
    with database.write() as connection:
        return brakes.set_(connection, feed, {Brake(name): text for name, text in limits.items()}, "学期换目录")


@pytest.mark.parametrize(("limit", "held"), [(None, 0), ("5,10%", FEW)], ids=["the hub's", "its own"])
def test_removals_wait_by_the_feeds_own_limit(database: Database, limit: str | None, held: int) -> None:
    shelf = Shelf()
    with ReplayServer(shelf.answer) as url:
        desk = Desk(database, shelf, url)
        desk.run()
        _set(database, desk.feed, delete_brake=limit)
        for id in list(shelf.items)[:FEW]:
            del shelf.items[id]
        report = desk.hub.harvest(desk.feed, "full")
    assert (report["held"], report["tombstoned"], desk.hub.live()) == (held, FEW - held, COUNT - FEW + held)
    assert [row["count"] for row in desk.waiting()] == ([held] if held else [])


@pytest.mark.parametrize(("limit", "held"), [("5,10%", FEW), ("100,30%", 0)])
def test_links_to_other_hosts_wait_by_it_too(database: Database, limit: str, held: int) -> None:
    shelf = Shelf()
    with ReplayServer(shelf.answer) as url:
        desk = Desk(database, shelf, url)
        desk.run()
        _set(database, desk.feed, host_brake=limit)
        shelf.move(FEW)
        desk.run()
    assert sum(row["count"] for row in desk.waiting()) == held
    assert desk.hosts().get(NEW, 0) == FEW - held


def test_a_limit_that_is_none_is_refused_and_one_that_is_not_named_stays(sqlite: Database) -> None:
    feed = Hub(sqlite).feed("json", {"url": "http://127.0.0.1:9/list"}, mapping=MAPPING)
    for text in ("5", "5,10", "-1,5%", "5,1000%", "5,10%\n", "五,5%"):
        with pytest.raises(BadRequest):
            _set(sqlite, feed, delete_brake=text)
    _set(sqlite, feed, delete_brake="5,10%")
    assert _set(sqlite, feed, host_brake="7,0.5%") == {"feed": feed, "delete_brake": "5,10%", "host_brake": "7,0.5%"}
    assert _set(sqlite, feed, delete_brake=None)["delete_brake"] is None


def test_the_door_is_the_operators_and_the_command_shows_and_sets(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("HUTONG_DATA_DIR", str(tmp_path))
    runner = CliRunner()
    assert runner.invoke(cli.app, ["init"]).exit_code == 0
    settings = Settings()
    database = Database(settings.url)
    feed = Hub(database).feed("json", {"url": "http://127.0.0.1:9/list"}, mapping=MAPPING)
    with database.write() as connection:
        hub = keys.issue(connection, None).key
        theirs = keys.issue(connection, "P-440000-01").key
    path, body = f"/api/v1/feeds/{feed}/brakes", {"delete_brake": "200,20%", "reason": "每学期整体更换"}
    with TestClient(create(settings, harvest=False)) as client:
        refused = client.put(path, json=body, headers={"authorization": f"Bearer {theirs}"})
        told = client.put(path, json=body, headers={"authorization": f"Bearer {hub}"})
        page = client.get(f"/feeds/{feed}", headers={"authorization": f"Bearer {hub}"})
        wrong = client.put(path, json={**body, "delete_brake": "20"}, headers={"authorization": f"Bearer {hub}"})
    assert (refused.status_code, told.status_code, wrong.status_code) == (403, 200, 422)
    assert '自己的删除闸</dt><dd class="mono">200,20%' in page.text
    assert told.json() == {"feed": feed, "delete_brake": "200,20%", "host_brake": None}
    assert "200,20%" in runner.invoke(cli.app, ["feed", "brake", str(feed), "--json"]).stdout
    assert runner.invoke(cli.app, ["feed", "brake", str(feed), "--removals", "standard"]).exit_code == 0
    with database.read() as connection:
        assert brakes.service.by_id(connection, feed)["delete_brake"] is None
    database.close()
