"""Parsers beside the writer change the time a harvest takes and nothing else."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from app import schema
from app.catalogue import digests
from app.db import Database
from app.harvest.beside import AHEAD, Parsers
from app.harvest.engine import Engine
from app.harvest.prepare import Batch, Source, prepared
from app.harvest.worker import harvest_now
from app.protocol.connector import Entry
from tests.app.test_reconcile import Repository
from tests.faults.processes import ROOT, until
from tests.hub import Hub
from tests.peers.replay import ReplayServer


@pytest.fixture(scope="module")
def parsers() -> Iterator[Parsers]:
    made = Parsers(2)
    yield made
    made.close()


def _harvest(database: Database, url: str, parsers: Parsers | None) -> tuple[dict[str, object], tuple[int, str]]:
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": url})
    with hub.engine() as bare:
        engine = Engine(database, bare.fetcher, bare.brake, prepare=parsers, ahead=AHEAD) if parsers else bare
        report = harvest_now(engine, feed, "harvest")
    hub.check()
    with database.read() as connection:
        return report, digests.state(connection, "all")


def _repository() -> Repository:
    made = Repository(1200)
    for number in range(0, 1200, 100):
        made.records[f"r{number:03d}"] = ("2026-09-01T00:00:00Z", " ")
    return made


def test_the_catalogue_is_the_same_with_parsers(database: Database, parsers: Parsers, tmp_path: Path) -> None:
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    schema.upgrade(other)
    with ReplayServer(_repository()) as url:
        beside, one = _harvest(database, f"{url}/oai", parsers)
        alone, two = _harvest(other, f"{url}/oai", None)
    other.close()
    figures = ("seen", "created", "rejected", "pages", "requests", "bytes", "error")
    assert {n: beside[n] for n in figures} == {n: alone[n] for n in figures}
    assert (beside["seen"], beside["rejected"]) == (1200, 12)
    assert one == two


def test_a_killed_parser_costs_no_record(sqlite: Database) -> None:
    parsers = Parsers(1)
    with ReplayServer(_repository()) as url:
        first, _ = _harvest(sqlite, f"{url}/oai", parsers)
        for pid in parsers.pids():
            os.kill(pid, signal.SIGKILL)
        hub = Hub(sqlite)
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"}, platform="P-330000-01")
        with hub.engine() as bare:
            engine = Engine(sqlite, bare.fetcher, bare.brake, prepare=parsers, ahead=AHEAD)
            second = harvest_now(engine, feed, "harvest")
    parsers.close()
    assert first["created"] == second["created"] == 1188
    assert second["error"] is None


def test_parsers_killed_while_they_work_cost_no_record(sqlite: Database) -> None:
    parsers, over, killed = Parsers(2), threading.Event(), list[int]()

    def kill() -> None:
        while not over.wait(0.02):
            for pid in parsers.pids():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)

    hand = threading.Thread(target=kill)
    hand.start()
    try:
        with ReplayServer(_repository()) as url:
            report, _ = _harvest(sqlite, f"{url}/oai", parsers)
    finally:
        over.set()
        hand.join()
        parsers.close()
    assert killed
    assert (report["created"], report["rejected"], report["error"]) == (1188, 12, None)


def test_what_fails_in_a_parser_fails_here_in_its_own_way(parsers: Parsers) -> None:
    work = (Source("P-440000-01", "key", "of-no-such-kind", "{}", None), [Entry("one", b"<record/>")], b"")
    with pytest.raises(Exception) as alone:
        prepared(*work)
    with pytest.raises(type(alone.value), match=str(alone.value)):
        parsers(*work)()


SOURCE = Source("P-440000-01", "key", "oai-pmh", '{"base_url": "http://127.0.0.1/oai"}', None)


def _entry(name: str, size: int = 1) -> Entry:
    title = f"<dc:title>{name}</dc:title><dc:description>{'字' * size}</dc:description>"
    spaces = 'xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    head = f"<header><identifier>{name}</identifier><datestamp>2026-01-01</datestamp></header>"
    metadata = f"<metadata><oai_dc:dc {spaces}>{title}</oai_dc:dc></metadata>"
    return Entry(name, f"<record>{head}{metadata}</record>".encode(), "2026-01-01")


def _titles(batch: Batch) -> list[str]:
    return [arrival.record.id.rpartition("/")[2] for arrival in batch.arrivals]


def test_answers_reach_whoever_asked_and_what_nobody_waits_for_gives_its_room_back() -> None:
    parsers, most = Parsers(1), 8 * 5  # of each thread three of this turn and two of the one before

    def ask(thread: int) -> None:
        for turn in range(20):
            names = [f"{thread}-{turn}-{n}" for n in range(30)]
            parsers(SOURCE, [_entry(f"left-{name}") for name in names], b"")  # nobody waits for this one
            waits = [parsers(SOURCE, [_entry(name) for name in part], b"") for part in (names[:10], names[10:])]
            assert [_titles(wait()) for wait in waits] == [names[:10], names[10:]]

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(8)))
    (only,) = parsers._parsers
    rooms = only._rooms
    for _ in range(5):
        ask(9)
    assert rooms <= most
    assert only._rooms == rooms
    parsers.close()


def test_an_answer_can_be_asked_for_twice_and_a_large_room_is_given_back(parsers: Parsers) -> None:
    large = [_entry(f"large-{n}", 300_000) for n in range(24)]
    for _ in range(2):
        wait = parsers(SOURCE, large, b"")
        assert _titles(wait()) == _titles(wait()) == [entry.identifier for entry in large]
        del wait
        _titles(parsers(SOURCE, [_entry("small")], b"")())
    for parser in parsers._parsers:
        assert not any(room.large for room in parser._free)


def test_closed_parsers_leave_no_process_and_prepare_here(sqlite: Database) -> None:
    parsers = Parsers(1)
    with ReplayServer(_repository()) as url:
        _harvest(sqlite, f"{url}/oai", parsers)
    (pid,) = parsers.pids()
    parsers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert parsers.pids() == []
    source = Source("P-440000-01", "key", "oai-pmh", '{"base_url": "http://127.0.0.1/oai"}', None)
    assert [place for place, _ in parsers(source, [Entry("one", b"<record/>")], b"")().refused] == [0]


_WORKER = """
import time
from app.harvest.beside import Parsers
from app.harvest.prepare import Source
from app.protocol.connector import Entry
if __name__ == "__main__":
    parsers = Parsers(1)
    source = Source("P-440000-01", "key", "oai-pmh", '{"base_url": "http://127.0.0.1/oai"}', None)
    parsers(source, [Entry("one", b"<record/>")], b"")()
    print(parsers.pids()[0], flush=True)
    time.sleep(60)
"""


def test_a_killed_worker_leaves_no_parser_behind(tmp_path: Path) -> None:
    program = tmp_path / "worker.py"
    program.write_text(_WORKER)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen([sys.executable, str(program)], stdout=subprocess.PIPE, env=environment) as worker:
        assert worker.stdout is not None
        parser = int(worker.stdout.readline())
        worker.kill()
    until(lambda: not _runs(parser), 10, "the end of the parser")


def _runs(pid: int) -> bool:
    """Whether a process is there and has not ended; one whose parent is gone may wait as a zombie for another."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
