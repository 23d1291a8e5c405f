"""A member that has left takes its records along, as ordinary removals: in batches, after a kill too, for 30 days to be undone."""

from typing import Any

import pytest
from sqlalchemy import select, update

from app.access.audit import Act
from app.access.tables import audit
from app.admission import ramp
from app.admission.ramp import Terms
from app.catalogue import queries
from app.catalogue.tables import record
from app.db import Database, now
from app.feeds import leases
from app.feeds import service as feeds
from app.feeds.tables import feed as feed_table
from app.harvest import batches, brake, leaving, runs, undo
from app.harvest.tables import run
from app.harvest.worker import _wish, perform
from app.main import hourly
from app.platforms import moves
from app.platforms.tables import enrolment
from app.protocol.errors import Conflict, LeaseLost, NotFound
from app.settings import Settings
from tests.app.admission.desk import CODE, Desk, desk, id_of

COUNT = 60
SETTINGS = Settings(enrol_grace_days=30)


def work(at: Desk) -> dict[str, Any] | None:
    """What a free worker does next; its run's report."""
    with at.engine() as engine:
        with at.database.write() as connection:
            lease = leases.claim_due(connection, "w", 60)
            if lease is None:
                return None
            feed = feeds.by_id(connection, lease.feed_id)
        return perform(engine, lease, feed, *_wish(feed))


def leaves(at: Desk) -> None:
    """The member's end is announced, and its day comes; the hub's hour after it."""
    with at.database.write() as connection:
        moves.retire(connection, CODE, SETTINGS, "merged with another platform")
        connection.execute(update(feed_table).values(next_at=now(connection) + 3_600_000_000))
    hour(at)
    assert at.live() == COUNT
    assert work(at) is None, "until the day comes nothing goes"
    with at.database.write() as connection:
        connection.execute(update(enrolment).values(due_at=now(connection)).where(enrolment.c.due_at.is_not(None)))
    hour(at)


def hour(at: Desk) -> None:
    """What is done every hour."""
    with at.database.write() as connection:
        hourly(connection, SETTINGS)


def test_at_the_end_of_the_grace_its_records_become_tombstones(database: Database, monkeypatch: Any) -> None:
    monkeypatch.setattr(batches, "BATCH", 25)
    with desk(database, COUNT) as at:
        at.again()
        with at.database.read() as connection:
            assert leaving.would_go(connection, CODE) == COUNT
        head = at.head()
        leaves(at)
        assert at.live() == COUNT, "no request and no hourly transaction takes records out"
        report = work(at)
        assert report is not None
        assert (report["job"], report["status"], report["tombstoned"], report["seen"]) == (
            "retire",
            "done",
            COUNT,
            COUNT,
        )
        assert (report["asked"]["why"], at.live(), at.head()) == ("merged with another platform", 0, head + COUNT)
        at.check()
        with database.read() as connection:
            rows = connection.execute(select(record)).all()
            assert {(row.live, row.run_id, row.flags != "withdrawn") for row in rows} == {(0, report["run"], True)}
            noted = connection.execute(select(audit).where(audit.c.act == Act.LEFT)).all()
            assert len(noted) == 3
            assert feeds.by_id(connection, at.feed_id)["state"] == "retired"
            assert leaving.would_go(connection, CODE) == 0
        hour(at)
        assert work(at) is None, "once"


def test_a_worker_killed_in_the_middle_is_followed_by_another_in_the_same_run(
    database: Database, monkeypatch: Any
) -> None:
    monkeypatch.setattr(batches, "BATCH", 25)
    with desk(database, COUNT) as at:
        at.again()
        leaves(at)
        counted = runs.count

        def dies(*args: Any, **more: Any) -> None:
            if at.live() == COUNT - 25:
                raise LeaseLost("killed")
            counted(*args, **more)

        monkeypatch.setattr(runs, "count", dies)
        with pytest.raises(LeaseLost):
            work(at)
        assert at.live() == COUNT - 25
        monkeypatch.setattr(runs, "count", counted)
        assert work(at) is None, "the lease of the lost worker still holds"
        with database.write() as connection:
            connection.execute(update(feed_table).values(lease_until=0))
        report = work(at)
        assert report is not None
        assert (report["tombstoned"], at.live()) == (COUNT, 0)
        with database.read() as connection:
            assert len(connection.execute(select(run).where(run.c.job == "retire")).all()) == 1
        at.check()


def test_it_can_be_undone_and_is_not_done_again(database: Database) -> None:
    with desk(database, COUNT) as at:
        at.again()
        leaves(at)
        report = work(at)
        assert report is not None
        back = undo.undo(database, report["run"], runs.Asked("wang", "by mistake"))
        assert (back["changed"], at.live()) == (COUNT, COUNT)
        hour(at)
        assert work(at) is None
        assert at.live() == COUNT
        at.check()


def test_what_waits_goes_with_it_and_what_others_bring_stays(database: Database) -> None:
    with desk(database, COUNT) as at:
        other = at.feed("ix", {"base_url": "http://127.0.0.1:9/"}, platform="P-650000-01")
        with database.write() as connection:
            ramp.begin(connection, at.feed_id, "", Terms())
            ramp.halt(connection, at.feed_id, "test")
        at.again()
        assert len(at.kept("ramp")) == COUNT
        with database.write() as connection:
            moves.retire(connection, CODE, Settings(enrol_grace_days=0), "left")
            connection.execute(update(feed_table).values(next_at=now(connection) + 3_600_000_000))
        hour(at)
        assert work(at) is not None
        assert (at.kept("ramp"), at.live()) == ([], 0)
        with database.read() as connection:
            assert feeds.by_id(connection, other)["wanted"] is None
            assert feeds.by_id(connection, other)["state"] == "active"


def test_a_suspended_members_records_stay(sqlite: Database) -> None:
    with desk(sqlite, COUNT) as at:
        at.again()
        with sqlite.write() as connection:
            moves.suspend(connection, CODE, "an incident")
        hour(at)
        assert work(at) is None
        assert at.live() == COUNT
        with sqlite.read() as connection:
            number = connection.execute(select(run.c.id)).scalar_one()
        with pytest.raises((Conflict, NotFound)):
            undo.undo(sqlite, number)


def test_removals_that_a_reviewer_has_refused_meanwhile_do_not_come_back(database: Database) -> None:
    with desk(database, COUNT) as at:
        at.again()
        gone = [id_of(number) for number in (1, 2, 3)]
        with database.write() as connection:
            number = runs.begin(connection, at.feed_id, "reconcile")
            runs.count(connection, number, held=brake.gather(connection, at.feed_id, number, gone, "explicit"))
            brake.settle(connection, at.feed_id, number, (50, 0.05))
            runs.end(connection, number, None)
        assert at.live() == COUNT - 3
        at.policy(platform=CODE, mode="every")
        at.edit = lambda body: body.replace(b"<dc:title>", b"<dc:title>new ")
        at.again()
        at.decide("reject", gone[:1], reasons=("rights",))
        back = undo.undo(database, number)
        assert (back["changed"], at.live()) == (2, COUNT - 1)
        with database.read() as connection:
            assert queries.by_id(connection, gone[0]).live == 0
        at.check()
