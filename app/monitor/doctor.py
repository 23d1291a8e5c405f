"""Why each feed waits, and what is wrong with the hub itself: for `hutong doctor` and for people who ask it."""

import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import SQLAlchemyError

from app import clock, schema
from app.access import wall
from app.db import Database, metadata, now
from app.disk import BALLAST, Disk
from app.feeds.leases import HOST_LIMIT
from app.feeds.tables import feed, host
from app.harvest.guard import Allow
from app.monitor import alerts, figures, status
from app.monitor.causes import WORKER_MISSING_S, scarce
from app.monitor.states import NEEDS_A_PERSON
from app.platforms.tables import platform
from app.protocol.errors import Unavailable
from app.settings import Settings

CLOCK_S: Final = 2.0


class Wait(NamedTuple):
    """Why a feed does not run now: one word, until when (microseconds, None: until somebody acts), in words."""

    feed: int
    platform: str
    name: str
    state: str
    why: str
    until: int | None
    detail: str


class Check(NamedTuple):
    """Something that must hold: whether it does, what was found, what to do when it does not."""

    check: str
    good: bool
    found: str
    remedy: str


def waits(connection: Connection) -> list[Wait]:
    """Every feed that is not retired, those that need a person first."""
    at = now(connection)
    rows = {row.id: row for row in connection.execute(_FEEDS)}
    parked = {row.name: row.not_before for row in connection.execute(select(host).where(host.c.not_before > at))}
    busy = Counter(row.host for row in rows.values() if row.lease_until > at)
    return [
        Wait(one.feed, one.platform, one.name, one.state.value, *_why(rows[one.feed], one, at, parked, busy))
        for one in status.standings(connection)
    ]


_FEEDS: Final = select(
    feed.c.id, feed.c.state, feed.c.host, feed.c.next_at, feed.c.lease_owner, feed.c.lease_until, feed.c.attempts,
    platform.c.state.label("enrolled"), platform.c.reason,
).join(platform, platform.c.code == feed.c.platform)  # fmt: skip


_UNHARVESTED: Final = {"sandbox": "it is not admitted yet: its feeds are looked at, never harvested"}


def _why(
    row: Any, one: status.Standing, at: int, parked: dict[str, int], busy: Counter[str]
) -> tuple[str, int | None, str]:
    """The first reason that holds, in the order in which a worker is stopped by them."""
    if row.enrolled != "active":
        return f"platform {row.enrolled}", None, row.reason or _UNHARVESTED.get(row.enrolled, "no reason was given")
    if row.state != "active":
        return row.state, None, f"`hutong feed resume {row.id}` lets it run again"
    if row.lease_until > at:
        return "running", row.lease_until, f"leased to {row.lease_owner}"
    if row.next_at > at:
        if row.attempts:
            told = f"failure {row.attempts} in a row: {one.error_kind or 'asked to wait'}: {one.error or ''}"
            return "backoff", max(row.next_at, parked.get(row.host, 0)), told
        return "not due", row.next_at, f"every {one.every_s} s"
    if row.host in parked:
        return "parked", parked[row.host], f"{row.host} asked to wait (Retry-After) or does not answer"
    if busy[row.host] >= HOST_LIMIT:
        return "host limit", None, f"{busy[row.host]} feeds of {row.host or 'the uploads'} are being run"
    return "due", row.next_at or None, "waits for a worker"


def examine(database: Database, settings: Settings) -> dict[str, Any]:
    """`good`, the checks and why each feed waits; stops at the first thing without which nothing else can be asked."""
    try:
        with database.read() as connection:
            schema_check = _schema(connection)
            if not schema_check.good:
                return _report([schema_check], [])
            return _report([schema_check, *checks(connection, settings)], waits(connection))
    except (SQLAlchemyError, Unavailable) as error:
        if isinstance(error, Unavailable) and error.__cause__ is None:
            return _report([Check("database.reach", False, error.detail, "make it, or name the right one")], [])
        said = f"{database.url.render_as_string(hide_password=True)}: {type(error.__cause__ or error).__name__}"
        return _report([Check("database.reach", False, said, "check HUTONG_DATABASE_URL and the server")], [])


def _report(found: list[Check], waiting: list[Wait]) -> dict[str, Any]:
    good = all(check.good for check in found)
    return {"good": good, "checks": [c._asdict() for c in found], "feeds": [w._asdict() for w in waiting]}


def checks(connection: Connection, settings: Settings) -> list[Check]:
    """Database, clock, disk, settings, workers, alerts; each with its remedy."""
    return [
        *_database(connection), _clock(connection), _disk(settings.data_dir, settings.reserve), _workers(connection),
        _feeds(connection), _alerts(connection, settings), *_settings(settings),
    ]  # fmt: skip


