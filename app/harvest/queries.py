"""Reads about runs, refusals and held removals, for people who look into one."""

from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, desc, func, select

from app.admission.states import BRAKED
from app.admission.tables import candidate
from app.catalogue.tables import record
from app.feeds.service import mine
from app.feeds.tables import feed
from app.harvest.runs import report
from app.harvest.tables import held, rejection, removal, run
from app.protocol.errors import NotFound
from app.protocol.words import Job
from app.statements import plain

SAMPLE = 50


def listed(
    connection: Connection,
    *,
    feed_id: int | None,
    platform: str = "",
    status: str,
    job: str,
    day: int | None,
    before: int | None,
    limit: int,
) -> list[dict[str, Any]]:
    """Runs by falling number, narrowed by feed, status, job and the UTC+8 day they count for (`run_day`: the day they ended on); empty text is any."""
    query = select(run).order_by(desc(run.c.id)).limit(limit)
    if feed_id is not None:
        query = query.where(run.c.feed_id == feed_id)
    if platform:
        query = query.where(run.c.feed_id.in_(select(feed.c.id).where(feed.c.platform == platform)))
    if status:
        query = query.where(run.c.status == status)
    if job:
        query = query.where(run.c.job == job)
    if day is not None:
        begins = day * 86_400_000_000 - 8 * 3_600_000_000
        counted = func.coalesce(run.c.ended_at, run.c.started_at)
        query = query.where(counted >= begins, counted < begins + 86_400_000_000)
    if before is not None:
        query = query.where(run.c.id < before)
    return [report(row) for row in connection.execute(mine(connection, query, run.c.feed_id))]


def before(connection: Connection, feed_id: int, run_id: int) -> dict[str, Any] | None:
    """The feed's ended run before this one that asked its source."""
    query = select(run).where(
        run.c.feed_id == feed_id, run.c.id < run_id, run.c.job.not_in((Job.REPLAY, Job.UNDO, Job.RAMP, Job.RETIRE))
    )
    query = mine(connection, query.order_by(desc(run.c.id)).limit(1), run.c.feed_id)
    row = connection.execute(query).first()
    return report(row) if row is not None else None


def refused_in(connection: Connection, feed_id: int, run_id: int) -> list[dict[str, Any]]:
    """What a run refused and what is still open of it, by stage and rule, the most first."""
    columns = (rejection.c.stage, rejection.c.rule)
    query = select(*columns, func.count().label("n"), func.min(rejection.c.id).label("sample"))
    query = query.where(rejection.c.feed_id == feed_id, rejection.c.run_id == run_id).group_by(*columns)
    query = mine(connection, query.order_by(desc("n")), rejection.c.feed_id)
    return [plain(row) for row in connection.execute(query)]


def by_rule(connection: Connection, rule: str = "", feed_id: int | None = None) -> list[dict[str, Any]]:
    """Open refusals grouped by rule and feed: how many, since when, one to look at; the most first."""
    columns = (rejection.c.rule, rejection.c.feed_id)
    query = select(
        *columns, func.count().label("n"), func.min(rejection.c.rejected_at).label("oldest"),
        func.max(rejection.c.id).label("sample"),
    ).where(rejection.c.state == "open").group_by(*columns)  # fmt: skip
    if rule:
        query = query.where(rejection.c.rule == rule)
    if feed_id is not None:
        query = query.where(rejection.c.feed_id == feed_id)
    query = mine(connection, query.order_by(desc("n"), *columns).limit(500), rejection.c.feed_id)
    return [plain(row) for row in connection.execute(query)]


def refusals(
    connection: Connection, *, rule: str, feed_id: int, before: int | None, limit: int
) -> list[dict[str, Any]]:
    """Open refusals of one rule and feed without their bytes, the latest first."""
    columns = [column for column in rejection.c if column.name not in ("raw", "context")]
    query = select(*columns).where(
        rejection.c.state == "open", rejection.c.rule == rule, rejection.c.feed_id == feed_id
    )
    if before is not None:
        query = query.where(rejection.c.id < before)
    query = mine(connection, query.order_by(desc(rejection.c.id)).limit(limit), rejection.c.feed_id)
    return [plain(row) for row in connection.execute(query)]


def refusal(connection: Connection, number: int) -> dict[str, Any]:
    """One quarantined entry with its bytes. Raises NotFound."""
    query = mine(connection, select(rejection).where(rejection.c.id == number), rejection.c.feed_id)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no quarantined entry {number}; it may have come again and been good")
    return plain(row)


def waiting_for(connection: Connection, feed_id: int, id: str) -> dict[str, Any]:
    """What waits for one record: the number of an open refusal of newer bytes, and of a held change; None for none."""
    identifier = unquote(id.split("/", 1)[1]) if "/" in id else id
    refused = select(rejection.c.id).where(
        rejection.c.feed_id == feed_id, rejection.c.state == "open", rejection.c.identifier.in_([identifier, id])
    )
    going = select(removal.c.held_id).where(removal.c.feed_id == feed_id, removal.c.id == id)
    moving = select(candidate.c.held_id).where(candidate.c.id == id, candidate.c.state == BRAKED)
    moving = mine(connection, moving, candidate.c.feed_id)
    refused = mine(connection, refused, rejection.c.feed_id)
    held_id = connection.execute(going).scalar() or connection.execute(moving).scalar()
    return {"refusal": connection.execute(refused).scalar(), "held": held_id}


def decisions(connection: Connection, limit: int = 50) -> list[dict[str, Any]]:
    """Held changes that have been decided, the latest first."""
    query = select(held).where(held.c.state != "pending").order_by(desc(held.c.decided_at)).limit(limit)
    return [plain(row) for row in connection.execute(mine(connection, query, held.c.feed_id))]


def held_change(connection: Connection, held_id: int) -> dict[str, Any]:
    """One held set. Raises NotFound."""
    query = mine(connection, select(held).where(held.c.id == held_id), held.c.feed_id)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no held change {held_id}")
    return plain(row)


def held_sample(connection: Connection, held_id: int, limit: int = SAMPLE) -> list[Any]:
    """Records that would be removed, by id: an even sample would need a walk through all of them."""
    query = select(record.c.id, record.c.document, record.c.modified_at, removal.c.cause)
    query = query.join(record, record.c.id == removal.c.id).where(removal.c.held_id == held_id)
    return list(connection.execute(query.order_by(removal.c.id).limit(limit)))
