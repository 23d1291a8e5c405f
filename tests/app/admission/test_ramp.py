"""The ramp: 1 % lies within 10 % lies within all; what is beyond waits outside; it stops by itself and is resumed by hand."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import update

from app.access.principal import Principal, Rows
from app.access.scopes import Scope
from app.admission import entering, ramp
from app.admission.ramp import NoGoodRun, Stopped, Terms
from app.admission.tables import ramp as table
from app.db import Database
from app.feeds import service as feeds
from app.protocol.errors import BadRequest, Conflict, Forbidden, NotFound
from app.settings import Settings
from tests.app.admission.desk import CODE, Desk, desk, id_of

COUNT = 300
VENDOR = Principal("person:vendor", frozenset({Scope.FEEDS_MANAGE}), Rows(platforms=frozenset({CODE})))


@contextmanager
def ramped(database: Database, count: int = COUNT, **terms: Any) -> Iterator[Desk]:
    """A desk whose feed is on the first step."""
    with desk(database, count) as at:
        with database.write() as connection:
            ramp.begin(connection, at.feed_id, "", Terms(**terms))
        yield at


def act(at: Desk, verb: Callable[..., None], why: str = "", who: Principal | None = None) -> None:
    """A step of the ramp by somebody, and what it lets in."""
    base = at.database.acting(who) if who else at.database
    with base.write() as connection:
        verb(connection, at.feed_id, why)
        entering.call(connection, at.feed_id)


def stands(at: Desk) -> dict[str, Any]:
    """How the feed stands on its ramp."""
    with at.database.read() as connection:
        found = ramp.found(connection, at.feed_id)
    assert found is not None
    return found


def drawn(at: Desk, percent: int, count: int = COUNT) -> set[str]:
    """Which of the source's records fall into a step."""
    with at.database.read() as connection:
        row = connection.execute(table.select()).one()
    step = ramp.Step(percent * 100, row.salt)
    return {id_of(number) for number in range(count) if step.lets(id_of(number))}


def shown(at: Desk, count: int = COUNT) -> set[str]:
    """Ids of live records."""
    rows = {id: at.row(id) for id in (id_of(number) for number in range(count))}
    return {id for id, row in rows.items() if row is not None and row.live}


def spoil(at: Desk, number: int) -> None:
    """From now on this many of the source's records have no title, and are refused."""

    def edit(body: bytes) -> bytes:
        for place in range(number):
            start = body.find(f"example:{place:06d}<".encode())
            title = body.find(b"<dc:title>", start)
            if start >= 0 and title >= 0:
                body = (
                    body[:title]
                    + b"<dc:none>"
                    + body[body.find(b">", title) + 1 :].replace(b"</dc:title>", b"</dc:none>", 1)
                )
        return body

    at.edit = edit


def test_a_feed_goes_live_by_steps_without_asking_its_source_again(database: Database) -> None:
    with ramped(database) as at:
        first = at.again()
        one, ten = drawn(at, 1), drawn(at, 10)
        assert one < ten
        assert (shown(at), first["created"], first["held"], first["seen"]) == (one, len(one), COUNT - len(one), COUNT)
        assert (stands(at)["waiting"], stands(at)["inside"]["10"]) == (COUNT - len(one), len(ten) - len(one))
        assert at.again()["unchanged"] == COUNT
        act(at, ramp.up)
        assert shown(at) == one, "let in by the worker, not by whoever asks"
        entered = at.harvest(at.feed_id, "ramp")
        assert (entered["job"], entered["created"], entered["requests"], shown(at)) == (
            "ramp",
            len(ten) - len(one),
            0,
            ten,
        )
        assert at.again()["unchanged"] == COUNT
        act(at, ramp.up)
        rest = at.harvest(at.feed_id, "ramp")
        assert (rest["created"], at.live(), at.kept("ramp"), stands(at)["state"]) == (
            COUNT - len(ten),
            COUNT,
            [],
            "over",
        )
        assert at.again()["unchanged"] == COUNT
        at.check()


