"""Freshness is measured at a run's end, blamed on who lost the time, and agreed with each platform."""

from datetime import UTC, datetime

import orjson
import pytest
from sqlalchemy import update

from app.catalogue.tables import record
from app.db import Database, now
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.feeds import leases
from app.feeds.tables import feed
from app.harvest import freshness, runs
from app.harvest.runs import day_of
from app.harvest.tables import FRESHNESS, freshness_day, run
from app.harvest.totals import blame
from app.monitor import objectives
from app.monitor.objectives import DAYS, Standing
from app.protocol.errors import BadRequest, HutongError, NotFound, PeerThrottled, PeerUnavailable, PeerUnreachable
from app.statements import upsert
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

MINUTE = 60_000_000


def _changed(body: bytes, stamp: str) -> bytes:
    """The page with ten titles changed and a datestamp for them."""
    parts = body.split(b"<dc:title>")
    made = b"<dc:title>".join(parts[:1] + [b"\xe6\x96\xb0" + part for part in parts[1:11]] + parts[11:])
    return made.replace(b"2026-11-01T08:00:00Z", stamp.encode())


def _harvested_twice(database: Database, stamp: str, wait_min: int, error: HutongError | None = None) -> int:
    """A first harvest, then as if `wait_min` minutes had passed (with failures in them), ten changes stamped `stamp`."""
    hub, good, later = Hub(database), face(DemoPlatform("P-440000-01", "广东", "oai-pmh", None, 60)), False

    def answer(path: str) -> Answer:
        status, headers, body = good(path.replace("from=", "since="))
        return status, headers, _changed(body, stamp) if later and "ListRecords" in path else body

    with ReplayServer(answer) as url:
        number = hub.feed("oai-pmh", {"base_url": f"{url}/oai"}, every_s=900)
        hub.harvest(number)
        with database.write() as connection:
            earlier = {
                "started_at": run.c.started_at - wait_min * MINUTE,
                "ended_at": run.c.ended_at - wait_min * MINUTE,
            }
            connection.execute(update(run).values(earlier))
            connection.execute(update(feed).values(succeeded_at=feed.c.succeeded_at - wait_min * MINUTE))
            for _ in range(3 if error else 0):
                _failed(connection, number, error)
        later = True
        report = hub.harvest(number)
    assert report["changed"] == 10, report
    return number


def _failed(connection, number: int, error: HutongError | None) -> None:  # type: ignore[no-untyped-def]
    lease = leases.claim(connection, number, "tester", 60)
    assert lease is not None
    if not isinstance(error, PeerThrottled):
        runs.end(connection, runs.begin(connection, number, "harvest"), error)
    leases.release(connection, lease, succeeded=False)


