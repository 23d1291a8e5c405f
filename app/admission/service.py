"""The gate between a page and the catalogue: what is admitted goes on, the rest is kept back as candidates.

Called inside the page's transaction. Where no policy asks for a person and nothing is kept back, the page goes straight
on: three small reads. A source can take back what waits, never what was decided.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, Select, bindparam, delete, select, update

from app.admission import ramp
from app.admission.policy import Policies, Policy, policies
from app.admission.ramp import RAMP, Step
from app.admission.tables import candidate
from app.catalogue import originals, queries, service
from app.catalogue.service import Arrival, Origin, Outcome
from app.catalogue.tables import sighting
from app.db import among, load, now
from app.protocol.record import restore
from app.protocol.words import platform_of

PUBLIC, WAITING, REJECTED, WITHDRAWN, NARROW = "public", "waiting", "rejected", "withdrawn", "narrow"
DECIDED = (REJECTED, WITHDRAWN)
UNDECIDED = (WAITING, NARROW, RAMP)
BEYOND = "admission.ramp"
"""The cause of what lies beyond its feed's step; before those that wait for a reviewer behind it."""
_FIRST = select(candidate.c.id).limit(1)
COLUMNS = tuple(column.name for column in candidate.c)


class Kept(NamedTuple):
    """The bytes behind arrivals by source hash, and the context of their page."""

    raws: Mapping[bytes, bytes]
    context: bytes


class _Gate(NamedTuple):
    """What a page is judged by: the policies, and how far new records of its feed are let in."""

    chosen: Policies
    step: Step | None
    origin: Origin


@dataclass(slots=True)
class _Split:
    """A page after the gate: what goes on, rows to keep back, ids that are not kept back any more."""

    admitted: list[Arrival] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    freed: list[str] = field(default_factory=list)
    repeated: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[str] = field(default_factory=list)


def receive(connection: Connection, arrivals: Sequence[Arrival], origin: Origin, kept: Kept, level: str) -> Outcome:
    """Stores what is admitted in the catalogue and keeps the rest back, counted as `held`; the bytes with both.

    `level` is that of the hub's public faces. A repeat of what is kept back is `unchanged`.
    """
    if not arrivals:
        return Outcome()
    gate = _Gate(Policies(policies(connection), level), ramp.step(connection, origin.feed_id), origin)
    everybody = gate.step is None and gate.chosen.open({platform_of(arrival.record.id) for arrival in arrivals})
    if everybody and not any_kept(connection):
        outcome = service.apply(connection, arrivals, origin)
    else:
        outcome = _through_the_gate(connection, gate, arrivals, kept)
    originals.keep(connection, outcome.written, kept.raws, kept.context)
    return outcome


def _through_the_gate(connection: Connection, gate: _Gate, arrivals: Sequence[Arrival], kept: Kept) -> Outcome:
    latest, duplicate = service.newest(arrivals)
    ids = list(latest)
    waiting, live = _kept(connection, ids), queries.live_documents(connection, ids)
    split = _Split()
    for id, arrival in latest.items():
        _judge(split, gate, arrival, waiting.get(id), live.get(id))
    outcome = service.apply(connection, split.admitted, gate.origin)
    outcome.duplicate += duplicate
    outcome.held = len(split.rows)
    outcome.unchanged += len(split.repeated)
    outcome.conflicts += split.conflicts
    _free(connection, split.freed)
    _again(connection, split.repeated)
    _keep(connection, split.rows, kept)
    return outcome


