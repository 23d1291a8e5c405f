"""F3: a disk that fills up during a harvest, and the reserve below which nothing is taken in (a small tmpfs, root)."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from app import schema
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.disk import BALLAST, BALLAST_BYTES
from app.harvest import runs
from app.settings import Settings
from tests.faults.processes import ROOT, answers, hutong, log_of, until
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer
from tests.ports import free

RECORDS = 2000


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A disk of so many MiB as the test's parameter says."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={request.param}m", "hutong-test", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small disk needs root and the right to mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607


def _init(folder: Path) -> tuple[Database, str]:
    """A hub in a folder, and its administrator's key."""
    command = [sys.executable, "-m", "app.cli", "init"]
    said = subprocess.run(
        command,
        env=os.environ | {"HUTONG_DATA_DIR": str(folder), "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return Database(Settings(data_dir=folder).url), re.search(r"hk_\S+", said)[0]  # type: ignore[index]


def _fill(folder: Path, leave: int) -> Path:
    """A file that leaves so many bytes of the disk."""
    file = folder / "filler"
    with file.open("wb") as filler:
        for _ in range(1000):
            free = os.statvfs(folder)
            with suppress(OSError):  # a page is being committed, and takes what was free
                os.posix_fallocate(filler.fileno(), 0, max(free.f_bavail * free.f_bsize - leave, 1))
                return file
    raise AssertionError("the disk does not fill")


@pytest.mark.parametrize("small", [40], indirect=True)
def test_a_disk_that_fills_up_stops_writing_alone_and_the_harvest_goes_on_when_there_is_room(small: Path) -> None:
    database, key = _init(small)
    hub, port = Hub(database), free()
    url, good = f"http://127.0.0.1:{port}", face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS))
    filler: list[Path] = []

    def filling(path: str) -> Answer:
        # In the middle of the run another program takes what is left.
        if "resumptionToken=3" in path and not filler:
            filler.append(_fill(small, 256 << 10))
        return good(path)

    def written() -> httpx.Response:
        platform = {"code": f"P-11{len(wrote):04d}-01", "name": "平台" * 50}
        return httpx.post(f"{url}/api/v1/platforms", json=platform, headers={"Authorization": f"Bearer {key}"})

    wrote: list[tuple[int, str]] = []
    read: list[int] = []
    with ReplayServer(filling) as base:
        feed = hub.feed("oai-pmh", {"base_url": f"{base}/oai"})
        with hutong("", small, "serve", "--port", str(port), DISK_RESERVE="0,0%") as process:
            until(lambda: answers(url), 60, "the hub")
            until(lambda: filler, 60, "the disk to fill")
            until(lambda: "harvest.interrupted" in log_of(small).read_text(), 60, "the harvest to notice")
            before = hub.live()
            for _ in range(8):
                answer = written()
                wrote.append((answer.status_code, answer.json().get("kind", "")))
                for path in ("/readyz", "/ix/v1/all/changes?limit=50", "/api/v1/records?limit=5", "/oai?verb=Identify"):
                    read.append(httpx.get(f"{url}{path}").status_code)
            assert before == hub.live() < RECORDS, "whole pages or nothing"
            began = time.monotonic()
            filler[0].unlink()
            until(lambda: _status(database, feed) == "done", 60, "the run to go on")
            assert time.monotonic() - began < 30 + _slowness()
            assert written().status_code in (201, 422)
            assert process.poll() is None, "never restarted"
    assert set(read) == {200}
    assert {status for status, _ in wrote} <= {201, 422, 503}
    assert wrote[-1] == (503, "hub.disk_full")
    hub.check()
    assert hub.live() == RECORDS
    with database.read() as connection:
        found = runs.runs(connection)
    assert [(run["status"], run["created"]) for run in found] == [("done", RECORDS)]
    assert "Traceback" not in log_of(small).read_text()
    database.close()


def _slowness() -> float:
    """Seconds that a loaded machine may add."""
    return 10 * os.getloadavg()[0]


def _status(database: Database, feed: int) -> Any:
    with database.read() as connection:
        found = runs.runs(connection, feed)
    return found[0]["status"] if found else None


@pytest.mark.parametrize("small", [400], indirect=True)
def test_below_the_reserve_nothing_is_taken_in_and_everybody_is_told(small: Path) -> None:
    database, key = _init(small)
    hub, port, bearer = Hub(database), free(), {"Authorization": f"Bearer {key}"}
    url = f"http://127.0.0.1:{port}"
    server = ReplayServer(face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, 400)))
    settings = {"DISK_RESERVE": "100,5%", "ALERT_EVERY_S": "0.3"}
    with server as base, hutong("", small, "serve", "--port", str(port), **settings):
        until(lambda: answers(url), 60, "the hub")
        assert (small / BALLAST).stat().st_size == BALLAST_BYTES, "64 MiB that may be deleted in need"
        assert httpx.get(f"{url}/readyz").json()["ingest"] == "on"
        filler = _fill(small, 90 << 20)
        uploads = hub.feed(
            "upload", {"format": "csv", "id_field": "id"}, mapping={"version": 1, "fields": {"title": {"path": "t"}}}
        )
        hub.feed("oai-pmh", {"base_url": f"{base}/oai"})
        assert httpx.get(f"{url}/readyz").json() == {
            "status": "ready",
            "head": 0,
            "ingest": "stopped",
            "kind": "hub.disk_full",
        }
        answer = httpx.post(f"{url}/api/v1/feeds/{uploads}/files", content=b"id,t\n1,a\n", headers=bearer)
        assert (answer.status_code, answer.json()["kind"]) == (503, "hub.disk_full")
        assert answer.headers["content-type"] == "application/problem+json"

        def told() -> list[Any]:
            return httpx.get(f"{url}/api/v1/incidents", headers=bearer).json()["items"]  # type: ignore[no-any-return]

        until(lambda: any(one["rule"] == "disk" for one in told()), 30, "the incident")
        assert (
            "less than the reserve of 100 MiB: nothing is taken in"
            in next(o for o in told() if o["rule"] == "disk")["detail"]
        )
        assert server.asked == []
        filler.unlink()
        until(lambda: hub.live() == 400, 60, "the harvest to begin")
        assert httpx.get(f"{url}/readyz").json()["ingest"] == "on"
    hub.check()
    database.close()


def test_a_full_directory_of_temporary_files_leaves_the_run_open(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that does not fit is no fault of its platform."""
    import errno

    from app.feeds import leases, service
    from app.harvest.loop import harvest
    from app.protocol.errors import DiskFull

    class Full:
        def __init__(self, **_: Any) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

    schema.upgrade(database)
    hub = Hub(database)
    with (
        ReplayServer(face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, 30))) as base,
        hub.engine() as engine,
    ):
        feed = hub.feed("oai-pmh", {"base_url": f"{base}/oai"})
        with database.write() as connection:
            lease = leases.claim(connection, feed, "a", 60)
            known = service.by_id(connection, feed)
        assert lease is not None
        with monkeypatch.context() as patch:
            patch.setattr("app.harvest.wire.bodies.SPOOL", 0)  # an answer that is too large to stay in memory
            patch.setattr("app.harvest.wire.bodies.SpooledTemporaryFile", Full)
            with pytest.raises(DiskFull):
                harvest(engine, lease, known)
        report = harvest(engine, lease, known)
    assert (report["status"], report["created"], report["run"]) == ("done", 30, 1)
