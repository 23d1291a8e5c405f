"""F-SIM: the real engine on a real SQLite file between platforms that change and fail and workers that die.

Hypothesis draws the schedule. What must hold is checked after every step; at the end the world heals and the catalogue
must be what the platforms hold. The same machine must catch an engine that is wrong on purpose.
"""

import re
import secrets
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import closing, suppress
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import Connection, select, text, true, update

from app import db, schema
from app.access.principal import Rows
from app.catalogue import queries, service
from app.catalogue.tables import about, record
from app.db import Database
from app.feeds import leases
from app.feeds import service as feeds
from app.feeds.tables import feed as feed_table
from app.harvest import brake, decisions, guard, loop, pages, runs
from app.harvest import store as storing
from app.harvest.engine import Engine, at_once
from app.harvest.fetch import Fetcher
from app.harvest.loop import harvest
from app.harvest.prepare import Batch
from app.harvest.store import store
from app.harvest.tables import removal
from app.platforms import queries as queries_of_platforms
from app.protocol.connector import Request
from app.protocol.errors import AddressForbidden, LeaseLost, PeerUnavailable
from app.publish import oai
from app.statements import Fixed
from tests.faults.invariants import Faces, among_themselves, audited, connections
from tests.faults.sources import MAPPING, Answer, Listing, Repository, Wire
from tests.hub import Hub

KEYS = st.sampled_from([f"r{n:02d}" for n in range(14)])
MANY = st.lists(KEYS, min_size=4, max_size=8, unique=True)
SOME = st.lists(KEYS, min_size=1, max_size=5, unique=True)
WHICH = st.integers(0, 1)
PLACES = st.tuples(st.sampled_from(["store", "fetch", "commit", "stored"]), st.integers(1, 3))
FAULTS = ["drop", "500", "cut", "empty", "html", "twice"]
INSIDE = b"http://127.0.0.1:9/list"


class Died(BaseException):
    """A worker that is gone in the middle: no handler sees it, nothing is tidied up."""


@cache
def _template() -> Path:
    file = Path(tempfile.mkdtemp(prefix="hutong-sim-")) / "empty.db"
    made = Database(f"sqlite:///{file}")
    schema.upgrade(made)
    made.close()
    return file


class Mortal(Database):
    """The same database for a worker that may die when all of a page is written and before it is committed."""

    def __init__(self, same: Database, dies: Callable[[], None]) -> None:
        self.__dict__.update(same.__dict__)
        self._dies = dies

    def committing(self, work: Callable[[Connection], Any], beside: Executor) -> Callable[[], Any]:
        return super().committing(lambda connection: (work(connection), self._dies())[0], beside)


