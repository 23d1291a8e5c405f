"""The change order: changes get dense positions and one time, and everything that is counted moves with them.

What needs no position is written before the position counter is taken, because on PostgreSQL the counter row holds up
the other writers until commit.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, case, delete, func, select, text, update

from app.catalogue import coverage, digests, search
from app.catalogue.tables import departure, history, moment, position, record, tally
from app.db import now
from app.protocol.canonical import element
from app.statements import Fixed, accumulate, among, load, upsert


class Row(NamedTuple):
    """A live record as it is to be, without its place in the change order."""

    id: str
    feed_id: int
    run_id: int
    platform: str
    province: str
    subject: str
    version: int
    hash: str
    source_hash: bytes
    stamp: str | None
    path: str
    flags: str
    terms: str
    document: bytes


class Change(NamedTuple):
    """A row as it is to be, the stored one it takes the place of (`service.Known`; None: it is new), the tokens of its words.

    `element` is that of the row, if it has been made.
    """

    row: Row
    old: Any
    text: str
    element: bytes | None = None


class Burial(NamedTuple):
    """A live record that goes, by which run and with which version."""

    old: Any
    run_id: int
    version: int


KEPT = 20  # earlier states of a record
COLUMNS = ("pk", "seq", "modified_at", "live", *Row._fields)


_FORWARD = Fixed(
    update(position)
    .where(position.c.name == bindparam("sought"))
    .values(value=position.c.value + bindparam("by"))
    .returning(position.c.value)
)
# One row each and nothing returned: for anything else SQLite opens a savepoint, at which FTS5 writes out what it has
# gathered of this page; the commit does that beside the next page.
_SEQ = Fixed(update(position).where(position.c.name == "seq").values(value=position.c.value + bindparam("by")))
_AT = Fixed(
    update(position)
    .where(position.c.name == "at")
    .values(
        value=case((position.c.value > bindparam("now", type_=BigInteger), position.c.value), else_=bindparam("now"))
    )
)
_PLACED = Fixed(select(position.c.name, position.c.value))
_MOMENT = Fixed(moment.insert(), ("seq", "at"))
_LINE_UP = Fixed(select(position.c.value).where(position.c.name == "seq").with_for_update())
_NEXT_ROWS = Fixed(text("SELECT nextval('record_pk') FROM generate_series(1, :k)"))


def write(connection: Connection, changes: Sequence[Change]) -> list[int]:
    """Records as they are now, with their words, positions and counts; their row numbers."""
    if not changes:
        return []
    stored = [change.old for change in changes if change.old is not None]
    live = [old for old in stored if old.live]
    pks = _numbered(connection, changes)
    words = [(pk, text, _found_by(row)) for pk, (row, _, text, _) in zip(pks, changes, strict=True)]
    search.put(connection, words, [old.pk for old in live])
    _archive(connection, [old.pk for old in stored])
    seqs, at = _placed(connection, len(changes))
    rows = [(pk, seq, at, 1, *change.row) for pk, seq, change in zip(pks, seqs, changes, strict=True)]
    load(connection, "record", COLUMNS, rows, ("id",))
    _account(connection, seqs[-1], changes, live)
    _depart(connection, changes, seqs)
    return pks


def _found_by(row: Row) -> str:
    return f"{row.terms} platform={row.platform}" if row.terms else f"platform={row.platform}"


def bury(connection: Connection, burials: Sequence[Burial]) -> int:
    """Records that are gone: tombstones keep all but their words. The last of their positions."""
    gone = [burial.old for burial in burials]
    search.remove(connection, [old.pk for old in gone])
    _archive(connection, [old.pk for old in gone])
    seqs, at = _placed(connection, len(gone))
    rows = [
        {"key": old.pk, "by": run_id, "told": version, "place": seq, "now": at}
        for (old, run_id, version), seq in zip(burials, seqs, strict=True)
    ]
    connection.execute(_BURY, rows)
    _account(connection, seqs[-1], (), gone)
    return seqs[-1]


_BURY = (
    update(record)
    .where(record.c.pk == bindparam("key"))
    .values(run_id=bindparam("by"), version=bindparam("told"), live=0)
    .values(seq=bindparam("place"), modified_at=bindparam("now"))
)


def _archive(connection: Connection, pks: Sequence[int]) -> None:
    """Keeps the states that are about to be replaced, the newest KEPT of each record; new records cost nothing."""
    if not pks:
        return
    names = [column.name for column in history.c]
    earlier = select(*(record.c[name] for name in names)).where(among(connection, record.c.pk, pks))
    connection.execute(history.insert().from_select(names, earlier))
    newer = history.alias()
    number = select(func.count()).where(newer.c.pk == history.c.pk, newer.c.seq > history.c.seq).scalar_subquery()
    connection.execute(delete(history).where(among(connection, history.c.pk, pks), number >= KEPT))


def _numbered(connection: Connection, changes: Sequence[Change]) -> list[int]:
    """Row numbers of changes; for new records a counter on SQLite (one writer), a sequence on PostgreSQL (no lock held)."""
    fresh = sum([change.old is None for change in changes])
    numbers: Iterable[int] = ()
    if fresh and connection.dialect.name == "sqlite":
        last = _advance(connection, "pk", fresh)
        numbers = range(last - fresh + 1, last + 1)
    elif fresh:
        numbers = [number for (number,) in _NEXT_ROWS.all(connection, k=fresh)]
    following = iter(numbers)
    return [next(following) if change.old is None else change.old.pk for change in changes]


def _advance(connection: Connection, name: str, by: int) -> int:
    return int(_FORWARD.scalar(connection, sought=name, by=by))


def _placed(connection: Connection, number: int) -> tuple[range, int]:
    """Dense positions and one time that never goes back; from here on other writers wait (PostgreSQL)."""
    if connection.dialect.name == "postgresql":
        # All line up at one row first: of two rows in one UPDATE each writer may lock the other one first.
        _LINE_UP.all(connection)
    _SEQ.run(connection, by=number)
    _AT.run(connection, now=now(connection))
    found: dict[str, int] = dict(_PLACED.all(connection))
    last, at = found["seq"], found["at"]
    _MOMENT.run(connection, seq=last, at=at)
    return range(last - number + 1, last + 1), at


def _account(connection: Connection, last: int, come: Sequence[Change], gone: Sequence[Any]) -> None:
    """Digests and tallies of a page's changes, in the same transaction; `gone` are stored rows that were live."""
    digests.change(connection, last, _moved(come, gone))
    _tally(connection, come, gone)


