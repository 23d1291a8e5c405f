"""The bytes each live record came from, kept so that another mapping can be tried and applied without its source.

Replaced when a record changes, dropped 30 days after it is gone. The bytes of up to 16 records that came together lie
in one pack (`app/catalogue/packs.py`), which takes a sixth of their room; where a record is replaced or dropped, its
place in the pack is emptied in the same transaction. The context of a page (namespaces, say) is kept once by its hash.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

from sqlalchemy import Connection, bindparam, delete, func, select, text, update

from app.catalogue import packs
from app.catalogue.arrivals import Outcome
from app.catalogue.packs import Pack
from app.catalogue.queries import position_before
from app.catalogue.tables import about, original, original_context, original_pack, record
from app.db import now
from app.statements import Fixed, among, insert_missing, load, upsert

BATCH = 500
DAYS = 30
KEPT_US = DAYS * 86_400_000_000  # how long the bytes of a removed record stay, so that its removal can be taken back
STRETCH = 100_000  # positions that one transaction looks through
_EXPIRED = "originals"


Raws = Callable[[], Mapping[bytes, bytes]]
"""Gives the bytes behind arrivals by source hash; seldom asked, since most are in packs already."""


class Kept(NamedTuple):
    """A live record with the bytes it came from and their context."""

    pk: int
    id: str
    stamp: str | None
    hash: str
    document: bytes
    raw: bytes
    context: bytes


def keep(connection: Connection, outcome: Outcome, raws: Raws, context: bytes, ready: Sequence[Pack] = ()) -> None:
    """Keeps the bytes of what was created and changed.

    Of packs that are `ready`, made beforehand, those are kept as they are whose records have all been written; `raws` are
    asked for the others.
    """
    written = outcome.written
    if not written:
        return
    if outcome.changed:
        forget(connection, list(written))
    numbers = {digest: pk for pk, digest in written.items()}
    whole = _whole(ready, numbers) if len(numbers) == len(written) else []
    packed = {pk for pks, _ in whole for pk in pks}
    left = [(pk, digest) for pk, digest in written.items() if pk not in packed]
    by_hash = raws() if left else {}
    rest = _packed([(pk, by_hash[digest]) for pk, digest in left])
    _store(connection, mark(connection, context), [*whole, *rest])


def _whole(ready: Sequence[Pack], numbers: Mapping[bytes, int]) -> list[tuple[list[int], bytes]]:
    """Packs with the row numbers by place: those whose records are all there, if none is there twice."""
    whole = [
        ([numbers[digest] for digest in pack.marks], pack.body) for pack in ready if numbers.keys() >= {*pack.marks}
    ]
    pks = [pk for of_pack, _ in whole for pk in of_pack]
    return whole if len({*pks}) == len(pks) else []


def put(connection: Connection, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Keeps (row number, bytes, mark of their context)."""
    forget(connection, [pk for pk, _, _ in rows])
    contexts: defaultdict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for pk, raw, of_context in rows:
        contexts[of_context].append((pk, raw))
    for of_context, together in contexts.items():
        _store(connection, of_context, list(_packed(together)))


def _packed(rows: Sequence[tuple[int, bytes]]) -> Iterator[tuple[list[int], bytes]]:
    """Row numbers and bytes, packed: of each pack its row numbers by place, and itself."""
    for part in packs.parts([raw for _, raw in rows]):
        yield [pk for pk, _ in rows[part]], packs.body([raw for _, raw in rows[part]])


def _store(connection: Connection, context_mark: bytes, made: Sequence[tuple[list[int], bytes]]) -> None:
    numbered = list(zip(_numbers(connection, len(made)), made, strict=True))
    rows = [(number, len(pks), context_mark, body) for number, (pks, body) in numbered]
    load(connection, "original_pack", ("id", "n", "context", "body"), rows)
    places = [(pk, number, place) for number, (pks, _) in numbered for place, pk in enumerate(pks)]
    load(connection, "original", ("pk", "pack", "place"), places)


def _numbers(connection: Connection, how_many: int) -> Iterable[int]:
    """Numbers for new packs: those after the highest on SQLite (one writer), a sequence on PostgreSQL (no lock held)."""
    if connection.dialect.name == "sqlite":
        last = _LAST_PACK.scalar(connection) or 0
        return range(last + 1, last + 1 + how_many)
    return [number for (number,) in _NEXT_PACKS.all(connection, k=how_many)]


_LAST_PACK: Final = Fixed(select(func.max(original_pack.c.id)))
_NEXT_PACKS: Final = Fixed(text("SELECT nextval('original_pack_id') FROM generate_series(1, :k)"))


def mark(connection: Connection, context: bytes) -> bytes:
    """What stands for a page's context, which is kept once; empty for an empty one."""
    if not context:
        return b""
    made = blake2b(context, digest_size=16).digest()
    if not _CONTEXTS.scalar(connection, of=made):
        connection.execute(insert_missing(connection, original_context), {"mark": made, "context": context})
    return made


