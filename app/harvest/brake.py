"""The delete brake (IX/1 V7): removals come last and, above the feed's limit, wait for a person.

While a run goes on its removals are only gathered; they belong to the feed, not to the run, so that a run that
fails loses none. Gathered removals are counted as `held` and become `tombstoned` when they are carried out.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from app.access.principal import narrowed
from app.catalogue import service
from app.catalogue.tables import record, sighting
from app.db import now
from app.feeds.brakes import Limit
from app.harvest.tables import REMOVALS, held, removal, run
from app.protocol.words import ID_LIMIT
from app.statements import Fixed, among, insert_missing, upsert

LEFT = "left"  # the record has left the scope that is read, and lives on at its origin


def gather(connection: Connection, feed_id: int, run_id: int, ids: Sequence[str], cause: str) -> int:
    """Notes removals of live records; how many are new. Others (gone, unknown, gathered already) are no change."""
    stored = [row for row in service.known(connection, ids).values() if row.live and row.feed_id == feed_id]
    noted = set(
        connection.execute(
            select(removal.c.id).where(removal.c.feed_id == feed_id, removal.c.id.in_([row.id for row in stored]))
        ).scalars()
    )
    rows = [
        {"feed_id": feed_id, "id": row.id, "seq": row.seq, "run_id": run_id, "cause": cause}
        for row in stored
        if row.id not in noted
    ]
    if rows:
        connection.execute(insert_missing(connection, removal), rows)
    return len(rows)


_GATHERED = Fixed(select(removal.c.id).where(removal.c.feed_id == bindparam("feed")).limit(1))


def returned(connection: Connection, feed_id: int, ids: Sequence[str]) -> None:
    """Forgets gathered removals of records that the source has sent again."""
    if ids and _GATHERED.scalar(connection, feed=feed_id) is not None:
        for start in range(0, len(ids), 500):
            chunk = ids[start : start + 500]
            connection.execute(delete(removal).where(removal.c.feed_id == feed_id, removal.c.id.in_(chunk)))


def sight(connection: Connection, feed_id: int, run_id: int, part: str, ids: Iterable[str]) -> None:
    """Notes what a part of a full listing holds."""
    rows = [
        {"feed_id": feed_id, "part": part, "id": id, "run_id": run_id}
        for id in dict.fromkeys(ids)
        if len(id) <= ID_LIMIT
    ]
    if rows:
        connection.execute(upsert(connection, sighting, ("feed_id", "id", "part"), ("run_id",)), rows)


def sighted(connection: Connection, feed_id: int, run_id: int, part: str, ids: Collection[str]) -> frozenset[str]:
    """Those of these ids that this part of a listing has held already in this run, whichever worker read it."""
    ours = (sighting.c.feed_id == feed_id, sighting.c.part == part, sighting.c.run_id == run_id)
    query = select(sighting.c.id).where(*ours)
    return frozenset(connection.execute(query.where(among(connection, sighting.c.id, list(ids)))).scalars())


def absent(connection: Connection, feed_id: int, run_id: int, parts: frozenset[str]) -> int:
    """After a complete listing: gathers the live records that no part of it holds; how many."""
    connection.execute(delete(sighting).where(sighting.c.feed_id == feed_id, sighting.c.part.not_in(list(parts))))
    ids = lacking(connection, feed_id, parts)
    return sum(
        gather(connection, feed_id, run_id, ids[start : start + 500], "absent") for start in range(0, len(ids), 500)
    )


def lacking(connection: Connection, feed_id: int, parts: frozenset[str]) -> list[str]:
    """Live records of a feed that none of these parts of its listing holds."""
    seen = select(sighting.c.id).where(
        sighting.c.feed_id == feed_id, sighting.c.id == record.c.id, sighting.c.part.in_(list(parts))
    )
    query = select(record.c.id).where(record.c.feed_id == feed_id, record.c.live == 1, ~seen.exists())
    return list(connection.execute(query).scalars())


def forget(connection: Connection, feed_id: int, parts: frozenset[str]) -> None:
    """Drops what was noted of a listing that is not needed any more."""
    connection.execute(delete(sighting).where(sighting.c.feed_id == feed_id, sighting.c.part.in_(list(parts))))


def settle(connection: Connection, feed_id: int, run_id: int, limit: Limit) -> None:
    """At a run's end: carries the gathered removals out, or holds the whole set for a person."""
    query = select(removal.c.id, removal.c.run_id, removal.c.cause).where(
        removal.c.feed_id == feed_id, removal.c.held_id.is_(None)
    )
    gathered = connection.execute(query).all()
    if not gathered:
        return
    live = connection.execute(
        select(func.count()).select_from(record).where(record.c.feed_id == feed_id, record.c.live == 1)
    ).scalar_one()
    floor, fraction = limit
    # Whatever the floor: a run that would leave nothing at all is never believed without a person.
    if len(gathered) > max(floor, fraction * live) or len(gathered) == live:
        _hold(connection, feed_id, run_id, len(gathered), live, floor, fraction)
        return
    ids, left = [row.id for row in gathered], {row.id for row in gathered if row.cause == LEFT}
    for start in range(0, len(ids), 500):
        service.remove(connection, ids[start : start + 500], run_id, left)
    connection.execute(delete(removal).where(removal.c.feed_id == feed_id, removal.c.held_id.is_(None)))
    ours = sum(1 for row in gathered if row.run_id == run_id)
    moved = {"held": run.c.held - ours, "tombstoned": run.c.tombstoned + len(ids), "seen": run.c.seen + len(ids) - ours}
    connection.execute(update(run).where(run.c.id == run_id).values(moved))


