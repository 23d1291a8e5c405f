"""From the ramp into the catalogue: when a step is raised, what it lets in goes the way that admitted candidates go.

What a policy gives to a reviewer goes to the queue then, and not before: on 1 % a reviewer sees 1 %.
"""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, delete, select, update

from app.access.principal import narrowed
from app.admission import publishing, ramp
from app.admission.states import BEYOND, RAMP, WAITING
from app.admission.tables import candidate
from app.db import now
from app.feeds import service as feeds
from app.protocol.errors import BadRequest
from app.protocol.words import Job
from app.statements import among


class Entered(NamedTuple):
    """How many came into the catalogue, and how many now wait for a reviewer."""

    shown: int
    queued: int


def ready(connection: Connection, feed_id: int) -> bool:
    """Whether anything waits on the ramp that the step lets in; by the index of a feed's candidates."""
    first = select(candidate.c.id).where(*_inside(feed_id, ramp.bound(connection, feed_id))).limit(1)
    return connection.execute(narrowed(first)).first() is not None


def call(connection: Connection, feed_id: int) -> None:
    """Lets the next free worker let in what waits and may enter, where there is any."""
    if ready(connection, feed_id):
        feeds.want(connection, feed_id, Job.RAMP)


def take(connection: Connection, feed_id: int, verb: str, why: str, terms: ramp.Terms) -> dict[str, Any]:
    """One of VERBS by whoever acts, and what follows from it; how the feed stands then. Raises what the verb raises."""
    if verb == "begin":
        ramp.begin(connection, feed_id, why, terms)
    elif verb in _VERBS:
        _VERBS[verb](connection, feed_id, why)
    else:
        raise BadRequest(f"a ramp can be {', '.join(VERBS)}")
    call(connection, feed_id)
    found = ramp.found(connection, feed_id)
    assert found is not None
    return found


_VERBS: Final = {"raise": ramp.up, "lower": ramp.down, "stop": ramp.halt, "resume": ramp.resume}
VERBS: Final = (*_VERBS, "begin")


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
    return candidate.c.feed_id == feed_id, candidate.c.state == RAMP, candidate.c.draw < bound


def _queue(connection: Connection, causes: dict[str, list[str]]) -> None:
    if not causes:
        return
    at = now(connection)
    moved = update(candidate).where(candidate.c.id == bindparam("key"))
    moved = moved.values(state=WAITING, came_at=at, causes=bindparam("why"))
    connection.execute(moved, [{"key": id, "why": orjson.dumps(found).decode()} for id, found in causes.items()])
