"""Removals taken back: what was removed returns as it was, and nothing else moves."""

from typing import Any

import pytest
from sqlalchemy import select, update

from app.access.audit import Act
from app.access.tables import audit
from app.catalogue import originals, queries, search, service
from app.catalogue.arrivals import Arrival, Origin
from app.catalogue.tables import moment, original, record
from app.db import Database
from app.feeds.tables import feed as feed_table
from app.harvest import batches, brake, decisions, runs, undo
from app.harvest.explain import explain
from app.harvest.undo import Native, TooLate
from app.protocol.errors import Conflict, NotFound
from app.protocol.record import Prepared, prepare
from tests.hub import Hub

pytestmark = pytest.mark.postgres15
STATIC = {"manifest_url": "http://127.0.0.1:9/m"}


def _filled(hub: Hub, count: int, connector: str = "static-parts") -> tuple[int, list[str]]:
    """A feed with so many records that a run has brought, with their bytes; (feed, ids)."""
    config = STATIC if connector == "static-parts" else {"base_url": "http://127.0.0.1:9"}
    feed = hub.feed(connector, config)
    ids = [f"ix:P-440000-01:k/{n}" for n in range(count)]
    for start in range(0, count, 500):
        _stored(hub, feed, ids[start : start + 500], "课文")
    return feed, ids


def _stored(hub: Hub, feed: int, ids: list[str], title: str) -> None:
    arrivals, raws = [], {}
    for id in ids:
        made = prepare({"id": id, "title": f"{title} {id}", "subject": "14", "type": ["视频"]}, id)
        assert isinstance(made, Prepared)
        arrivals.append(Arrival(made, id.encode(), "2026-01-01"))
        raws[id.encode()] = f"bytes of {id}".encode()
    with hub.database.write() as connection:
        number = runs.begin(connection, feed, "harvest")
        outcome = service.apply(connection, arrivals, Origin(feed, number, "440000"))
        originals.keep(connection, outcome, lambda: raws, b"context")
        runs.end(connection, number, None)


def _removed(hub: Hub, feed: int, ids: list[str], limit: brake.Limit = (50, 0.05)) -> int:
    """A run that found these gone; its number."""
    with hub.database.write() as connection:
        number = runs.begin(connection, feed, "harvest")
        held = sum(brake.gather(connection, feed, number, ids[n : n + 500], "absent") for n in range(0, len(ids), 500))
        runs.count(connection, number, held=held)
        brake.settle(connection, feed, number, limit)
        runs.end(connection, number, None)
    return number


_SAME = ("id", "feed_id", "platform", "province", "subject", "hash", "source_hash", "stamp", "path", "flags", "terms",
         "document")  # fmt: skip


def _contents(hub: Hub) -> dict[str, Any]:
    """Everything that is live, without versions and positions; with its kept bytes and what it is found by."""
    with hub.database.read() as connection:
        rows = connection.execute(select(record).where(record.c.live == 1)).all()
        kept = {one.pk: (one.raw, one.context) for feed in {row.feed_id for row in rows}
                for batch in originals.batches(connection, feed) for one in batch}  # fmt: skip
        tallies = queries.tallies(connection)
        found = search.find(connection, words="课文", terms=["subject=14"], before=None, limit=20_000)
    same = {row.id: (*(row._mapping[name] for name in _SAME), kept[row.pk]) for row in rows}
    return {"records": same, "tallies": tallies, "found": found}


def test_ten_thousand_removals_that_a_person_approved_come_back_to_the_last(sqlite: Database) -> None:
    _all_come_back(Hub(sqlite), 10_000)


def test_removals_that_a_person_approved_come_back_to_the_last(database: Database) -> None:
    _all_come_back(Hub(database), 1_100)


