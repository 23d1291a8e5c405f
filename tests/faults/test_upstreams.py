"""F5: each way in which a platform can fail has its own outcome, and a dead host is left alone."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from sqlalchemy import update

from app.db import Database, now
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.feeds import leases
from app.feeds.tables import feed as feed_table
from app.feeds.tables import host
from app.harvest import pages
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.worker import Worker, harvest_now
from tests.faults.processes import until
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

RECORDS = 500  # three pages of OAI-PMH
Script = Callable[[socket.socket, Answer], None]


def _raw(status: int, headers: dict[str, str], body: bytes) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in {"Content-Length": str(len(body)), **headers}.items())
    return f"HTTP/1.1 {status} X\r\n{lines}\r\n".encode() + body


class Scripted:
    """A repository whose next answers to ListRecords are told by a script; after them it is well again."""

    def __init__(self) -> None:
        self.good = face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS))
        self.bad: list[Script] = []
        self.lists = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/oai"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError), peer:
            while head := peer.recv(65536):
                if not head.startswith(b"GET "):  # a TLS greeting
                    return
                path = head.split(b" ")[1].decode()
                answer, script = self.good(path), None
                if "ListRecords" in path:
                    self.lists += 1
                    script = self.bad.pop(0) if self.bad else None
                if script is None:
                    peer.sendall(_raw(*answer))
                else:
                    script(peer, answer)
                    return

    def close(self) -> None:
        self._listener.close()


@pytest.fixture
def peer() -> Iterator[Scripted]:
    """A repository of 500 records."""
    made = Scripted()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries, a hundred times shorter."""
    monkeypatch.setattr(pages, "RETRIES", (0.01, 0.02, 0.04))


def status(number: int, *, body: bytes = b"<html>", **headers: str) -> Script:
    return lambda peer, _: peer.sendall(_raw(number, {k.replace("_", "-"): v for k, v in headers.items()}, body))


def silent(peer: socket.socket, _: Answer) -> None:
    time.sleep(1.2)


