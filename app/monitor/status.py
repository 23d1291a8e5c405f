"""Who is in step and who is not: one word for each feed, and groups of them.

The work is one read (feeds with their platforms and latest runs) and one pure function, so that a wall of 3,500 feeds is
one short moment (benchmarks/wall.py).
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, bindparam, desc, func, select

from app.access.principal import PRINCIPALS, Rows, acting
from app.admission.ramp import STOPPED
from app.admission.tables import ramp
from app.catalogue.queries import tallies
from app.db import now
from app.feeds.service import narrow
from app.feeds.tables import feed
from app.harvest.tables import held, run
from app.monitor.figures import numbers
from app.monitor.states import SEVERITY, Observation, State, counted, state, worst
from app.platforms.tables import platform
from app.protocol.errors import PeerThrottled, PeerUnavailable, PeerUnreachable
from app.protocol.vocab import province_of
from app.protocol.words import RunStatus

_RUNNING: Final = RunStatus.RUNNING.value
_FAILED: Final = RunStatus.FAILED.value
_PASSING: Final = frozenset({PeerUnavailable.kind, PeerUnreachable.kind, PeerThrottled.kind})


class Halt(NamedTuple):
    """A ramp that is stopped: at which step, why, and of how many records how many were refused."""

    percent: int
    cause: str
    bad: int
    judged: int


class Standing(NamedTuple):
    """A feed as it stands: its word and what explains it. `succeeded_at` in microseconds, spans in seconds."""

    feed: int
    key: str
    name: str
    connector: str
    platform: str
    platform_name: str
    level: str
    province: str
    state: State
    succeeded_at: int | None
    lag_s: int | None
    every_s: int
    waits_s: int
    attempts: int
    run: int | None
    run_status: str | None
    error_kind: str | None
    error: str | None
    held: int | None
    held_count: int
    held_live: int
    held_kind: str | None
    held_cause: str
    halt: Halt | None = None


class Group(NamedTuple):
    """Feeds that belong together: the worst word, how many stand how, the oldest success among those not paused."""

    key: str
    state: State
    states: Mapping[State, int]
    feeds: int
    succeeded_at: int | None
    lag_s: int | None


_NEVER: Final = Group("", State.NEVER_RUN, {}, 0, None, None)


def longest_silent(one: Standing | Group) -> float:
    """Sorts by lag, the longest first and what never succeeded last.

    By the moment itself: two lags of the same second, rounded, would change places from one look to the next.
    """
    return one.succeeded_at or math.inf


def worst_first(one: Standing | Group) -> tuple[int, float]:
    """Sorts by word, then by lag."""
    return SEVERITY[one.state], longest_silent(one)


def standings(connection: Connection, platform_code: str | None = None) -> list[Standing]:
    """All feeds but the retired, or those of one platform; the worst first, then the longest lag."""
    at, rows, only = now(connection), acting(connection).rows, platform_code is not None
    # Of several undecided changes of a feed the oldest counts, which comes last here.
    pending = {row[0]: row for row in connection.execute(_pending(rows))}
    halts = {row.feed_id: Halt(*row[1:]) for row in connection.execute(_halts(rows))}
    feeds = connection.execute(_feeds(rows, only), {"code": platform_code} if only else {}).all()
    found = [_standing(row, pending.get(row[0]), halts.get(row[0]), at) for row in feeds]
    return sorted(found, key=lambda one: (*worst_first(one), one.feed))


@lru_cache(maxsize=PRINCIPALS)
def _feeds(rows: Rows, only: bool) -> Select[Any]:
    """Feeds with their platforms and latest runs; `only` those of the platform `code`.

    The latest run is one step down the index (feed_id, id) for each feed, not a walk through all runs.
    """
    earlier = run.alias()
    latest = select(func.max(earlier.c.id)).where(earlier.c.feed_id == feed.c.id).scalar_subquery()
    joined = feed.join(platform, platform.c.code == feed.c.platform).outerjoin(run, run.c.id == latest)
    query = select(*_FEED).select_from(joined).where(feed.c.state != "retired")
    return narrow(rows, query.where(feed.c.platform == bindparam("code")) if only else query)


_FEED = (
    feed.c.id, feed.c.key, feed.c.name, feed.c.connector, feed.c.platform, feed.c.every_s, feed.c.state, feed.c.next_at,
    feed.c.lease_until, feed.c.attempts, feed.c.created_at, feed.c.succeeded_at,
    platform.c.name.label("platform_name"), platform.c.level, platform.c.region, platform.c.state.label("enrolled"),
    run.c.id.label("run"), run.c.status, run.c.error_kind, run.c.error,
)  # fmt: skip


@lru_cache(maxsize=PRINCIPALS)
def _pending(rows: Rows) -> Select[Any]:
    """The undecided changes, the oldest last."""
    query = select(held.c.feed_id, held.c.id, held.c.count, held.c.live, held.c.kind, held.c.cause)
    return narrow(rows, query.where(held.c.state == "pending").order_by(desc(held.c.id)), held.c.feed_id)


@lru_cache(maxsize=PRINCIPALS)
def _halts(rows: Rows) -> Select[Any]:
    """The ramps that are stopped, in the order of `Halt` after the feed's number."""
    query = select(ramp.c.feed_id, ramp.c.percent, ramp.c.cause, ramp.c.bad, ramp.c.judged)
    return narrow(rows, query.where(ramp.c.state == STOPPED), ramp.c.feed_id)