class World(RuleBasedStateMachine):
    """Two platforms, workers that take turns, a reader that copies the feed, and a person who decides."""

    def __init__(self) -> None:
        super().__init__()
        shm = Path("/dev/shm")  # noqa: S108 - memory is quicker than a disk, and the cut of power has its own test
        self.folder = Path(tempfile.mkdtemp(prefix="hutong-sim-", dir=shm if shm.is_dir() else None))
        shutil.copy(_template(), self.folder / "hub.db")
        self.database = Database(f"sqlite:///{self.folder / 'hub.db'}")
        self.hub = Hub(self.database)
        self.sources: list[Any] = [Listing("one"), Repository("two")]
        self.ever_gone: list[set[str]] = [set(), set()]
        self.feeds: list[int] = []
        self.copy: dict[str, tuple[int, str]] = {}
        self.read_until = self.highest = 0
        self.workers = 0
        self.watch = connections()
        self.connected = self.watch.__enter__()

    @initialize()
    def enrol(self) -> None:
        for source, platform in zip(self.sources, ("P-440000-01", "P-110000-01"), strict=True):
            mapping = MAPPING if source.connector == "json" else None
            self.feeds.append(self.hub.feed(source.connector, source.config(), platform, mapping=mapping))

    # The platforms
    @rule(which=WHICH, keys=SOME)
    def change(self, which: int, keys: list[str]) -> None:
        """New records, and new contents of old ones."""
        for key in keys:
            self.sources[which].put(key)

    @rule(which=WHICH, key=KEYS)
    def remove(self, which: int, key: str) -> None:
        self.ever_gone[which].add(key)
        self.sources[which].drop(key)

    # The workers
    @rule(which=WHICH)
    def run(self, which: int) -> None:
        with self.database.read() as connection:
            left = [run["run"] for run in runs.runs(connection, self.feeds[which]) if run["status"] == "running"]
        report = self._run(which)
        assert report["error"] is None
        if report["run"] in left:  # what had been read before it was left is another run's to look at again
            self._run(which)
        self._same_again(which)

    @rule(which=WHICH, keys=SOME, at=st.integers(1, 4), fault=st.sampled_from(FAULTS))
    def run_with_a_fault(self, which: int, keys: list[str], at: int, fault: str) -> None:
        self.change(which, keys)
        self._run(which, fault=_faulty(fault, at))

    @rule(which=WHICH, keys=SOME, places=st.lists(PLACES, min_size=1, max_size=3))
    def die(self, which: int, keys: list[str], places: list[tuple[str, int]]) -> None:
        """A worker dies in the middle, and so do its heirs."""
        self.change(which, keys)
        for place in places:
            with suppress(Died):
                self._run(which, dies=place)
            self._expire()

    @rule(which=WHICH, keys=SOME, at=st.integers(1, 3))
    def sleep_past_the_lease(self, which: int, keys: list[str], at: int) -> None:
        """While one worker waits for an answer its lease runs out and another runs the feed to its end."""
        self.change(which, keys)
        slept: list[int] = []

        def sleeping(request: Request, answer: Answer) -> Answer:
            slept.append(1)
            if len(slept) == at:
                self._expire()
                assert self._run(which)["error"] is None
                self.before = self._everything()
            return answer

        try:
            self._run(which, fault=sleeping)
            assert len(slept) < at, "a worker whose feed was taken over went on"
        except LeaseLost:
            assert self._everything() == self.before, "and it stored something"

    @rule(days=st.sampled_from([-400, -1, 1, 400]))
    def set_the_clock(self, days: int) -> None:
        """The database's clock jumps; what was written before may lie far ahead."""
        db._NOW["sqlite"] = Fixed(text(f"{db._SQLITE_NOW} + {days * 86_400_000_000}"))

    # The reader and the person
    @rule(size=st.integers(1, 9), number=st.integers(1, 4))
    def read(self, size: int, number: int) -> None:
        for _ in range(number):
            with self.database.read() as connection:
                rows = queries.changes(connection, after=self.read_until, limit=size)
            self._copied(rows)

    @rule(wise=st.booleans())
    def decide(self, wise: bool) -> None:
        self._decide(wise)

    # The one who keeps the machine
    def back_up(self) -> None:
        """A copy of the database, while it is open."""
        with closing(sqlite3.connect(self.folder / "hub.db")) as open_one, closing(sqlite3.connect(self.kept)) as copy:
            open_one.backup(copy)

    def set_back(self) -> None:
        """The copy in place of the database, under a new epoch: whoever stood somewhere begins anew (I15)."""
        if not self.kept.exists():
            return
        before = Faces(self.database).places()
        self.database.close()
        for left in self.folder.glob("hub.db-*"):
            left.unlink()
        shutil.copy(self.kept, self.folder / "hub.db")
        self.database = Database(f"sqlite:///{self.folder / 'hub.db'}")
        with self.database.write() as connection:
            connection.execute(update(about).where(about.c.name == "epoch").values(value=secrets.token_hex(8)))
        self.hub, self.copy, self.read_until, self.highest = Hub(self.database), {}, 0, 0
        Faces(self.database).begins_anew(before)

    @property
    def kept(self) -> Path:
        """Where the copy lies."""
        return self.folder / "backup.db"

    def _decide(self, wise: bool) -> None:
        """Approves what the platform really has not; a person who is not wise rejects everything."""
        with self.database.write() as connection:
            for waiting in runs.waiting(connection):
                ids = connection.execute(select(removal.c.id).where(removal.c.held_id == waiting["id"])).scalars()
                which = self.feeds.index(waiting["feed_id"])
                gone = all(_key(id) not in self.sources[which].live for id in ids)
                (decisions.approve if gone and wise else decisions.reject)(connection, waiting["id"])

    # What must hold
    @invariant()
    def sums_and_positions(self) -> None:
        """I3, I5, I6, I9, I10."""
        self.hub.check()
        head = self.hub.head()
        assert head >= self.highest
        self.highest = head
        with self.database.read() as connection:
            dead = connection.execute(select(record.c.id, record.c.feed_id).where(record.c.live == 0)).all()
        for id, feed in dead:
            assert _key(id) in self.ever_gone[self.feeds.index(feed)], f"{id} was never removed by its platform"

    @invariant()
    def connects_nowhere(self) -> None:
        """I16: platforms are models here, so that no connection is allowed at all."""
        assert not self.connected, "a connection outside of the allowed addresses"

    def teardown(self) -> None:
        """Heals, runs to quiet, and compares with the truth (I1, I2, I7, I8, I12 to I15)."""
        try:
            if self.feeds:
                self._heal()
        finally:
            db._NOW["sqlite"] = _NOW
            self.watch.__exit__(None, None, None)
            self.database.close()
            shutil.rmtree(self.folder)

    def _heal(self) -> None:
        self._expire()
        if not self.sources[0].live:
            self.sources[0].put("r00")  # a listing without a record never empties a catalogue, and never should
        for _ in range(3):
            for which in (0, 1):
                assert self._run(which)["error"] is None
            self._decide(True)
        self.sums_and_positions()
        head = self.hub.head()
        for which in (0, 1):
            self._run(which)
        assert self.hub.head() == head, "the same input again took positions"
        truth = {(s.name, key): s.title(key) for s in self.sources for key in s.live}
        with self.database.read() as connection:
            rows = connection.execute(select(record).where(record.c.live == 1)).all()
        held = {(self.sources[self.feeds.index(row.feed_id)].name, _key(row.id)): _title(row) for row in rows}
        assert held == truth
        while self.read_until < head:
            with self.database.read() as connection:
                self._copied(queries.changes(connection, after=self.read_until, limit=5))
        assert {id for id, (live, _) in self.copy.items() if live} == {row.id for row in rows}
        assert all(self.copy[row.id] == (1, row.hash) for row in rows)
        audited(self.database)
        among_themselves(self.database)
        Faces(self.database).agree()
        self.back_up()
        self.set_back()

    # How it is done
    def _run(
        self, which: int, fault: Callable[[Request, Answer], Answer] | None = None,
        dies: tuple[str, int] | None = None, job: str = "harvest",
    ) -> dict[str, Any]:  # fmt: skip
        wire = Wire(*self.sources, others=_guarded())
        self.workers += 1
        wire.fault = _dying("fetch", dies, fault)
        with self.database.write() as connection:
            lease = leases.claim(connection, self.feeds[which], f"worker-{self.workers}", 60)
            assert lease is not None
            known = feeds.by_id(connection, self.feeds[which])
        engine = Engine(Mortal(self.database, _counter("commit", dies)), wire, (3, 0.3))  # type: ignore[arg-type]
        steps = _counter("store", dies)
        ended = _counter("stored", dies)

        def prepare(*work: Any) -> Callable[[], Batch]:
            made = at_once(*work)
            return lambda: (steps(), made())[1]

        return harvest(replace(engine, prepare=prepare, progress=lambda *_: ended()), lease, known, job)

    def _same_again(self, which: int) -> None:
        head = self.hub.head()
        self._run(which)
        with self.database.read() as connection:
            held = bool(runs.waiting(connection))
        assert held or self.hub.head() == head, "the same input again took positions"

    def _expire(self) -> None:
        with self.database.write() as connection:
            connection.execute(update(feed_table).values(lease_until=0))

    def _everything(self) -> list[Any]:
        with self.database.read() as connection:
            tables = (record, feed_table, runs.run)
            return [tuple(row) for table in tables for row in connection.execute(select(table))]

    def _copied(self, rows: list[Any]) -> None:
        for row in rows:
            assert row.seq > self.read_until
            self.read_until = row.seq
            self.copy[row.id] = (row.live, row.hash)


