"""F12: a record or a page that kills every worker who reads it is found out, refused by name, and the others go on."""

import faulthandler
import os
import runpy
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app.db import Database
from app.feeds.tables import feed as feed_table
from app.harvest import quarantine, runs
from app.harvest.tables import rejection
from app.harvest.worker import Worker
from tests.faults.processes import forked, until, url_of
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

# What a fault in a library of C looks like from outside; in every process of this test, also those begun anew.
POISON = """
import os, signal
from app.harvest import prepare
from app.protocol.documents import Array
one, values = prepare._one, Array.values
def _one(made, id, draft):
    if "poison" in str(draft):
        os.kill(os.getpid(), signal.SIGSEGV)
    return one(made, id, draft)
def _values(self, content):
    if b"deadly" in content:
        os.kill(os.getpid(), signal.SIGSEGV)
    return values(self, content)
prepare._one, Array.values = _one, _values
"""
MAPPING = {"version": 1, "fields": {"title": {"path": "title"}}}


def _work(url: str, poison: str) -> None:
    faulthandler.disable()  # these deaths are meant
    runpy.run_path(poison)
    with Hub(Database(url)).engine() as engine:
        Worker(engine, lease_s=1, concurrency=1, idle_s=0.02).start()
        threading.Event().wait()


@pytest.fixture
def poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The file that every process reads when it begins."""
    file = tmp_path / "site" / "sitecustomize.py"
    file.parent.mkdir()
    file.write_text(POISON)
    monkeypatch.setenv("PYTHONPATH", f"{file.parent}{os.pathsep}{Path(__file__).resolve().parents[2]}")
    return str(file)


def _serving(titles: list[str]) -> ReplayServer:
    items = ",".join(f'{{"id":"{n:03d}","title":"{title}"}}' for n, title in enumerate(titles))
    answer: Answer = (200, {"Content-Type": "application/json"}, f"[{items}]".encode())
    return ReplayServer(lambda _: answer)


def _runs(database: Database, feed: int) -> list[dict[str, Any]]:
    with database.read() as connection:
        return [run for run in runs.runs(connection, feed) if run["status"] != "running"]


def _lost_workers(database: Database, poison: str, feeds: int) -> int:
    """Begins a worker whenever the last one died, as a service manager does, until every feed has ended a run."""
    died = 0
    while len({run["feed"] for feed in range(1, feeds + 1) for run in _runs(database, feed)}) < feeds:
        assert died < 6, "every worker dies"
        database.close()
        with forked((_work, (url_of(database), poison))) as (worker,):
            until(
                lambda: not worker.is_alive() or all(_runs(database, feed) for feed in range(1, feeds + 1)),
                60,
                "the worker to die or all runs to end",
            )
            died += not worker.is_alive()
    return died


def test_a_record_that_kills_its_readers_is_quarantined_with_its_bytes_and_the_rest_arrives(
    database: Database, poison: str
) -> None:
    hub = Hub(database)
    with _serving([*["好"] * 30, "poison", *["好"] * 30]) as bad, _serving(["好"] * 5) as good:
        feed = hub.feed("json", {"url": bad}, mapping=MAPPING)
        hub.feed("json", {"url": good}, mapping=MAPPING)
        assert _lost_workers(database, poison, 2) == 3
        hub.check()
        assert hub.live() == 60 + 5
        assert [(run["status"], run["created"], run["rejected"]) for run in _runs(database, feed)] == [
            ("partial", 60, 1)
        ]
        with database.read() as connection:
            (row,) = connection.execute(select(rejection)).all()
            assert quarantine.waiting(connection, feed) == [], "a replay does not parse it"
        assert (row.rule, row.identifier, bytes(row.raw)) == ("record.poison", "030", b'{"id":"030","title":"poison"}')
        # From now on it is refused unread.
        with database.write() as connection:
            connection.execute(feed_table.update().values(next_at=0))
        with forked((_work, (url_of(database), poison))) as (worker,):
            until(lambda: len(_runs(database, feed)) == 2 or not worker.is_alive(), 60, "the second run")
            assert worker.is_alive()
    hub.check()
    assert hub.live() == 65


def test_an_answer_that_kills_its_readers_fails_its_run_by_name_and_nobody_dies_of_it_again(
    sqlite: Database, poison: str
) -> None:
    hub = Hub(sqlite)
    with _serving(["deadly"] * 3) as bad, _serving(["好"] * 5) as good:
        feed = hub.feed("json", {"url": bad}, mapping=MAPPING)
        hub.feed("json", {"url": good}, mapping=MAPPING)
        assert _lost_workers(sqlite, poison, 2) == 3
        assert [run["error"]["kind"] for run in _runs(sqlite, feed)] == ["page.poison"]
        with sqlite.write() as connection:
            connection.execute(feed_table.update().values(next_at=0))
        with forked((_work, (url_of(sqlite), poison))) as (worker,):
            until(lambda: len(_runs(sqlite, feed)) == 2 or not worker.is_alive(), 60, "the second run")
            assert worker.is_alive()
    assert hub.live() == 5
