"""What a move from the trial to online rests on: gathered by the hub from its own tables, and kept with the enrolment.

A member is ready when it has a feed that is harvested, the ramp of each of its feeds is over, and each has had a good
run within the period that was agreed: read to its end, and no more of it refused than would stop a ramp.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, desc, select

from app.admission import ramp
from app.catalogue import digests
from app.clock import iso
from app.db import now
from app.feeds.tables import feed as feed_table
from app.harvest.tables import run
from app.platforms.trials import Report
from app.protocol.words import Job, RunStatus

IN_TIME: Final = 1.5
"""Periods since the last run's end: later than that the ladder calls a feed late (app/monitor/states.py)."""
_USUAL: Final = ramp.Terms()._asdict()
_GOOD: Final = (RunStatus.DONE, RunStatus.HELD, RunStatus.PARTIAL)


class Ready(NamedTuple):
    """What was found of each feed, and what is missing: (`feed` | `ramp` | `run`, in words)."""

    feeds: Sequence[dict[str, Any]]
    lacks: Sequence[tuple[str, str]]


def ready(connection: Connection, code: str) -> Ready:
    """How a platform's feeds stand; those that have ended are not asked."""
    mine = select(feed_table).where(feed_table.c.platform == code, feed_table.c.state != "retired")
    rows = connection.execute(mine.order_by(feed_table.c.id).execution_options(within=True)).all()
    found = [_feed(connection, row) for row in rows]
    lacks = [lack for one in found for lack in _lacks(one)]
    return Ready(found, lacks if any(one["state"] == "active" for one in found) else [("feed", "no feed is harvested")])


def report(connection: Connection, code: str) -> Report:
    """The same as a move rests on it."""
    found = ready(connection, code)
    told = {"platform": code, "at": iso(now(connection)), "feeds": found.feeds}
    return Report(told, [words for _, words in found.lacks])


def _feed(connection: Connection, row: Any) -> dict[str, Any]:
    """One feed as the evidence tells it; `ramp` is null where there was none, `run` the last that read to the end."""
    step = ramp.found(connection, row.id)
    last = connection.execute(
        select(run).where(run.c.feed_id == row.id, run.c.job.in_((Job.HARVEST, Job.FULL)), run.c.status != RunStatus.RUNNING)
        .order_by(desc(run.c.id)).limit(1).execution_options(within=True)
    ).first()  # fmt: skip
    told = None if last is None else {n: getattr(last, n) for n in ("id", "status", "seen", "rejected", "ended_at")}
    age = None if last is None else (now(connection) - last.ended_at) // 1_000_000
    return {
        "feed": f"{row.platform}/{row.key}", "id": row.id, "state": row.state, "every_s": row.every_s,
        "live": digests.state(connection, f"feed:{row.id}")[0], "run": told, "run_age_s": age,
        "ramp": step and {name: step[name] for name in ("percent", "state", "since_at", "waiting", "permille", "least")},
    }  # fmt: skip


def _lacks(one: dict[str, Any]) -> list[tuple[str, str]]:
    """What one harvested feed lacks."""
    if one["state"] != "active":
        return []
    found, step, last = [], one["ramp"], one["run"]
    if step and step["state"] != ramp.OVER:
        found.append(("ramp", f"the ramp of feed {one['feed']} stands at {step['percent']} % ({step['state']})"))
    elif step and step["waiting"]:
        found.append(("ramp", f"{step['waiting']} records of feed {one['feed']} still wait to enter"))
    if last is None:
        found.append(("run", f"feed {one['feed']} was never harvested"))
    elif last["status"] not in _GOOD or ramp.too_many(step or _USUAL, last["rejected"], last["seen"]):
        found.append(
            (
                "run",
                f"run {last['id']} of feed {one['feed']} was {last['status']}, {last['rejected']} of {last['seen']} refused",
            )
        )
    elif one["run_age_s"] > IN_TIME * one["every_s"]:
        found.append(
            ("run", f"the last run of feed {one['feed']} ended {one['run_age_s']} s ago; agreed are {one['every_s']} s")
        )
    return found
