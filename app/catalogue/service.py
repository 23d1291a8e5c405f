"""The one way into the catalogue: `apply` a page, `remove` records. Both give positions in commit order.

Called inside the writer's transaction. What needs no position is written before the position counter is taken,
because on PostgreSQL the counter row holds up the other writers until commit.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    case,
    delete,
    func,
    select,
    text,
    update,
)

from app.catalogue import coverage, digests, originals, search
from app.catalogue.tables import about, departure, history, moment, position, record, tally
from app.db import among, among_bound, load, many, now, upsert
from app.protocol.canonical import canonical, element
from app.protocol.record import Prepared, rebuilt
from app.protocol.text import index_tokens
from app.protocol.words import platform_of


class Arrival(NamedTuple):
    """A prepared record with what its feed says of it; `tokens` may be made ahead, beside the writer."""

    record: Prepared
    source_hash: bytes
    stamp: str | None = None
    version: int | None = None
    path: tuple[str, ...] = ()
    tokens: str | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where arrivals come from: a feed, in one of its runs; `again` are ids that came in this run before.

    `standing` are ids whose live records came with other bytes now; a harvest names them, and the host brake watches.
    """

    feed_id: int
    run_id: int
    province: str
    native: bool = False
    again: frozenset[str] = frozenset()
    standing: frozenset[str] = frozenset()


@dataclass(slots=True)
class Outcome:
    """What became of a page's arrivals; `conflicts` are same version with another hash (IX/1 V3).

    `repeated` are the ids behind `duplicate`. `held` is counted, and `declined` named, by whoever lets only a part of them in (`app.admission`).
    `written` are the created and changed records: row number to source hash, which names the bytes that won.
    """

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    held: int = 0
    conflicts: list[str] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    written: dict[int, bytes] = field(default_factory=dict)


class _Change(NamedTuple):
    row: dict[str, Any]
    old: Any
    text: str


KEPT = 20  # earlier states of a record
WITHDRAWN = "withdrawn"  # the flag of a row that is no tombstone: the record lives on where it comes from

_KNOWN = (
    record.c.pk, record.c.id, record.c.seq, record.c.feed_id, record.c.run_id, record.c.version, record.c.hash,
    record.c.source_hash, record.c.stamp, record.c.live, record.c.subject, record.c.terms, record.c.platform,
)  # fmt: skip
COLUMNS = tuple(column.name for column in record.c)
_values = itemgetter(*COLUMNS)


_FORWARD = (
    update(position)
    .where(position.c.name == bindparam("sought"))
    .values(value=position.c.value + bindparam("by"))
    .returning(position.c.value)
)
_PLACE = (
    update(position)
    .where(position.c.name.in_(["seq", "at"]))
    .values(
        value=case(
            (position.c.name == "seq", position.c.value + bindparam("by", type_=BigInteger)),
            (position.c.value > bindparam("now", type_=BigInteger), position.c.value),
            else_=bindparam("now"),
        )
    )
    .returning(position.c.name, position.c.value)
)
_MOMENT = moment.insert()
_LINE_UP = select(position.c.value).where(position.c.name == "seq").with_for_update()


