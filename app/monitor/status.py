"""Who is in step and who is not: one word for each feed, groups of them, and the figures of the whole.

The work is two grouped reads (feeds with their platforms; the latest run of each) and one pure function, so that a
wall of 3,500 feeds is one short moment (benchmarks/wall.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select

from app.catalogue.queries import head, position_until, tallies
from app.db import now
from app.feeds.service import mine
from app.feeds.tables import feed, host
from app.harvest.runs import day_of
from app.harvest.tables import held, rejection, run, run_day
from app.monitor.states import SEVERITY, Observation, State, counted, state, worst
from app.platforms.tables import platform
from app.protocol.errors import PeerThrottled, PeerUnavailable, PeerUnreachable
from app.protocol.vocab import province_of
from app.protocol.words import RunStatus

DAY_US: Final = 86_400_000_000
_PASSING: Final = frozenset({PeerUnavailable.kind, PeerUnreachable.kind, PeerThrottled.kind})


class Standing(NamedTuple):
    """A feed as it stands: its word and what explains it. Times in seconds before now, ids to go on with."""

    feed: int
    key: str
    name: str
    connector: str
    platform: str
    platform_name: str
    level: str
    province: str
    state: State
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


class Group(NamedTuple):
    """Feeds that belong together: the worst word, how many stand how, the oldest lag among the active."""

    key: str
    state: State
    states: Mapping[State, int]
    feeds: int
    lag_s: int | None


def standings(connection: Connection, platform_code: str | None = None) -> list[Standing]:
    """All feeds but the retired, or those of one platform; the worst first, then the longest lag."""
    at = now(connection)
    query = select(*_FEED).join(platform, platform.c.code == feed.c.platform).where(feed.c.state != "retired")
    if platform_code is not None:
        query = query.where(feed.c.platform == platform_code)
    last, pending = _last_runs(connection, platform_code), _pending(connection)
    rows = connection.execute(mine(connection, query)).all()
    found = [_standing(row, last.get(row[0]), pending.get(row[0]), at) for row in rows]
    return sorted(found, key=lambda one: (SEVERITY[one.state], -(one.lag_s or 0), one.feed))


_FEED = (
    feed.c.id, feed.c.key, feed.c.name, feed.c.connector, feed.c.platform, feed.c.every_s, feed.c.state, feed.c.next_at,
    feed.c.lease_until, feed.c.attempts, feed.c.created_at, feed.c.succeeded_at,
    platform.c.name.label("platform_name"), platform.c.level, platform.c.region, platform.c.state.label("enrolled"),
)  # fmt: skip


def _last_runs(connection: Connection, platform_code: str | None) -> dict[int, Any]:
    """The latest run by feed: one step down the index (feed_id, id) for each feed, not a walk through all runs."""
    latest = select(func.max(run.c.id)).where(run.c.feed_id == feed.c.id).correlate(feed).scalar_subquery()
    ids = select(latest).select_from(feed)
    if platform_code is not None:
        ids = ids.where(feed.c.platform == platform_code)
    query = select(run.c.id, run.c.feed_id, run.c.status, run.c.error_kind, run.c.error).where(run.c.id.in_(ids))
    return {row[1]: row for row in connection.execute(mine(connection, query, run.c.feed_id)).all()}


def _pending(connection: Connection) -> dict[int, Any]:
    """The oldest undecided removal by feed."""
    query = select(held.c.feed_id, held.c.id, held.c.count, held.c.live).where(held.c.state == "pending")
    found: dict[int, Any] = {}
    for row in connection.execute(mine(connection, query.order_by(held.c.id), held.c.feed_id)):
        found.setdefault(row.feed_id, row)
    return found


def _standing(row: Any, last: Any, waits: Any, at: int) -> Standing:
    # Taken apart at once: thirty look-ups by name are most of what a feed costs on a wall of thousands.
    (number, key, name, connector, code, every_s, own, next_at, lease_until, attempts, created_at, succeeded_at,
     platform_name, level, region, enrolled) = row  # fmt: skip
    run_id, _, run_status, error_kind, error = last or _NEVER
    _, held_id, held_count, held_live = waits or _NOTHING
    lag = (at - succeeded_at) // 1_000_000 if succeeded_at else None
    word = state(
        Observation(
            every_s,
            (at - created_at) // 1_000_000,
            lag,
            active=own == "active" and enrolled == "active",
            pending=held_id is not None,
            running=lease_until > at,
            open_run=run_status == RunStatus.RUNNING,
            ever_ran=run_id is not None,
            last_failed=run_status == RunStatus.FAILED,
            retries=error_kind in _PASSING,
            failures=attempts,
        )
    )
    return Standing(
        number, key, name, connector, code, platform_name, level, province_of(region), word, lag, every_s,
        max(0, (next_at - at) // 1_000_000), attempts, run_id, run_status, error_kind, error, held_id, held_count, held_live,
    )  # fmt: skip


_NEVER = (None, None, None, None, None)
_NOTHING = (None, None, 0, 0)


def group(key: str, members: Iterable[Standing]) -> Group:
    """Standings as one."""
    every = list(members)
    lags = [one.lag_s for one in every if one.state is not State.PAUSED and one.lag_s is not None]
    states = [one.state for one in every]
    return Group(key, worst(states), counted(states), len(every), max(lags, default=None))


def grouped(found: Iterable[Standing], by: str) -> list[Group]:
    """Standings by one of their fields (`level`, `province`, `connector`, `platform`), the worst group first."""
    members: dict[str, list[Standing]] = defaultdict(list)
    for one in found:
        members[getattr(one, by)].append(one)
    made = [group(key, every) for key, every in members.items()]
    return sorted(made, key=lambda g: (SEVERITY[g.state], -(g.lag_s or 0), g.key))


def figures(connection: Connection) -> dict[str, Any]:
    """Numbers: records and positions of the whole catalogue; refusals, runs, what is held and waits, of one's own feeds."""
    at = now(connection)
    counts, last = tallies(connection, ["live"]), head(connection)
    refused = select(func.count()).select_from(rejection).where(rejection.c.state == "open")
    waits = select(func.coalesce(func.sum(held.c.count), 0), func.count()).where(held.c.state == "pending")
    every = select(func.count()).select_from(feed)
    today = select(func.coalesce(func.sum(run_day.c.rejected), 0), func.coalesce(func.sum(run_day.c.runs), 0))
    held_records, held_changes = connection.execute(mine(connection, waits, held.c.feed_id)).one()
    ended = mine(connection, today.where(run_day.c.day == day_of(at)), run_day.c.feed_id)
    rejected_today, runs_today = connection.execute(ended).one()
    return {
        "records": counts.get("live", 0),
        "head": last,
        "changed_24h": last - position_until(connection, at - DAY_US),
        "rejected": connection.execute(mine(connection, refused, rejection.c.feed_id)).scalar_one(),
        "rejected_today": int(rejected_today),
        "runs_today": int(runs_today),
        "held": int(held_records),
        "held_changes": held_changes,
        "feeds": connection.execute(mine(connection, every)).scalar_one(),
        **queue(connection, at),
    }