def _schema(connection: Connection) -> Check:
    current, head = schema.revisions(connection)
    missing = sorted(metadata.tables.keys() - set(inspect(connection).get_table_names()))
    said = f"at {current}, this program needs {head}" + (f"; missing: {', '.join(missing[:5])}" if missing else "")
    return Check("database.schema", current == head and not missing, said, "run `hutong init`")


def _database(connection: Connection) -> Iterator[Check]:
    if connection.dialect.name == "sqlite":
        modes = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in ("journal_mode", "synchronous")]
        found = f"journal_mode={modes[0]}, synchronous={modes[1]}"
        yield Check("database.durable", modes == ["wal", 2], found, "put DATA_DIR on a local disk: WAL needs one")
        said = connection.execute(text("PRAGMA quick_check(1)")).scalar_one()
        yield Check("database.whole", said == "ok", str(said)[:200], "restore the last backup; keep the broken file")
        return
    names = ("fsync", "synchronous_commit")
    modes = [connection.execute(text(f"SHOW {name}")).scalar() for name in names]
    found = f"fsync={modes[0]}, synchronous_commit={modes[1]}"
    yield Check("database.durable", "off" not in modes, found, "acknowledged changes may be lost: turn both on")
    free = wall.walks_through(connection)
    found = "this database role is bound by no row-level security" if free else "row-level security binds this role"
    yield Check("database.rows", not free, found, "let the hub sign in as a role without SUPERUSER and BYPASSRLS")


def _clock(connection: Connection) -> Check:
    """This machine against the database, and the database against the last change it has stored."""
    between = (clock.now() - now(connection)) / 1e6
    last = connection.execute(text("SELECT value FROM position WHERE name = 'at'")).scalar() or 0
    ahead = (last - now(connection)) / 1e6
    found = (
        f"this machine is {between:+.1f} s from the database; the last change is {max(ahead, 0):.1f} s in the future"
    )
    return Check("clock", abs(between) <= CLOCK_S and ahead <= CLOCK_S, found, "set both machines by NTP")


def _disk(folder: Path, reserve: tuple[int, float]) -> Check:
    place = Disk(folder, reserve)
    usage, reserved = place.usage(), place.reserved()
    found = f"{usage.free >> 20} of {usage.total >> 20} MiB free"
    found += f"; below {reserved >> 20} MiB nothing is taken in" if reserved else ""
    good = not scarce(usage.free, usage.total) and usage.free >= reserved
    return Check("disk", good, found, f"make room; {folder / BALLAST} may be deleted at once")


def _workers(connection: Connection) -> Check:
    found = figures.queue(connection, now(connection))
    missing = bool(found["queue"]) and not found["running"] and found["queue_age_s"] > WORKER_MISSING_S
    said = f"{found['queue']} feeds are due, the first for {found['queue_age_s']} s; {found['running']} are being run"
    return Check("workers", not missing, said, "start `hutong worker`, or `hutong serve` with HUTONG_HARVEST=true")


def _feeds(connection: Connection) -> Check:
    counts = Counter(one.state for one in status.standings(connection) if one.state in NEEDS_A_PERSON)
    said = ", ".join(f"{number} {word.value}" for word, number in counts.items()) or "none needs a person"
    return Check("feeds", not counts, said, "the table of feeds says why; `hutong alerts list` names the causes")


def _alerts(connection: Connection, settings: Settings) -> Check:
    looked_at = alerts.last_look(connection)
    if not settings.alert_every_s:
        return Check("alerts", True, "turned off (HUTONG_ALERT_EVERY_S=0)", "")
    age = (now(connection) - looked_at) / 1e6 if looked_at else math.inf
    never = looked_at is None
    said = "the rules were not looked at yet" if never else f"the rules were looked at {age:.0f} s ago"
    good = never or age < 5 * settings.alert_every_s
    return Check("alerts", good, said, "no process of this hub is alive: start `hutong serve`")


def _settings(settings: Settings) -> Iterator[Check]:
    try:
        wide = [e for e in Allow.parse(settings.fetch_allow).entries if e.network and e.network.prefixlen < 8]
        said = f"opens {', '.join(str(e.network) for e in wide)}" if wide else settings.fetch_allow or "empty"
        yield Check("settings.fetch_allow", not wide, said, "name the networks that platforms are in, no more")
    except ValueError as error:
        yield Check("settings.fetch_allow", False, str(error), "write CIDR or host, optionally :port, apart by commas")
    weak = bool(settings.secret_key) and len(settings.secret_key) < 32
    said = "shorter than 32 characters" if weak else "long enough, or made by the hub"
    yield Check("settings.secret_key", not weak, said, "take 32 characters or more, or none: the hub makes one")