def _moved(come: Sequence[Change], gone: Sequence[Any]) -> digests.Moved:
    moved: digests.Moved = {}
    for old in gone:
        moved.setdefault((old.feed_id, old.platform, -1), []).append(element(old.id, old.version, old.hash))
    for row, _, _, made in come:
        made = made or element(row.id, row.version, row.hash)
        moved.setdefault((row.feed_id, row.platform, 1), []).append(made)
    return moved


def _tally(connection: Connection, come: Sequence[Change], gone: Sequence[Any]) -> None:
    kinds = Counter([_kind(change.row) for change in come])
    kinds.subtract([_kind(old) for old in gone])
    moved, counted = Counter[str](), Counter[str]()
    for kind, by in kinds.items():
        moved[kind[0]] += by
        for term in _counted(*kind):
            counted[term] += by
    coverage.change(connection, moved)
    rows = [{"term": term, "n": by} for term, by in sorted(counted.items()) if by]
    accumulate(connection, tally, ("term",), ("n",), rows)


_kind = attrgetter("terms", "platform", "feed_id")


@lru_cache(maxsize=16_384)
def _counted(terms: str, platform: str, feed_id: int) -> tuple[str, ...]:
    return *terms.split(), f"platform={platform}", f"feed={feed_id}", "live"


def _depart(connection: Connection, changes: Sequence[Change], seqs: Sequence[int]) -> None:
    """Notes which records have another subject now: whoever follows the old one is told that they have left it."""
    left = [
        {"subject": old.subject, "pk": old.pk, "seq": seq}
        for (row, old, _, _), seq in zip(changes, seqs, strict=True)
        if old is not None and old.live and old.subject and row.subject != old.subject
    ]
    if left:
        connection.execute(upsert(connection, departure, ("subject", "pk"), ("seq",)), left)
