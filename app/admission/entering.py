"""From the ramp into the catalogue: when a step is raised, what it lets in goes the way that admitted candidates go.

What a policy gives to a reviewer goes to the queue then, and not before: on 1 % a reviewer sees 1 %.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update

from app.access.principal import narrowed
from app.admission import publishing, ramp
from app.admission.service import BEYOND, WAITING
from app.admission.tables import candidate
from app.db import among, now


class Entered(NamedTuple):
    """How many came into the catalogue, and how many now wait for a reviewer."""

    shown: int
    queued: int


def ready(connection: Connection, feed_id: int) -> bool:
    """Whether anything waits on the ramp that the step lets in; by the index of a feed's candidates."""
    first = select(candidate.c.id).where(*_inside(feed_id, ramp.bound(connection, feed_id))).limit(1)
    return connection.execute(narrowed(first)).first() is not None


def enter(connection: Connection, feed_id: int, limit: int) -> Entered:
    """Lets in at most `limit` of them, those first that fall into the lowest step; nothing while the ramp is stopped.

    Call it under the feed's lease: no page of the feed may be stored meanwhile.
    """
    query = select(candidate).where(*_inside(feed_id, ramp.bound(connection, feed_id)))
    rows = connection.execute(query.order_by(candidate.c.draw, candidate.c.id).limit(limit)).all()
    causes = {row.id: [cause for cause in orjson.loads(row.causes) if cause != BEYOND] for row in rows}
    free = [row for row in rows if not causes[row.id]]
    publishing.show(connection, free)
    connection.execute(delete(candidate).where(among(connection, candidate.c.id, [row.id for row in free])))
    _queue(connection, {id: found for id, found in causes.items() if found})
    return Entered(len(free), len(rows) - len(free))


def _inside(feed_id: int, bound: int) -> Sequence[Any]:
    return candidate.c.feed_id == feed_id, candidate.c.state == ramp.RAMP, candidate.c.draw < bound


def _queue(connection: Connection, causes: dict[str, list[str]]) -> None:
    if not causes:
        return
    at = now(connection)
    moved = update(candidate).where(candidate.c.id == bindparam("key"))
    moved = moved.values(state=WAITING, came_at=at, causes=bindparam("why"))
    connection.execute(moved, [{"key": id, "why": orjson.dumps(found).decode()} for id, found in causes.items()])