class Wider(World):
    """The same with what is rarer: catalogues that vanish, pages that lead inside, a hub that is set back."""

    @rule(which=WHICH)
    def lose_everything(self, which: int) -> None:
        """A catalogue that is suddenly empty: a person is asked."""
        for key in list(self.sources[which].live):
            self.remove(which, key)

    @rule(keys=MANY)
    def lure(self, keys: list[str]) -> None:
        """A platform names a next page that lies inside."""
        self.change(0, keys)
        assert self._run(0, fault=_faulty("inward", 1))["error"]["kind"] == AddressForbidden.kind
        # The page that named it is stored; the next run does not stand there, and begins anew.
        assert self._run(0)["error"] is None

    @rule(keys=MANY)
    def end_early(self, keys: list[str]) -> None:
        """The second page of a catalogue that has more says once that there is nothing."""
        self.change(0, keys)
        self._run(0)
        self._run(0, fault=_faulty("empty", 2))

    @rule()
    def keep(self) -> None:
        self.back_up()

    @rule()
    def restore(self) -> None:
        self.set_back()


_NOW = db._NOW["sqlite"]


@cache
def _guarded() -> Fetcher:
    """As in production: no address inside is allowed."""
    return Fetcher(deadline_s=2, connect_s=1)


def _key(id: str) -> str:
    return id.rpartition(":")[2].rpartition("/")[2]