_CONTEXTS: Final = Fixed(select(func.count()).where(original_context.c.mark == bindparam("of")))


def context(connection: Connection, mark: bytes) -> bytes:
    """The context behind such a mark."""
    found = connection.execute(select(original_context.c.context).where(original_context.c.mark == mark)).scalar()
    return bytes(found or b"")


def forget(connection: Connection, pks: Sequence[int]) -> int:
    """Drops the bytes of records, how many: nothing of their content stays."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for start in range(0, len(pks), BATCH):
        mine = among(connection, original.c.pk, pks[start : start + BATCH])
        # Locked (PostgreSQL), as the packs are: a place is emptied once, and two writers do not refill each other's.
        found = select(original.c.pack, original.c.place).where(mine).order_by(original.c.pk).with_for_update()
        for pack, place in connection.execute(found):
            places[pack].append(place)
        connection.execute(delete(original).where(mine))
    numbers = sorted(places)
    for start in range(0, len(numbers), BATCH):
        _empty(connection, {number: places[number] for number in numbers[start : start + BATCH]})
    return sum(map(len, places.values()))


def _empty(connection: Connection, places: Mapping[int, Sequence[int]]) -> None:
    """Drops packs of which nothing is left, and empties places of the others; they are this transaction's from now on."""
    held = select(original_pack.c.id, original_pack.c.n, original_pack.c.body)
    held = held.where(among(connection, original_pack.c.id, list(places))).order_by(original_pack.c.id)
    gone, changed = [], []
    for number, n, stored in connection.execute(held.with_for_update()):
        emptied = places[number]
        if n == len(emptied):
            gone.append(number)
        else:
            rest = packs.without(bytes(stored), emptied)
            changed.append({"number": number, "gone": len(emptied), "rest": rest})
    if gone:
        connection.execute(delete(original_pack).where(among(connection, original_pack.c.id, gone)))
    if changed:
        connection.execute(_SHRINK, changed)


_SHRINK: Final = (
    update(original_pack)
    .where(original_pack.c.id == bindparam("number"))
    .values(n=original_pack.c.n - bindparam("gone"), body=bindparam("rest"))
)


def expire(connection: Connection) -> int:
    """Drops the bytes of records that have been gone for DAYS; how many. Each position is looked at once, hourly."""
    begun = int(connection.execute(select(about.c.value).where(about.c.name == _EXPIRED)).scalar() or 0)
    due = position_before(connection, now(connection) - KEPT_US)
    until = min(due, begun + STRETCH)
    if until <= begun:
        return 0
    gone = select(record.c.pk).where(record.c.seq > begun, record.c.seq <= until, record.c.live == 0)
    dropped = forget(connection, connection.execute(gone).scalars().all())
    row = {"name": _EXPIRED, "value": str(until)}
    connection.execute(upsert(connection, about, ("name",), ("value",)), [row])
    return dropped


def of_record(connection: Connection, pk: int) -> tuple[bytes, bytes] | None:
    """(raw, context) of a record, or None where nothing was kept; by primary key."""
    query = select(original.c.place, original_pack.c.body, original_context.c.context).where(original.c.pk == pk)
    query = query.join_from(original, original_pack, original_pack.c.id == original.c.pack)
    row = connection.execute(query.outerjoin(original_context, _SAME)).first()
    return (packs.raws(bytes(row.body))[row.place], bytes(row.context or b"")) if row else None


def _bodies(connection: Connection, numbers: Sequence[int]) -> dict[int, bytes]:
    query = select(original_pack.c.id, original_pack.c.body).where(among(connection, original_pack.c.id, numbers))
    return {number: bytes(stored) for number, stored in connection.execute(query)}


def of_feed(connection: Connection, feed_id: int, after: int = 0, limit: int = BATCH) -> list[Kept]:
    """The next `limit` live records of a feed by row number."""
    columns = (record.c.pk, record.c.id, record.c.stamp, record.c.hash, record.c.document)
    query = (
        select(*columns, original.c.pack, original.c.place, original_context.c.context)
        .join_from(record, original, original.c.pk == record.c.pk)
        .join(original_pack, original_pack.c.id == original.c.pack)
        .outerjoin(original_context, _SAME)
        .where(record.c.feed_id == feed_id, record.c.live == 1, record.c.pk > after)
        .order_by(record.c.pk)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    opened = {
        number: packs.raws(stored) for number, stored in _bodies(connection, [*{row.pack for row in rows}]).items()
    }
    return [
        Kept(row.pk, row.id, row.stamp, row.hash, bytes(row.document), opened[row.pack][row.place], bytes(row.context or b""))
        for row in rows
    ]  # fmt: skip


_SAME = original_context.c.mark == original_pack.c.context


def batches(connection: Connection, feed_id: int) -> Iterator[list[Kept]]:
    """All live records of a feed with their kept bytes, in batches."""
    after = 0
    while rows := of_feed(connection, feed_id, after):
        yield rows
        after = rows[-1].pk