def known(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """Stored rows by id (without documents), by the unique index."""
    if not ids:
        return {}
    found = connection.execute(_known_by(connection.dialect.name), {"many": many(connection, ids)})
    return {row.id: row for row in found.all()}


def marks(connection: Connection, ids: Sequence[str]) -> dict[str, bytes]:
    """What live records of these ids were made from (`source_hash`), by the unique index: most of a page that comes
    again needs no more than this."""
    if not ids:
        return {}
    found = connection.execute(_marks_by(connection.dialect.name), {"many": many(connection, ids)})
    return {id: mark for id, mark in found.all()}


@lru_cache(maxsize=2)
def _marks_by(dialect: str) -> Select[Any]:
    return select(record.c.id, record.c.source_hash).where(among_bound(dialect, record.c.id), record.c.live == 1)


@lru_cache(maxsize=2)
def _known_by(dialect: str) -> Select[Any]:
    return select(*_KNOWN).where(among_bound(dialect, record.c.id))


def apply(connection: Connection, arrivals: Iterable[Arrival], origin: Origin) -> Outcome:
    """Stores what is new or different. The same input a second time writes nothing and takes no position."""
    latest, twice = newest(arrivals)
    outcome = Outcome(duplicate=len(twice), repeated=twice)
    stored: dict[str, Any] = known(connection, list(latest))
    changes: list[_Change] = []
    touched: list[dict[str, Any]] = []
    for id, arrival in latest.items():
        old: Any = stored.get(id)
        verdict = _judge(arrival, old, origin)
        if verdict in ("created", "changed"):
            words = index_tokens(arrival.record.text) if arrival.tokens is None else arrival.tokens
            changes.append(_Change(_row(arrival, old, origin), old, words))
        elif verdict == "conflict":
            outcome.conflicts.append(id)
            continue
        elif verdict == "duplicate":
            outcome.repeated.append(id)
        elif verdict == "unchanged" and old.source_hash != arrival.source_hash and old.hash == arrival.record.hash:
            touched.append({"key": old.pk, "source": arrival.source_hash, "told": arrival.stamp})
        setattr(outcome, verdict, getattr(outcome, verdict) + 1)
    if touched:  # other bytes, same meaning: remembered, so that they need no parsing next time; no position
        statement = (
            update(record)
            .where(record.c.pk == bindparam("key"))
            .values(source_hash=bindparam("source"), stamp=bindparam("told"))
        )
        connection.execute(statement, touched)
    _write(connection, changes)
    outcome.written = {change.row["pk"]: change.row["source_hash"] for change in changes}
    return outcome


def newest(arrivals: Iterable[Arrival]) -> tuple[dict[str, Arrival], list[str]]:
    """Of each id the arrival with the newest stamp, else the first; and the ids that came again, once for each time."""
    latest: dict[str, Arrival] = {}
    twice: list[str] = []
    for arrival in arrivals:
        if (earlier := latest.get(arrival.record.id)) is not None:
            twice.append(arrival.record.id)
            if not _supersedes(arrival, earlier.stamp, earlier.version):
                continue
        latest[arrival.record.id] = arrival
    return latest, twice


def remove(connection: Connection, ids: Sequence[str], run_id: int, left: Collection[str] = ()) -> int:
    """Turns live records into tombstones; how many. Already gone or unknown ids are passed over.

    Those of `left` live on at their origin: they keep its version, so that it can come back as it was (IX/1 V8).
    """
    changes = []
    for old in known(connection, ids).values():
        if old.live:
            row = {"pk": old.pk, "run_id": run_id, "version": old.version + (old.id not in left), "live": 0}
            changes.append(_Change(row, old, ""))
    if changes:
        _bury(connection, changes)
    return len(changes)


def revive(
    connection: Connection, feed_id: int, by_run: int, run_id: int, since: int, limit: int, but: Select[Any]
) -> int:
    """Tombstones that `by_run` made of a feed's records since a time, live again as they were: same content, new version
    and position, in the name of `run_id`. At most `limit`; how many. Those that have changed since are not among them,
    nor those whose ids `but` selects."""
    query = select(record).where(*_buried_by(feed_id, by_run), record.c.modified_at > since, record.c.id.not_in(but))
    changes = []
    for old in connection.execute(query.order_by(record.c.pk).limit(limit)):
        row = {name: old._mapping[name] for name in COLUMNS} | {"run_id": run_id, "version": old.version + 1, "live": 1}
        changes.append(_Change(row, old, index_tokens(rebuilt(old.id, bytes(old.document)).text)))
    _write(connection, changes)
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
    changes = []
    for old in known(connection, list(ids)).values():
        if old.live:
            row = {"pk": old.pk, "run_id": old.run_id, "version": old.version + ids[old.id], "live": 0}
            changes.append(_Change(row, old, ""))
    if not changes:
        return []
    originals.forget(connection, [change.old.pk for change in changes])
    _bury(connection, changes)
    blank = update(record).where(record.c.pk == bindparam("key"))
    blank = blank.values(document=bindparam("nothing"), flags=WITHDRAWN, terms="")
    connection.execute(blank, [{"key": c.old.pk, "nothing": _nothing(c.old.id)} for c in changes])
    connection.execute(delete(history).where(among(connection, history.c.pk, [c.old.pk for c in changes])))
    row = {"name": "withdrawn", "value": str(max(c.row["seq"] for c in changes))}
    connection.execute(upsert(connection, about, ("name",), ("value",)), [row])
    return [c.old.id for c in changes]


def _nothing(id: str) -> bytes:
    return canonical({"id": id, "title": id})


def _supersedes(arrival: Arrival, stamp: str | None, version: int | None) -> bool:
    if arrival.version is not None and version is not None:
        return arrival.version >= version
    return _newer(arrival.stamp, stamp)


def _newer(stamp: str | None, other: str | None) -> bool:
    return stamp is not None and (other is None or other < stamp)


def older(stamp: str | None, other: str | None) -> bool:
    return stamp is not None and other is not None and stamp < other


def _judge(arrival: Arrival, old: Any, origin: Origin) -> str:
    """created, changed, unchanged, duplicate or conflict (IX/1 V3)."""
    if old is None:
        return "created"
    if origin.native and arrival.version is not None:
        if arrival.version != old.version:
            return "changed" if arrival.version > old.version else "unchanged"
        if arrival.record.hash != old.hash:
            return "conflict"
        return "unchanged" if old.live else "changed"  # it had left, and comes back as it was
    if old.live and old.hash == arrival.record.hash:
        return "unchanged"
    # Stamps are hints, but inside one run they tell which of two versions of a moving page is the later one. Without a
    # newer stamp the first counts: a source that lists one id with two contents would change it at every run.
    again = old.run_id == origin.run_id or arrival.record.id in origin.again
    if again and old.live and not _newer(arrival.stamp, old.stamp):
        return "duplicate"
    return "changed"


def _row(arrival: Arrival, old: Any, origin: Origin) -> dict[str, Any]:
    made = arrival.record
    return {
        "pk": old.pk if old else None,
        "id": made.id,
        "feed_id": origin.feed_id,
        "run_id": origin.run_id,
        "platform": platform_of(made.id),
        "province": origin.province,
        "subject": made.subject[:64],
        "version": arrival.version or (old.version + 1 if old else 1),
        "hash": made.hash,
        "source_hash": arrival.source_hash,
        "stamp": arrival.stamp,
        "live": 1,
        "path": " ".join(arrival.path),
        "flags": made.flags,
        "terms": made.terms,
        "document": made.document,
    }


def _write(connection: Connection, changes: list[_Change]) -> None:
    if not changes:
        return
    _number(connection, [change.row for change in changes if change.old is None])
    rows = [{"pk": row["pk"], "text": words, "terms": _found_by(row)} for row, _, words in changes]
    search.put(connection, rows, [c.old.pk for c in changes if c.old is not None and c.old.live])
    _archive(connection, changes)
    _place(connection, changes)
    load(connection, "record", COLUMNS, [_values(change.row) for change in changes], ("id",))
    _account(connection, changes)


def _found_by(row: dict[str, Any]) -> str:
    return f"{row['terms']} platform={row['platform']}".strip()


def _bury(connection: Connection, changes: list[_Change]) -> None:
    search.remove(connection, [change.old.pk for change in changes])
    _archive(connection, changes)
    _place(connection, changes)
    names = ("run_id", "version", "live", "seq", "modified_at")
    statement = update(record).where(record.c.pk == bindparam("key")).values({n: bindparam(f"new_{n}") for n in names})
    connection.execute(statement, [{"key": c.row["pk"], **{f"new_{n}": c.row[n] for n in names}} for c in changes])
    _account(connection, changes)


def _archive(connection: Connection, changes: list[_Change]) -> None:
    """Keeps the states that are about to be replaced, the newest KEPT of each record; new records cost nothing."""
    pks = [change.old.pk for change in changes if change.old is not None]
    if not pks:
        return
    names = [column.name for column in history.c]
    earlier = select(*(record.c[name] for name in names)).where(among(connection, record.c.pk, pks))
    connection.execute(history.insert().from_select(names, earlier))
    newer = history.alias()
    number = select(func.count()).where(newer.c.pk == history.c.pk, newer.c.seq > history.c.seq).scalar_subquery()
    connection.execute(delete(history).where(among(connection, history.c.pk, pks), number >= KEPT))


def _number(connection: Connection, rows: list[dict[str, Any]]) -> None:
    """Row numbers for new records: a counter on SQLite (one writer), a sequence on PostgreSQL (no lock held)."""
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        last = _advance(connection, "pk", len(rows))
        numbers: Iterable[int] = range(last - len(rows) + 1, last + 1)
    else:
        query = text("SELECT nextval('record_pk') FROM generate_series(1, :k)")
        numbers = connection.execute(query, {"k": len(rows)}).scalars().all()
    for row, number in zip(rows, numbers, strict=True):
        row["pk"] = number


def _advance(connection: Connection, name: str, by: int) -> int:
    return int(connection.execute(_FORWARD, {"sought": name, "by": by}).scalar_one())


def _place(connection: Connection, changes: list[_Change]) -> None:
    """Gives dense positions and one time that never goes back; from here on other writers wait (PostgreSQL)."""
    if connection.dialect.name == "postgresql":
        # All line up at one row first: of two rows in one UPDATE each writer may lock the other one first.
        connection.execute(_LINE_UP)
    moved = connection.execute(_PLACE, {"by": len(changes), "now": now(connection)})
    found: dict[str, int] = {name: value for name, value in moved}
    last, at = found["seq"], found["at"]
    connection.execute(_MOMENT, {"seq": last, "at": at})
    for seq, change in enumerate(changes, last - len(changes) + 1):
        change.row["seq"], change.row["modified_at"] = seq, at


def _account(connection: Connection, changes: list[_Change]) -> None:
    """Digests, tallies and departures of a page's changes, in the same transaction."""
    digests.change(connection, _deltas(changes))
    _tally(connection, changes)
    left = [
        {"subject": c.old.subject, "pk": c.old.pk, "seq": c.row["seq"]}
        for c in changes
        if c.old is not None and c.old.live and c.old.subject and c.row.get("subject", c.old.subject) != c.old.subject
    ]
    if left:
        connection.execute(upsert(connection, departure, ("subject", "pk"), ("seq",)), left)


def _deltas(changes: list[_Change]) -> Iterable[digests.Delta]:
    for row, old, _ in changes:
        if old is not None and old.live:
            yield digests.Delta(element(old.id, old.version, old.hash), -1, old.feed_id, old.platform)
        if row["live"]:
            made = element(row["id"], row["version"], row["hash"])
            yield digests.Delta(made, 1, row["feed_id"], row["platform"])


def _tally(connection: Connection, changes: list[_Change]) -> None:
    moved: Counter[tuple[str, str, int]] = Counter()
    for row, old, _ in changes:
        if old is not None and old.live:
            moved[old.terms, old.platform, old.feed_id] -= 1
        if row["live"]:
            moved[row["terms"], row["platform"], row["feed_id"]] += 1
    by_terms: Counter[str] = Counter()
    for (facets, _, _), by in moved.items():
        by_terms[facets] += by
    coverage.change(connection, by_terms)
    counted: Counter[str] = Counter()
    for kind, by in moved.items():
        for term in _counted(*kind):
            counted[term] += by
    terms = sorted(term for term, by in counted.items() if by)
    found = connection.execute(_tallied(connection.dialect.name), {"many": many(connection, terms)})
    stored: dict[str, int] = {term: n for term, n in found.all()}
    load(connection, "tally", ("term", "n"), [(term, stored.get(term, 0) + counted[term]) for term in terms], ("term",))


@lru_cache(maxsize=2)
def _tallied(dialect: str) -> Select[Any]:
    return select(tally.c.term, tally.c.n).where(among_bound(dialect, tally.c.term))


def _counted(terms: str, platform: str, feed_id: int) -> list[str]:
    return [*terms.split(), f"platform={platform}", f"feed={feed_id}", "live"]