def _ago(minutes: int) -> str:
    return datetime.fromtimestamp(datetime.now(UTC).timestamp() - minutes * 60, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_a_first_harvest_is_no_lag_and_a_change_in_time_is_good(database: Database) -> None:
    number = _harvested_twice(database, _ago(5), 20)
    with database.read() as connection:
        found = objectives.of_feed(connection, number)
    assert (found.changes, found.late, found.stamped, found.standing) == (10, 0, 10, Standing.MET)
    assert found.mean_lag_s is not None
    assert 300 <= found.mean_lag_s < 330
    assert (found.within_s, found.permille, found.left, found.share) == (1800, 950, 1.0, 1.0)


@pytest.mark.parametrize(
    ("error", "who"),
    [
        (None, "hub"),
        (PeerUnavailable("503"), "source"),
        (PeerUnreachable("no address"), "network"),
        (PeerThrottled("429", wait_s=1), "source"),
        (HutongError("a bug"), "hub"),
    ],
)
def test_late_changes_are_blamed_on_who_lost_the_time(database: Database, error: HutongError | None, who: str) -> None:
    number = _harvested_twice(database, _ago(100), 120, error)
    with database.read() as connection:
        found = objectives.of_feed(connection, number)
    assert (found.changes, found.late) == (10, 10)
    assert {name for name, n in found.late_by.items() if n} == {who}
    assert found.standing is Standing.SPENT


@pytest.mark.parametrize("stamp", ["2026-11-01", "2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z", "yesterday"])
def test_a_stamp_that_is_no_time_between_two_looks_counts_from_the_last_look(sqlite: Database, stamp: str) -> None:
    number = _harvested_twice(sqlite, "2026-11-01T08:00:01Z", 20)
    with sqlite.write() as connection:
        last = runs.runs(connection, number)[0]["run"]
        connection.execute(freshness_day.delete())
        connection.execute(update(record).where(record.c.run_id == last).values(stamp=stamp))
        freshness.measure(connection, last)
        found = objectives.of_feed(connection, number)
    assert (found.changes, found.stamped, found.late) == (10, 0, 0)
    assert found.mean_lag_s is not None
    assert 1190 <= found.mean_lag_s < 1230


def test_many_changes_are_measured_by_some_of_them(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(freshness, "MEASURED", 5)
    number = _harvested_twice(sqlite, _ago(5), 20)
    with sqlite.read() as connection:
        assert objectives.of_feed(connection, number).changes == 10


def _days(database: Database, number: int, **figures: int) -> None:
    with database.write() as connection:
        key = {"feed_id": number, "day": day_of(now(connection))}
        row = key | dict.fromkeys(FRESHNESS, 0) | figures
        connection.execute(upsert(connection, freshness_day, ("feed_id", "day"), FRESHNESS), row)


def test_a_budget_is_met_burning_or_spent(database: Database) -> None:
    hub = Hub(database)
    number = hub.feed("ix", {"base_url": "http://127.0.0.1:9"})
    for late, standing, left in (
        (0, Standing.MET, 1.0),
        (10, Standing.MET, 0.8),
        (11, Standing.BURNING, 0.78),
        (50, Standing.SPENT, 0.0),
    ):
        _days(database, number, changes=1000, late=late, late_source=late)
        with database.read() as connection:
            found = objectives.of_feed(connection, number)
            burning = [one.feed for one in objectives.burning(connection)]
        assert (found.standing, round(found.left, 2)) == (standing, left)
        assert burning == ([number] if standing in (Standing.BURNING, Standing.SPENT) else [])
        orjson.dumps(found.plain())


def test_a_silent_source_spends_its_budget_before_it_is_heard_again(database: Database) -> None:
    hub = Hub(database)
    number = hub.feed("ix", {"base_url": "http://127.0.0.1:9"}, every_s=3600)
    _days(database, number, changes=3000)
    with database.write() as connection:
        silent = now(connection) - 3 * 86_400_000_000 - 7200 * 1_000_000
        connection.execute(update(feed).values(succeeded_at=silent))
        found = objectives.of_feed(connection, number)
        assert (found.expected, found.standing) == (300, Standing.SPENT)
        connection.execute(update(feed).values(state="paused"))
        assert objectives.of_feed(connection, number).expected == 0


def test_an_agreement_replaces_the_default_and_can_be_taken_back(database: Database) -> None:
    hub = Hub(database)
    number = hub.feed("ix", {"base_url": "http://127.0.0.1:9"}, every_s=900)
    with database.write() as connection:
        found = objectives.agree(connection, number, 3600, 990)
        assert (found.within_s, found.permille, found.own) == (3600, 990, True)
        found = objectives.agree(connection, f"P-440000-01/{'ix-1'}", 7200, 900)
        assert (found.within_s, found.permille) == (7200, 900)
        for within in (1, 899, DAYS * 86_400 + 1):
            with pytest.raises(BadRequest):
                objectives.agree(connection, number, within, 950)
        assert objectives.default(connection, number).own is False
        with pytest.raises(NotFound):
            objectives.agree(connection, 404, 3600, 950)


@pytest.mark.parametrize(
    ("kind", "who"),
    [("net.unreachable", "network"), ("net.address_forbidden", "hub"), ("hub.error", "hub"), ("lease.lost", "hub"),
     ("peer.refused", "source"), ("xml.malformed", "source"), ("net.redirects", "source"), ("page.loop", "source")],
)  # fmt: skip
def test_every_error_has_one_to_blame(kind: str, who: str) -> None:
    assert blame(kind) == who


def test_days_older_than_thirty_are_forgiven(sqlite: Database) -> None:
    hub = Hub(sqlite)
    number = hub.feed("ix", {"base_url": "http://127.0.0.1:9"})
    _days(sqlite, number, changes=10, late=10, late_hub=10)
    with sqlite.write() as connection:
        connection.execute(update(freshness_day).values(day=freshness_day.c.day - DAYS))
        assert objectives.of_feed(connection, number).standing is Standing.QUIET
