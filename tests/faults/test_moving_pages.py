"""F6 and F9: pages whose records come twice or out of order, and a source that changes its shape in small pages."""

import tempfile
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from app import schema
from app.catalogue.tables import record
from app.db import Database
from app.feeds import leases, service
from app.harvest import runs
from app.harvest.engine import Engine
from app.harvest.loop import harvest
from app.protocol.record import restore
from tests.faults.sources import MAPPING, Wire
from tests.hub import Hub

Version = tuple[str, int]
EXAMPLES = 1000


class Told:
    """A JSON API whose pages are told beforehand."""

    name = "one"

    def __init__(self) -> None:
        self.pages: list[list[dict[str, Any]]] = []

    def answer(self, url: str) -> tuple[int, bytes]:
        at = int(url.partition("cursor=")[2] or 0)
        following = str(at + 1) if at + 1 < len(self.pages) else None
        return 200, orjson.dumps({"items": self.pages[at], "next": following})


def _config(**more: Any) -> dict[str, Any]:
    paging = {"by": "cursor", "path": "next"}
    return {"url": "http://one.example/list", "items_path": "items", "stamp_path": "at", "paging": paging, **more}


def _item(version: Version, at: str = "2026-01-01T00:00:{:02d}Z") -> dict[str, Any]:
    key, number = version
    return {"id": key, "title": f"{key} 第{number}版", "at": at.format(number)}


def _run(database: Database, feed: int, told: Told) -> dict[str, Any]:
    with database.write() as connection:
        lease = leases.claim(connection, feed, "me", 60)
        known = service.by_id(connection, feed)
    assert lease is not None
    return harvest(Engine(database, Wire(told), (50, 0.05)), lease, known, "full")  # type: ignore[arg-type]


def test_a_thousand_orders_of_moving_pages_end_as_the_order_of_their_stamps() -> None:
    """Each record's latest stamp wins, also when the hub had that version before and it comes again in the same bytes."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'hub.db'}")
        schema.upgrade(database)
        hub, told, used = Hub(database), Told(), 0
        feed = hub.feed("json", _config(), mapping=MAPPING)

        @settings(max_examples=EXAMPLES // 20, deadline=None, derandomize=True, database=None)
        @given(st.data())
        def orders(data: st.DataObject) -> None:
            nonlocal used
            # Twenty permutations in one run, each with records of its own.
            listed: list[dict[str, Any]] = []
            before: list[dict[str, Any]] = []
            latest: dict[str, int] = {}
            for _ in range(20):
                used += 1
                versions = [(f"k{used}-{n}", v) for n in range(2) for v in range(1, 4)]
                drawn = data.draw(st.permutations(versions)) + data.draw(
                    st.lists(st.sampled_from(versions), max_size=2)
                )
                listed += map(_item, drawn)
                latest |= {f"k{used}-0": 3, f"k{used}-1": 3}
                before += [_item((f"k{used}-0", data.draw(st.sampled_from([1, 2, 3]))))]
            told.pages = [before]
            _run(database, feed, told)
            size = data.draw(st.integers(2, 9))
            told.pages = [listed[start : start + size] for start in range(0, len(listed), size)]
            assert _run(database, feed, told)["error"] is None
            with database.read() as connection:
                rows = connection.execute(select(record).where(record.c.live == 1, record.c.id.like("%/k%"))).all()
            found = {row.id.rpartition("/")[2]: restore(bytes(row.document))["title"] for row in rows}
            assert {key: found[key] for key in latest} == {key: f"{key} 第{n}版" for key, n in latest.items()}

        orders()
        hub.check()
        assert used >= EXAMPLES
        database.close()


def test_a_shape_that_changed_stops_the_run_after_twenty_records_however_small_the_pages(sqlite: Database) -> None:
    hub, told = Hub(sqlite), Told()
    feed = hub.feed("json", _config(), mapping=MAPPING)
    told.pages = [[_item((f"a{page}-{n}", 1)) for n in range(5)] for page in range(30)]
    assert _run(sqlite, feed, told)["created"] == 150
    with sqlite.read() as connection:
        before = leases.checkpoint(connection, feed)
    for page in told.pages:
        for item in page:
            item["name"] = item.pop("title")
    report = _run(sqlite, feed, told)
    assert (report["status"], report["error"]["kind"], report["rejected"]) == ("failed", "run.schema_changed", 15)
    assert report["error"]["detail"].startswith("20 of 20 records refused by record.title_missing")
    assert (report["tombstoned"], report["held"], hub.live()) == (0, 0, 150)
    with sqlite.read() as connection:
        after = leases.checkpoint(connection, feed)
        assert len(runs.rejections(connection, feed)) == 20  # five of them evidence of the page that was not stored
    assert (after["run"], after["next"]) == (before["run"] + 1, "3"), "the next run asks for the same page again"
    hub.check()


def test_a_few_bad_records_in_small_pages_stop_nothing(sqlite: Database) -> None:
    hub, told = Hub(sqlite), Told()
    feed = hub.feed("json", _config(), mapping=MAPPING)
    told.pages = [[_item((f"a{page}-{n}", 1)) for n in range(5)] for page in range(12)]
    for page in told.pages:
        page[0]["title"] = page[1]["title"] = ""
    report = _run(sqlite, feed, told)
    assert (report["status"], report["created"], report["rejected"]) == ("partial", 36, 24)
