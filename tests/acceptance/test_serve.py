"""`hutong serve --workers` and `hutong worker` as real processes: they share the work and end cleanly on SIGTERM."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.feeds import leases, service
from app.feeds.tables import feed as feed_table
from app.harvest.runs import runs
from app.harvest.worker import Worker
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer
from tests.ports import free

RECORDS = 2000
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def _process(database: Database, folder: Path, *command: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`hutong ...` as a process of its own, on this database."""
    settings = {
        "HUTONG_DATABASE_URL": database.url.render_as_string(hide_password=False), "HUTONG_DATA_DIR": str(folder),
        "HUTONG_FETCH_ALLOW": "127.0.0.0/8", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    with (folder / "log").open("ab") as log:
        run = [sys.executable, "-m", "app.cli", *command]
        with subprocess.Popen(run, env=os.environ | settings, stderr=log, stdout=log) as process:
            try:
                yield process
            finally:
                process.terminate()


def _until(true: Callable[[], bool], patience_s: float = 60) -> None:
    until = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _children(pid: int) -> list[int]:
    """Direct children of a process (Linux)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _ended(process: "subprocess.Popen[bytes]") -> int:
    """The exit status after SIGTERM, within the time a service manager gives."""
    process.send_signal(signal.SIGTERM)
    return process.wait(timeout=30)


@pytest.fixture
def port() -> int:
    """A free port."""
    return free()


def test_several_processes_serve_and_harvest_and_hand_their_runs_over_when_they_end(
    database: Database, tmp_path: Path, port: int
) -> None:
    hub, url = Hub(database), f"http://127.0.0.1:{port}"
    good = face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS))

    going_on = threading.Event()

    def slow(path: str) -> Answer:
        # The fourth page keeps its reader waiting until the first processes have ended.
        if "resumptionToken=3" in path:
            going_on.wait(60)
        return good(path)

    with ReplayServer(slow) as one, ReplayServer(slow) as other:
        for base in (one, other):
            hub.feed("oai-pmh", {"base_url": f"{base}/oai"})
        with _process(database, tmp_path, "serve", "--workers", "2", "--port", str(port)) as process:
            _until(lambda: _answers(url))
            children = _children(process.pid) if Path("/proc/self/task").exists() else []
            _until(lambda: hub.head() == 2 * 600)
            assert httpx.get(f"{url}/ix/v1/all/changes?limit=5").json()["more"] is True
            assert _ended(process) == 0
        _until(lambda: not any(Path(f"/proc/{pid}/stat").exists() for pid in children), 5)
        assert hub.head() == 2 * 600, "ended in the middle, while an answer was still to come"
        going_on.set()
        with database.read() as connection:
            held = connection.execute(select(feed_table.c.lease_owner, feed_table.c.lease_until)).all()
        assert [tuple(row) for row in held] == [(None, 0), (None, 0)], "nobody has to wait for a lease to run out"
        with _process(database, tmp_path, "worker", "--concurrency", "4") as process:
            _until(lambda: hub.head() == 2 * RECORDS, 60)
            _until(lambda: _open_runs(database) == 0)
            assert _ended(process) == 0
    hub.check()
    with database.read() as connection:
        found = runs(connection)
    assert [(run["status"], run["created"]) for run in found] == [("done", RECORDS)] * 2
    assert "Traceback" not in (tmp_path / "log").read_text()


def _open_runs(database: Database) -> int:
    with database.read() as connection:
        return sum(run["status"] == "running" for run in runs(connection))


def test_a_waiting_reader_does_not_keep_the_hub_from_ending(sqlite: Database, tmp_path: Path, port: int) -> None:
    url = f"http://127.0.0.1:{port}"
    with _process(sqlite, tmp_path, "serve", "--no-harvest", "--port", str(port)) as process:
        _until(lambda: _answers(url))
        with socket.create_connection(("127.0.0.1", port)) as reader:
            reader.sendall(b"GET /ix/v1/all/changes?wait=30 HTTP/1.1\r\nHost: x\r\n\r\n")
            time.sleep(0.3)
            assert _ended(process) == 0


def test_a_feed_claimed_while_the_worker_is_told_to_stop_is_handed_over_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Hub(database)
    hub.feed("oai-pmh", {"base_url": "http://127.0.0.1:9/oai"})
    with hub.engine() as engine:
        worker = Worker(engine, concurrency=1)
        looked = threading.Event()
        held = service.by_id

        def told_to_stop(*asked: Any) -> Any:
            # Between the claim and its commit: `stop` sees nothing that is held and could hand it over.
            stopping.start()
            assert worker.stopping.wait(10)
            looked.set()
            return held(*asked)

        stopping = threading.Thread(target=worker.stop)
        monkeypatch.setattr("app.harvest.worker.service.by_id", told_to_stop)
        worker.start()
        assert looked.wait(10)
        stopping.join(20)
    with database.read() as connection:
        row = connection.execute(select(feed_table.c.lease_owner, feed_table.c.lease_until, feed_table.c.fence)).one()
    assert (row.lease_owner, row.lease_until) == (None, 0)
    assert row.fence == 2, "it was claimed, and then given back"


def test_a_feed_that_was_handed_over_is_lost_to_its_old_holder_only(database: Database) -> None:
    feed = Hub(database).feed("oai-pmh", {"base_url": "http://127.0.0.1:9/oai"})
    with database.write() as connection:
        first = leases.claim(connection, feed, "first", 60)
        assert first is not None
        leases.hand_over(connection, first)
        second = leases.claim(connection, feed, "second", 60)
        assert second is not None
        leases.hand_over(connection, first)  # a second word of the first changes nothing
        leases.hold(connection, second)
