"""A source that lists one identifier twice with different contents: it settles, and is told so."""

from typing import Any

import pytest
from sqlalchemy import select, update

from app.catalogue.tables import record
from app.db import Database
from app.feeds import leases, service
from app.feeds.tables import feed as feed_table
from app.harvest import pages
from app.harvest.engine import Engine
from app.harvest.loop import harvest
from app.protocol.record import restore
from tests.faults.sources import MAPPING, Wire
from tests.faults.test_moving_pages import Told, _config, _item
from tests.hub import Hub

pytestmark = pytest.mark.postgres15
# Stamps of the first and the second content, and which of them counts.
STAMPS = {
    "none": (None, None, 1),
    "the same": ("2026-01-01T00:00:00Z", "2026-01-01T00:00:00Z", 1),
    "newer first": ("2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z", 1),
    "newer last": ("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z", 2),
}


class Died(BaseException):
    """A worker that is gone in the middle."""


def _pages(first: str | None, second: str | None, far: int = 1) -> list[list[dict[str, Any]]]:
    one, two = {**_item(("a", 1)), "at": first}, {**_item(("a", 2)), "at": second}
    between = [[_item((f"m{n}", 1))] for n in range(far)]
    return [[one, _item(("b", 1))], *between, [two, _item(("c", 1))]]


def _title(hub: Hub) -> str:
    with hub.database.read() as connection:
        documents = connection.execute(select(record.c.document).where(record.c.live == 1)).scalars()
        titles = [str(restore(bytes(document))["title"]) for document in documents]
    return next(title for title in titles if title.startswith("a "))


def _harvest(hub: Hub, feed: int, told: Told, job: str = "full", dies_at: int = 0) -> dict[str, Any]:
    with hub.database.write() as connection:
        connection.execute(update(feed_table).values(lease_until=0))
        lease = leases.claim(connection, feed, f"worker-{dies_at}", 60)
        known = service.by_id(connection, feed)
    assert lease is not None
    left = dies_at

    def stored(*_: Any) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Died

    report = harvest(Engine(hub.database, Wire(told), (50, 0.05), progress=stored), lease, known, job)  # type: ignore[arg-type]
    hub.check()
    return report


@pytest.mark.parametrize("stamps", list(STAMPS))
def test_one_id_on_two_pages_with_two_contents_settles(database: Database, stamps: str) -> None:
    hub, told = Hub(database), Told()
    first, second, counts = STAMPS[stamps]
    told.pages = _pages(first, second)
    feed = hub.feed("json", _config(), mapping=MAPPING)
    reports = [_harvest(hub, feed, told) for _ in range(2)]
    head, title = hub.head(), f"a 第{counts}版"
    reports += [_harvest(hub, feed, told) for _ in range(3)]
    assert (hub.head(), _title(hub), hub.live()) == (head, title, 4)
    assert head == 4 + (counts == 2), (
        "the first run changes it once where the newer content comes last, and no run after"
    )
    for report in reports[counts == 2 :]:  # where it was changed within the first run nothing was left out
        assert (report["status"], report["seen"]) == ("done", 5)
        assert report["warnings"]["record.repeated"]["n"] == 1
        assert report["warnings"]["record.repeated"]["first"][0].endswith("/a")
    assert [(r["changed"], r["duplicate"], r["held"]) for r in reports[1:]] == [(0, 1, 0)] * 4


@pytest.mark.parametrize("stamps", list(STAMPS))
@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_a_worker_that_takes_the_run_over_knows_of_it_too(sqlite: Database, stamps: str, dies_at: int) -> None:
    hub, told = Hub(sqlite), Told()
    first, second, counts = STAMPS[stamps]
    told.pages = _pages(first, second)
    # A source with its own count is read as a whole: what its listing has held is kept, whoever read it.
    feed = hub.feed("json", _config(total_path="total"), mapping=MAPPING)
    _harvest(hub, feed, told)
    head = hub.head()
    with pytest.raises(Died):
        _harvest(hub, feed, told, dies_at=dies_at)
    _harvest(hub, feed, told)
    assert (hub.head(), _title(hub)) == (head, f"a 第{counts}版")


def test_the_two_may_lie_further_apart_than_a_run_remembers(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MET", 2)
    hub, told = Hub(sqlite), Told()
    told.pages = _pages(None, None, far=12)
    feed = hub.feed("json", _config(total_path="total"), mapping=MAPPING)
    _harvest(hub, feed, told)
    head = hub.head()
    _harvest(hub, feed, told)
    assert (hub.head(), _title(hub)) == (head, "a 第1版")


def test_an_older_content_that_comes_alone_is_let_in_at_the_runs_end(database: Database) -> None:
    """A platform that was set back to yesterday."""
    hub, told = Hub(database), Told()
    told.pages = [[{**_item(("a", 2)), "at": "2026-01-02T00:00:00Z"}], [_item(("b", 1))]]
    feed = hub.feed("json", _config(), mapping=MAPPING)
    _harvest(hub, feed, told)
    told.pages = [[{**_item(("a", 1)), "at": "2026-01-01T00:00:00Z"}], [_item(("b", 1))]]
    report = _harvest(hub, feed, told)
    assert (report["status"], report["changed"], report["held"], report["warnings"]) == ("done", 1, 0, {})
    assert (_title(hub), hub.head()) == ("a 第1版", 3)
    _harvest(hub, feed, told)
    assert hub.head() == 3
