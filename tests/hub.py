"""A hub for tests: an engine on a real database, feeds registered in a line, invariants checked."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any

from sqlalchemy import Connection, func, select

from app.catalogue import coverage, digests, packs, queries
from app.catalogue.tables import coverage as coverage_table
from app.catalogue.tables import original, original_pack, record
from app.db import Database
from app.feeds import service as feeds
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.tables import COUNTS, run
from app.harvest.worker import Worker, harvest_now
from app.platforms import service as platforms
from app.protocol.canonical import MODULUS, element, root


class Hub:
    """What a test does with a hub."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def feed(self, connector: str, config: dict[str, Any], platform: str = "P-440000-01", **more: Any) -> int:
        """A platform with a feed; the feed's number."""
        with self.database.write() as connection:
            if platform not in [p["code"] for p in platforms.platforms(connection)]:
                platforms.register(connection, platform, platform)
            return feeds.register(
                connection, platform=platform, name="test", connector=connector, config=config, **more
            )

    @contextmanager
    def engine(self) -> Iterator[Engine]:
        """An engine that may reach loopback."""
        with closing(Fetcher(allow="127.0.0.0/8")) as fetcher:
            yield Engine(self.database, fetcher, (50, 0.05))

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """A worker of one thread at work until the block ends, however it ends."""
        with self.engine() as engine:
            worker = Worker(engine, concurrency=1, idle_s=0.05)
            worker.start()
            try:
                yield worker
            finally:
                worker.stop()

    def harvest(self, feed: int, job: str = "harvest") -> dict[str, Any]:
        """Runs the feed; the report. The invariants hold after every run."""
        with self.engine() as engine:
            report = harvest_now(engine, feed, job)
        self.check()
        return report

    def check(self) -> None:
        """Sums add up, positions are dense, the digest is a pure function of the live records (V5, I3, I5)."""
        with self.database.read() as connection:
            for row in connection.execute(select(run)):
                assert row.seen == sum(getattr(row, name) for name in COUNTS), row
            head = queries.head(connection)
            rows = connection.execute(select(record)).all()
            assert len({row.seq for row in rows}) == len(rows)
            assert all(0 < row.seq <= head for row in rows)
            live = [row for row in rows if row.live]
            total = sum(int.from_bytes(element(row.id, row.version, row.hash), "big") for row in live) % MODULUS
            assert digests.state(connection, "all") == (len(live), root(total, len(live)))
            assert digests.buckets(connection, "all") == _buckets(live, 4)
            for feed_id in {row.feed_id for row in rows}:
                own = [row for row in live if row.feed_id == feed_id]
                assert digests.buckets(connection, f"feed:{feed_id}") == _buckets(own, 2)
            assert queries.tallies(connection).get("live", 0) == len(live)
            counted = coverage.cells(row.terms for row in live)
            stored = {(c.edition, c.subject, c.grade): c.n for c in connection.execute(select(coverage_table)) if c.n}
            assert stored == dict(counted)
            _check_packs(connection)

    def live(self) -> int:
        """Live records."""
        with self.database.read() as connection:
            query = select(func.count()).select_from(record).where(record.c.live == 1)
            return int(connection.execute(query).scalar_one())

    def head(self) -> int:
        """The last position."""
        with self.database.read() as connection:
            return queries.head(connection)


def _check_packs(connection: Connection) -> None:
    """A pack holds the bytes of the records that have a place in it, and nothing else."""
    places: dict[int, set[int]] = defaultdict(set)
    for row in connection.execute(select(original)):
        assert row.place not in places[row.pack]
        places[row.pack].add(row.place)
    stored = {row.id: row for row in connection.execute(select(original_pack))}
    assert stored.keys() == places.keys()
    for number, pack in stored.items():
        assert pack.n == len(places[number])
        raws = packs.raws(bytes(pack.body))
        assert len(raws) > max(places[number])
        assert not any(raw for place, raw in enumerate(raws) if place not in places[number])


def _buckets(live: Sequence[Any], digits: int) -> dict[str, tuple[int, int]]:
    """What the buckets of these records should be: (count, sum) by the first hex digits of their elements."""
    found: dict[str, tuple[int, int]] = {}
    for row in live:
        made = element(row.id, row.version, row.hash)
        n, total = found.get(made.hex()[:digits], (0, 0))
        found[made.hex()[:digits]] = n + 1, (total + int.from_bytes(made, "big")) % MODULUS
    return found
