"""What the watch costs with 3,500 feeds, 60 runs and 30 days of each: looking at all rules, status, budgets, metrics.

Prints p50, p95 and CPU. The goal is 200 ms of the process's own time for alert evaluation and for status, since a
shared machine's clock tells how busy the others are; exit 1 when one is missed.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from app import schema
from app.db import Database, now
from app.disk import Disk
from app.harvest.runs import day_of
from app.harvest.tables import freshness_day
from app.monitor import alerts, doctor, incidents, status
from app.monitor.metrics import Counts, Metrics
from benchmarks.wall import FEEDS, RUNS, fill

ASKED: Final = 30
GOAL_MS: Final = 200


def days(database: Database, feeds: int) -> None:
    """Thirty days of freshness for every feed; one feed in ten had something late."""
    chance = Random(11)
    with database.write() as connection:
        today = day_of(now(connection))
        for day in range(today - 29, today + 1):
            late = [chance.randint(1, 9) if n % 10 == 0 else 0 for n in range(1, feeds + 1)]
            rows = [
                {
                    "feed_id": n,
                    "day": day,
                    "changes": 100,
                    "late": some,
                    "late_source": some,
                    "stamped": 90,
                    "lag_s": 9000,
                }
                for n, some in enumerate(late, 1)
            ]
            connection.execute(freshness_day.insert(), rows)


def timed(work: Callable[[], object], asked: int = ASKED) -> tuple[float, float, float]:
    """p50 and p95 by the clock and the CPU of one time, in milliseconds; the first three times do not count."""
    times, busy = [], 0.0
    for number in range(asked + 3):
        began, used = time.perf_counter(), time.process_time()
        work()
        if number >= 3:
            times.append((time.perf_counter() - began) * 1000)
            busy += time.process_time() - used
    times.sort()
    return median(times), times[int(len(times) * 0.95)], busy * 1000 / asked


def main() -> None:
    """Prints the figures."""
    with tempfile.TemporaryDirectory() as name:
        folder, database = Path(name), Database(f"sqlite:///{name}/hub.db")
        schema.upgrade(database)
        fill(database, FEEDS, RUNS)
        days(database, FEEDS)
        missed = _figures(database, folder)
        with database.read() as connection:
            print(f"open incidents: {sum(incidents.counted(connection).values())}")
        database.close()
    sys.exit(1 if missed else 0)


def _figures(database: Database, folder: Path) -> bool:
    def status_document() -> None:
        with database.read() as connection:
            status.document(connection)

    def waits() -> None:
        with database.read() as connection:
            doctor.waits(connection)

    metrics = Metrics(database, folder, Counts(), cache_s=0)
    print(f"{FEEDS:,} feeds, {FEEDS * RUNS:,} runs, {FEEDS * 30:,} days of freshness, SQLite, one process")
    missed = False
    for name, work, goal in (
        ("alert evaluation", lambda: alerts.evaluate(database, Disk(folder, (0, 0))), True),
        ("status document", status_document, True),
        ("why feeds wait", waits, False),
        ("metrics page, not cached", metrics.page, False),
    ):
        middle, high, busy = timed(work)
        told = f"  (goal {GOAL_MS} ms of CPU)" if goal else ""
        print(f"{name:26} p50 {middle:6.1f} ms  p95 {high:6.1f} ms  CPU {busy:6.1f} ms{told}")
        missed = missed or (goal and busy > GOAL_MS)
    return missed


if __name__ == "__main__":
    main()
