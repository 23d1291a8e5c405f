"""Incidents: one for each cause while it lasts; who is told follows in notices. Called inside one transaction."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Connection, bindparam, desc, func, select, update

from app.access import audit
from app.access.audit import Act
from app.db import now
from app.monitor.causes import Cause, Rule, Severity
from app.monitor.notices import Event, drop, tell
from app.monitor.tables import incident
from app.monitor.wording import clean
from app.protocol.errors import BadRequest, Conflict, NotFound
from app.statements import plain

PATIENCE_S: Final = 120  # a cause that is gone for so long is over: what goes on and off is one incident
MEMBERS: Final = 100  # feeds that an incident names; it counts all
_LASTING: Final = (Rule.FAILING, Rule.LATE, Rule.NETWORK)
_RANK: Final = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.DECISION: 2}


def members(connection: Connection) -> dict[int, str]:
    """Feeds of open incidents about connections, each with its cause."""
    query = select(incident.c.cause, incident.c.feeds).where(incident.c.open_cause.is_not(None))
    rows = connection.execute(query.where(incident.c.rule.in_(_LASTING)))
    return {number: row.cause for row in rows for number in orjson.loads(row.feeds)}


def reconcile(connection: Connection, causes: Sequence[Cause], patience_s: int = PATIENCE_S) -> None:
    """Opens, renews and resolves incidents so that they are the causes, and queues what is to be told."""
    at = now(connection)
    query = select(incident).where(incident.c.open_cause.is_not(None))
    opened = {row.cause: row for row in connection.execute(query)}
    renewed: list[tuple[Any, Cause]] = []
    for cause in causes:
        if (row := opened.pop(cause.key[:400], None)) is None:
            tell(connection, _open(connection, cause, at), cause.rule, Event.OPENED, at)
        else:
            renewed.append((row, cause))
    _renew(connection, renewed, at)
    for row in opened.values():
        if at - row.seen_at >= patience_s * 1_000_000:
            over = update(incident).where(incident.c.id == row.id)
            connection.execute(over.values(open_cause=None, resolved_at=at))
            tell(connection, row.id, row.rule, Event.RESOLVED, at)


def _values(cause: Cause) -> dict[str, Any]:
    named = orjson.dumps(sorted(cause.feeds)).decode()
    return {
        "rule": cause.rule, "blame": cause.blame, "severity": cause.severity, "feeds": named,
        "feed_count": len(cause.feeds), "detail": clean(cause.detail, 1000),
    }  # fmt: skip


def _open(connection: Connection, cause: Cause, at: int) -> int:
    key = cause.key[:400]
    row = {"cause": key, "open_cause": key, **_values(cause), "opened_at": at, "seen_at": at}
    return int(connection.execute(incident.insert().returning(incident.c.id), row).scalar_one())


def _renew(connection: Connection, renewed: Sequence[tuple[Any, Cause]], at: int) -> None:
    """What is still so is seen again, in one statement for all; what got worse is told."""
    if not renewed:
        return
    rows = [{"key": row.id, "at": at, **{f"new_{k}": v for k, v in _values(cause).items()}} for row, cause in renewed]
    connection.execute(_SEEN_AGAIN, rows)
    for row, cause in renewed:
        if _RANK[cause.severity] < _RANK[Severity(row.severity)]:
            tell(connection, row.id, cause.rule, Event.WORSENED, at)


_SEEN_AGAIN: Final = (
    update(incident)
    .where(incident.c.id == bindparam("key"))
    .values(
        seen_at=bindparam("at"),
        **{name: bindparam(f"new_{name}") for name in ("rule", "blame", "severity", "feeds", "feed_count", "detail")},
    )
)


def acknowledge(connection: Connection, incident_id: int, by: str, note: str = "") -> dict[str, Any]:
    """Somebody has it in hand: what is not told yet is told no more. Raises NotFound, BadRequest, Conflict."""
    if not by.strip():
        raise BadRequest("say who acknowledges: `by` is empty")
    found = by_id(connection, incident_id)
    if found["resolved_at"] is not None:
        raise Conflict(f"incident {incident_id} is resolved already")
    values = {"acknowledged_at": now(connection), "acknowledged_by": by.strip()[:100], "note": note[:1000] or None}
    connection.execute(update(incident).where(incident.c.id == incident_id).values(values))
    drop(connection, incident_id)
    audit.note(connection, Act.INCIDENT_TAKEN, f"incident:{incident_id}", by=values["acknowledged_by"], why=note[:1000])
    return by_id(connection, incident_id)


def incidents(
    connection: Connection, state: str = "open", limit: int = 100, before: int | None = None
) -> list[dict[str, Any]]:
    """Incidents that are `open`, `resolved` or `all`, the latest first."""
    query = select(incident).order_by(desc(incident.c.id)).limit(limit)
    if state != "all":
        query = query.where(
            incident.c.resolved_at.is_(None) if state == "open" else incident.c.resolved_at.is_not(None)
        )
    if before is not None:
        query = query.where(incident.c.id < before)
    return [_plain(row) for row in connection.execute(query)]


def by_id(connection: Connection, incident_id: int) -> dict[str, Any]:
    """One incident. Raises NotFound."""
    row = connection.execute(select(incident).where(incident.c.id == incident_id)).first()
    if row is None:
        raise NotFound(f"there is no incident {incident_id}")
    return _plain(row)


def _plain(row: Any) -> dict[str, Any]:
    found = plain(row)
    del found["open_cause"]
    state = "resolved" if row.resolved_at else "acknowledged" if row.acknowledged_at else "open"
    return {**found, "state": state, "feeds": orjson.loads(row.feeds)[:MEMBERS]}


def counted(connection: Connection) -> dict[tuple[str, str], int]:
    """How many are open, by rule and severity."""
    query = select(incident.c.rule, incident.c.severity, func.count().label("n")).where(
        incident.c.resolved_at.is_(None)
    )
    rows = connection.execute(query.group_by(incident.c.rule, incident.c.severity))
    return {(row.rule, row.severity): row.n for row in rows}
