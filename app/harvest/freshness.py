"""How long a change at its source took to become visible, kept by feed and day at each run's end.

Lag runs from the source's own stamp where that is a time with a zone, never from before our last successful look: what
had changed by then and was listed would have come then, and catalogues republish old stamps. Without such a stamp it
runs from that look, which is the longest it can have been. Not counted: a feed's first harvest (what was there before
us is no change), full runs (they rewrite what a new mapping reads otherwise) and removals (they carry no stamp).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, desc, select

from app.catalogue.queries import position_before
from app.catalogue.tables import record
from app.feeds.service import mine
from app.feeds.tables import feed
from app.harvest.runs import day_of
from app.harvest.tables import FRESHNESS, freshness_day, objective, run
from app.harvest.totals import BLAMES, HUB, SOURCE, add, blame
from app.protocol.words import Job, RunStatus
from app.statements import accumulate

PERIODS: Final = 2  # the default: visible within two of the feed's periods,
LEAST_S: Final = 600  # but at least this,
PERMILLE: Final = 950  # for so many of a thousand changes
BUCKETS: Final = (60, 300, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400, 604_800)
MEASURED: Final = 5_000  # changes of a run read one by one; of more, evenly spaced ones stand for the rest
_LOOKS: Final = (Job.HARVEST, Job.FULL, Job.RECONCILE)


class Change(NamedTuple):
    """How late one change became visible, whether its own stamp says so, and how many changes it stands for."""

    lag_s: int
    stamped: bool
    weight: int


def within(every_s: int) -> int:
    """Seconds in which a change is to be visible where nothing else was agreed."""
    return max(PERIODS * every_s, LEAST_S)


def measure(connection: Connection, run_id: int) -> None:
    """Adds an ended run's changes to its feed's day and to the counters; one read where it changed nothing."""
    row = connection.execute(select(run).where(run.c.id == run_id)).one()
    if row.job == Job.HARVEST and row.created + row.changed and (look := _last_look(connection, row)) is not None:
        _measure_changes(connection, row, look)


def _measure_changes(connection: Connection, row: Any, look: Any) -> None:
    limit_s = _agreed(connection, row.feed_id)
    day: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    guilty = f"late_{_guilty(connection, row, look)}"
    for change in _changes(connection, row, look.started_at):
        day.update({"changes": change.weight, "lag_s": change.lag_s * change.weight})
        day["stamped"] += change.stamped * change.weight
        if change.lag_s > limit_s:
            day.update({"late": change.weight, guilty: change.weight})
        bucket = next((str(le) for le in BUCKETS if change.lag_s <= le), "+Inf")
        totals.update({f"lag/{bucket}": change.weight, "lag_sum": change.lag_s * change.weight})
    totals[f"late/{guilty.removeprefix('late_')}"] += day["late"]
    key = {"feed_id": row.feed_id, "day": day_of(row.ended_at)}
    counted = {**key, **{name: day[name] for name in FRESHNESS}}
    accumulate(connection, freshness_day, ("feed_id", "day"), FRESHNESS, [counted])
    add(connection, totals)


def _last_look(connection: Connection, row: Any) -> Any:
    """The feed's last run before this one that read its source to the end; down the index (feed_id, id)."""
    query = select(run.c.id, run.c.started_at).where(
        run.c.feed_id == row.feed_id, run.c.id < row.id, run.c.job.in_(_LOOKS),
        run.c.status.in_((RunStatus.DONE, RunStatus.PARTIAL, RunStatus.HELD)),
    )  # fmt: skip
    return connection.execute(query.order_by(desc(run.c.id)).limit(1)).first()


def _agreed(connection: Connection, feed_id: int) -> int:
    query = select(objective.c.within_s).where(objective.c.feed_id == feed_id)
    found = connection.execute(query).scalar()
    every_s = connection.execute(select(feed.c.every_s).where(feed.c.id == feed_id)).scalar_one()
    return int(found) if found is not None else within(every_s)


def _guilty(connection: Connection, row: Any, look: Any) -> str:
    """Through whom the time since the last look was lost: by most of the attempts that failed, ours where none did.

    A run that the platform asked to wait stays open, so it is counted by the feed's attempts alone.
    """
    query = select(run.c.error_kind).where(
        run.c.feed_id == row.feed_id, run.c.id > look.id, run.c.id < row.id, run.c.error_kind.is_not(None)
    )
    counts = Counter(blame(kind) for kind in connection.execute(query).scalars())
    attempts = connection.execute(select(feed.c.attempts).where(feed.c.id == row.feed_id)).scalar_one()
    counts[SOURCE] += max(0, attempts - counts.total())
    return max(BLAMES, key=lambda who: (counts[who], -BLAMES.index(who))) if counts.total() else HUB


def _changes(connection: Connection, row: Any, looked_at: int) -> Iterator[Change]:
    """What the run made visible, by its positions; every n-th where there is much."""
    step = -(-(row.created + row.changed) // MEASURED)
    query = select(record.c.stamp, record.c.modified_at).where(
        record.c.seq > position_before(connection, row.started_at), record.c.run_id == row.id, record.c.live == 1
    )
    if step > 1:
        query = query.where(record.c.seq % step == 0)
    for stamp, visible_at in connection.execute(query):
        changed_at = _time(stamp)
        stamped = changed_at is not None and looked_at <= changed_at <= visible_at
        since = changed_at if stamped and changed_at is not None else looked_at
        yield Change((visible_at - since) // 1_000_000, stamped, step)


def _time(stamp: str | None) -> int | None:
    """A stamp as microseconds since 1970; None where it is no ISO 8601 time with a zone: a day is no time."""
    if stamp is None or len(stamp) < 17:
        return None
    try:
        at = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return int(at.timestamp() * 1_000_000) if at.tzinfo else None


def agreed(connection: Connection, feed_ids: Sequence[int] | None = None) -> dict[int, tuple[int, int]]:
    """Feed to (seconds, permille) where something else than the default was agreed."""
    query = select(objective.c.feed_id, objective.c.within_s, objective.c.permille)
    if feed_ids is not None:
        query = query.where(objective.c.feed_id.in_(feed_ids))
    query = mine(connection, query, objective.c.feed_id)
    return {row.feed_id: (row.within_s, row.permille) for row in connection.execute(query)}
