"""The change order: changes get dense positions and one time, and everything that is counted moves with them.

What needs no position is written before the position counter is taken, because on PostgreSQL the counter row holds up
the other writers until commit.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, bindparam, case, delete, func, select, text, update

from app.catalogue import coverage, digests, search
from app.catalogue.tables import departure, history, moment, position, record, tally
from app.db import now
from app.protocol.canonical import element
from app.statements import Fixed, accumulate, among, load, upsert


class Change(NamedTuple):
    """A row as it is to be, the stored one it takes the place of (None: it is new), the tokens of its words.

    `element` is that of the row, if it has been made.
    """

    row: dict[str, Any]
    old: Any
    text: str
    element: bytes | None = None


KEPT = 20  # earlier states of a record
COLUMNS = tuple(column.name for column in record.c)
_values = itemgetter(*COLUMNS)


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


def write(connection: Connection, changes: list[Change]) -> None:
    """Records as they are now, with their words, positions and counts."""
    if not changes:
        return
    _number(connection, [change.row for change in changes if change.old is None])
    replaced = [c.old.pk for c in changes if c.old is not None and c.old.live]
    search.put(connection, [(row["pk"], words, _found_by(row)) for row, _, words, _ in changes], replaced)
    _archive(connection, changes)
    _place(connection, changes)
    load(connection, "record", COLUMNS, [_values(change.row) for change in changes], ("id",))
    _account(connection, changes)


def _found_by(row: dict[str, Any]) -> str:
    terms, platform = row["terms"], row["platform"]
    return f"{terms} platform={platform}" if terms else f"platform={platform}"


def bury(connection: Connection, changes: list[Change]) -> None:
    """Records that are gone: tombstones keep all but their words."""
    search.remove(connection, [change.old.pk for change in changes])
    _archive(connection, changes)
    _place(connection, changes)
    names = ("run_id", "version", "live", "seq", "modified_at")
    statement = update(record).where(record.c.pk == bindparam("key")).values({n: bindparam(f"new_{n}") for n in names})
    connection.execute(statement, [{"key": c.row["pk"], **{f"new_{n}": c.row[n] for n in names}} for c in changes])
    _account(connection, changes)


def _archive(connection: Connection, changes: list[Change]) -> None:
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
        numbers = [number for (number,) in _NEXT_ROWS.all(connection, k=len(rows))]
    for row, number in zip(rows, numbers, strict=True):
        row["pk"] = number


def _advance(connection: Connection, name: str, by: int) -> int:
    return int(_FORWARD.scalar(connection, sought=name, by=by))


def _place(connection: Connection, changes: list[Change]) -> None:
    """Gives dense positions and one time that never goes back; from here on other writers wait (PostgreSQL)."""
    if connection.dialect.name == "postgresql":
        # All line up at one row first: of two rows in one UPDATE each writer may lock the other one first.
        _LINE_UP.all(connection)
    _SEQ.run(connection, by=len(changes))
    _AT.run(connection, now=now(connection))
    found: dict[str, int] = dict(_PLACED.all(connection))
    last, at = found["seq"], found["at"]
    _MOMENT.run(connection, seq=last, at=at)
    for seq, change in enumerate(changes, last - len(changes) + 1):
        change.row["seq"], change.row["modified_at"] = seq, at


def _account(connection: Connection, changes: list[Change]) -> None:
    """Digests, tallies and departures of a page's changes, in the same transaction."""
    digests.change(connection, changes[-1].row["seq"], _moved(changes))
    _tally(connection, changes)
    left = [
        {"subject": c.old.subject, "pk": c.old.pk, "seq": c.row["seq"]}
        for c in changes
        if c.old is not None and c.old.live and c.old.subject and c.row.get("subject", c.old.subject) != c.old.subject
    ]
    if left:
        connection.execute(upsert(connection, departure, ("subject", "pk"), ("seq",)), left)


def _moved(changes: list[Change]) -> digests.Moved:
    moved: digests.Moved = {}
    for row, old, _, made in changes:
        if old is not None and old.live:
            gone = element(old.id, old.version, old.hash)
            moved.setdefault((old.feed_id, old.platform, -1), []).append(gone)
        if row["live"]:
            made = made or element(row["id"], row["version"], row["hash"])
            moved.setdefault((row["feed_id"], row["platform"], 1), []).append(made)
    return moved


def _tally(connection: Connection, changes: list[Change]) -> None:
    kinds = Counter(_kind(change.row) for change in changes if change.row["live"])
    gone = [change.old for change in changes if change.old is not None and change.old.live]
    kinds.subtract((old.terms, old.platform, old.feed_id) for old in gone)
    moved, counted = Counter[str](), Counter[str]()
    for kind, by in kinds.items():
        moved[kind[0]] += by
        for term in _counted(*kind):
            counted[term] += by
    coverage.change(connection, moved)
    rows = [{"term": term, "n": by} for term, by in sorted(counted.items()) if by]
    accumulate(connection, tally, ("term",), ("n",), rows)


_kind = itemgetter("terms", "platform", "feed_id")


@lru_cache(maxsize=16_384)
def _counted(terms: str, platform: str, feed_id: int) -> tuple[str, ...]:
    return *terms.split(), f"platform={platform}", f"feed={feed_id}", "live"
