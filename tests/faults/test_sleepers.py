"""F7: a worker that is stopped past its lease and goes on later stores nothing more, on either database."""

import os
import signal
import threading
from contextlib import ExitStack, nullcontext
from multiprocessing.connection import Connection as Pipe
from typing import Any

import pytest
from sqlalchemy import func, select

from app import db
from app.catalogue.tables import moment, record
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.feeds import leases, service
from app.feeds.tables import feed as feed_table
from app.harvest import runs
from app.harvest.loop import harvest
from app.harvest.worker import Worker, heartbeat
from app.protocol.errors import HutongError
from tests.faults.processes import FORK, forked, stop, stopped, until, url_of
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

RECORDS, PAGES = 600, 3
LEASE_S = 2


class Waiting:
    """A repository that keeps one reader waiting at one page until it is told to go on; everybody else is served."""

    def __init__(self, page: int) -> None:
        self.good = face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS))
        self.page, self.reached, self.go = page, threading.Event(), threading.Event()

    def __call__(self, path: str) -> Answer:
        token = f"resumptionToken={self.page}"
        at = token in path if self.page else "ListRecords" in path
        if at and not self.reached.is_set():
            self.reached.set()
            self.go.wait(60)
        return self.good(path)


def _victim(url: str, feed: int, pipe: Pipe) -> None:
    """Worker A: one run under its own lease; what became of it.

    With its heartbeat on PostgreSQL only: stopped in the middle of a beat it would hold SQLite's one lock.
    """
    database = Database(url)
    with database.write() as connection:
        lease = leases.claim(connection, feed, "A", LEASE_S)
        known = service.by_id(connection, feed)
    assert lease is not None
    beating = nullcontext() if database.sqlite else heartbeat(database, lease)
    with Hub(database).engine() as engine, beating:
        try:
            harvest(engine, lease, known)
            pipe.send("done")
        except HutongError as error:
            pipe.send(error.kind)


def _heir(hub: Hub, number: int) -> None:
    """Worker B, in this process: runs every feed to its end."""
    with hub.engine() as engine:
        worker = Worker(engine, lease_s=30, concurrency=4, idle_s=0.05)
        worker.start()
        until(lambda: _done(hub.database) == number, 60, "B to finish all feeds")
        worker.stop()


def _done(database: Database) -> int:
    with database.read() as connection:
        query = select(func.count()).select_from(feed_table).where(feed_table.c.succeeded_at.is_not(None))
        return int(connection.execute(query).scalar_one())


def _everything(database: Database) -> list[Any]:
    """All that a late commit could have changed."""
    with database.read() as connection:
        tables = [select(t).order_by(*t.primary_key) for t in (record, moment, feed_table)]
        return [*map(tuple, (row for query in tables for row in connection.execute(query))), runs.runs(connection)]


def _stored(database: Database, feed: int) -> int:
    with database.read() as connection:
        return sum(run["created"] for run in runs.runs(connection, feed))


def test_workers_stopped_past_their_lease_at_any_page_store_nothing_more(database: Database) -> None:
    hub = Hub(database)
    with ExitStack() as stack:
        peers = [Waiting(page) for page in range(PAGES)]
        feeds = [hub.feed("oai-pmh", {"base_url": f"{stack.enter_context(ReplayServer(peer))}/oai"}) for peer in peers]
        database.close()
        ends = [FORK.Pipe(duplex=False) for _ in feeds]
        works = [(_victim, (url_of(database), feed, end[1])) for feed, end in zip(feeds, ends, strict=True)]
        sleepers = stack.enter_context(forked(*works))
        for peer, sleeper, feed in zip(peers, sleepers, feeds, strict=True):
            assert peer.reached.wait(30)
            until(
                lambda at=(feed, peer.page): _stored(database, at[0]) == 200 * at[1], 30, "the page before to be stored"
            )
            stop(sleeper.pid)
            peer.go.set()
        _heir(hub, PAGES)
        hub.check()
        assert hub.live() == hub.head() == PAGES * RECORDS
        before = _everything(database)
        for sleeper in sleepers:
            os.kill(sleeper.pid, signal.SIGCONT)
        told = [end[0].recv() for end in ends]
        for sleeper in sleepers:
            sleeper.join(30)
    assert told == ["lease.lost"] * PAGES
    assert _everything(database) == before
    with database.read() as connection:
        assert [(run["status"], run["created"]) for run in runs.runs(connection)] == [("done", RECORDS)] * PAGES


def test_a_worker_stopped_in_the_middle_of_a_transaction_holds_nobody_up_for_longer_than_the_server_allows(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds its feed's row and the counter of positions, which every writer needs."""
    monkeypatch.setattr(db, "IDLE_MS", 1500)
    hub, counted = Hub(postgres), runs.count

    def stopping(*arguments: Any, **by: int) -> None:
        counted(*arguments, **by)
        if by.get("created"):
            os.kill(os.getpid(), signal.SIGSTOP)

    server = ReplayServer(face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS)))
    with server as base, ExitStack() as stack:
        feed = hub.feed("oai-pmh", {"base_url": f"{base}/oai"})
        ours, theirs = FORK.Pipe(duplex=False)
        with monkeypatch.context() as patch:
            patch.setattr("app.harvest.store.runs.count", stopping)
            postgres.close()
            (sleeper,) = stack.enter_context(forked((_victim, (url_of(postgres), feed, theirs))))
        until(lambda: stopped(sleeper.pid), 30, "A to stop in its transaction")
        _heir(hub, 1)
        before = _everything(postgres)
        os.kill(sleeper.pid, signal.SIGCONT)
        assert ours.recv() in ("hub.unavailable", "lease.lost")
        sleeper.join(30)
    assert _everything(postgres) == before
    hub.check()
    assert hub.live() == hub.head() == RECORDS
