"""Runs: begin or go on, count, end. A run's status is computed from its counts and its error."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import BigInteger, Connection, bindparam, desc, func, select, update

from app.catalogue.arrivals import Outcome
from app.db import now
from app.feeds.service import mine
from app.harvest import totals
from app.harvest.tables import ANSWERS, COUNTS, TRAFFIC, held, rejection, run, run_day
from app.protocol.errors import HutongError, NotFound
from app.protocol.words import RunStatus
from app.statements import Fixed, insert_missing, plain


class Asked(NamedTuple):
    """Who asked for a run, and why; a run that nobody asked for began because its time had come."""

    by: str = ""
    why: str = ""


NOBODY: Final = Asked()


def begin(connection: Connection, feed_id: int, job: str, asked: Asked = NOBODY) -> int:
    """The feed's unfinished run of this job (its worker died or was parked), else a new one."""
    open_run = select(run.c.id, run.c.job).where(run.c.feed_id == feed_id, run.c.status == RunStatus.RUNNING)
    for found in connection.execute(open_run).all():
        if found.job == job:
            return int(found.id)
        end(connection, found.id, None)
    row = {
        "feed_id": feed_id, "job": job, "status": RunStatus.RUNNING, "started_at": now(connection),
        "asked_by": asked.by[:100], "asked_why": asked.why,
    }  # fmt: skip
    return int(connection.execute(run.insert().returning(run.c.id), row).scalar_one())


def count(connection: Connection, run_id: int, expected: int | None = None, **by: int) -> None:
    """Adds to a run's figures; `seen` is the sum of what became of the records.

    `expected` is the source's own count of what it will send, for progress only; None leaves the last one.
    """
    by["seen"] = sum(by.get(name, 0) for name in COUNTS)
    figures = {f"by_{name}": by.get(name, 0) for name in _FIGURES}
    _COUNT.run(connection, mine=run_id, expected=expected, **figures)


_FIGURES = ("seen", *COUNTS, "pages", "requests", "bytes", *TRAFFIC)
_COUNT = Fixed(
    update(run)
    .where(run.c.id == bindparam("mine"))
    .values({name: run.c[name] + bindparam(f"by_{name}", type_=BigInteger) for name in _FIGURES})
    .values(total=func.coalesce(bindparam("expected", type_=run.c.total.type), run.c.total))
)


def figures(outcome: Outcome) -> dict[str, int]:
    """An outcome as figures of a run."""
    return {name: getattr(outcome, name) for name in ("created", "changed", "unchanged", "held", "duplicate")}


def read_through(connection: Connection, run_id: int) -> None:
    """Notes with the last page that nothing is left to read: whoever takes over only ends the run."""
    connection.execute(update(run).where(run.c.id == run_id).values(read_at=now(connection)))


def progress(connection: Connection, run_id: int) -> tuple[bool, bool]:
    """(begun, read): whether a page of this run is stored, and whether the last one is."""
    row = connection.execute(select(run.c.pages, run.c.read_at).where(run.c.id == run_id)).one()
    return row.pages > 0, row.read_at is not None


def note(connection: Connection, run_id: int, found: dict[str, Any]) -> None:
    """What a run found beside its counts, as JSON; its warnings stay."""
    noted = connection.execute(select(run.c.note).where(run.c.id == run_id)).scalar()
    warnings = {_WARNINGS: told} if (told := orjson.loads(noted or "{}").get(_WARNINGS)) else {}
    _note(connection, run_id, found | warnings)


def warn(connection: Connection, run_id: int, rule: str, ids: Sequence[str]) -> None:
    """Adds to a run's warnings by rule: how many, and the first records that they are of."""
    noted = connection.execute(select(run.c.note).where(run.c.id == run_id)).scalar()
    found: dict[str, Any] = orjson.loads(noted or "{}")
    told = found.setdefault(_WARNINGS, {}).setdefault(rule, {"n": 0, "first": []})
    told["n"] += len(ids)
    told["first"] = [*told["first"], *ids][:SHOWN]
    _note(connection, run_id, found)


def _note(connection: Connection, run_id: int, found: dict[str, Any]) -> None:
    connection.execute(update(run).where(run.c.id == run_id).values(note=orjson.dumps(found).decode()))


_WARNINGS = "warnings"
SHOWN = 20


