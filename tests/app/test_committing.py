"""A page is committed while the next one is read: what may go wrong between the two."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, event, select, update

from app import db, schema
from app.catalogue.tables import about
from app.db import Database
from app.feeds.tables import feed as feed_table
from app.harvest import store
from app.harvest.engine import Engine
from app.harvest.worker import harvest_now
from app.protocol.errors import Unavailable
from app.protocol.oaipmh import resumption
from tests.app.test_reconcile import Repository
from tests.faults.processes import until
from tests.hub import Hub
from tests.peers.replay import ReplayServer

SIZE, PAGES = 100, 3  # records a page; the first commit of a run is that of Identify


@contextmanager
def _before_commits(database: Database, what: Callable[[int], object]) -> Iterator[None]:
    """Calls `what` with the number of each writing transaction that is about to commit in a thread beside."""
    numbers = iter(range(1, 1000))

    def commit(_: Any) -> None:
        if threading.current_thread().name.startswith("commit"):
            what(next(numbers))

    for engine in database.engines:
        event.listen(engine, "commit", commit)
    try:
        yield
    finally:
        for engine in database.engines:
            event.remove(engine, "commit", commit)


class _Pages(Repository):
    """A repository of PAGES pages that counts which were asked for."""

    pages = 0

    def _body(self, query: dict[str, str]) -> str:
        if query["verb"] != "ListRecords":
            return super()._body(query)
        self.pages += 1
        start = int(query.get("resumptionToken", "0"))
        listed = list(self.records)[start : start + SIZE]
        token = resumption(str(start + SIZE) if start + SIZE < len(self.records) else "", cursor=start)
        return f"<ListRecords>{''.join(map(self._record, listed))}{token}</ListRecords>"


def _noted(connection: Connection) -> Any:
    return connection.execute(select(about.c.value).where(about.c.name == "noted")).scalar()


def _note(connection: Connection) -> str:
    connection.execute(about.insert(), {"name": "noted", "value": "yes"})
    return "made"


@pytest.fixture
def beside() -> Iterator[Executor]:
    with ThreadPoolExecutor(1, "commit") as thread:
        yield thread


def test_what_was_written_holds_when_the_call_returns_and_not_before_the_commit(
    database: Database, beside: Executor
) -> None:
    go_on = threading.Event()
    with _before_commits(database, lambda _: go_on.wait(10)):
        ended = database.committing(_note, beside)
        with database.read() as connection:
            assert _noted(connection) is None
        go_on.set()
        assert ended() == "made"
    with database.read() as connection:
        assert _noted(connection) == "yes"


def test_the_next_writer_waits_for_the_commit(sqlite: Database, beside: Executor) -> None:
    """One writer at a time, whoever ends the transaction."""
    order: list[str] = []

    def slowly(_: int) -> None:
        time.sleep(0.3)
        order.append("committed")

    with _before_commits(sqlite, slowly):
        ended = sqlite.committing(_note, beside)
        with sqlite.write() as connection:
            order.append("written")
            assert _noted(connection) == "yes"
        ended()
    assert order == ["committed", "written"]


def test_what_fails_inside_is_rolled_back_at_once(database: Database, beside: Executor) -> None:
    def work(connection: Any) -> None:
        _note(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.committing(work, beside)
    with database.write() as connection:
        assert _noted(connection) is None


def test_a_commit_that_fails_is_told_by_the_call(database: Database, beside: Executor) -> None:
    def fail(_: int) -> None:
        raise Unavailable("the disk went away")

    with _before_commits(database, fail):
        ended = database.committing(_note, beside)
        with pytest.raises(Unavailable, match="went away"):
            ended()
    with database.write() as connection:
        assert _noted(connection) is None


@pytest.fixture
def no_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread that commits can be started."""
    start = threading.Thread.start

    def refusing(thread: threading.Thread) -> None:
        if thread.name.startswith("commit"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refusing)


@pytest.mark.usefixtures("no_thread")
def test_without_a_thread_it_commits_where_it_stands(database: Database, beside: Executor) -> None:
    assert database.committing(_note, beside)() == "made"
    with database.read() as connection:
        assert _noted(connection) == "yes"


@pytest.mark.usefixtures("no_thread")
def test_without_a_thread_a_harvest_goes_on(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CHECKPOINT", 1)
    with ReplayServer(_Pages(SIZE * PAGES)) as url:
        feed = Hub(database).feed("oai-pmh", {"base_url": f"{url}/oai"})
        report = Hub(database).harvest(feed)
    assert (report["error"], report["created"]) == (None, SIZE * PAGES)


def test_the_next_page_is_asked_for_while_one_is_committed(database: Database) -> None:
    repository, met = _Pages(SIZE * PAGES), list[bool]()

    def overtaken(number: int) -> None:
        deadline = time.monotonic() + 5
        while repository.pages < number <= PAGES and time.monotonic() < deadline:
            time.sleep(0.01)
        met.append(number > PAGES or repository.pages >= number)

    with ReplayServer(repository) as url:
        feed = Hub(database).feed("oai-pmh", {"base_url": f"{url}/oai"})
        with _before_commits(database, overtaken):
            assert Hub(database).harvest(feed)["created"] == SIZE * PAGES
    assert met == [True] * (PAGES + 1)


def test_after_a_reader_has_died_nothing_is_read_before_the_page_before_it_is_stored(database: Database) -> None:
    """Else a page that kills its reader could keep the one before it from ever being stored."""
    repository, asked = _Pages(SIZE * PAGES), list[int]()

    def look(_: int) -> None:
        time.sleep(0.1)
        asked.append(repository.pages)

    with ReplayServer(repository) as url:
        feed = Hub(database).feed("oai-pmh", {"base_url": f"{url}/oai"})
        with database.write() as connection:
            connection.execute(update(feed_table).where(feed_table.c.id == feed).values(deaths=1))
        with _before_commits(database, look):
            assert Hub(database).harvest(feed)["created"] == SIZE * PAGES
    assert asked == [0, 1, 2, 3]


def test_no_page_is_stored_after_one_whose_commit_failed(database: Database) -> None:
    """Not even when it is ready: its checkpoint would lead past the lost one."""
    repository, hub = _Pages(SIZE * PAGES), Hub(database)

    def fail(number: int) -> None:
        if number == 3:
            raise Unavailable("the disk went away")

    with ReplayServer(repository) as url:
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"})
        with _before_commits(database, fail), hub.engine() as engine, pytest.raises(Unavailable):
            harvest_now(engine, feed, "harvest")
        assert repository.pages == 3
        assert hub.live() == SIZE
        with database.write() as connection:
            connection.execute(update(feed_table).values(lease_until=0))
        report = hub.harvest(feed)
    assert report["error"] is None
    assert hub.live() == SIZE * PAGES


def test_the_log_is_moved_into_the_file_beside_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a single checkpoint of the writer's own."""
    monkeypatch.setitem(db._PRAGMAS, "wal_autocheckpoint", "0")
    monkeypatch.setattr(store, "CHECKPOINT", 1)
    file = tmp_path / "hub.db"
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    with ReplayServer(_Pages(SIZE * PAGES)) as url, Hub(database).engine() as engine:
        feed = Hub(database).feed("oai-pmh", {"base_url": f"{url}/oai"})
        before = file.stat().st_size
        assert harvest_now(Engine(database, engine.fetcher, engine.brake), feed, "harvest")["created"] == SIZE * PAGES
    until(lambda: file.stat().st_size > before + 200_000, 10, "the pages to reach the file")
    database.close()