def _standing(row: Any, waits: Any, halt: Halt | None, at: int) -> Standing:
    # Taken apart and put together by position: look-ups by name are most of what a feed costs on a wall of thousands.
    (number, key, name, connector, code, every_s, own, next_at, lease_until, attempts, created_at, succeeded_at,
     platform_name, level, region, enrolled, run_id, run_status, error_kind, error) = row  # fmt: skip
    _, held_id, held_count, held_live, held_kind, held_cause = waits or _NOTHING
    lag = (at - succeeded_at) // 1_000_000 if succeeded_at else None
    active, pending = own == "active" and enrolled == "active", held_id is not None or halt is not None
    seen = Observation(
        every_s, (at - created_at) // 1_000_000, lag, active, pending, lease_until > at, run_status == _RUNNING,
        run_id is not None, run_status == _FAILED, error_kind in _PASSING, attempts,
    )  # fmt: skip
    return Standing(
        number, key, name, connector, code, platform_name, level, province_of(region), state(seen), succeeded_at, lag, every_s,
        (next_at - at) // 1_000_000 if next_at > at else 0, attempts, run_id, run_status, error_kind, error, held_id,
        held_count, held_live, held_kind, held_cause, halt,
    )  # fmt: skip


_NOTHING = (None, None, 0, 0, None, "")


def group(key: str, members: Iterable[Standing]) -> Group:
    """Standings as one."""
    every = list(members)
    oldest = min((one for one in every if one.state is not State.PAUSED), key=longest_silent, default=_NEVER)
    states = [one.state for one in every]
    return Group(key, worst(states), counted(states), len(every), oldest.succeeded_at, oldest.lag_s)


def together(key: str, groups: Iterable[Group]) -> Group:
    """Groups as one, without looking at their members again."""
    every, counts = list(groups), Counter[State]()
    for one in every:
        counts.update(one.states)
    oldest = min(every, key=longest_silent, default=_NEVER)
    states = {word: counts[word] for word in sorted(counts, key=SEVERITY.__getitem__)}
    return Group(key, worst(counts), states, sum(one.feeds for one in every), oldest.succeeded_at, oldest.lag_s)


def grouped(found: Iterable[Standing], by: str) -> list[Group]:
    """Standings by one of their fields (`level`, `province`, `connector`, `platform`), the worst group first."""
    members: dict[str, list[Standing]] = defaultdict(list)
    for one in found:
        members[getattr(one, by)].append(one)
    made = [group(key, every) for key, every in members.items()]
    return sorted(made, key=lambda g: (*worst_first(g), g.key))


def feeds_status(connection: Connection, found: Iterable[Standing] | None = None) -> list[dict[str, Any]]:
    """Feeds with word, lag in seconds and last error for programs; those that need a person first."""
    counts = tallies(connection)
    return [
        {
            "feed": one.feed, "platform": one.platform, "name": one.name, "connector": one.connector,
            "province": one.province, "state": one.state.value, "lag_s": one.lag_s, "every_s": one.every_s,
            "held": {"id": one.held, "kind": one.held_kind, "count": one.held_count, "live": one.held_live} if one.held else None,
            "ramp": one.halt._asdict() if one.halt else None,
            "records": counts.get(f"feed={one.feed}", 0), "last_run": one.run, "last_status": one.run_status,
            "error": {"kind": one.error_kind, "detail": one.error} if one.error_kind else None,
        }
        for one in (standings(connection) if found is None else found)
    ]  # fmt: skip


def document(connection: Connection) -> dict[str, Any]:
    """`/api/v1/status`: the wall for programs."""
    found = standings(connection)
    groups = {by: [_plain(one) for one in grouped(found, by)] for by in ("level", "province")}
    return {"items": feeds_status(connection, found), "next": None, "figures": numbers(connection), "groups": groups}


def _plain(one: Group) -> dict[str, Any]:
    states = {word.value: n for word, n in one.states.items()}
    return {"key": one.key, "state": one.state, "states": states, "feeds": one.feeds, "lag_s": one.lag_s}
