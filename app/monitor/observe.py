"""What the rules look at, read in a handful of grouped queries: 3,500 feeds are a moment (benchmarks/monitor.py)."""

from typing import Any, Final

from sqlalchemy import Connection, func, select

from app.admission import ramp
from app.db import now
from app.disk import Disk
from app.feeds.tables import feed, host
from app.harvest.runs import day_of
from app.harvest.tables import run_day
from app.harvest.totals import BLAMES
from app.monitor import figures, objectives, status
from app.monitor.causes import REFUSED_LEAST, Hub, Seen
from app.monitor.objectives import Objective, Standing
from app.protocol.errors import PeerThrottled

_HALTS: Final = {
    ramp.REFUSED: "{2} of {3} records refused", ramp.VERDICTS: "reviewers refused {2} of {3} records",
    ramp.SHAPE: "the source sends another shape", ramp.OPERATOR: "by the operator", ramp.MEMBER: "by its platform",
}  # fmt: skip


def feeds(connection: Connection) -> list[Seen]:
    """Every feed that is not retired, as the rules see it."""
    at = now(connection)
    hosts = {row.id: row.host for row in connection.execute(select(feed.c.id, feed.c.host))}
    parked = set(connection.execute(select(host.c.name).where(host.c.not_before > at)).scalars())
    refused, burnt = _refused(connection, at), {one.feed: _told(one) for one in objectives.burning(connection)}
    return [
        _seen(one, hosts[one.feed], hosts[one.feed] in parked, refused.get(one.feed), burnt.get(one.feed, ""))
        for one in status.standings(connection)
    ]


def hub(connection: Connection, disk: Disk) -> Hub:
    """The hub itself."""
    queue, usage = figures.queue(connection, now(connection)), disk.usage()
    return Hub(queue["queue"], queue["queue_age_s"], queue["running"], usage.free, usage.total, disk.reserved())


def _seen(one: status.Standing, at_host: str, parked: bool, refused: Any, burnt: str) -> Seen:
    kind, error = one.error_kind, one.error or ""
    if kind is None and parked:  # a run that waits for its platform is still open and carries no error
        kind, error = PeerThrottled.kind, "asked to wait (Retry-After)"
    halt = f"ramp stopped at {one.halt.percent} %: {_HALTS[one.halt.cause].format(*one.halt)}" if one.halt else ""
    seen, rejected = (refused.seen, refused.rejected) if refused else (0, 0)
    return Seen(
        one.feed,
        one.name,
        one.platform,
        at_host,
        one.state,
        kind,
        error[:300],
        one.held_cause,
        seen,
        rejected,
        burnt,
        halt,
    )


def _refused(connection: Connection, at: int) -> dict[int, Any]:
    """What feeds saw and refused since yesterday, only where it is much."""
    sums = [func.sum(run_day.c[name]).label(name) for name in ("seen", "rejected")]
    query = select(run_day.c.feed_id, *sums).where(run_day.c.day >= day_of(at) - 1).group_by(run_day.c.feed_id)
    query = query.having(func.sum(run_day.c.rejected) >= REFUSED_LEAST)
    return {row.feed_id: row for row in connection.execute(query)}


def _told(one: Objective) -> str:
    who = max(BLAMES, key=lambda name: one.late_by[name])
    word = "spent" if one.standing is Standing.SPENT else f"{one.left:.0%} left, going fast"
    return f"{who}: {one.late + one.expected} of {one.changes + one.expected} changes late in 30 days, budget {word}"
