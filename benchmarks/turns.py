"""What fair turns cost: a claim from a queue of 3,500 feeds against one that takes the longest-waiting feed of all.

The other side is what the hub did before: `ORDER BY next_at`, blind to whose feed it is, and the same conditional
UPDATE. Everything due at once (the worst case) and nothing due (what idle threads ask twice a second), in turn, in a
transaction each; of the times the medians.
"""

import time
from collections.abc import Callable
from statistics import median

from sqlalchemy import BigInteger, Connection, cast, func, or_, select

from app.db import Database, now
from app.feeds import leases
from app.feeds.leases import Lease
from app.feeds.tables import feed, host
from app.platforms.tables import platform
from benchmarks.databases import postgres, sqlite

FEEDS, PLATFORMS, ROUNDS = 3500, 500, 80
Claim = Callable[[Connection, str, int], Lease | None]


def by_due_time(connection: Connection, owner: str, seconds: int) -> Lease | None:
    """The longest-waiting due feed, whosever it is."""
    at = now(connection)
    held = feed.c.lease_until.between(at + 1, at + leases.LONGEST_US)
    busy = select(feed.c.host).where(held).group_by(feed.c.host).having(func.count() >= leases.HOST_LIMIT)
    parked = select(host.c.name).where(host.c.not_before.between(at + 1, at + leases.LONGEST_US))
    pause = cast(feed.c.every_s, BigInteger) * 1_100_000
    due = or_(feed.c.next_at <= at, feed.c.next_at > at + pause + leases.LONGEST_US)
    free = or_(feed.c.lease_until <= at, feed.c.lease_until > at + leases.LONGEST_US)
    query = select(feed.c.id).join(platform, platform.c.code == feed.c.platform)
    query = query.where(feed.c.state == "active", platform.c.state == "active", due, free)
    query = query.where(feed.c.host.not_in(busy), feed.c.host.not_in(parked)).order_by(feed.c.next_at).limit(1)
    found = connection.execute(query).scalar()
    return leases.claim(connection, found, owner, seconds) if found is not None else None


def stocked(database: Database) -> None:
    """Members with seven feeds each, every feed on a host of its own."""
    codes = [f"D-{110000 + number}-01" for number in range(PLATFORMS)]
    with database.write() as connection:
        members = [
            {"code": code, "name": code, "level": "D", "region": code[2:8], "state": "active", "created_at": 0}
            for code in codes
        ]
        connection.execute(platform.insert(), members)
        rows = [
            {
                "platform": codes[number % PLATFORMS], "key": f"f{number}", "name": "f", "connector": "ix",
                "config": "{}", "every_s": 900, "host": f"h{number}", "checkpoint": "{}", "created_at": 0,
            }
            for number in range(FEEDS)
        ]  # fmt: skip
        connection.execute(feed.insert(), rows)


def taken_s(database: Database, way: Claim, due: bool) -> float:
    """Seconds of one claim, in a transaction of its own."""
    began = time.perf_counter()
    with database.write() as connection:
        if (way(connection, "bench", 60) is not None) != due:
            raise RuntimeError("a claim from a full queue found nothing, or one from an empty queue something")
    return time.perf_counter() - began


def main() -> None:
    """Prints the ratios on each database."""
    for fresh in (sqlite, postgres):
        with fresh() as database:
            stocked(database)
            for due in (False, True):
                with database.write() as connection:
                    ahead = -1 if due else 600_000_000
                    connection.execute(feed.update().values(next_at=now(connection) + ahead))
                times: dict[str, list[float]] = {"plain": [], "fair": []}
                for _ in range(ROUNDS):
                    times["plain"].append(taken_s(database, by_due_time, due))
                    times["fair"].append(taken_s(database, leases.claim_due, due))
                plain, fair = median(times["plain"]) * 1000, median(times["fair"]) * 1000
                state = "all due" if due else "none due"
                print(
                    f"{fresh.__name__:8} {state:8} plain {plain:6.2f} ms  fair {fair:6.2f} ms  ratio {fair / plain:.2f}"
                )


if __name__ == "__main__":
    main()
