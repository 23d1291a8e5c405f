"""The host brake: links that move to other hosts all at once wait for a person, and nothing is lost or doubled."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update

from app.admission import aside
from app.admission.hosts import host, leads_elsewhere
from app.admission.tables import candidate
from app.catalogue.tables import record
from app.db import Database
from app.feeds import service as feeds
from app.feeds.tables import feed as feed_table
from app.harvest import decisions, host_brake, quarantine, runs, undo
from app.harvest.engine import Engine
from app.main import create
from app.monitor import observe
from app.protocol.errors import BadRequest, Conflict
from app.protocol.record import restore
from app.settings import Settings
from tests.hub import Hub
from tests.peers.replay import ReplayServer
from tests.planted import SECRET_KEY

pytestmark = pytest.mark.postgres15
MAPPING = {
    "version": 1,
    "fields": {"title": {"path": "title"}, "location": {"path": "url", "list": True}},
}  # fmt: skip
COUNT, PAGE = 120, 50
OLD, NEW = "res.example.cn", "cheap-cdn.example.net"


class Shelf:
    """A JSON API behind a cursor: so many resources, each with a link."""

    def __init__(self, count: int = COUNT) -> None:
        self.items = {
            f"r{n:03d}": {"id": f"r{n:03d}", "title": f"课文 {n}", "url": f"https://{OLD}/{n}"} for n in range(count)
        }
        self.broken_at: str | None = None

    def move(self, number: int, to: str = NEW) -> list[str]:
        """The first so many lead to another host."""
        ids = list(self.items)[:number]
        for id in ids:
            self.items[id] |= {"url": f"https://{to}/{id}", "at": "2026-02-01T00:00:00Z"}
        return ids

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """As ReplayServer asks."""
        after = path.partition("cursor=")[2]
        rest = [item for id, item in self.items.items() if id > after]
        if self.broken_at is not None and after >= self.broken_at:
            return 404, {}, b"gone"
        following = rest[PAGE - 1]["id"] if len(rest) > PAGE else None
        body = {"items": rest[:PAGE], "next": following, "total": len(self.items)}
        return 200, {"content-type": "application/json"}, orjson.dumps(body)


class Desk:
    """A hub with one such feed."""

    def __init__(self, database: Database, shelf: Shelf, url: str) -> None:
        self.hub, self.shelf = Hub(database), shelf
        paging = {"by": "cursor", "path": "next"}
        config = {
            "url": f"{url}/list",
            "items_path": "items",
            "stamp_path": "at",
            "paging": paging,
            "total_path": "total",
        }
        self.feed = self.hub.feed("json", config, mapping=MAPPING)

    def run(self) -> dict[str, Any]:
        return self.hub.harvest(self.feed)

    def waiting(self) -> list[dict[str, Any]]:
        with self.hub.database.read() as connection:
            return runs.waiting(connection)

    def hosts(self) -> dict[str, int]:
        """Live records by the host of their link."""
        found: dict[str, int] = {}
        with self.hub.database.read() as connection:
            for document in connection.execute(select(record.c.document).where(record.c.live == 1)).scalars():
                name = host(bytes(document))
                found[name] = found.get(name, 0) + 1
        return found

    def aside(self) -> dict[str, int]:
        """What is put aside, by state."""
        found: dict[str, int] = {}
        with self.hub.database.read() as connection:
            for state in connection.execute(select(candidate.c.state)).scalars():
                found[state] = found.get(state, 0) + 1
        return found

    def decide(self, decision: str, *more: Any, why: str = "") -> int:
        with self.hub.database.write() as connection:
            (row,) = runs.waiting(connection)
            done = getattr(decisions, decision)(connection, row["id"], *more, why=why)
        self.hub.check()
        return int(done)


@contextmanager
def desk(database: Database, count: int = COUNT) -> Iterator[Desk]:
    """A desk whose feed has been harvested once."""
    shelf = Shelf(count)
    with ReplayServer(shelf.answer) as url:
        made = Desk(database, shelf, url)
        assert made.run()["created"] == count
        yield made


def _figures(report: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(report[name] for name in ("status", "seen", "changed", "unchanged", "rejected", "held", "duplicate"))


def test_a_few_that_move_go_in_at_the_runs_end_as_if_nothing_had_been(database: Database) -> None:
    with desk(database) as at:
        at.shelf.move(50)
        assert _figures(at.run()) == ("done", 120, 50, 70, 0, 0, 0)
        assert at.hosts() == {OLD: 70, NEW: 50}
        assert (at.aside(), at.hub.head()) == ({}, 170)
        assert _figures(at.run()) == ("done", 120, 0, 120, 0, 0, 0)
        assert at.hub.head() == 170


def test_many_that_move_are_held_and_a_second_harvest_asks_no_second_time(database: Database) -> None:
    with desk(database) as at:
        at.shelf.move(51)
        first, second = at.run(), at.run()
        assert _figures(first) == ("held", 120, 0, 69, 0, 51, 0)
        assert _figures(second) == ("done", 120, 0, 120, 0, 0, 0)
        assert (at.hosts(), at.aside(), at.hub.head()) == ({OLD: 120}, {"braked": 51}, 120)
        (row,) = at.waiting()
        assert (row["kind"], row["count"], row["live"]) == ("hosts", 51, 120)
        assert f"first {OLD} → {NEW}" in row["cause"]
        with at.hub.database.read() as connection:
            sample = host_brake.sample(connection, row["id"], 50)
        assert len(sample) == 50
        assert {(one["before"], one["after"]) for one in sample} == {(OLD, NEW)}


def test_approved_exactly_that_set_goes_in(database: Database) -> None:
    with desk(database) as at:
        moved = at.shelf.move(60)
        at.run()
        at.shelf.move(62)  # what comes after the decision was asked for is another matter
        assert at.decide("approve", why="a new delivery network") == 60
        assert (at.hosts(), at.hub.head(), at.aside()) == ({OLD: 60, NEW: 60}, 180, {})
        with at.hub.database.read() as connection:
            report = runs.by_id(connection, at.waiting()[0]["run_id"] if at.waiting() else 2)
            kept = quarantine.held_back(connection, at.feed, moved)
        assert _figures(report)[:6] == ("held", 120, 60, 60, 0, 0)
        assert not kept
        assert _figures(at.run())[2:6] == (2, 118, 0, 0)
        with at.hub.database.read() as connection, pytest.raises(Conflict, match="removed nothing"):
            undo.of_held(connection, 1)


def test_rejected_the_old_links_stay_and_the_platform_is_told_at_each_harvest(database: Database) -> None:
    with desk(database) as at:
        at.shelf.move(60)
        at.run()
        assert at.decide("reject", why="nobody told us") == 60
        for _ in range(2):
            assert _figures(at.run()) == ("partial", 120, 0, 60, 60, 0, 0)
            with at.hub.database.read() as connection:
                refused = runs.rejections(connection, at.feed)
            assert {(row["rule"], row["stage"], row["path"], row["value"]) for row in refused} == {
                ("record.host_declined", "store", "location", NEW)
            }
            assert len(refused) == 60
            assert all("nobody told us" in row["detail"] for row in refused)
        assert (at.hosts(), at.hub.head(), at.waiting()) == ({OLD: 120}, 120, [])
        # They may come back, which says nothing new; or an operator lets them in after all.
        at.shelf.move(10, OLD)
        assert _figures(at.run())[1:6] == (120, 10, 60, 50, 0)
        with at.hub.database.read() as connection:
            known = feeds.by_id(connection, at.feed)
        assert quarantine.replay(at.hub.database, known, "record.host_declined")["changed"] == 50
        assert (at.hosts(), at.aside()) == ({OLD: 70, NEW: 50}, {})
        assert _figures(at.run()) == ("done", 120, 0, 120, 0, 0, 0)


def test_a_part_of_it_can_be_approved(database: Database) -> None:
    with desk(database) as at:
        at.shelf.move(60)
        at.run()
        with at.hub.database.read() as connection:
            ids = sorted(aside.names_of(connection, at.waiting()[0]["id"]))
        with pytest.raises(BadRequest, match="not in held change"):
            at.decide("split", ["nothing"], why="a try")
        assert at.decide("split", ids[:7], why="those are known") == 7
        assert (at.hosts(), at.aside()) == ({OLD: 113, NEW: 7}, {"declined": 53})


def test_what_was_put_aside_and_changes_again_or_goes_is_right(database: Database) -> None:
    with desk(database) as at:
        ids = at.shelf.move(60)
        at.run()
        at.shelf.items[ids[0]] |= {"title": "改了题名", "at": "2026-03-01T00:00:00Z"}  # the same new host
        at.shelf.items[ids[1]] |= {"url": f"https://{OLD}/back", "at": "2026-03-01T00:00:00Z"}  # back again
        at.shelf.items[ids[2]] |= {"url": "https://third.example/", "at": "2026-03-01T00:00:00Z"}  # elsewhere
        del at.shelf.items[ids[3]]
        report = at.run()
        # The third is one of its own and below the brake; the deletion is below its own.
        assert _figures(report) == ("held", 120, 2, 116, 0, 1, 0)
        assert report["tombstoned"] == 1
        assert at.aside() == {"braked": 57}
        assert at.decide("approve") == 57
        with at.hub.database.read() as connection:
            rows = connection.execute(select(record.c.id, record.c.live, record.c.document)).all()
        found = {row.id.rpartition("/")[2]: row for row in rows}
        assert restore(bytes(found[ids[0]].document))["title"] == "改了题名"
        assert [host(bytes(found[id].document)) for id in ids[:3]] == [NEW, OLD, "third.example"]
        assert found[ids[3]].live == 0
        assert at.hosts() == {OLD: 61, NEW: 57, "third.example": 1}
        head = at.hub.head()
        at.run()
        assert at.hub.head() == head


def test_a_run_that_fails_loses_none_of_them(database: Database) -> None:
    with desk(database) as at:
        at.shelf.move(60)
        at.shelf.broken_at = "r099"
        failed = at.run()
        assert (failed["status"], failed["held"], at.aside(), at.waiting()) == ("failed", 60, {"moved": 60}, [])
        at.shelf.broken_at = None
        assert (at.run()["status"], at.aside(), at.hosts()) == ("held", {"braked": 60}, {OLD: 120})
        assert at.decide("approve") == 60
        assert at.hosts() == {OLD: 60, NEW: 60}


class _Died(BaseException):
    pass


@pytest.mark.parametrize("after", [1, 2, 3])
def test_a_worker_that_dies_while_it_lets_them_in_is_followed_by_one_that_finishes(
    database: Database, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    with desk(database, 70) as at:
        at.shelf.move(50)
        monkeypatch.setattr(aside, "BATCH", 20)
        take, calls = aside.next_of, []

        def dying(*given: Any) -> list[Any]:
            calls.append(1)
            if len(calls) == after:
                raise _Died
            return take(*given)

        monkeypatch.setattr(aside, "next_of", dying)
        with pytest.raises(_Died):
            at.run()
        monkeypatch.setattr(aside, "next_of", take)
        with at.hub.database.write() as connection:
            connection.execute(update(feed_table).values(lease_until=0))
        report = at.run()
        assert _figures(report) == ("done", 70, 50, 20, 0, 0, 0)
        assert (at.hosts(), at.hub.head(), at.aside()) == ({OLD: 20, NEW: 50}, 120, {})


def test_a_record_that_moves_and_moves_back_in_one_run_is_not_left_waiting(database: Database) -> None:
    with desk(database) as at:
        (id,) = at.shelf.move(1)
        back = {
            **at.shelf.items[id],
            "id": id,
            "title": "又改",
            "url": f"https://{OLD}/0",
            "at": "2026-02-02T00:00:00Z",
        }
        at.shelf.items["z"] = back
        report = at.run()
        assert (report["status"], report["held"], report["duplicate"], report["changed"]) == ("done", 0, 1, 1)
        assert (at.hosts(), at.aside()) == ({OLD: 120}, {})


def test_an_ordinary_harvest_reads_no_document(sqlite: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.catalogue import queries

    with desk(sqlite) as at:
        read: list[int] = []
        documents = queries.live_contents
        monkeypatch.setattr(queries, "live_contents", lambda c, ids: (read.append(len(ids)), documents(c, ids))[1])
        at.run()
        assert not read
        at.shelf.items["r000"]["title"] = "改了"
        at.run()
        assert read == [1]


def test_what_counts_as_another_host() -> None:
    def document(*links: str) -> bytes:
        return orjson.dumps({"location": list(links)} if links else {})

    old = document("https://r1.example/a", "https://r2.example/a")
    for same in (document("http://R2.EXAMPLE:8080/b"), document(), document("relative"), old):
        assert not leads_elsewhere(same, old)
    for other in (document("https://evil.example/a", "https://r1.example/a"), document("https://example/a")):
        assert leads_elsewhere(other, old)
    assert not leads_elsewhere(old, document())
    assert not leads_elsewhere(document("https://[bad/"), old)


def test_the_limit_is_a_setting() -> None:
    assert (Settings().hosts, Settings(host_brake="10,5%").hosts) == ((50, 0.3), (10, 0.05))
    assert Engine.__dataclass_fields__["hosts"].default == Settings().hosts


def test_people_and_programs_see_what_would_move_where(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite) as at:
        at.shelf.move(60)
        at.run()
    app = create(
        Settings(data_dir=tmp_path, secret_key=SECRET_KEY, anonymous_scopes="catalogue:read ops:read"), harvest=False
    )
    app.state.database = sqlite
    client = TestClient(app, headers={"accept": "text/html"})
    said = {"zh-CN": ("批准改换 60 条", "改到别的主机"), "en": ("Approve: move 60", "to other hosts")}
    for lang, (approve, cause) in said.items():
        client.cookies.set("lang", lang)
        page = client.get("/held/1").text
        assert page.count(f"{OLD} → {NEW}") == 51, "fifty of the sample, and the first in the reason"
        assert approve in page
        for path in ("/held", "/held/1", "/runs/2", "/", "/platforms/P-440000-01"):
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert cause in answer.text or path == "/platforms/P-440000-01", path
    (row,) = client.get("/api/v1/held").json()["items"]
    assert (row["kind"], row["count"], row["state"]) == ("hosts", 60, "pending")
    with sqlite.read() as connection:
        (seen,) = observe.feeds(connection)
    assert seen.held == row["cause"], "and so do alerts"
