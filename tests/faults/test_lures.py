"""1.2: a source names a next page that lies inside. One run fails; the next needs no person, and nothing is lost."""

from contextlib import closing
from typing import Any

import orjson
import pytest

from app.db import Database
from app.feeds import service as feeds
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.worker import harvest_now
from app.protocol.errors import AddressForbidden
from tests.faults.sources import MAPPING
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

PAGE = 2
INSIDE = "http://169.254.169.254/latest/meta-data"
LURES = [INSIDE, "/away"]


class Lister:
    """A JSON API that names its next pages; `lure` stands in place of the second one."""

    def __init__(self) -> None:
        self.ids = [f"r{n}" for n in range(7)]
        self.lure = ""
        self.asked: list[str] = []

    def answer(self, path: str) -> Answer:
        """As ReplayServer asks."""
        self.asked.append(path)
        if path == "/away":
            return 302, {"Location": INSIDE}, b""
        at = int(path.partition("at=")[2] or 0)
        items = [{"id": id, "title": f"课文 {id}"} for id in self.ids[at : at + PAGE]]
        following = f"/list?at={at + PAGE}" if at + PAGE < len(self.ids) else None
        if self.lure and at == 0:
            following = self.lure
        body = {"items": items, "next": following, "total": len(self.ids)}
        return 200, {"Content-Type": "application/json"}, orjson.dumps(body)


def _feed(hub: Hub, url: str) -> int:
    paging = {"by": "next", "path": "next"}
    config = {"url": f"{url}/list", "items_path": "items", "paging": paging, "total_path": "total"}
    return hub.feed("json", config, mapping=MAPPING)


def _checkpoint(database: Database, feed: int) -> Any:
    with database.read() as connection:
        return feeds.by_id(connection, feed)["checkpoint"]


@pytest.mark.parametrize("lure", LURES)
def test_a_next_page_that_lies_inside_holds_up_one_run_and_loses_nothing(database: Database, lure: str) -> None:
    hub, lister = Hub(database), Lister()
    with ReplayServer(lister.answer) as url:
        feed = _feed(hub, url)
        assert hub.harvest(feed)["created"] == 7
        lister.lure, lister.ids = lure, ["r0", "r9", "r1", "r3", "r4", "r5", "r6"]
        for _ in range(2):  # as long as it says so each run comes as far as that, and removes nothing
            report = hub.harvest(feed)
            assert (report["error"]["kind"], report["tombstoned"]) == (AddressForbidden.kind, 0)
        assert hub.live() == 8
        lister.lure, lister.asked = "", []
        report = hub.harvest(feed)
        assert (report["error"], report["tombstoned"], hub.live()) == (None, 1, 7)
        assert [path for path in lister.asked if path != "/away"] == [
            "/list",
            "/list?at=2",
            "/list?at=4",
            "/list?at=6",
        ]
        assert hub.harvest(feed)["unchanged"] == 7


def test_a_feed_whose_own_address_is_refused_stays_where_it_was(database: Database) -> None:
    hub, lister = Hub(database), Lister()
    with ReplayServer(lister.answer) as url:
        feed, lister.lure = _feed(hub, url), INSIDE
        assert hub.harvest(feed)["created"] == PAGE
        before, asked = _checkpoint(database, feed), len(lister.asked)
        with closing(Fetcher()) as strict:
            report = harvest_now(Engine(database, strict, (50, 0.05)), feed, "harvest")
        assert (report["error"]["kind"], len(lister.asked)) == (AddressForbidden.kind, asked)
        assert _checkpoint(database, feed) == before
