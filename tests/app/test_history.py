"""What happened to a record and to a run, as callers read it."""

import threading
from pathlib import Path

import orjson
from fastapi.testclient import TestClient

from app.catalogue import queries, service
from app.catalogue.arrivals import Arrival, Origin
from app.db import Database
from app.harvest import runs
from app.main import create
from app.protocol.record import Prepared, prepare
from app.settings import Settings
from tests.hub import Hub

ID = "ix:P-440000-01:f/1"


def _store(database: Database, title: str, run: int = 1, **more: object) -> None:
    made = prepare({"title": title, **more}, ID)
    assert isinstance(made, Prepared)
    with database.write() as connection:
        origin = Origin(1, run, "440000")
        service.apply(connection, [Arrival(made, title.encode()[:16])], origin)


def test_every_state_of_a_record_is_kept_with_its_run(database: Database) -> None:
    _store(database, "一", description="first")
    _store(database, "二", 2, description="first")
    with database.write() as connection:
        service.remove(connection, [ID], 3)
    _store(database, "三", 4)
    with database.read() as connection:
        states = queries.states(connection, queries.by_id(connection, ID))
    assert [(s.version, s.live, s.run_id) for s in states] == [(4, 1, 4), (3, 0, 3), (2, 1, 2), (1, 1, 1)]
    Hub(database).check()


def test_only_the_newest_twenty_earlier_states_are_kept(database: Database) -> None:
    for number in range(30):
        _store(database, f"title {number}", number)
    with database.read() as connection:
        states = queries.states(connection, queries.by_id(connection, ID))
    assert [s.version for s in states] == list(range(30, 9, -1))


def test_the_history_names_each_field_that_changed(sqlite: Database, tmp_path: Path) -> None:
    _store(sqlite, "一", description="first")
    _store(sqlite, "二", 2, keywords=["k"])
    settings = Settings(database_url=sqlite.url.render_as_string(hide_password=False), data_dir=tmp_path)
    with TestClient(create(settings, harvest=False)) as client:
        items = client.get(f"/api/v1/records/{ID}/history").json()["items"]
        assert client.get("/api/v1/records/ix:none/history").status_code == 404
    assert [c["field"] for c in items[0]["changes"]] == ["description", "keywords", "title"]
    assert items[0]["changes"][0] == {"field": "description", "old": "first", "new": None}
    assert items[1]["changes"] is None


def test_a_run_is_told_as_it_goes_and_ends(sqlite: Database, tmp_path: Path) -> None:
    feed = Hub(sqlite).feed("oai-pmh", {"base_url": "http://127.0.0.1:1/oai"})
    with sqlite.write() as connection:
        run = runs.begin(connection, feed, "harvest")
    settings = Settings(
        database_url=sqlite.url.render_as_string(hide_password=False),
        data_dir=tmp_path,
        anonymous_scopes="catalogue:read ops:read",
    )

    def ending() -> None:
        with sqlite.write() as connection:
            runs.count(connection, run, created=5)
            runs.end(connection, run, None)

    timer = threading.Timer(1.5, ending)
    timer.start()
    with TestClient(create(settings, harvest=False)) as client:
        assert client.get("/api/v1/runs/999/events").status_code == 404
        text = client.get(f"/api/v1/runs/{run}/events").text
    timer.join()
    events = [part.split("\n") for part in text.strip().split("\n\n") if not part.startswith(":")]
    assert events[0][0] == "event: run"
    assert events[-1][0] == "event: end"
    assert orjson.loads(events[-1][1].removeprefix("data: "))["created"] == 5
