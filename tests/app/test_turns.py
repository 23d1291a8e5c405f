"""Turns in the harvest's queue: a platform with a thousand feeds is one in it."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import update

from app.db import Database, now
from app.feeds import leases, turns
from app.feeds import service as feeds
from app.feeds.leases import Lease
from app.feeds.tables import feed
from app.platforms import service as platforms
from app.protocol.errors import BadRequest, NotFound

GREEDY, COUNTY, TOWN = "P-440000-01", "D-530102-01", "D-620102-01"


def _offers(database: Database, platform: str, count: int, waited_s: int = 0) -> None:
    """So many due feeds, each on a host of its own, the first due for `waited_s` longer than the last."""
    with database.write() as connection:
        platforms.register(connection, platform, platform)
        due = now(connection) - waited_s * 1_000_000 - count
        rows = [
            {
                "platform": platform, "key": f"f{n}", "name": "f", "connector": "ix", "config": "{}", "every_s": 900,
                "host": f"{platform}-{n}", "next_at": due + n, "checkpoint": "{}", "created_at": 0,
            }
            for n in range(count)
        ]  # fmt: skip
        connection.execute(feed.insert(), rows)


def _turn(database: Database, owner: str = "one") -> tuple[Lease | None, str]:
    with database.write() as connection:
        lease = leases.claim_due(connection, owner, 60)
        return lease, feeds.place(connection, lease.feed_id)[0] if lease else ""


def _done(database: Database, lease: Lease | None) -> None:
    assert lease is not None
    with database.write() as connection:
        leases.release(connection, lease, succeeded=True)


def _run(database: Database, count: int) -> list[str]:
    """Whose feeds one thread harvests, one after the other; a feed that was harvested is due again at once."""
    seen = []
    for _ in range(count):
        lease, platform = _turn(database)
        _done(database, lease)
        with database.write() as connection:
            connection.execute(update(feed).values(next_at=feed.c.created_at))
        seen.append(platform)
    return seen


def test_one_feed_does_not_wait_behind_a_thousand_of_another_platform(database: Database) -> None:
    """They have waited for an hour longer."""
    _offers(database, GREEDY, 1000, waited_s=3600)
    assert [_turn(database)[1] for _ in range(8)] == [GREEDY] * 8, "alone it has all threads"
    _offers(database, COUNTY, 1)
    assert _turn(database)[1] == COUNTY
    assert _turn(database)[1] == GREEDY


def test_who_has_used_what_nobody_wanted_pays_nothing_for_it_later(database: Database) -> None:
    _offers(database, GREEDY, 5)
    assert _run(database, 50) == [GREEDY] * 50
    _offers(database, COUNTY, 5)
    counts = Counter(_run(database, 20))
    assert (counts.total(), abs(counts[GREEDY] - counts[COUNTY]) <= 2) == (20, True), "one turn more or less"


def test_two_workers_at_once_share_what_is_due_and_take_nothing_twice(database: Database) -> None:
    _offers(database, GREEDY, 1000, waited_s=3600)
    for platform in (COUNTY, TOWN):
        _offers(database, platform, 3)
    taken: list[tuple[Lease | None, str]] = []
    together = threading.Barrier(2)

    def work(name: str) -> None:
        together.wait()
        taken.extend(_turn(database, name) for _ in range(6))

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({lease.feed_id for lease, _ in taken if lease}) == 12
    assert Counter(platform for _, platform in taken) == {GREEDY: 6, COUNTY: 3, TOWN: 3}


def test_nobody_starves_with_one_thread_and_a_weight_is_a_share(database: Database) -> None:
    for platform in (GREEDY, COUNTY, TOWN):
        _offers(database, platform, 4)
    assert sorted(_run(database, 9)[-3:]) == sorted([GREEDY, COUNTY, TOWN])
    with database.write() as connection:
        turns.weigh(connection, GREEDY, 3, "most of the nation's records")
        assert (turns.weight(connection, GREEDY), turns.weight(connection, TOWN)) == (3, 1)
    counts = Counter(_run(database, 50))
    shares = {GREEDY: 30, COUNTY: 10, TOWN: 10}
    assert all(abs(counts[one] - share) <= 1 for one, share in shares.items()), counts


def test_a_weight_is_a_share_of_the_threads_too(database: Database) -> None:
    for platform in (GREEDY, COUNTY):
        _offers(database, platform, 20)
    with database.write() as connection:
        turns.weigh(connection, COUNTY, 3, "test")
    assert Counter(_turn(database)[1] for _ in range(8)) == {COUNTY: 6, GREEDY: 2}


def test_a_weight_is_from_1_to_100_and_of_a_platform_that_is_there(database: Database) -> None:
    _offers(database, COUNTY, 1)
    with database.write() as connection:
        for weight in (0, -1, 101):
            with pytest.raises(BadRequest):
                turns.weigh(connection, COUNTY, weight, "test")
        with pytest.raises(NotFound):
            turns.weigh(connection, TOWN, 2, "test")


@contextmanager
def _held(database: Database, feed_id: int) -> Iterator[None]:
    """A transaction that holds the feed's row, as a person's decision does."""
    with database.write() as connection:
        leases.still(connection, [feed_id])
        yield


def test_the_queue_does_not_wait_for_a_decision_that_holds_a_feed(postgres: Database) -> None:
    _offers(postgres, COUNTY, 1, waited_s=60)
    _offers(postgres, TOWN, 1)
    with _held(postgres, 1):
        assert _turn(postgres)[1] == TOWN
        assert _turn(postgres)[0] is None
    assert _turn(postgres)[1] == COUNTY
