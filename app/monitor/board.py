"""The public status of the federation: what everybody may see, declared here and nowhere else.

A platform is shown by the fields of `Shown` and nothing more, an incident by those of `Told`. Not shown: feeds, addresses,
errors, refusals, removals that wait, reasons of a suspension, who is on duty. Pages, badges and JSON are made of these
values alone, so that what is not declared here cannot leave.
"""

import threading
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson
import structlog
from sqlalchemy import Connection, desc, or_, select
from sqlalchemy.exc import SQLAlchemyError

from app.catalogue.queries import tallies
from app.clock import iso, ticks
from app.db import Database, now
from app.harvest.runs import day_of
from app.harvest.totals import HUB, NETWORK
from app.monitor import days, status
from app.monitor.causes import Rule
from app.monitor.days import Cell, Outcome
from app.monitor.states import State
from app.monitor.tables import incident
from app.platforms import service as platforms
from app.protocol.errors import NotFound
from app.protocol.vocab import province_of

log = structlog.get_logger()
FRESH_S: Final = 30.0  # everybody sees the same rows for so long: a flood of visitors is one look at the database
STRIP_DAYS: Final = 14
LONG_DAYS: Final = 90
INCIDENT_DAYS: Final = 14
INCIDENTS: Final = 20
PLATES: Final = 500  # platforms whose 90 days are kept
OPEN_STATES: Final = ("active", "suspended")  # platforms in any other state are not members yet
_DAY_US: Final = 86_400_000_000


class Word(StrEnum):
    """How a platform stands, for everybody; the worst first."""

    INTERRUPTED = "interrupted"
    DELAYED = "delayed"
    CHECKED = "being checked"
    CATCHING_UP = "catching up"
    NOT_OPEN = "not open yet"
    IN_STEP = "in step"
    PAUSED = "paused"


WORDS: Final = {
    State.FAILING: Word.INTERRUPTED, State.LATE: Word.DELAYED, State.HELD: Word.CHECKED,
    State.CATCHING_UP: Word.CATCHING_UP, State.NEVER_RUN: Word.NOT_OPEN, State.RUNNING: Word.IN_STEP,
    State.HEALTHY: Word.IN_STEP, State.PAUSED: Word.PAUSED,
}  # fmt: skip
SEVERITY: Final = {word: place for place, word in enumerate(Word)}
# What a day was like, without what was refused or held on it.
_OPEN_DAY: Final = {Outcome.HELD: Outcome.GOOD, Outcome.REFUSED: Outcome.GOOD}


class Kind(StrEnum):
    """What an incident was about, for everybody."""

    SOURCE = "source"
    NETWORK = "network"
    HUB = "hub"


KINDS: Final = {
    Rule.FAILING: Kind.SOURCE, Rule.LATE: Kind.SOURCE, Rule.NETWORK: Kind.NETWORK, Rule.WORKER: Kind.HUB,
    Rule.BACKLOG: Kind.HUB,
}  # fmt: skip
"""Rules of which everybody is told; refusals, budgets, held removals and disks are the hub's own business."""


class Shown(NamedTuple):
    """A platform for everybody. `succeeded_at` is its last success in microseconds, `cells` its days, oldest first."""

    code: str
    name: str
    level: str
    province: str
    word: Word
    records: int
    succeeded_at: int | None
    cells: Sequence[Cell]

    def plain(self) -> dict[str, Any]:
        """For programs; a day is `good`, `mixed`, `failed` or `none`."""
        stamp = iso(self.succeeded_at) if self.succeeded_at else None
        found = {"code": self.code, "name": self.name, "level": self.level, "province": self.province}
        found |= {"status": self.word.value, "records": self.records, "succeeded_at": stamp}  # type: ignore[dict-item]
        return {**found, "days": [cell.outcome.value for cell in self.cells]}


class Told(NamedTuple):
    """An incident for everybody: what it was about, when, and the codes of the platforms it touched."""

    kind: Kind
    opened_at: int
    resolved_at: int | None
    platforms: Sequence[str]

    def plain(self) -> dict[str, Any]:
        """For programs."""
        over = iso(self.resolved_at) if self.resolved_at else None
        return {"kind": self.kind.value, "opened_at": iso(self.opened_at), "resolved_at": over, "platforms": self.platforms}  # fmt: skip


class Bulletin(NamedTuple):
    """Everything public at one moment (microseconds): platforms worst first, how many stand how, latest incidents."""

    at: int
    platforms: Mapping[str, Shown]
    words: Mapping[Word, int]
    records: int
    incidents: Sequence[Told]

    def plain(self) -> dict[str, Any]:
        """`/status.json`."""
        words = {word.value: n for word, n in self.words.items()}
        told = [one.plain() for one in self.incidents]
        items = [one.plain() for one in self.platforms.values()]
        return {"at": iso(self.at), "records": self.records, "statuses": words, "incidents": told, "items": items, "next": None}  # fmt: skip