def reset(peer: socket.socket, _: Answer) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def cut_on_the_wire(peer: socket.socket, answer: Answer) -> None:
    peer.sendall(_raw(*answer)[: -len(answer[2]) // 2])


def cut_at_the_source(peer: socket.socket, answer: Answer) -> None:
    peer.sendall(_raw(200, {}, answer[2][: len(answer[2]) // 2]))


def empty(peer: socket.socket, _: Answer) -> None:
    peer.sendall(_raw(200, {}, b""))


def no_records_match(peer: socket.socket, answer: Answer) -> None:
    start, end = answer[2].index(b"<ListRecords>"), answer[2].index(b"</ListRecords>") + len(b"</ListRecords>")
    peer.sendall(_raw(200, {}, answer[2][:start] + b'<error code="noRecordsMatch"/>' + answer[2][end:]))


def _harvest(database: Database, feed: int) -> dict[str, Any]:
    fetcher = Fetcher(allow="127.0.0.0/8", read_s=0.4)
    try:
        return harvest_now(Engine(database, fetcher, (50, 0.05)), feed, "harvest")
    finally:
        fetcher.close()


# What a second page meets: the script, how often, the run's status and kind, how often the page is asked for.
OUTCOMES = [
    ("one 500", [status(500)], "done", None, 2),
    ("500 three times", [status(500)] * 3, "done", None, 4),
    ("500 for ever", [status(500)] * 9, "failed", "peer.unavailable", 4),
    ("502 with a page", [status(502, body=b"<html>bad gateway")] * 9, "failed", "peer.unavailable", 4),
    ("503 without a time", [status(503)] * 9, "failed", "peer.unavailable", 4),
    ("429, a moment", [status(429, Retry_After="0")], "done", None, 2),
    ("429, an hour", [status(429, Retry_After="3600")] * 9, "running", "peer.throttled", 1),
    ("429 without a time", [status(429)] * 9, "running", "peer.throttled", 1),
    ("503, an hour", [status(503, Retry_After="3600")] * 9, "running", "peer.throttled", 1),
    ("no answer", [silent] * 9, "failed", "peer.unavailable", 4),
    ("one reset", [reset], "done", None, 2),
    ("reset for ever", [reset] * 9, "failed", "peer.unavailable", 4),
    ("cut on the wire once", [cut_on_the_wire], "done", None, 2),
    ("cut on the wire", [cut_on_the_wire] * 9, "failed", "peer.unavailable", 4),
    ("cut at the source", [cut_at_the_source] * 9, "failed", "xml.malformed", 1),
    ("empty", [empty] * 9, "failed", "page.empty", 1),
    ("401", [status(401)] * 9, "failed", "peer.refused", 1),
    ("404", [status(404)] * 9, "failed", "peer.refused", 1),
    ("a redirect to itself", [status(302, Location="/oai?verb=ListRecords&again=1")] * 9, "failed", "net.redirects", 4),
]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "ends", "kind", "asked"), [one[1:] for one in OUTCOMES], ids=[one[0] for one in OUTCOMES]
)
def test_each_fault_of_a_platform_has_its_outcome_and_nothing_is_lost(
    sqlite: Database, peer: Scripted, script: list[Script], ends: str, kind: str | None, asked: int
) -> None:
    hub = Hub(sqlite)
    feed = hub.feed("oai-pmh", {"base_url": peer.url})
    good = peer.good
    peer.bad = [lambda p, a: p.sendall(_raw(*a)), *script]
    report = _harvest(sqlite, feed)
    assert (report["status"], (report["error"] or {}).get("kind")) == (ends, kind)
    assert peer.lists == (1 + asked if kind else 3 + asked - 1)
    assert hub.live() == (200 if kind else RECORDS), "the pages before are kept, nothing is deleted"
    with sqlite.read() as connection:
        at = leases.checkpoint(connection, feed)
    assert ("from" in at) == (kind is None), "a run that failed does not move the window"
    peer.bad, peer.good = [], good
    assert _harvest(sqlite, feed)["status"] == "done"
    assert hub.live() == RECORDS
    hub.check()


def test_a_list_that_is_empty_all_at_once_deletes_nothing(sqlite: Database, peer: Scripted) -> None:
    hub = Hub(sqlite)
    feed = hub.feed("oai-pmh", {"base_url": peer.url})
    _harvest(sqlite, feed)
    peer.bad = [no_records_match]
    assert (_harvest(sqlite, feed)["status"], hub.live()) == ("done", RECORDS)


def test_a_server_that_speaks_no_tls_where_it_should_is_unavailable(sqlite: Database, peer: Scripted) -> None:
    feed = Hub(sqlite).feed("oai-pmh", {"base_url": peer.url.replace("http:", "https:")})
    report = _harvest(sqlite, feed)
    assert (report["status"], report["error"]["kind"]) == ("failed", "peer.unavailable")


@contextmanager
def _dead() -> Iterator[tuple[int, list[float]]]:
    """A port where every connection is closed at once, and when each came."""
    listener = socket.create_server(("127.0.0.1", 0))
    came: list[float] = []

    def listen() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                came.append(time.monotonic())
                connection.close()

    threading.Thread(target=listen, daemon=True).start()
    yield listener.getsockname()[1], came
    listener.close()


def test_a_dead_host_with_many_feeds_is_asked_five_times_a_minute_at_most(database: Database) -> None:
    hub = Hub(database)
    with _dead() as (port, came), ReplayServer(face(DemoPlatform("P-440000-01", "x", "oai-pmh", None, 30))) as well:
        dead = [hub.feed("oai-pmh", {"base_url": f"http://127.0.0.1:{port}/oai"}) for _ in range(8)]
        hub.feed("oai-pmh", {"base_url": f"{well}/oai"})
        with hub.engine() as engine:
            worker = Worker(engine, lease_s=30, concurrency=6, idle_s=0.02)
            worker.start()
            for minute in range(1, 4):
                until(lambda: _resting(database), 30, "the host to be left alone")
                time.sleep(0.5)
                assert len(came) <= 5 * minute, f"after {minute} minutes"
                with database.write() as connection:
                    # A minute later, and every feed's own pause is over too.
                    connection.execute(update(host).values(not_before=0))
                    connection.execute(update(feed_table).where(feed_table.c.id.in_(dead)).values(next_at=0))
            until(lambda: hub.live() == 30, 30, "the others to go on")
            worker.stop()


def _resting(database: Database) -> bool:
    with database.read() as connection:
        rows = connection.execute(host.select()).all()
        return any(row.not_before > now(connection) for row in rows)


def test_a_host_that_answers_again_is_as_good_as_new(sqlite: Database, peer: Scripted) -> None:
    feed = Hub(sqlite).feed("oai-pmh", {"base_url": peer.url})
    peer.bad = [reset, reset, reset]
    assert _harvest(sqlite, feed)["status"] == "done"
    with sqlite.read() as connection:
        assert [row.failures for row in connection.execute(host.select())] == [0]
