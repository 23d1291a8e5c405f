"""Kept bytes of several records in one pack: each comes back as it came, and nothing stays of one that is gone."""

from concurrent.futures import ThreadPoolExecutor, wait
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from app.catalogue import originals, packs, service
from app.catalogue.arrivals import Arrival, Origin
from app.catalogue.packs import BYTES, RECORDS, Pack
from app.catalogue.tables import original, original_pack, record
from app.db import Database
from app.protocol.record import Prepared, prepare
from tests.hub import Hub

CONTEXT = b"<OAI-PMH>"


@given(st.lists(st.binary(max_size=300), max_size=100))
def test_records_come_back_in_their_order(raws: list[bytes]) -> None:
    made = packs.packs([b"%d" % number for number in range(len(raws))], raws)
    assert [raw for pack in made for raw in packs.raws(pack.body)] == raws
    assert [mark for pack in made for mark in pack.marks] == [b"%d" % number for number in range(len(raws))]
    assert all(0 < len(pack.marks) <= RECORDS for pack in made)


@given(st.lists(st.sampled_from((0, 1, BYTES // 3, BYTES - 1, BYTES, 2 * BYTES)), max_size=80))
def test_a_pack_is_as_large_as_one_record_needs_or_bounded(sizes: list[int]) -> None:
    raws = [bytes(size) for size in sizes]
    made = [raws[part] for part in packs.parts(raws)]
    assert [raw for part in made for raw in part] == raws
    assert all(len(part) == 1 or (len(part) <= RECORDS and sum(map(len, part)) <= BYTES) for part in made)
    # None is smaller than it had to be.
    assert all(len(part) == RECORDS or sum(map(len, part)) + len(after[0]) > BYTES for part, after in pairwise(made))


@given(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=RECORDS), st.data())
def test_an_emptied_place_holds_nothing_and_the_others_keep_theirs(raws: list[bytes], data: st.DataObject) -> None:
    gone = data.draw(st.sets(st.integers(0, len(raws) - 1)))
    left = packs.raws(packs.without(packs.body(raws), gone))
    assert left == [b"" if place in gone else raw for place, raw in enumerate(raws)]


def _arrivals(numbers: range, title: str) -> tuple[list[Arrival], dict[bytes, bytes]]:
    arrivals, raws = [], {}
    for number in numbers:
        id = f"ix:P-440000-01:k/{number}"
        made = prepare({"id": id, "title": f"{title} {number}"}, id)
        assert isinstance(made, Prepared)
        raws[mark := f"{title} {number}".encode()] = f"<record>{title} {number}</record>".encode()
        arrivals.append(Arrival(made, mark))
    return arrivals, raws


def _kept(connection: Connection, feed: int) -> dict[int, bytes]:
    return {int(one.id.rpartition("/")[2]): one.raw for one in originals.of_feed(connection, feed)}


def _store(connection: Connection, feed: int, run: int, numbers: range, title: str, ready: bool = True) -> list[Pack]:
    """One page of records; the packs that were made of it beforehand."""
    arrivals, raws = _arrivals(numbers, title)
    made = packs.packs(list(raws), list(raws.values())) if ready else []
    outcome = service.apply(connection, arrivals, Origin(feed, run, "440000"))
    originals.keep(connection, outcome, lambda: raws, CONTEXT, made)
    return made


def _bodies(connection: Connection) -> list[bytes]:
    return [
        bytes(body) for body in connection.execute(select(original_pack.c.body).order_by(original_pack.c.id)).scalars()
    ]


def _said(connection: Connection) -> bytes:
    """All that any pack says."""
    return b"".join(raw for body in _bodies(connection) for raw in packs.raws(body))


def test_packs_made_beforehand_are_kept_as_they_are(database: Database) -> None:
    hub = Hub(database)
    feed = hub.feed("ix", {"base_url": "http://127.0.0.1:9/ix"})
    with database.write() as connection:
        made = _store(connection, feed, 1, range(100), "甲")
        assert _bodies(connection) == [pack.body for pack in made]
        assert _kept(connection, feed) == {n: f"<record>甲 {n}</record>".encode() for n in range(100)}
        pk = connection.execute(select(record.c.pk).where(record.c.id == "ix:P-440000-01:k/57")).scalar_one()
        assert originals.of_record(connection, pk) == ("<record>甲 57</record>".encode(), CONTEXT)
    hub.check()


def test_a_pack_with_a_record_that_was_not_written_is_made_anew_without_it(database: Database) -> None:
    hub = Hub(database)
    feed = hub.feed("ix", {"base_url": "http://127.0.0.1:9/ix"})
    with database.write() as connection:
        _store(connection, feed, 1, range(50, 51), "甲")
        made = _store(connection, feed, 2, range(40, 120), "甲")  # record 50, of the first pack, is unchanged
        assert [pack.body for pack in made[1:]] == _bodies(connection)[1 : len(made)]
        assert made[0].body not in _bodies(connection)
        assert _said(connection).count("甲 50<".encode()) == 1
        assert sorted(_kept(connection, feed)) == list(range(40, 120))
    hub.check()


def test_an_entry_that_stands_twice_on_a_page_has_one_place(database: Database) -> None:
    hub = Hub(database)
    feed = hub.feed("ix", {"base_url": "http://127.0.0.1:9/ix"})
    with database.write() as connection:
        arrivals, raws = _arrivals(range(40), "甲")
        twice, bytes_ = [*raws, *raws], [*raws.values(), *raws.values()]
        outcome = service.apply(connection, [*arrivals, *arrivals], Origin(feed, 1, "440000"))
        originals.keep(connection, outcome, lambda: raws, CONTEXT, packs.packs(twice, bytes_))
        assert len(_kept(connection, feed)) == 40
    hub.check()


def test_a_changed_record_leaves_nothing_in_its_old_pack(database: Database) -> None:
    hub = Hub(database)
    feed = hub.feed("ix", {"base_url": "http://127.0.0.1:9/ix"})
    with database.write() as connection:
        _store(connection, feed, 1, range(100), "甲")
        _store(connection, feed, 2, range(10, 50), "乙")
        said = _said(connection)
        assert not any(f"甲 {n}<".encode() in said for n in range(10, 50))
        assert _kept(connection, feed) == {
            n: f"<record>{'乙' if 10 <= n < 50 else '甲'} {n}</record>".encode() for n in range(100)
        }
        _store(connection, feed, 3, range(100), "丙", ready=False)
        assert "甲".encode() not in _said(connection)
        assert len(_bodies(connection)) == -(-100 // RECORDS)
    hub.check()


def test_a_withdrawn_record_leaves_nothing_and_its_neighbours_stay(database: Database) -> None:
    hub = Hub(database)
    feed = hub.feed("ix", {"base_url": "http://127.0.0.1:9/ix"})
    with database.write() as connection:
        _store(connection, feed, 1, range(RECORDS + 1), "甲")
        gone = [3, 7, RECORDS]
        service.withdraw(connection, {f"ix:P-440000-01:k/{n}": True for n in gone})
        assert sorted(_kept(connection, feed)) == sorted({*range(RECORDS + 1)} - {*gone})
        assert not any(f"甲 {n}<".encode() in _said(connection) for n in gone)
        assert len(_bodies(connection)) == 1  # the last record had a pack of its own
        service.withdraw(connection, {f"ix:P-440000-01:k/{n}": True for n in range(RECORDS + 1)})
        assert (connection.execute(select(original)).all(), _bodies(connection)) == ([], [])
    hub.check()


def test_bytes_of_one_page_are_kept_under_the_context_of_each(database: Database) -> None:
    """What was kept back comes in one by one, from pages with contexts of their own."""
    hub = Hub(database)
    feed = hub.feed("ix", {"base_url": "http://127.0.0.1:9/ix"})
    with database.write() as connection:
        arrivals, raws = _arrivals(range(6), "甲")
        written = service.apply(connection, arrivals, Origin(feed, 1, "440000")).written
        marks = [originals.mark(connection, b"<a>"), originals.mark(connection, b"<b>"), b""]
        rows = [(pk, raws[digest], marks[pk % 3]) for pk, digest in written.items()]
        originals.put(connection, rows)
        originals.put(connection, rows[:2])
        kept = {one.pk: (one.raw, one.context) for one in originals.of_feed(connection, feed)}
        assert kept == {pk: (raws[digest], (b"<a>", b"<b>", b"")[pk % 3]) for pk, digest in written.items()}
    hub.check()


def test_two_writers_empty_places_of_one_pack(postgres: Database) -> None:
    """Each waits for the other and then sees what it left; without the lock the later one would refill the place."""
    hub = Hub(postgres)
    feed = hub.feed("ix", {"base_url": "http://127.0.0.1:9/ix"})
    with postgres.write() as connection:
        _store(connection, feed, 1, range(20), "甲")
        pks = list(connection.execute(select(original.c.pk).order_by(original.c.pk)).scalars())

    def drop(pks: list[int]) -> None:
        with postgres.write() as connection:
            originals.forget(connection, pks)

    with ThreadPoolExecutor(3) as threads:
        with postgres.write() as connection:
            originals.forget(connection, pks[:5])
            others = [threads.submit(drop, pks[start : start + 5]) for start in (3, 8)]
            wait(others, timeout=0.5)  # they have begun, and stand at the pack or at records that they share
            assert not any(other.done() for other in others)
        for other in others:
            other.result(30)
    with postgres.read() as connection:
        assert sorted(_kept(connection, feed)) == list(range(13, 20))
        assert not any(f"甲 {n}<".encode() in _said(connection) for n in range(13))
    hub.check()
