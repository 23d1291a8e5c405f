"""Our OAI-PMH connector reads servers that others wrote, over real HTTP (reference: OAI-PMH 2.0, sections 3.5 and 4)."""

import re
from typing import Any

import pytest
from sqlalchemy import select

from app.catalogue.tables import record
from app.db import Database
from app.protocol.record import restore
from tests.hub import Hub
from tests.peers.foreign import PAGE, SERVERS, Shelf, Work, now
from tests.peers.replay import Answer, ReplayServer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TITLES = ["三年级数学上册", "བོད་ཡིག", "ئۇيغۇر تىلى", "Reading & <writing>"]


def shelf(count: int, deleted: int = 0) -> Shelf:
    """Works 0..count-1, the last `deleted` of them tombstones; every third is in the set `chinese`."""
    kinds = [("chinese" if n % 3 == 0 else "math", n >= count - deleted) for n in range(count)]
    return Shelf(
        {
            f"oai:other.example:{n:03d}": Work(f"{TITLES[n % 4]} {n}", deleted=gone, set=spec)
            for n, (spec, gone) in enumerate(kinds)
        }
    )


def titles(database: Database) -> dict[str, str]:
    """Live titles by the source's own identifier."""
    with database.read() as connection:
        rows = connection.execute(select(record.c.id, record.c.document).where(record.c.live == 1)).all()
    return {row.id.split("/", 1)[1]: restore(bytes(row.document))["title"] for row in rows}


def there(held: Shelf) -> dict[str, str]:
    """What a harvester must have of a shelf."""
    return {name: work.title for name, work in held.works.items() if not work.deleted}


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("count", [1, PAGE - 1, PAGE, PAGE + 1, 3 * PAGE, 25])
def test_every_record_of_every_page_arrives_once(sqlite: Database, kind: str, count: int) -> None:
    hub, held = Hub(sqlite), shelf(count, deleted=4 if count == 25 else 0)
    server = ReplayServer(SERVERS[kind](held))
    with server as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai"}))
    assert (report["error"], report["created"], report["rejected"]) == (None, len(there(held)), 0)
    assert titles(sqlite) == there(held)
    listed = count if kind == "oaipmh" else len(there(held))
    assert len(server.asked) == 1 + -(-listed // PAGE), "Identify and one request a page"


@pytest.mark.parametrize("kind", SERVERS)
def test_a_second_run_brings_what_changed_and_nothing_else(database: Database, kind: str) -> None:
    hub, held = Hub(database), shelf(25)
    with ReplayServer(SERVERS[kind](held)) as url:
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"})
        assert hub.harvest(feed)["created"] == 25
        quiet = hub.harvest(feed)
        assert (quiet["status"], quiet["seen"], hub.head()) == ("done", 0, 25), "noRecordsMatch is success"
        names = list(held.works)
        held.works[names[3]] = Work("改过的标题", now())
        held.works["oai:other.example:new"] = Work("新资源", now())
        second = hub.harvest(feed)
        assert (second["created"], second["changed"], second["tombstoned"]) == (1, 1, 0)
        again = hub.harvest(feed)
        assert (again["unchanged"], again["created"], again["changed"], hub.head()) == (2, 0, 0, 27)
    assert titles(database) == there(held)


@pytest.mark.parametrize("kind", SERVERS)
def test_deletions_arrive_told_or_silent(database: Database, kind: str) -> None:
    hub, held = Hub(database), shelf(25)
    with ReplayServer(SERVERS[kind](held)) as url:
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"})
        hub.harvest(feed)
        for name in list(held.works)[5:8]:
            held.works[name] = held.works[name]._replace(deleted=True, stamp=now())
        report = hub.harvest(feed)
        told = 3 if kind == "oaipmh" else 0
        assert (report["tombstoned"], hub.live()) == (told, 25 - told)
        full = hub.harvest(feed, "full")
        assert (full["tombstoned"], hub.live()) == (3 - told, 22)
        held.works[list(held.works)[5]] = Work("回来了", now())
        assert hub.harvest(feed)["changed"] == 1
    assert titles(database) == there(held)


@pytest.mark.parametrize("kind", SERVERS)
def test_a_set_is_read_alone(sqlite: Database, kind: str) -> None:
    hub, held = Hub(sqlite), shelf(40)
    with ReplayServer(SERVERS[kind](held)) as url:
        assert hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai", "set": "chinese"}))["created"] == 14
    assert set(titles(sqlite)) == {name for name, work in held.works.items() if work.set == "chinese"}


@pytest.mark.parametrize("kind", SERVERS)
def test_an_empty_repository_is_success_and_deletes_nothing(sqlite: Database, kind: str) -> None:
    hub, held = Hub(sqlite), Shelf()
    with ReplayServer(SERVERS[kind](held)) as url:
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"})
        first = hub.harvest(feed)
        assert (first["status"], first["seen"], first["error"]) == ("done", 0, None)
        held.works |= shelf(12).works
        # The window began an hour before the first run: older works come with a full run.
        assert hub.harvest(feed, "full")["created"] == 12
        held.works.clear()
        for job in ("harvest", "full"):
            assert hub.harvest(feed, job)["tombstoned"] == 0
    assert hub.live() == 12


@pytest.mark.parametrize("kind", SERVERS)
def test_a_shelf_that_grows_while_it_is_read_is_read_whole(sqlite: Database, kind: str) -> None:
    hub, held = Hub(sqlite), shelf(35)
    good, grown = SERVERS[kind](held), False

    def answer(path: str) -> Answer:
        nonlocal grown
        if "resumptionToken" in path and not grown:
            grown = True
            held.works["oai:other.example:late"] = Work("途中新增", now())
        return good(path)

    with ReplayServer(answer) as url:
        report: dict[str, Any] = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai"}))
    assert (report["error"], report["created"]) == (None, 36)
    assert titles(sqlite) == there(held)


def test_a_repository_whose_clock_stands_still_tells_of_deletions_all_the_same(sqlite: Database) -> None:
    hub, held = Hub(sqlite), shelf(12)
    good = SERVERS["oai-repo"](held)

    def answer(path: str) -> Answer:
        status, headers, body = good(path)
        return status, headers, re.sub(rb"<responseDate>[^<]*", b"<responseDate>2026-01-02T03:04:05Z", body)

    with ReplayServer(answer) as url:
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"})
        hub.harvest(feed)
        held.works["oai:other.example:003"] = held.works["oai:other.example:003"]._replace(deleted=True)
        assert hub.harvest(feed, "full")["tombstoned"] == 1
