"""F1: a harvest killed at its n-th write or sync, for n over the whole run; another finishes, as if nothing had been."""

import shutil
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from app import schema
from app.catalogue.tables import (
    coverage,
    digest_bucket,
    digest_pending,
    original,
    original_pack,
    position,
    record,
    tally,
)
from app.db import Database
from app.feeds import leases, service
from app.harvest import runs
from app.harvest.engine import Engine
from app.harvest.loop import harvest
from tests.faults.repositories import LIMIT, RECORDS, fetcher, run_once, small
from tests.faults.tracing import calls, log, traced
from tests.hub import Hub

pytestmark = pytest.mark.usefixtures("as_in_production")
POINTS = 100
_STEPS = ("fdatasync", "pwrite64")


def _finish(database: Database, feed: int) -> None:
    """What the next worker does after the lease of the dead one; at most one run more than the first."""
    with database.write() as connection:
        lease = leases.claim(connection, feed, "victim", 600)
        known = service.by_id(connection, feed)
    assert lease is not None
    harvest(Engine(database, fetcher(), (50, 0.05)), lease, known)


def _state(database: Database) -> list[Any]:
    """All that is told of the catalogue but times: records in their order, digests, tallies, the last position."""
    columns = (record.c.id, record.c.seq, record.c.version, record.c.hash, record.c.live, record.c.document)
    tables = (digest_bucket, original, original_pack, digest_pending, tally, coverage)
    queries = [
        select(*columns).order_by(record.c.id),
        *(select(table).order_by(*table.primary_key) for table in tables),
    ]
    head = select(position.c.value).where(position.c.name == "seq")
    with database.read() as connection:
        return [tuple(row) for query in (*queries, head) for row in connection.execute(query)]


def _points(counts: Sequence[int]) -> list[tuple[str, int]]:
    """Every sync, and writes evenly over the run, POINTS in all or a few more."""
    syncs, writes = counts
    step = max(1, writes // (POINTS - syncs))
    return [("fdatasync", n) for n in range(1, syncs + 1)] + [("pwrite64", n) for n in range(1, writes + 1, step)]


def test_a_harvest_killed_at_any_write_or_sync_ends_as_if_nothing_had_been(tmp_path: Path) -> None:
    template, place = tmp_path / "template.db", tmp_path / "hub.db"
    url = f"sqlite:///{place}"
    with small() as base:
        made = Database(f"sqlite:///{template}")
        schema.upgrade(made)
        feed = Hub(made).feed("ix", {"base_url": base, "limit": LIMIT})
        made.close()

        def fresh() -> None:
            for file in tmp_path.glob("hub.db*"):
                file.unlink()
            shutil.copy(template, place)

        fresh()
        with log() as file:
            with traced(["-e", f"trace={','.join(_STEPS)}", "-o", str(file)], run_once, url, feed) as clean:
                assert clean.exitcode == 0
            found = Counter((call.name, call.thread) for call in calls(file))
        database = Database(url)
        expected = _state(database)
        Hub(database).check()
        assert Hub(database).live() == RECORDS
        database.close()
        fetcher()
        # strace counts by thread: most of a harvest is written by the one that commits its pages.
        points = _points([max(n for (name, _), n in found.items() if name == step) for step in _STEPS])
        killed = 0
        for name, n in points:
            fresh()
            with traced(
                ["-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={n}", "-o", "/dev/null"],
                run_once,
                url,
                feed,
            ) as victim:
                killed += victim.exitcode == -9
            database = Database(url)
            _finish(database, feed)
            assert _state(database) == expected, (name, n)
            with database.read() as connection:
                told = runs.runs(connection)
            database.close()
            assert {run["status"] for run in told} == {"done"}, (name, n)
            assert sum(run["created"] for run in told) == RECORDS, (name, n)
    assert len(points) >= POINTS
    assert killed >= 0.95 * len(points), "a run's last writes may differ by a few from one to the next"
