"""F4: PostgreSQL is cut off again and again while the hub serves and harvests; nothing is lost, doubled or a 500."""

import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx

from app import schema
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.harvest import runs
from tests.faults.clusters import Cluster, cluster
from tests.faults.processes import answers, hutong, log_of, until
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer
from tests.ports import free

RECORDS, FEEDS, RESTARTS = 1200, 2, 10


class Heard:
    """Asks a hub again and again from a thread, and keeps count of what it said."""

    def __init__(self, url: str) -> None:
        self.url, self.statuses, self.odd = url, Counter[int](), list[str]()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> "Heard":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not self._stop.wait(0.01):
                for path in ("/readyz", "/ix/v1/all/changes?limit=5", "/api/v1/records?limit=5"):
                    answer = client.get(path)
                    self.statuses[answer.status_code] += 1
                    if answer.status_code == 503:
                        told = answer.json()
                        silent = told["detail"].endswith("try again") or told["detail"].endswith("nothing was done")
                        if told["kind"] != "hub.unavailable" or "retry-after" not in answer.headers or not silent:
                            self.odd.append(answer.text)
                    elif answer.status_code != 200:
                        self.odd.append(answer.text[:300])


def _cut(server: Cluster, hub: Hub) -> None:
    server.stop()
    time.sleep(0.2)
    server.start()
    hub.database.close()


def test_ten_cuts_of_the_database_lose_and_double_nothing_and_answer_503(tmp_path: Path) -> None:
    good, gate = face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS)), threading.Semaphore(0)
    port = free()

    def paced(path: str) -> Answer:
        # As many pages as the cuts let through, so that every cut meets runs in progress.
        if "resumptionToken" in path:
            gate.acquire(timeout=60)
        return good(path)

    with cluster() as server, ExitStack() as stack:
        database = Database(server.url)
        schema.upgrade(database)
        hub, url = Hub(database), f"http://127.0.0.1:{port}"
        for _ in range(FEEDS):
            hub.feed("oai-pmh", {"base_url": f"{stack.enter_context(ReplayServer(paced))}/oai"})
        (tmp_path / "data").mkdir()
        stack.enter_context(hutong(server.url, tmp_path / "data", "serve", "--port", str(port)))
        until(lambda: answers(url), 60, "the hub")
        with Heard(url) as heard:
            for _ in range(RESTARTS):
                gate.release()
                time.sleep(0.1)
                _cut(server, hub)
            gate.release(1000)
            until(lambda: _ended(database) == FEEDS, 60, "all runs to end")
        hub.check()
        assert hub.live() == hub.head() == FEEDS * RECORDS
        with database.read() as connection:
            found = runs.runs(connection)
        database.close()
    assert [(run["status"], run["created"], run["error"]) for run in found] == [("done", RECORDS, None)] * FEEDS
    assert heard.odd == []
    assert heard.statuses[503] >= RESTARTS / 2
    assert heard.statuses[200] >= RESTARTS
    assert "Traceback" not in log_of(tmp_path / "data").read_text()


def _ended(database: Database) -> int:
    with database.read() as connection:
        return sum(run["status"] != "running" for run in runs.runs(connection))
