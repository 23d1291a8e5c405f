"""What a person decides on a held change: removals (`brake`) or links that lead to other hosts (`host_brake`)."""

from collections.abc import Collection, Mapping
from types import ModuleType
from typing import Any, Final

from sqlalchemy import Connection, select, update

from app.access.audit import Act, note
from app.access.principal import acting, narrowed
from app.db import now
from app.feeds.service import mine, owner
from app.harvest import brake, host_brake
from app.harvest.tables import HOSTS, REMOVALS, held
from app.protocol.errors import BadRequest, Conflict, NotFound

_OF: Final[Mapping[str, ModuleType]] = {REMOVALS: brake, HOSTS: host_brake}


def approve(connection: Connection, held_id: int, why: str = "") -> int:
    """Carries out exactly the held set, less the records that have changed since; how many it was."""
    row = _pending(connection, held_id)
    return _decided(connection, row, "approved", _OF[row.kind].carry_out(connection, row, None, why), why)


def split(connection: Connection, held_id: int, ids: Collection[str], why: str = "") -> int:
    """Carries out only these of the held records and keeps the others as they are; how many it was.

    Raises BadRequest that names an id which is not in the held set: a list that does not fit is not half carried out.
    """
    row = _pending(connection, held_id)
    waiting = _OF[row.kind].names(connection, row)
    if strange := [id for id in ids if id not in waiting]:
        raise BadRequest(f"{len(strange)} of {len(ids)} are not in held change {held_id}, first {strange[0][:200]!r}")
    if not ids:
        raise BadRequest("nothing is chosen: choose what to carry out, or reject the whole change")
    done = _OF[row.kind].carry_out(connection, row, frozenset(ids), why)
    return _decided(connection, row, "split", done, why)


def reject(connection: Connection, held_id: int, why: str = "") -> int:
    """Keeps the records as they are. A later complete listing may ask again for removals; hosts stay declined, and their
    platform is told through its refusals. How many stay."""
    row = _pending(connection, held_id)
    _OF[row.kind].keep(connection, row, why)
    _decided(connection, row, "rejected", 0, why)
    return int(row.count)


def dismiss(connection: Connection, feed_id: int) -> None:
    """The feed's member has left and its records with it: nothing is left to decide on."""
    waits = select(held).where(held.c.feed_id == feed_id, held.c.state == "pending")
    for row in connection.execute(narrowed(waits)).all():
        _decided(connection, row, "approved", 0, "the member has left")
    brake.dropped(connection, feed_id)


def _pending(connection: Connection, held_id: int) -> Any:
    query = mine(connection, select(held).where(held.c.id == held_id), held.c.feed_id)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no held change {held_id}")
    if row.state != "pending":
        raise Conflict(f"held change {held_id} was {row.state} already")
    return row


def _decided(connection: Connection, row: Any, state: str, done: int, why: str) -> int:
    said = {"decided_at": now(connection), "decided_by": acting(connection).said[:100], "decided_why": why}
    decided = update(held).where(held.c.id == row.id).values(state=state, removed=done, **said)
    connection.execute(narrowed(decided))
    told = {"state": state, "kind": row.kind, "removed": done, "why": why}
    note(connection, Act.HELD_DECIDED, f"held:{row.id}", feed=owner(row.feed_id), **told)
    return done
