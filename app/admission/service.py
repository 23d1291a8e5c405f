"""The gate between a page and the catalogue: what is admitted goes on, the rest is kept back as candidates.

Called inside the page's transaction. Where no policy asks for a person and nothing is kept back, the page goes straight
on: three small reads. A source can take back what waits, never what was decided.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, delete, func, select, update

from app.admission import ramp
from app.admission.judging import Gate, Split, is_put_aside, judge
from app.admission.policy import Policies, policies
from app.admission.states import DECIDED, DECLINED, PUBLIC, TILL_THE_END, UNDECIDED
from app.admission.tables import candidate
from app.catalogue import originals, queries, service
from app.catalogue.arrivals import Arrival, Origin, Outcome, newest
from app.catalogue.packs import Pack
from app.catalogue.tables import sighting
from app.db import now
from app.statements import Fixed, among, load

_FIRST = Fixed(select(candidate.c.id).limit(1))
COLUMNS = tuple(column.name for column in candidate.c)


class Kept(NamedTuple):
    """The bytes behind arrivals, the context of their page, and the same bytes as packs if they are made."""

    raws: originals.Raws
    context: bytes
    packs: Sequence[Pack] = ()


def receive(connection: Connection, arrivals: Sequence[Arrival], origin: Origin, kept: Kept, level: str) -> Outcome:
    """Stores what is admitted in the catalogue and keeps the rest back, counted as `held`; the bytes with both.

    `level` is that of the hub's public faces. A repeat of what is kept back is `unchanged`.
    """
    if not arrivals:
        return Outcome()
    gate = Gate(Policies(policies(connection), level), origin, ramp.step(connection, origin.feed_id))
    everybody = gate.step is None and gate.chosen.open(arrival.record.id for arrival in arrivals)
    if everybody and not any_kept(connection) and not _any_aside(connection, arrivals, origin):
        outcome = service.apply(connection, arrivals, origin)
    else:
        outcome = _through_the_gate(connection, gate, arrivals, kept)
    originals.keep(connection, outcome, kept.raws, kept.context, kept.packs)
    return outcome


def _any_aside(connection: Connection, arrivals: Sequence[Arrival], origin: Origin) -> bool:
    """Whether something of a page waits for its run's end; where no live record changes nothing is read."""
    if not origin.standing:
        return False
    changing = [arrival for arrival in arrivals if arrival.record.id in origin.standing]
    live = queries.live_contents(connection, [arrival.record.id for arrival in changing])
    return any(is_put_aside(arrival, origin, live.get(arrival.record.id)) for arrival in changing)


def _through_the_gate(connection: Connection, gate: Gate, arrivals: Sequence[Arrival], kept: Kept) -> Outcome:
    latest, twice = newest(arrivals)
    ids = list(latest)
    waiting, live = _kept(connection, ids), queries.live_contents(connection, ids)
    split = Split()
    for id, arrival in latest.items():
        judge(split, gate, arrival, waiting.get(id), live.get(id))
    outcome = service.apply(connection, split.admitted, gate.origin)
    outcome.duplicate += len(twice) + len(split.twice)
    outcome.repeated += twice + split.twice
    outcome.held = len(split.rows) - split.superseded
    outcome.unchanged += len(split.repeated)
    outcome.conflicts += split.conflicts
    outcome.declined += split.declined
    _free(connection, split.freed)
    _again(connection, split.repeated)
    _keep(connection, split.rows, kept)
    return outcome


def _keep(connection: Connection, rows: list[dict[str, Any]], kept: Kept) -> None:
    if not rows:
        return
    at, mark, raws = now(connection), originals.mark(connection, kept.context), kept.raws()
    for row in rows:
        row |= {"raw": raws[row["source_hash"]], "context": mark, "came_at": row["came_at"] or at}
    load(connection, "candidate", COLUMNS, [tuple(row[name] for name in COLUMNS) for row in rows], ("id",))


def _again(connection: Connection, repeated: list[dict[str, Any]]) -> None:
    """Other bytes, same meaning: remembered, so that they need no parsing next time."""
    if repeated:
        same = update(candidate).where(candidate.c.id == bindparam("key"))
        same = same.values(source_hash=bindparam("source"), stamp=bindparam("told"))
        connection.execute(same, repeated)


def _free(connection: Connection, ids: Sequence[str]) -> None:
    if ids:
        connection.execute(delete(candidate).where(among(connection, candidate.c.id, ids)))


def _kept(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    query = select(candidate).where(among(connection, candidate.c.id, ids), candidate.c.state != PUBLIC)
    return {row.id: row for row in connection.execute(query)}


def any_kept(connection: Connection) -> bool:
    """Whether anything is kept back at all; one row by the primary key."""
    return _FIRST.scalar(connection) is not None


def heads(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """What is kept back of these ids and newer than what is live: id, source_hash, stamp, version, hash.

    Not what was declined: each time it comes it is refused again.
    """
    if not ids or not any_kept(connection):
        return {}
    names = (candidate.c.id, candidate.c.source_hash, candidate.c.stamp, candidate.c.version, candidate.c.hash)
    query = select(*names).where(among(connection, candidate.c.id, ids), candidate.c.state.not_in((PUBLIC, DECLINED)))
    return {row.id: row for row in connection.execute(query)}


def gone(connection: Connection, feed_id: int, run_id: int, ids: Sequence[str]) -> int:
    """The source has deleted these: what of them waits is dropped, what was decided stays decided.

    How many this run had put aside and counted as held.
    """
    if not ids or not any_kept(connection):
        return 0
    mine = (candidate.c.feed_id == feed_id, among(connection, candidate.c.id, ids))
    counted = select(func.count()).where(*mine, candidate.c.state.in_(TILL_THE_END), candidate.c.run_id == run_id)
    number = connection.execute(counted).scalar_one()
    connection.execute(delete(candidate).where(*mine, candidate.c.state.in_(UNDECIDED)))
    return int(number)


def refused() -> Select[Any]:
    """Ids of what people have refused or withdrawn: it comes back by their word alone."""
    return select(candidate.c.id).where(candidate.c.state.in_(DECIDED))


def dropped(connection: Connection, feed_id: int) -> None:
    """The feed's member has left: the same for all that waits."""
    mine = (candidate.c.feed_id == feed_id, candidate.c.state.in_(UNDECIDED))
    connection.execute(delete(candidate).where(*mine))


def absent(connection: Connection, feed_id: int, parts: frozenset[str]) -> None:
    """After a complete listing: the same for what no part of it holds."""
    seen = select(sighting.c.id).where(
        sighting.c.feed_id == feed_id, sighting.c.id == candidate.c.id, sighting.c.part.in_(list(parts))
    )
    mine = (candidate.c.feed_id == feed_id, candidate.c.state.in_(UNDECIDED))
    connection.execute(delete(candidate).where(*mine, ~seen.exists()))