def queue(connection: Connection, at: int) -> dict[str, int]:
    """Feeds whose time has come and that nobody holds: how many, the longest wait; and how many are being run."""
    parked = select(host.c.name).where(host.c.not_before > at)
    due = (
        select(func.count(), func.min(func.coalesce(func.nullif(feed.c.next_at, 0), feed.c.created_at)))
        .join(platform, platform.c.code == feed.c.platform)
        .where(feed.c.state == "active", platform.c.state == "active", feed.c.next_at <= at, feed.c.lease_until <= at)
        .where(feed.c.host.not_in(parked))
    )
    number, oldest = connection.execute(mine(connection, due)).one()
    leased = select(func.count()).select_from(feed).where(feed.c.lease_until > at)
    running = connection.execute(mine(connection, leased)).scalar_one()
    return {"queue": number, "queue_age_s": (at - oldest) // 1_000_000 if oldest else 0, "running": running}


def feeds_status(connection: Connection, found: Iterable[Standing] | None = None) -> list[dict[str, Any]]:
    """Feeds with word, lag in seconds and last error for programs; those that need a person first."""
    counts = tallies(connection)
    return [
        {
            "feed": one.feed, "platform": one.platform, "name": one.name, "connector": one.connector,
            "province": one.province, "state": one.state.value, "lag_s": one.lag_s, "every_s": one.every_s,
            "held": {"id": one.held, "count": one.held_count, "live": one.held_live} if one.held else None,
            "records": counts.get(f"feed={one.feed}", 0), "last_run": one.run, "last_status": one.run_status,
            "error": {"kind": one.error_kind, "detail": one.error} if one.error_kind else None,
        }
        for one in (standings(connection) if found is None else found)
    ]  # fmt: skip


def document(connection: Connection) -> dict[str, Any]:
    """`/api/v1/status`: the wall for programs."""
    found = standings(connection)
    groups = {by: [_plain(one) for one in grouped(found, by)] for by in ("level", "province")}
    return {"items": feeds_status(connection, found), "next": None, "figures": figures(connection), "groups": groups}


def _plain(one: Group) -> dict[str, Any]:
    return {**one._asdict(), "states": {word.value: n for word, n in one.states.items()}}
