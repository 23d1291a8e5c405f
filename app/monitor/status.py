"""Who is in step and who is not: one word for each feed, worst first, and six figures of the whole."""

from typing import Any

from sqlalchemy import Connection, func, select

from app.catalogue.queries import head, tallies
from app.db import now
from app.feeds.service import feeds, mine
from app.harvest.tables import held, rejection, run

LADDER = ("held", "failing", "late", "never run", "running", "healthy", "paused")


def feeds_status(connection: Connection) -> list[dict[str, Any]]:
    """Feeds with state, lag in seconds, last error; those that need a person first."""
    at = now(connection)
    pending = select(held.c.feed_id, held.c.cause).where(held.c.state == "pending").order_by(held.c.id)
    waits = connection.execute(mine(connection, pending, held.c.feed_id))
    waiting: dict[int, str] = {row.feed_id: row.cause for row in waits}
    latest = select(run).where(run.c.id.in_(select(func.max(run.c.id)).group_by(run.c.feed_id)))
    last = {row.feed_id: row for row in connection.execute(mine(connection, latest, run.c.feed_id))}
    counts = tallies(connection)
    found = [_status(feed, last.get(feed["id"]), waiting.get(feed["id"]), at, counts) for feed in feeds(connection)]
    return sorted(found, key=lambda item: LADDER.index(item["state"]))


def _status(feed: dict[str, Any], last: Any, waits: str | None, at: int, counts: dict[str, int]) -> dict[str, Any]:
    lag = (at - feed["succeeded_at"]) // 1_000_000 if feed["succeeded_at"] else None
    return {
        "feed": feed["id"], "platform": feed["platform"], "name": feed["name"], "connector": feed["connector"],
        "held": waits, "state": _word(feed, last, waits, at, lag), "lag_s": lag, "every_s": feed["every_s"],
        "records": counts.get(f"feed={feed['id']}", 0),
        "last_run": last.id if last else None, "last_status": last.status if last else None,
        "error": {"kind": last.error_kind, "detail": last.error} if last is not None and last.error_kind else None,
    }  # fmt: skip


def _word(feed: dict[str, Any], last: Any, waits: str | None, at: int, lag: int | None) -> str:
    if feed["state"] != "active":
        return "paused"
    if waits:
        return "held"
    if feed["lease_until"] > at:
        return "running"
    if last is None:
        return "never run"
    if last.status == "failed":
        return "failing"
    return "late" if lag is not None and lag > 2 * feed["every_s"] else "healthy"


def figures(connection: Connection) -> dict[str, Any]:
    """Live records, head, refused, held, feeds, runs."""
    counts = tallies(connection)
    refused = select(func.count()).select_from(rejection).where(rejection.c.state == "open")
    waits = select(func.coalesce(func.sum(held.c.count), 0)).where(held.c.state == "pending")
    ran = select(func.count()).select_from(run)
    return {
        "records": counts.get("live", 0),
        "head": head(connection),
        "rejected": connection.execute(mine(connection, refused, rejection.c.feed_id)).scalar_one(),
        "held": int(connection.execute(mine(connection, waits, held.c.feed_id)).scalar_one()),
        "feeds": len(feeds(connection)),
        "runs": connection.execute(mine(connection, ran, run.c.feed_id)).scalar_one(),
    }