def _all_come_back(hub: Hub, count: int) -> None:
    feed, ids = _filled(hub, count)
    before, gone = _contents(hub), _removed(hub, feed, ids)
    with hub.database.write() as connection:
        (change,) = runs.waiting(connection, feed)
        assert decisions.approve(connection, change["id"]) == count
    assert hub.live() == 0
    with hub.database.read() as connection:
        assert undo.of_held(connection, change["id"]) == gone
        tombstones = {row.id: row for row in connection.execute(select(record))}
    head = hub.head()
    report = undo.undo(hub.database, gone, runs.Asked("wang", "the list was broken"))
    assert (report["job"], report["status"], report["changed"], report["seen"]) == ("undo", "done", count, count)
    assert _contents(hub) == before
    assert hub.head() == head + count
    hub.check()
    with hub.database.read() as connection:
        for row in connection.execute(select(record)):
            assert row.version == tombstones[row.id].version + 1
            assert (row.run_id, row.seq > head) == (report["run"], True)
        noted = connection.execute(select(audit).where(audit.c.act == Act.RETURNED)).all()
        assert len(noted) == -(-count // batches.BATCH)
        with pytest.raises(Conflict, match="undone"):
            undo.of_held(connection, change["id"])
    with pytest.raises(NotFound, match="nothing that could come back"):
        undo.undo(hub.database, gone)


def test_what_a_run_removed_by_itself_comes_back_and_what_has_changed_since_stays_as_it_is(database: Database) -> None:
    hub = Hub(database)
    feed, ids = _filled(hub, 600)
    gone = _removed(hub, feed, ids[:20])
    other = _removed(hub, feed, ids[20:30])
    assert hub.live() == 570
    _stored(hub, feed, ids[:5], "新课文")
    again = _removed(hub, feed, ids[3:5])
    report = undo.undo(database, gone)
    assert (report["changed"], hub.live()) == (15, 570 + 3 + 15)
    with database.read() as connection:
        rows = {row.id: row for row in connection.execute(select(record).where(record.c.id.in_(ids[:30])))}
    assert [rows[id].live for id in ids[:30]] == [1] * 3 + [0] * 2 + [1] * 15 + [0] * 10
    assert "新课文".encode() in bytes(rows[ids[0]].document)
    assert "新课文".encode() not in bytes(rows[ids[5]].document)
    assert {rows[id].run_id for id in ids[20:30]} == {other}
    assert {rows[id].run_id for id in ids[3:5]} == {again}
    hub.check()


def test_an_undo_that_was_killed_goes_on_where_it_stopped(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = Hub(sqlite)
    feed, ids = _filled(hub, 1_100)
    before, gone = _contents(hub), _removed(hub, feed, ids[:1_050], (2_000, 0.05))
    revive, calls = service.revive, iter(range(9))

    def dies(*given: Any) -> int:
        if next(calls) == 1:
            raise KeyboardInterrupt
        return revive(*given)

    monkeypatch.setattr(service, "revive", dies)
    with pytest.raises(KeyboardInterrupt):
        undo.undo(sqlite, gone)
    assert hub.live() == 550
    with pytest.raises(Conflict, match="try again after its run"):
        undo.undo(sqlite, gone)
    with sqlite.write() as connection:
        connection.execute(update(feed_table).values(lease_until=0))
    report = undo.undo(sqlite, gone)
    assert (report["status"], report["changed"]) == ("done", 1_050)
    assert _contents(hub) == before


def test_records_that_their_origin_numbers_are_not_ours_to_bring_back(sqlite: Database) -> None:
    hub = Hub(sqlite)
    feed, ids = _filled(hub, 100, "ix")
    gone, head = _removed(hub, feed, ids[:10]), hub.head()
    with pytest.raises(Native, match="origin"):
        undo.undo(sqlite, gone)
    assert (Native.kind, hub.head(), hub.live()) == ("removal.native", head, 90)


def test_after_thirty_days_a_removal_stands_and_the_bytes_are_dropped(database: Database) -> None:
    hub = Hub(database)
    feed, ids = _filled(hub, 100)
    gone = _removed(hub, feed, ids[:10])
    assert _kept(hub) == 100
    with database.write() as connection:
        assert originals.expire(connection) == 0
        for table, column in ((record, record.c.modified_at), (moment, moment.c.at)):
            connection.execute(update(table).values({column.name: column - originals.KEPT_US}))
        assert originals.expire(connection) == 10
        assert originals.expire(connection) == 0
    assert _kept(hub) == 90
    with pytest.raises(TooLate, match="30 days"):
        undo.undo(database, gone)
    assert hub.live() == 90


def _kept(hub: Hub) -> int:
    with hub.database.read() as connection:
        return len(connection.execute(select(original.c.pk)).all())


def test_a_removed_record_tells_nothing_of_what_it_was_made_from(sqlite: Database) -> None:
    hub = Hub(sqlite)
    feed, ids = _filled(hub, 100)
    _removed(hub, feed, ids[:1])
    with sqlite.read() as connection:
        assert len(originals.of_feed(connection, feed)) == 99
        with pytest.raises(NotFound):
            explain(connection, ids[0])


def test_a_run_that_removed_nothing_and_a_decision_that_kept_everything_have_nothing_to_undo(sqlite: Database) -> None:
    hub = Hub(sqlite)
    feed, ids = _filled(hub, 100)
    gone = _removed(hub, feed, ids)
    with sqlite.write() as connection:
        decisions.reject(connection, 1)
        with pytest.raises(Conflict, match="rejected"):
            undo.of_held(connection, 1)
    with pytest.raises(NotFound, match="nothing that could come back"):
        undo.undo(sqlite, gone)
    with pytest.raises(NotFound, match="no run 99"):
        undo.undo(sqlite, 99)