def _hold(
    connection: Connection, feed_id: int, run_id: int, number: int, live: int, floor: int, fraction: float
) -> None:
    cause = f"would remove {number} of {live} live records; the brake is at max({floor}, {fraction:.0%})"
    row = {
        "feed_id": feed_id, "run_id": run_id, "kind": REMOVALS, "cause": cause, "count": number, "live": live,
        "state": "pending", "held_at": now(connection),
    }  # fmt: skip
    held_id = connection.execute(held.insert().returning(held.c.id), row).scalar_one()
    ours = update(removal).where(removal.c.feed_id == feed_id, removal.c.held_id.is_(None))
    connection.execute(ours.values(held_id=held_id))


def names(connection: Connection, row: Any) -> set[str]:
    """The ids of a held set that a decision can be about."""
    return set(connection.execute(select(removal.c.id).where(removal.c.held_id == row.id)).scalars())


def carry_out(connection: Connection, row: Any, chosen: Collection[str] | None, why: str) -> int:
    """Removes the held records, or of them the chosen, that are still as they were when they were held; how many."""
    items = connection.execute(
        select(removal.c.id, removal.c.seq, removal.c.cause).where(removal.c.held_id == row.id)
    ).all()
    stored = service.known(connection, [item.id for item in items])
    ids = [item.id for item in items if item.id in stored and stored[item.id].seq == item.seq]
    ids = ids if chosen is None else [id for id in ids if id in chosen]
    left = {item.id for item in items if item.cause == LEFT}
    chunks = [ids[start : start + 500] for start in range(0, len(ids), 500)]
    removed = sum(service.remove(connection, chunk, row.run_id, left) for chunk in chunks)
    moved = {"held": run.c.held - removed, "tombstoned": run.c.tombstoned + removed}
    connection.execute(narrowed(update(run).where(run.c.id == row.run_id).values(moved)))
    keep(connection, row, why)
    return removed


def keep(connection: Connection, row: Any, why: str) -> None:
    """Keeps what is left of a held set."""
    connection.execute(delete(removal).where(removal.c.held_id == row.id))


def dropped(connection: Connection, feed_id: int) -> None:
    """The feed's member has left and its records with it: nothing is left to remove."""
    connection.execute(delete(removal).where(removal.c.feed_id == feed_id))