def test_only_a_step_that_has_seen_a_good_run_is_raised_by_the_feeds_own_people(database: Database) -> None:
    with ramped(database, 20) as at:
        with pytest.raises(NoGoodRun):
            act(at, ramp.up, "", VENDOR)
        at.again()
        act(at, ramp.up, "", VENDOR)
        with pytest.raises(NoGoodRun):
            act(at, ramp.up, "nevertheless", VENDOR)
        act(at, ramp.up, "known for years")
        with pytest.raises(Conflict):
            act(at, ramp.up)
        act(at, ramp.down, "a complaint", VENDOR)
        assert (stands(at)["percent"], stands(at)["state"], stands(at)["by"]) == (10, "on", "vendor")


def test_a_good_run_after_the_agreed_time_raises_the_step_and_lets_in_what_waits(database: Database) -> None:
    with ramped(database, hold_s=3600) as at:
        at.again()
        assert stands(at)["percent"] == 1
        _later(at, 3601)
        at.again()
        assert (stands(at)["percent"], stands(at)["by"]) == (10, "system")
        with database.read() as connection:
            assert feeds.by_id(connection, at.feed_id)["wanted"] == "ramp"
        at.harvest(at.feed_id, "ramp")
        assert shown(at) == drawn(at, 10)
        with database.read() as connection:
            feed = feeds.by_id(connection, at.feed_id)
        assert (feed["wanted"], feed["next_at"]) == (None, feed["succeeded_at"] + feed["every_s"] * 1_000_000)


def test_people_alone_raise_a_step_without_an_agreed_time(sqlite: Database) -> None:
    with ramped(sqlite, 20, hold_s=0) as at:
        at.again()
        _later(at, 9_999_999)
        at.again()
        assert (stands(at)["percent"], stands(at)["raises_at"]) == (1, None)


def test_too_many_refused_stop_it_and_nothing_more_enters(database: Database) -> None:
    with ramped(database, hold_s=1) as at:
        spoil(at, 20)
        report = at.again()
        assert report["rejected"] == 20
        found = stands(at)
        assert (found["state"], found["cause"], found["bad"], found["judged"]) == ("stopped", "refused", 20, COUNT)
        assert (found["bad_run"], found["by"], found["raises_at"]) == (report["run"], "hub", None)
        before = shown(at)
        spoil(at, 0)
        at.again()
        assert (shown(at), stands(at)["state"]) == (before, "stopped")
        with pytest.raises(Stopped):
            act(at, ramp.up, "", VENDOR)
        with pytest.raises(BadRequest):
            act(at, ramp.resume, " ", VENDOR)
        act(at, ramp.resume, "the export is mended", VENDOR)
        at.harvest(at.feed_id, "ramp")
        assert (shown(at), stands(at)["percent"]) == (drawn(at, 1), 1)


def test_few_refused_do_not_stop_it(database: Database) -> None:
    with ramped(database, 20) as at:
        spoil(at, 4)
        assert at.again()["rejected"] == 4
        assert (stands(at)["state"], stands(at)["good_run"] is not None) == ("on", True)


def test_a_source_of_another_shape_stops_it(sqlite: Database) -> None:
    with ramped(sqlite, 100) as at:
        spoil(at, 100)
        assert at.again()["error"]["kind"] == "run.schema_changed"
        assert (stands(at)["state"], stands(at)["cause"]) == ("stopped", "shape")


def test_refusals_by_reviewers_stop_it(database: Database) -> None:
    with ramped(database) as at:
        at.policy(platform=CODE, mode="every")
        at.again()
        act(at, ramp.up, "to have some")
        at.harvest(at.feed_id, "ramp")
        waiting = at.kept()
        assert set(waiting) == drawn(at, 10), "a reviewer sees what the step lets in, and no more"
        at.decide("admit", waiting[5:])
        at.decide("reject", waiting[:4], reasons=("rights",))
        assert stands(at)["state"] == "on"
        at.decide("reject", waiting[4:5], reasons=("rights",))
        found = stands(at)
        assert (found["state"], found["cause"], found["bad"], found["judged"]) == (
            "stopped",
            "verdicts",
            5,
            len(waiting),
        )


