"""kill -9 of a harvesting process at random moments: another goes on; nothing lost, nothing doubled, sums right."""

import multiprocessing
import os
import random
import signal
import threading
import time
from contextlib import ExitStack
from typing import Any

import pytest
from sqlalchemy import select

from app.db import Database, now
from app.demo.catalogue import DemoPlatform
from app.demo.faces import MAPPING, face
from app.feeds import leases, service
from app.feeds.tables import feed as feed_table
from app.harvest.loop import harvest
from app.harvest.runs import runs
from app.harvest.worker import Worker
from tests.hub import Hub
from tests.peers.replay import ReplayServer

RECORDS = 1500


def _harvest(url: str, feed: int) -> None:
    """The victim: one run with its own connections, under the test's own lease name."""
    database = Database(url)
    with database.write() as connection:
        lease = leases.claim(connection, feed, "victim", 60)
        known = service.by_id(connection, feed)
    assert lease is not None
    with Hub(database).engine() as engine:
        harvest(engine, lease, known)
    os._exit(0)


@pytest.mark.parametrize("kind", ["oai-pmh", "static-parts"])
def test_a_hundred_kills_lose_and_double_nothing(database: Database, kind: str) -> None:
    hub, kills, feeds, moments = Hub(database), 0, 0, random.Random()
    url = database.url.render_as_string(hide_password=False)
    fork = multiprocessing.get_context("fork")
    wanted = 100 if database.sqlite else 30
    peer = face(DemoPlatform("P-440000-01", "广东省平台", kind, None, RECORDS))
    with ReplayServer(peer) as base:
        while kills < wanted:
            config = {"base_url": f"{base}/oai"} if kind == "oai-pmh" else {"manifest_url": f"{base}/data_version.json"}
            feed = hub.feed(kind, config, mapping=None if kind == "oai-pmh" else MAPPING)
            feeds += 1
            database.close()
            done = False
            while not done:
                victim = fork.Process(target=_harvest, args=(url, feed))
                victim.start()
                victim.join(moments.uniform(0.01, 0.25) if kills < wanted else 60)
                if victim.is_alive() and victim.pid:
                    os.kill(victim.pid, signal.SIGKILL)
                    kills += 1
                victim.join()
                done = victim.exitcode == 0
    hub.check()
    assert hub.live() == feeds * RECORDS == hub.head()
    with database.read() as connection:
        found = runs(connection, limit=1000)
    # A kill between the last commit and the process's end is followed by one more run, which finds nothing to do.
    assert len(found) >= feeds
    assert sum(run["created"] for run in found) == feeds * RECORDS
    assert all(run["status"] == "done" for run in found)


def _work(url: str, lease_s: int = 1) -> None:
    """A worker process as `hutong worker` runs it, under a name of its own and with a short lease."""
    with Hub(Database(url)).engine() as engine:
        Worker(engine, lease_s=lease_s, concurrency=2, idle_s=0.02).start()
        threading.Event().wait()


def _feeds(database: Database) -> list[Any]:
    """Every feed's lease: who holds it, how often it was claimed, whether it is done."""
    table = feed_table.c
    query = select(table.id, table.fence, table.lease_owner, table.lease_until, table.succeeded_at).order_by(table.id)
    with database.read() as connection:
        return list(connection.execute(query))


def _done(database: Database, patience_s: float = 60) -> bool:
    until = time.monotonic() + patience_s
    while not all(row.succeeded_at for row in _feeds(database)):
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def _whole(database: Database) -> None:
    """Nothing lost, nothing doubled: one run a feed, whatever number of workers had a hand in it."""
    hub, feeds = Hub(database), _feeds(database)
    hub.check()
    assert hub.live() == len(feeds) * RECORDS == hub.head()
    with database.read() as connection:
        found = runs(connection, limit=1000)
    assert sorted(run["feed"] for run in found) == [row.id for row in feeds]
    assert {(run["status"], run["seen"], run["created"]) for run in found} == {("done", RECORDS, RECORDS)}


def test_a_dead_workers_feed_is_taken_over_when_its_lease_has_run_out_and_not_before(database: Database) -> None:
    hub, fork, moment = Hub(database), multiprocessing.get_context("fork"), random.randint(3, 7)
    url = database.url.render_as_string(hide_password=False)
    server = ReplayServer(face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS)))
    with server as base:
        feed = hub.feed("oai-pmh", {"base_url": f"{base}/oai"})
        database.close()
        victim = fork.Process(target=_work, args=(url, 3))
        victim.start()
        while len(server.asked) < moment:
            time.sleep(0.001)
        assert victim.pid
        os.kill(victim.pid, signal.SIGKILL)
        victim.join()
        with database.write() as connection:
            assert leases.claim(connection, feed, "too early", 60) is None
            held = service.by_id(connection, feed)
        assert f":{victim.pid}:" in held["lease_owner"]
        heir = fork.Process(target=_work, args=(url, 30))  # a second runs out on a busy machine
        heir.start()
        assert _done(database)
        assert heir.pid
        os.kill(heir.pid, signal.SIGKILL)
        heir.join()
    _whole(database)
    with database.read() as connection:
        after = service.by_id(connection, feed)
    assert (after["fence"], after["succeeded_at"] >= held["lease_until"]) == (held["fence"] + 1, True)
    # It goes on from the last page that was stored: at most the page in flight and the one before it, whose commit had
    # not ended, are asked for twice.
    assert len(server.asked) <= 1 + -(-RECORDS // 200) + 2


def test_two_workers_at_once_and_one_of_them_killed_again_and_again(database: Database) -> None:
    hub, fork, moments = Hub(database), multiprocessing.get_context("fork"), random.Random()
    url, wanted, kills, feeds = database.url.render_as_string(hide_password=False), 8 if database.sqlite else 24, 0, 0
    with ExitStack() as stack:
        bases = [
            stack.enter_context(ReplayServer(face(DemoPlatform("P-440000-01", "广东省平台", "oai-pmh", None, RECORDS))))
            for _ in range(3)
        ]
        database.close()
        workers = [fork.Process(target=_work, args=(url,)) for _ in range(2)]
        for worker in workers:
            worker.start()
        while kills < wanted:
            if all(row.succeeded_at for row in _feeds(database)):
                for base in bases:
                    hub.feed("oai-pmh", {"base_url": f"{base}/oai"})
                    feeds += 1
            time.sleep(moments.uniform(0.01, 0.3))
            one = moments.randrange(2)
            pid = workers[one].pid
            assert pid
            with database.read() as connection:
                at = now(connection)
            # Only the death of a worker in the middle of a run is a moment that counts.
            busy = any(row.lease_until > at and f":{pid}:" in (row.lease_owner or "") for row in _feeds(database))
            if not busy:
                continue
            os.kill(pid, signal.SIGKILL)
            workers[one].join()
            kills += 1
            database.close()
            workers[one] = fork.Process(target=_work, args=(url,))
            workers[one].start()
        assert _done(database)
        for worker in workers:
            worker.kill()
            worker.join()
    _whole(database)
    assert len(_feeds(database)) == feeds
    assert sum(row.fence - 1 for row in _feeds(database)) >= wanted // 2, "dead workers' feeds were taken over"
