"""kill -9 of a harvesting process at random moments: another goes on; nothing lost, nothing doubled, sums right."""

import multiprocessing
import os
import random
import signal

import pytest

from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import MAPPING, face
from app.feeds import leases, service
from app.harvest.loop import harvest
from app.harvest.runs import runs
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
            database.engine.dispose()
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
