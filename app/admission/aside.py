"""What was put aside till its run's end (`states.ASIDE`): let in, held, or declined."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from app.access.principal import narrowed
from app.admission import publishing
from app.admission.states import BRAKED, DECLINED, MOVED, TILL_THE_END
from app.admission.tables import candidate
from app.catalogue.arrivals import Outcome
from app.statements import among

BATCH = 500


def waiting(connection: Connection, feed_id: int) -> dict[str, int]:
    """How many records of a feed wait for the end of a run, by state; by index."""
    mine = (candidate.c.feed_id == feed_id, candidate.c.state.in_(TILL_THE_END))
    found = connection.execute(select(candidate.c.state, func.count()).where(*mine).group_by(candidate.c.state))
    return {state: number for state, number in found}


def next_of(connection: Connection, feed_id: int, *states: str) -> list[Any]:
    """At most BATCH of those in these states, by id."""
    query = select(candidate).where(candidate.c.feed_id == feed_id, candidate.c.state.in_(states))
    return list(connection.execute(query.order_by(candidate.c.id).limit(BATCH)))


def hold(connection: Connection, feed_id: int, run_id: int, held_id: int) -> int:
    """All that moved to other hosts becomes one held set in the name of this run; how many another run had brought."""
    mine = (candidate.c.feed_id == feed_id, candidate.c.state == MOVED)
    others = connection.execute(select(func.count()).where(*mine, candidate.c.run_id != run_id)).scalar_one()
    held = update(candidate).where(*mine).values(state=BRAKED, held_id=held_id, run_id=run_id)
    connection.execute(held)
    return int(others)


def of_held(connection: Connection, held_id: int, ids: Collection[str] | None = None) -> list[Any]:
    """The next of a held set that nobody has decided on, at most BATCH, of these ids where some are given."""
    query = select(candidate).where(candidate.c.held_id == held_id, candidate.c.state == BRAKED)
    if ids is not None:
        query = query.where(among(connection, candidate.c.id, list(ids)))
    return list(connection.execute(narrowed(query.order_by(candidate.c.id).limit(BATCH))))


def names_of(connection: Connection, held_id: int) -> set[str]:
    """The ids of a held set."""
    query = select(candidate.c.id).where(candidate.c.held_id == held_id, candidate.c.state == BRAKED)
    return set(connection.execute(narrowed(query)).scalars())


def let_in(connection: Connection, rows: Sequence[Any]) -> list[Outcome]:
    """These become the records they were sent as, and are put aside no more."""
    found = publishing.show(connection, rows)
    gone = delete(candidate).where(among(connection, candidate.c.id, [row.id for row in rows]))
    connection.execute(narrowed(gone))
    return found


def decline(connection: Connection, rows: Sequence[Any]) -> None:
    """The records stay as they are as long as their source sends them with this host."""
    chosen = update(candidate).where(among(connection, candidate.c.id, [row.id for row in rows]))
    connection.execute(narrowed(chosen.values(state=DECLINED)))


def declined(connection: Connection, ids: Sequence[str]) -> list[Any]:
    """What was declined of these."""
    query = select(candidate).where(among(connection, candidate.c.id, ids), candidate.c.state == DECLINED)
    return list(connection.execute(query))