def test_what_is_in_goes_on_living_whatever_the_step(database: Database) -> None:
    with ramped(database) as at:
        at.again()
        act(at, ramp.halt, "looked at by hand")
        at.edit = lambda body: body.replace(b"<dc:title>", b"<dc:title>new ")
        inside = shown(at)
        report = at.again()
        assert (report["changed"], report["held"], shown(at)) == (len(inside), COUNT - len(inside), inside)
        assert all(b"new " in at.row(id).document for id in inside)
        assert stands(at)["waiting"] == COUNT - len(inside)


def test_what_the_source_deletes_waits_no_longer(database: Database) -> None:
    with ramped(database) as at:
        at.again()
        gone = next(id for id in at.kept("ramp"))
        mark = gone.rsplit("/", 1)[1].encode()

        def edit(body: bytes) -> bytes:
            start = body.find(b"<identifier>" + mark)
            head = body.rfind(b"<header", 0, start)
            if start < 0:
                return body
            metadata, end = body.find(b"<metadata>", start), body.find(b"</metadata>", start) + len(b"</metadata>")
            body = body[:metadata] + body[end:]
            return body[:head] + body[head:].replace(b"<header>", b'<header status="deleted">', 1)

        at.edit = edit
        at.again()
        assert gone not in at.kept("ramp")
        at.check()


def test_a_step_back_takes_nothing_out(database: Database) -> None:
    with ramped(database) as at:
        at.again()
        act(at, ramp.up, "known")
        at.harvest(at.feed_id, "ramp")
        ten = shown(at)
        act(at, ramp.down, "slower, please")
        at.again()
        assert (shown(at), stands(at)["percent"]) == (ten, 1)
        with pytest.raises(Conflict):
            act(at, ramp.down, "slower still")


def test_who_stopped_it_as_an_operator_is_not_overruled_by_the_member(sqlite: Database) -> None:
    with ramped(sqlite, 20) as at:
        act(at, ramp.halt, "a complaint")
        with pytest.raises(Forbidden):
            act(at, ramp.resume, "we disagree", VENDOR)
        act(at, ramp.resume, "settled")
        act(at, ramp.halt, "our export is broken", VENDOR)
        act(at, ramp.resume, "mended", VENDOR)
        with pytest.raises(Conflict):
            act(at, ramp.resume, "again", VENDOR)


def test_what_an_operator_registers_is_on_no_ramp(sqlite: Database) -> None:
    with desk(sqlite, 20) as at:
        with sqlite.write() as connection:
            ramp.submitted(connection, at.feed_id, Settings())
        with pytest.raises(NotFound):
            act(at, ramp.up)
        with sqlite.acting(VENDOR).write() as connection:
            ramp.submitted(connection, at.feed_id, Settings(ramp=False))
            assert ramp.found(connection, at.feed_id) is None
            ramp.submitted(connection, at.feed_id, Settings(ramp_hours=2, ramp_stop="9,2.5%"))
        found = stands(at)
        assert (found["percent"], found["hold_s"], found["least"], found["permille"]) == (1, 7200, 9, 25)
        with sqlite.acting(VENDOR).write() as connection, pytest.raises(Forbidden):
            ramp.begin(connection, at.feed_id, "", Terms())
        with sqlite.write() as connection, pytest.raises(Conflict):
            ramp.begin(connection, at.feed_id, "", Terms())


def _later(at: Desk, seconds: int) -> None:
    with at.database.write() as connection:
        connection.execute(update(table).values(since_at=table.c.since_at - seconds * 1_000_000))