def _judge(split: _Split, gate: _Gate, arrival: Arrival, held: Any, live: Any) -> None:
    """One arrival against what is kept back and what is live under its id."""
    record = arrival.record
    if held is not None and held.native and arrival.version is not None and arrival.version <= held.version:
        same = held.hash == record.hash
        if arrival.version == held.version and not same:
            split.conflicts.append(record.id)
            return
        if not same:  # older than what we know of it
            split.repeated.append({"key": record.id, "source": bytes(held.source_hash), "told": held.stamp})
            return
    if held is not None and held.hash == record.hash:
        split.repeated.append({"key": record.id, "source": arrival.source_hash, "told": arrival.stamp})
        return
    content = restore(record.document)
    policy = gate.chosen.of(platform_of(record.id), content)
    matter = policy.matter(content)
    if held is not None and policy.matter(restore(bytes(held.document))) == matter:
        split.rows.append(_row(gate, arrival, policy, matter, orjson.loads(held.causes)) | _standing(held))
        return
    causes = _causes(gate.chosen, policy, arrival, matter, held, live)
    if live is None and gate.step is not None and not gate.step.lets(record.id):
        split.rows.append(_row(gate, arrival, policy, matter, [BEYOND, *causes]) | {"state": RAMP})
        return
    if causes:
        split.rows.append(_row(gate, arrival, policy, matter, causes))
        return
    split.admitted.append(arrival)
    if held is not None:
        split.freed.append(record.id)


def _causes(chosen: Policies, policy: Policy, arrival: Arrival, matter: str, held: Any, live: Any) -> list[str]:
    """Why this content must wait. What is live as it is, or differs from it in nothing that matters, need not."""
    if live is not None and policy.matter(restore(bytes(live))) == matter:
        return []
    causes = policy.causes(arrival.record, matter, chosen.level)
    if not causes and held is not None and held.state in DECIDED:
        return [f"admission.decided={held.state}"]
    return causes


def _row(gate: _Gate, arrival: Arrival, policy: Policy, matter: str, causes: list[str]) -> dict[str, Any]:
    record, origin = arrival.record, gate.origin
    return {
        "id": record.id, "platform": platform_of(record.id), "feed_id": origin.feed_id, "run_id": origin.run_id,
        "province": origin.province, "native": int(origin.native), "version": arrival.version, "hash": record.hash,
        "matter": matter, "source_hash": arrival.source_hash, "stamp": arrival.stamp, "path": " ".join(arrival.path),
        "flags": record.flags, "document": record.document, "causes": orjson.dumps(causes).decode(), "state": WAITING,
        "people": policy.people, "visibility": policy.visibility, "audits": " ".join(policy.audits),
        "came_at": 0, "first_by": None, "claimed_by": None, "claimed_until": 0,
        "draw": gate.step.draw(record.id) if gate.step is not None else 0,
    }  # fmt: skip


def _standing(held: Any) -> dict[str, Any]:
    """What a change that does not matter leaves as it was."""
    names = ("state", "people", "visibility", "audits", "came_at", "first_by", "claimed_by", "claimed_until")
    return {name: getattr(held, name) for name in names}


def _keep(connection: Connection, rows: list[dict[str, Any]], kept: Kept) -> None:
    if not rows:
        return
    at, mark = now(connection), originals.mark(connection, kept.context)
    for row in rows:
        row |= {"raw": kept.raws[row["source_hash"]], "context": mark, "came_at": row["came_at"] or at}
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
    return connection.execute(_FIRST).first() is not None


def heads(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """What is kept back of these ids: id, source_hash, stamp, version, hash."""
    if not ids or not any_kept(connection):
        return {}
    names = (candidate.c.id, candidate.c.source_hash, candidate.c.stamp, candidate.c.version, candidate.c.hash)
    query = select(*names).where(among(connection, candidate.c.id, ids), candidate.c.state != PUBLIC)
    return {row.id: row for row in connection.execute(query)}


def gone(connection: Connection, feed_id: int, ids: Sequence[str]) -> None:
    """The source has deleted these: what of them waits is dropped, what was decided stays decided."""
    if ids and any_kept(connection):
        mine = (candidate.c.feed_id == feed_id, candidate.c.state.in_(UNDECIDED))
        connection.execute(delete(candidate).where(*mine, among(connection, candidate.c.id, ids)))


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