def bulletin(connection: Connection) -> Bulletin:
    """Reads it: four grouped reads, whatever the number of platforms."""
    at, standings = now(connection), defaultdict(list)
    for one in status.standings(connection):
        standings[one.platform].append(one)
    members = [row for row in platforms.platforms(connection) if row["state"] in OPEN_STATES]
    counts = tallies(connection)
    strips = days.strips(connection, day_of(at), STRIP_DAYS, [row["code"] for row in members])
    shown = [_shown(row, standings[row["code"]], counts, strips[row["code"]], at) for row in members]
    shown.sort(key=lambda one: (SEVERITY[one.word], one.code))
    words = Counter(one.word for one in shown)
    codes = {row["code"] for row in members}
    owner = {one.feed: code for code in codes for one in standings[code]}
    told = incidents(connection, at, owner)
    ordered = {word: words[word] for word in Word if words[word]}
    return Bulletin(at, {one.code: one for one in shown}, ordered, counts.get("live", 0), told)


def _shown(row: Mapping[str, Any], feeds: Sequence[status.Standing], counts: Mapping[str, int], cells: Sequence[Cell], at: int) -> Shown:  # fmt: skip
    words = [WORDS[one.state] for one in feeds] or [Word.NOT_OPEN if row["state"] == "active" else Word.PAUSED]
    lags = [one.lag_s for one in feeds if one.lag_s is not None]
    return Shown(
        row["code"], row["name"], row["level"], province_of(row["region"]), min(words, key=lambda word: SEVERITY[word]),
        counts.get(f"platform={row['code']}", 0), at - min(lags) * 1_000_000 if lags else None, opened(cells),
    )  # fmt: skip


def opened(cells: Sequence[Cell]) -> list[Cell]:
    """Days as everybody sees them: without counts of what was refused, and without what was held."""
    return [Cell(cell.day, _OPEN_DAY.get(cell.outcome, cell.outcome), cell.runs, cell.failed) for cell in cells]


def incidents(connection: Connection, at: int, owner: Mapping[int, str]) -> list[Told]:
    """What everybody is told of a fortnight, the latest first; `owner` is the platform of each feed."""
    since = at - INCIDENT_DAYS * _DAY_US
    query = select(incident.c.rule, incident.c.blame, incident.c.feeds, incident.c.opened_at, incident.c.resolved_at)
    query = query.where(
        incident.c.rule.in_(KINDS), or_(incident.c.resolved_at.is_(None), incident.c.resolved_at > since)
    )
    rows = connection.execute(query.order_by(desc(incident.c.opened_at)).limit(INCIDENTS))
    return [_told(row, owner) for row in rows]


def _told(row: Any, owner: Mapping[int, str]) -> Told:
    kind = KINDS[Rule(row.rule)]
    if kind is Kind.SOURCE and row.blame in (HUB, NETWORK):
        kind = Kind.HUB if row.blame == HUB else Kind.NETWORK
    codes = sorted({owner[number] for number in orjson.loads(row.feeds) if number in owner})
    return Told(kind, row.opened_at, row.resolved_at, codes)


class Plate(NamedTuple):
    """One platform with its 90 days and the share of its ended runs that succeeded (None: none ended)."""

    at: int
    shown: Shown
    cells: Sequence[Cell]
    good: float | None
    incidents: Sequence[Told]

    def plain(self) -> dict[str, Any]:
        """`/status/{code}/status.json`."""
        share = None if self.good is None else round(self.good, 4)
        told, words = [one.plain() for one in self.incidents], [cell.outcome.value for cell in self.cells]
        return {"at": iso(self.at), **self.shown.plain(), "days": words, "good": share, "incidents": told}


class Board:
    """What is shown, kept for half a minute: one look at the database however many visitors there are."""

    def __init__(self, database: Database, fresh_s: float = FRESH_S) -> None:
        self._database, self._fresh_s = database, fresh_s
        self._lock = threading.Lock()
        self._found: Bulletin | None = None
        self._until = 0.0
        self._plates: OrderedDict[str, Plate] = OrderedDict()

    def bulletin(self) -> Bulletin:
        """The present one. While one visitor's request looks again, the others get the one before; when the database
        does not answer, so do all, and the page tells how old it is. Raises SQLAlchemyError where there is none yet."""
        found = self._found
        if found is not None and (ticks() < self._until or not self._lock.acquire(blocking=False)):
            return found
        if found is None:
            self._lock.acquire()
        try:
            return self._looked()
        finally:
            self._lock.release()

    def _looked(self) -> Bulletin:
        if self._found is not None and ticks() < self._until:
            return self._found
        try:
            with self._database.read() as connection:
                self._found = bulletin(connection)
            self._plates.clear()
        except SQLAlchemyError as error:
            if self._found is None:
                raise
            log.warning("board.stale", error=str(error)[:300])
        self._until = ticks() + self._fresh_s
        return self._found

    def plate(self, code: str) -> Plate:
        """One platform. Raises NotFound."""
        present = self.bulletin()
        if code not in present.platforms:
            raise NotFound(f"there is no platform {code}")
        kept = self._plates.get(code)
        if kept is not None and kept.at == present.at:
            return kept
        with self._database.read() as connection:
            cells = opened(days.strips(connection, day_of(present.at), LONG_DAYS, [code])[code])
        return self._keep(code, _plate(present, code, cells))

    def _keep(self, code: str, made: Plate) -> Plate:
        with self._lock:
            self._plates[code] = made
            if len(self._plates) > PLATES:
                self._plates.popitem(last=False)
        return made


def _plate(present: Bulletin, code: str, cells: Sequence[Cell]) -> Plate:
    runs = sum(cell.runs for cell in cells)
    good = (runs - sum(cell.failed for cell in cells)) / runs if runs else None
    told = [one for one in present.incidents if code in one.platforms]
    return Plate(present.at, present.platforms[code], cells, good, told)
