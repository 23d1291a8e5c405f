"""A made-up fortnight and three platforms in trouble, so that the demonstration opens on a wall worth looking at.

Only the daily sums are invented (days before today), one platform is suspended, and one has been kept waiting.
"""

from random import Random
from typing import Any

from sqlalchemy import Connection, update

from app.db import now
from app.feeds import leases
from app.feeds import service as feeds
from app.feeds.tables import feed as feed_table
from app.harvest.runs import day_of
from app.harvest.tables import COUNTS, run_day
from app.platforms import service as platforms

DAYS = 27
SUSPENDED, LATE = "P-540000-01", "P-620000-01"
LATE_S = 6_200


def remember(connection: Connection, faults: dict[str, str | None]) -> None:
    """Adds the past of every feed, suspends one platform and makes one late."""
    today = day_of(now(connection))
    every = feeds.feeds(connection)
    rows = [row for feed in every for row in _past(feed, faults.get(feed["platform"]), today)]
    if rows:
        connection.execute(run_day.insert(), rows)
    here = {feed["platform"] for feed in every}
    if SUSPENDED in here:
        platforms.transition(connection, SUSPENDED, "suspended", "机房搬迁，至月底")
    for feed in every:
        if feed["platform"] == LATE:
            _delay(connection, feed)


def _delay(connection: Connection, feed: dict[str, Any]) -> None:
    at = now(connection)
    values = {"succeeded_at": at - LATE_S * 1_000_000, "next_at": at + 1800 * 1_000_000}
    connection.execute(update(feed_table).where(feed_table.c.id == feed["id"]).values(values))
    leases.park(connection, feed["host"], 1800)


def _past(feed: dict[str, Any], fault: str | None, today: int) -> list[dict[str, Any]]:
    chance = Random(f"{feed['platform']}/{feed['key']}")
    return [_day(feed["id"], day, fault, today - day, chance) for day in range(today - DAYS, today)]


def _day(feed_id: int, day: int, fault: str | None, days_ago: int, chance: Random) -> dict[str, Any]:
    failed = 24 if fault == "down" and days_ago <= 3 else chance.randint(1, 9) if chance.random() < 0.06 else 0
    counts = dict.fromkeys(COUNTS, 0) | {
        "created": chance.randint(0, 40), "changed": chance.randint(0, 25), "tombstoned": chance.randint(0, 3),
        "unchanged": chance.randint(20, 90), "rejected": chance.randint(1, 6) if fault == "bad records" else 0,
    }  # fmt: skip
    if failed == 24:
        counts = dict.fromkeys(COUNTS, 0)
    return {"feed_id": feed_id, "day": day, "runs": 24, "failed": failed, "seen": sum(counts.values()), **counts}
