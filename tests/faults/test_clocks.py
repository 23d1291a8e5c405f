"""F8: clocks that jump, of the worker, of the database and of the platform; odd moments of the calendar."""

import time
from typing import Any

import orjson
import pytest
from sqlalchemy import update

from app import clock
from app.db import Database, now
from app.feeds import leases, service
from app.feeds.tables import feed as feed_table
from app.feeds.tables import host
from app.harvest.engine import Engine
from app.harvest.loop import harvest
from app.protocol import oaipmh
from app.protocol.connector import Response
from connectors.oai_pmh import OaiPmh
from tests.faults.processes import FORK, forked, url_of
from tests.faults.sources import Repository, Wire
from tests.hub import Hub

DAY_S, YEAR_S = 86_400, 365 * 86_400
DAY, YEAR = DAY_S * 1_000_000, YEAR_S * 1_000_000
REAL = (time.time, time.time_ns)


def _shifted(url: str, feed: int, by_s: int, pipe: Any) -> None:
    """A worker whose machine's clock is wrong by so many seconds."""
    time.time, time.time_ns = lambda: REAL[0]() + by_s, lambda: REAL[1]() + by_s * 1_000_000_000
    database = Database(url)
    source = Repository("two")
    for number in range(7):
        source.put(f"r{number}")
    with database.write() as connection:
        lease = leases.claim(connection, feed, "shifted", 60)
        known = service.by_id(connection, feed)
    assert lease is not None
    report = harvest(Engine(database, Wire(source), (50, 0.05)), lease, known)  # type: ignore[arg-type]
    with database.read() as connection:
        pipe.send(
            (report["created"], leases.checkpoint(connection, feed), abs(clock.now() - now(connection)) // 1_000_000)
        )


@pytest.mark.parametrize("by_s", [-YEAR_S, -DAY_S, 0, DAY_S, YEAR_S])
def test_a_workers_clock_decides_neither_its_lease_nor_its_checkpoint(database: Database, by_s: int) -> None:
    hub, source = Hub(database), Repository("two")
    feed = hub.feed("oai-pmh", source.config())
    ours, theirs = FORK.Pipe(duplex=False)
    database.close()
    with forked((_shifted, (url_of(database), feed, by_s, theirs))):
        assert ours.poll(30)
        created, checkpoint, wrong = ours.recv()
    assert wrong >= abs(by_s) - 60, "its clock was wrong indeed"
    assert created == 7
    source.at += 7_000_000
    assert checkpoint == {"from": clock.iso(source.at)}
    with database.read() as connection:
        row = service.by_id(connection, feed)
        assert 0 < row["next_at"] - now(connection) < 1000 * 1_000_000
        assert abs(row["succeeded_at"] - now(connection)) < 60_000_000


def test_what_a_clock_wrote_that_was_a_year_ahead_holds_nothing_up(database: Database) -> None:
    """A lease, a next time and a host's rest from a moment when the database's clock ran ahead."""
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": "http://one.example/oai"}, every_s=900)

    def claimed(**values: Any) -> bool:
        with database.write() as connection:
            at = now(connection)
            ahead = {name: at + by for name, by in values.items()}
            rest = ahead.pop("not_before", 0)
            reset = {"lease_owner": "x", "lease_until": 0, "next_at": 0, **ahead}
            connection.execute(update(feed_table).where(feed_table.c.id == feed).values(reset))
            connection.execute(host.delete())
            connection.execute(host.insert(), {"name": "one.example", "not_before": rest, "failures": 0})
            return leases.claim_due(connection, "me", 60) is not None

    assert claimed()
    assert claimed(lease_until=YEAR)
    assert not claimed(lease_until=60_000_000)
    assert claimed(next_at=YEAR)
    assert not claimed(next_at=900_000_000)
    assert not claimed(next_at=DAY)
    assert claimed(not_before=YEAR)
    assert not claimed(not_before=DAY - 1_000_000)


def test_a_record_of_2999_does_not_move_the_checkpoint(sqlite: Database) -> None:
    hub, source = Hub(sqlite), Repository("two")
    feed = hub.feed("oai-pmh", source.config())
    source.put("now")
    source.put("then")
    source.changed_at["then"] = 32_500_000_000_000_000
    begun = source.at

    def run() -> dict[str, Any]:
        with sqlite.write() as connection:
            lease = leases.claim(connection, feed, "me", 60)
            known = service.by_id(connection, feed)
        assert lease is not None
        return harvest(Engine(sqlite, Wire(source), (50, 0.05)), lease, known)  # type: ignore[arg-type]

    assert run()["created"] == 2
    with sqlite.read() as connection:
        assert leases.checkpoint(connection, feed) == {"from": clock.iso(begun)}
    source.put("later")
    assert run()["created"] == 1


HEADER = "Fri, 01 Jan 2027 00:00:01 GMT"


@pytest.mark.parametrize(
    ("stated", "since"),
    [
        ("2026-12-31T23:59:59Z", "2026-12-31T22:59:59Z"),
        ("2027-01-01T00:00:01Z", "2026-12-31T23:00:01Z"),
        ("2027-01-01T07:30:00+08:00", "2026-12-31T22:30:00Z"),
        ("2026-12-31", "2026-12-30T23:00:00Z"),
        ("2999-12-31T23:59:59Z", "2026-12-31T23:00:01Z"),
        ("2027-01-02T00:00:00+08:00", "2026-12-31T23:00:01Z"),
        ("2026-12-31T23:59:60Z", None),
        ("0000-00-00", None),
        ("", None),
    ],
)
def test_the_next_window_begins_an_hour_before_the_servers_own_moment_and_never_ahead_of_us(
    stated: str, since: str | None
) -> None:
    """Year end, a zone, a day without a time, a leap second, a clock that runs ahead. None: the same window again."""
    feed = OaiPmh.model_validate({"base_url": "https://a.example/oai"})
    body = oaipmh.envelope(
        stated,
        "https://a.example/oai",
        {},
        "<ListRecords>" + oaipmh.record(oaipmh.header("a", "2999-01-01", [], deleted=True), None) + "</ListRecords>",
    )
    at = {"identity": {"days": False, "deletes": True}, "from": "2020-01-01T00:00:00Z"}
    (page,) = feed.read(at, Response.of(body, date=HEADER))
    assert page.done
    assert orjson.loads(orjson.dumps(page.checkpoint)) == {"from": since or "2020-01-01T00:00:00Z"}
