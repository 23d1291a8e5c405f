"""What is to be told to whom, and when: a queue in the database, one row for each incident, route and event."""

import re
from collections import defaultdict
from enum import StrEnum
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, select, update

from app.monitor.tables import alert_route, incident, notice
from app.protocol.errors import BadRequest
from app.statements import insert_missing

ATTEMPTS: Final = 12  # with the pauses below: given up after some seven hours
PAUSE_S: Final = 60
PAUSE_MOST_S: Final = 3600
_QUIET: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)\Z")
_DAY: Final = 86_400_000_000
_EIGHT_HOURS: Final = 8 * 3_600_000_000


class Event(StrEnum):
    """What happened to an incident."""

    OPENED = "opened"
    WORSENED = "worsened"
    RESOLVED = "resolved"


class Batch(NamedTuple):
    """What one route is to be told now: notices with the rows of their incidents."""

    route_id: int
    notices: list[Any]


def checked_quiet(text: str) -> str:
    """Quiet hours as they are stored, `22:00-07:00` of UTC+8 or empty. Raises BadRequest."""
    found = _QUIET.fullmatch(text)
    if text and (found is None or found[1] + found[2] == found[3] + found[4]):
        raise BadRequest(f"quiet hours {text!r}: write 22:00-07:00 (UTC+8), or nothing")
    return text


def loud_at(quiet: str, at: int) -> int:
    """When something of now may be told: now, or when the quiet hours end. Microseconds."""
    found = _QUIET.fullmatch(quiet)
    if found is None:
        return at
    begin, end = ((int(found[place]) * 60 + int(found[place + 1])) * 60_000_000 for place in (1, 3))
    midnight = (at + _EIGHT_HOURS) // _DAY * _DAY - _EIGHT_HOURS
    time = at - midnight
    if begin < end:
        return midnight + end if begin <= time < end else at
    return midnight + end + (_DAY if time >= begin else 0) if time >= begin or time < end else at


def tell(connection: Connection, incident_id: int, rule: str, event: Event, at: int) -> None:
    """Queues an event for every active route that asked for the rule; an end is told only to who heard the beginning."""
    if event is Event.RESOLVED:
        heard = drop(connection, incident_id)
    query = select(alert_route.c.id, alert_route.c.rules, alert_route.c.quiet).where(alert_route.c.state == "active")
    for route in connection.execute(query).all():
        asked = orjson.loads(route.rules)
        if (asked and rule not in asked) if event is not Event.RESOLVED else route.id not in heard:
            continue
        row = {
            "incident_id": incident_id, "route_id": route.id, "event": event, "state": "pending",
            "due_at": loud_at(route.quiet, at), "attempts": 0,
        }  # fmt: skip
        connection.execute(insert_missing(connection, notice), row)


def drop(connection: Connection, incident_id: int) -> set[int]:
    """Forgets what is not told yet of an incident; the routes that have heard of it."""
    pending = update(notice).where(notice.c.incident_id == incident_id, notice.c.state == "pending")
    connection.execute(pending.values(state="dropped"))
    told = select(notice.c.route_id).where(notice.c.incident_id == incident_id, notice.c.state == "told")
    return set(connection.execute(told).scalars())


def due(connection: Connection, at: int) -> list[Batch]:
    """What is to be told now, by route; a route hears everything that is due in one message."""
    columns = [column for column in incident.c if column.name not in ("id", "note", "open_cause")]
    query = select(notice.c.id, notice.c.incident_id, notice.c.route_id, notice.c.event, notice.c.attempts, *columns)
    query = query.join(incident, incident.c.id == notice.c.incident_id)
    query = query.join(alert_route, alert_route.c.id == notice.c.route_id)
    query = query.where(notice.c.state == "pending", notice.c.due_at <= at, alert_route.c.state == "active")
    found: dict[int, list[Any]] = defaultdict(list)
    for row in connection.execute(query.order_by(notice.c.id).limit(1000)):
        found[row.route_id].append(row)
    return [Batch(route, rows) for route, rows in found.items()]


def told(connection: Connection, batch: Batch, at: int) -> None:
    """The route has heard."""
    ids = [row.id for row in batch.notices]
    connection.execute(update(notice).where(notice.c.id.in_(ids)).values(state="told", told_at=at, error=None))
    mine = update(alert_route).where(alert_route.c.id == batch.route_id)
    connection.execute(mine.values(told_at=at, error=None))


def untold(connection: Connection, batch: Batch, at: int, why: str) -> None:
    """The route could not be reached: later again, with growing pauses, and given up in the end."""
    for row in batch.notices:
        attempts = row.attempts + 1
        pause = min(PAUSE_S * 2 ** (attempts - 1), PAUSE_MOST_S)
        values: dict[str, Any] = {"attempts": attempts, "error": why[:500], "due_at": at + pause * 1_000_000}
        if attempts >= ATTEMPTS:
            values["state"] = "failed"
        connection.execute(update(notice).where(notice.c.id == row.id).values(values))
    connection.execute(update(alert_route).where(alert_route.c.id == batch.route_id).values(error=why[:500]))
