"""The one way into the catalogue: `apply` a page, `remove` records. Both give positions in commit order.

Called inside the writer's transaction.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, delete, func, select, update

from app.catalogue import originals
from app.catalogue.arrivals import Arrival, Origin, Outcome, first_version, judge, newest
from app.catalogue.order import Burial, Change, Row, bury, write
from app.catalogue.tables import about, history, record
from app.protocol.canonical import canonical
from app.protocol.record import rebuilt
from app.protocol.text import index_tokens
from app.protocol.words import platform_of
from app.statements import Fixed, among, among_bound, many, upsert

WITHDRAWN = "withdrawn"  # the flag of a row that is no tombstone: the record lives on where it comes from


class Known(NamedTuple):
    """A stored record, live or gone, without its document."""

    pk: int
    id: str
    seq: int
    feed_id: int
    run_id: int
    version: int
    hash: str
    source_hash: bytes
    stamp: str | None
    live: int
    subject: str
    terms: str
    platform: str


def known(connection: Connection, ids: Sequence[str]) -> dict[str, Known]:
    """Stored rows by id (without documents), by the unique index."""
    if not ids:
        return {}
    found = _known_by(connection.dialect.name).all(connection, many=many(connection, ids))
    return {row[1]: Known(*row) for row in found}


def marks(connection: Connection, ids: Sequence[str]) -> dict[str, bytes]:
    """What live records of these ids were made from (`source_hash`), by the unique index: most of a page that comes
    again needs no more than this."""
    if not ids:
        return {}
    return dict(_marks_by(connection.dialect.name).all(connection, many=many(connection, ids)))


@lru_cache(maxsize=2)
def _marks_by(dialect: str) -> Fixed:
    return Fixed(select(record.c.id, record.c.source_hash).where(among_bound(dialect, record.c.id), record.c.live == 1))


@lru_cache(maxsize=2)
def _known_by(dialect: str) -> Fixed:
    return Fixed(select(*(record.c[name] for name in Known._fields)).where(among_bound(dialect, record.c.id)))


def apply(connection: Connection, arrivals: Sequence[Arrival], origin: Origin) -> Outcome:
    """Stores what is new or different. The same input a second time writes nothing and takes no position."""
    latest, twice = newest(arrivals)
    outcome = Outcome(duplicate=len(twice), repeated=twice)
    stored = known(connection, list(latest))
    changes: list[Change] = []
    touched: list[dict[str, Any]] = []
    verdicts: list[str] = []
    for id, arrival in latest.items():
        old = stored.get(id)
        verdict = judge(arrival, old, origin)
        if verdict in ("created", "changed"):
            words = index_tokens(arrival.record.text) if arrival.tokens is None else arrival.tokens
            changes.append(Change(_row(arrival, old, origin), old, words, None if old else arrival.element))
        elif verdict == "conflict":
            outcome.conflicts.append(id)
            continue
        elif verdict == "duplicate":
            outcome.repeated.append(id)
        elif old and verdict == "unchanged" and _looks_other(arrival, old):
            touched.append({"key": old.pk, "source": arrival.source_hash, "told": arrival.stamp})
        verdicts.append(verdict)
    for verdict, number in Counter(verdicts).items():
        setattr(outcome, verdict, getattr(outcome, verdict) + number)
    if touched:
        _TOUCH.each(connection, touched)
    pks = write(connection, changes)
    outcome.written = {pk: change.row.source_hash for pk, change in zip(pks, changes, strict=True)}
    return outcome


def _looks_other(arrival: Arrival, old: Known) -> bool:
    """Other bytes, same meaning: remembered, so that they need no parsing next time; no position."""
    return old.source_hash != arrival.source_hash and old.hash == arrival.record.hash


_TOUCH = Fixed(
    update(record)
    .where(record.c.pk == bindparam("key"))
    .values(source_hash=bindparam("source"), stamp=bindparam("told"))
)


def remove(connection: Connection, ids: Sequence[str], run_id: int, left: Collection[str] = ()) -> int:
    """Turns live records into tombstones; how many. Already gone or unknown ids are passed over.

    Those of `left` live on at their origin: they keep its version, so that it can come back as it was (IX/1 V8).
    """
    live = [old for old in known(connection, ids).values() if old.live]
    if live:
        bury(connection, [Burial(old, run_id, old.version + (old.id not in left)) for old in live])
    return len(live)


def revive(
    connection: Connection, feed_id: int, by_run: int, run_id: int, since: int, limit: int, but: Select[Any]
) -> int:
    """Tombstones that `by_run` made of a feed's records since a time, live again as they were: same content, new version
    and position, in the name of `run_id`. At most `limit`; how many. Those that have changed since are not among them,
    nor those whose ids `but` selects."""
    query = select(record).where(*_buried_by(feed_id, by_run), record.c.modified_at > since, record.c.id.not_in(but))
    changes = []
    for old in connection.execute(query.order_by(record.c.pk).limit(limit)):
        row = Row(*[getattr(old, name) for name in Row._fields])._replace(run_id=run_id, version=old.version + 1)
        changes.append(Change(row, old, index_tokens(rebuilt(old.id, bytes(old.document)).text)))
    write(connection, changes)
    return len(changes)


def buried(connection: Connection, feed_id: int, by_run: int) -> int | None:
    """When the last of the tombstones that `revive` would find was made, microseconds; None where there is none."""
    found = connection.execute(select(func.max(record.c.modified_at)).where(*_buried_by(feed_id, by_run))).scalar()
    return int(found) if found is not None else None


def _buried_by(feed_id: int, by_run: int) -> tuple[ColumnElement[bool], ...]:
    # The run of a row is that of its last change; a record that was withdrawn is no tombstone, and empty.
    return record.c.feed_id == feed_id, record.c.live == 0, record.c.run_id == by_run, record.c.flags != WITHDRAWN


def withdraw(connection: Connection, ids: Mapping[str, bool]) -> list[str]:
    """Takes live records out of the catalogue, for they live on at their origin (IX/1 V8): `leave`, not `delete`.

    The value says whether the hub numbers the record's versions; of an origin's own the version stays as it is, so
    that the same one can come back. Nothing of the content stays: not in the row, its history or the kept bytes.
    The ids that were live.
    """
    live = [old for old in known(connection, list(ids)).values() if old.live]
    if not live:
        return []
    last = bury(connection, [Burial(old, old.run_id, old.version + ids[old.id]) for old in live])
    pks = [old.pk for old in live]
    originals.forget(connection, pks)
    blank = update(record).where(record.c.pk == bindparam("key"))
    blank = blank.values(document=bindparam("nothing"), flags=WITHDRAWN, terms="")
    connection.execute(blank, [{"key": old.pk, "nothing": _nothing(old.id)} for old in live])
    connection.execute(delete(history).where(among(connection, history.c.pk, pks)))
    until = {"name": "withdrawn", "value": str(last)}
    connection.execute(upsert(connection, about, ("name",), ("value",)), [until])
    return [old.id for old in live]


def _nothing(id: str) -> bytes:
    return canonical({"id": id, "title": id})


def _row(arrival: Arrival, old: Known | None, origin: Origin) -> Row:
    made = arrival.record
    version = first_version(arrival.version) if old is None else arrival.version or old.version + 1
    return Row(
        made.id, origin.feed_id, origin.run_id, platform_of(made.id), origin.province, made.subject[:64], version,
        made.hash, arrival.source_hash, arrival.stamp, " ".join(arrival.path), made.flags, made.terms, made.document,
    )  # fmt: skip