def end(connection: Connection, run_id: int, error: HutongError | None) -> str:
    """Closes a run; its status."""
    row = connection.execute(select(run).where(run.c.id == run_id)).one()
    status = RunStatus.DONE
    if error is not None:
        status = RunStatus.FAILED
    elif row.held:
        status = RunStatus.HELD
    elif row.rejected:
        status = RunStatus.PARTIAL
    ended_at = now(connection)
    values: dict[str, Any] = {"status": status, "ended_at": ended_at}
    _tally_day(connection, row, day_of(ended_at), status == RunStatus.FAILED)
    if error is not None:
        values |= {"error_kind": error.kind[:64], "error": error.detail[:2000]}
    connection.execute(update(run).where(run.c.id == run_id).values(values))
    totals.ended(connection, row.job, status, error.kind if error is not None else None)
    return status


def day_of(at: int) -> int:
    """The day of a time in microseconds, counted from 1970 in UTC+8: the day that operators live in."""
    return (at + 8 * 3_600_000_000) // 86_400_000_000


def _tally_day(connection: Connection, row: Any, day: int, failed: bool) -> None:
    key = {"day": day, "feed_id": row.feed_id}
    connection.execute(insert_missing(connection, run_day), key)
    by = {"runs": 1, "failed": int(failed), "seen": row.seen} | {name: getattr(row, name) for name in COUNTS}
    mine = update(run_day).where(run_day.c.day == day, run_day.c.feed_id == row.feed_id)
    connection.execute(mine.values({name: run_day.c[name] + number for name, number in by.items()}))


def runs(
    connection: Connection, feed_id: int | None = None, limit: int = 50, before: int | None = None
) -> list[dict[str, Any]]:
    """The latest runs first."""
    query = select(run).order_by(desc(run.c.id)).limit(limit)
    if feed_id is not None:
        query = query.where(run.c.feed_id == feed_id)
    if before is not None:
        query = query.where(run.c.id < before)
    return [report(row) for row in connection.execute(mine(connection, query, run.c.feed_id))]


def by_id(connection: Connection, run_id: int) -> dict[str, Any]:
    """One run. Raises NotFound."""
    query = mine(connection, select(run).where(run.c.id == run_id), run.c.feed_id)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no run {run_id}")
    return report(row)


def report(row: Any) -> dict[str, Any]:
    """A run as people and programs read it: `seen` equals the sum of the seven counts that follow it."""
    ended = row.ended_at or row.started_at
    found = {"run": row.id, "feed": row.feed_id, "job": row.job, "status": row.status, "seen": row.seen}
    found |= {name: getattr(row, name) for name in COUNTS}
    found |= {"pages": row.pages, "requests": row.requests, "bytes": row.bytes}
    found |= {"seconds": round((ended - row.started_at) / 1e6, 3), "total": row.total}
    found |= {"answers": {name: getattr(row, name) for name in ANSWERS}}
    found |= {"fetched_s": row.fetched_ms / 1000, "waited_s": row.waited_ms / 1000}
    found |= {"asked": {"by": row.asked_by, "why": row.asked_why} if row.asked_by else None}
    error = {"kind": row.error_kind, "detail": row.error} if row.error_kind else None
    noted = orjson.loads(row.note) if row.note else {}
    found |= {"warnings": noted.pop(_WARNINGS, {})} | ({"note": noted} if noted else {})
    return {**found, "error": error, "started_at": row.started_at, "ended_at": row.ended_at}


def rejections(
    connection: Connection, feed_id: int | None = None, limit: int = 100, before: int | None = None, state: str = "open"
) -> list[dict[str, Any]]:
    """Quarantined entries, the latest first, without their bytes."""
    columns = [column for column in rejection.c if column.name not in ("raw", "context")]
    query = select(*columns).where(rejection.c.state == state).order_by(desc(rejection.c.id)).limit(limit)
    if feed_id is not None:
        query = query.where(rejection.c.feed_id == feed_id)
    if before is not None:
        query = query.where(rejection.c.id < before)
    return [plain(row) for row in connection.execute(mine(connection, query, rejection.c.feed_id))]


def waiting(connection: Connection, feed_id: int | None = None) -> list[dict[str, Any]]:
    """Held changes that wait for a person."""
    query = select(held).where(held.c.state == "pending").order_by(held.c.id)
    if feed_id is not None:
        query = query.where(held.c.feed_id == feed_id)
    return [plain(row) for row in connection.execute(mine(connection, query, held.c.feed_id))]