def _title(row: Any) -> str:
    from app.protocol.record import restore

    return str(restore(bytes(row.document))["title"])


def _counter(name: str, dies: tuple[str, int] | None) -> Callable[[], None]:
    left = dies[1] if dies and dies[0] == name else 0

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise Died

    return count


def _dying(
    name: str, dies: tuple[str, int] | None, fault: Callable[[Request, Answer], Answer] | None
) -> Callable[[Request, Answer], Answer]:
    count = _counter(name, dies)

    def answer(request: Request, found: Answer) -> Answer:
        count()
        return fault(request, found) if fault else found

    return answer


def _faulty(fault: str, at: int) -> Callable[[Request, Answer], Answer]:
    asked, before = 0, (200, b"")

    def answer(request: Request, found: Answer) -> Answer:
        nonlocal asked, before
        asked += 1
        found, before = (before, found) if fault == "twice" and asked == at > 2 else (found, found)
        if asked < at:
            return found
        if fault == "drop":
            raise PeerUnavailable("connection reset")
        changed = {
            "500": (500, b"<html>"),
            "cut": (200, found[1][: len(found[1]) // 2]),
            "html": (200, b"<html><body>login"),
            "inward": (200, re.sub(rb'"next":"[^"]*"', b'"next":"%s"' % INSIDE, found[1])),
        }
        empty = b'{"items":[],"next":null,"total":0}' if b"items" in found[1] else b""
        return changed.get(fault, (200, empty) if fault == "empty" else found)

    return answer


SCHEDULE = settings(
    max_examples=20, stateful_step_count=15, deadline=None, derandomize=True, database=None, print_blob=True, report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck), phases=[Phase.generate, Phase.shrink],
)  # fmt: skip


@pytest.fixture(autouse=True)
def instantly(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries."""
    monkeypatch.setattr(pages, "RETRIES", (0.0, 0.0))
    monkeypatch.setattr(oai, "PAGE", 5)  # so that there are tokens


def test_whatever_the_schedule_the_catalogue_becomes_what_the_platforms_hold() -> None:
    run_state_machine_as_test(World, settings=SCHEDULE)


def test_the_same_with_what_is_rarer() -> None:
    run_state_machine_as_test(Wider, settings=settings(SCHEDULE, max_examples=5))


def _checkpoint_before_data(run: Any, ready: Any, beside: Any) -> Any:
    if ready.step.last:
        with run.engine.database.write() as connection:
            leases.hold(connection, run.lease, checkpoint=orjson.dumps(ready.step.page.checkpoint).decode())
    return store(run, ready, beside)


def _no_lease_check(connection: Any, lease: Any, **values: Any) -> None:
    connection.execute(update(feed_table).where(feed_table.c.id == lease.feed_id).values(fence=lease.fence, **values))


def _judge_anew(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pages, "source_hash", lambda *_: b"")
    patch.setattr(service, "judge", lambda arrival, old, origin: "created" if old is None else "changed")


def _delete_all_that_is_absent(patch: pytest.MonkeyPatch) -> None:
    from connectors.json import Json

    patch.setattr(Json, "_whole", lambda *_: True)
    settle = brake.settle
    patch.setattr(loop.brake, "settle", lambda c, f, r, _: settle(c, f, r, (1 << 30, 1.0)))


MUTANTS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "checkpoint before data": lambda patch: patch.setattr(storing, "store", _checkpoint_before_data),
    "no lease check": lambda patch: patch.setattr(leases, "hold", _no_lease_check),
    "an empty list deletes": _delete_all_that_is_absent,
    "an unchanged record takes a position": _judge_anew,
    "a run that fails moves its window": lambda patch: patch.setattr(loop, "_pages", _moves_its_window),
    "a feed is registered without a row in the audit chain": lambda patch: patch.setattr(
        feeds, "note", lambda *_, **__: None
    ),
    "a decision leaves no row in the audit chain": lambda patch: patch.setattr(
        decisions, "note", lambda *_, **__: None
    ),
    "a platform is shown the rows of all": lambda patch: patch.setattr(Rows, "criterion", lambda *_: true()),
    "OAI-PMH forgets deletions": lambda patch: patch.setattr(oai, "_rendered", partial(_as_if_alive, oai._rendered)),
    "a restored hub goes by its old epoch": lambda patch: patch.setattr(queries, "epoch", lambda _: "one"),
    "the guard lets everything through": lambda patch: patch.setattr(guard, "_check_answer", lambda *_: None),
}
RARER = {"an empty list deletes", "a decision leaves no row in the audit chain", "the guard lets everything through"}
_PAGES = loop._pages


def _as_if_alive(rendered: Callable[..., str], *given: Any, deleted: bool) -> str:
    return rendered(*given, deleted=False)


def _moves_its_window(run: Any, job: str) -> None:
    try:
        _PAGES(run, job)
    except Exception:
        source = run.feed["config"].get("base_url")
        if source:
            with run.engine.database.write() as connection:
                leases.hold(connection, run.lease, checkpoint='{"from":"2999-01-01T00:00:00Z"}')
        raise


@pytest.fixture
def _statements_anew() -> Iterator[None]:
    """Statements that were made for somebody's rows hold what the criterion said then."""
    made = (queries_of_platforms._codes, feeds._numbers)
    for statements in made:
        statements.cache_clear()
    yield
    for statements in made:
        statements.cache_clear()


@pytest.mark.usefixtures("_statements_anew")
@pytest.mark.parametrize("mutant", list(MUTANTS))
def test_an_engine_that_is_wrong_on_purpose_is_caught(mutant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    MUTANTS[mutant](monkeypatch)
    generating = settings(SCHEDULE, phases=[Phase.generate], max_examples=150)
    with pytest.raises(BaseException) as caught:
        run_state_machine_as_test(Wider if mutant in RARER else World, settings=generating)
    assert "AssertionError" in repr(caught.value) or caught.group_contains(AssertionError)
