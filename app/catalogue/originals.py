"""The bytes each live record came from, kept so that another mapping can be tried and applied without its source.

One row for each record, replaced when it changes, dropped 30 days after the record is gone; the context of a page (namespaces, say) is kept once by its hash.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from app.catalogue.queries import position_before
from app.catalogue.tables import about, original, original_context, record
from app.db import now
from app.statements import insert_missing, load, upsert

BATCH = 500
DAYS = 30
KEPT_US = DAYS * 86_400_000_000  # how long the bytes of a removed record stay, so that its removal can be taken back
STRETCH = 100_000  # positions that one transaction looks through
_EXPIRED = "originals"


def keep(connection: Connection, written: Mapping[int, bytes], raws: Mapping[bytes, bytes], context: bytes) -> None:
    """Keeps the bytes of created and changed records: `written` is row number to source hash, `raws` hash to bytes."""
    if not written:
        return
    context_mark = mark(connection, context)
    put(connection, [(pk, raws[digest], context_mark) for pk, digest in written.items()])


def put(connection: Connection, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
    """Keeps (row number, bytes, mark of their context)."""
    load(connection, "original", ("pk", "raw", "context"), rows, ("pk",))


def mark(connection: Connection, context: bytes) -> bytes:
    """What stands for a page's context, which is kept once; empty for an empty one."""
    if not context:
        return b""
    made = blake2b(context, digest_size=16).digest()
    connection.execute(insert_missing(connection, original_context), [{"mark": made, "context": context}])
    return made


def context(connection: Connection, mark: bytes) -> bytes:
    """The context behind such a mark."""
    found = connection.execute(select(original_context.c.context).where(original_context.c.mark == mark)).scalar()
    return bytes(found or b"")


def forget(connection: Connection, pks: Sequence[int]) -> None:
    """Drops the bytes of records that have left: nothing of their content stays."""
    statement = delete(original).where(original.c.pk == bindparam("key"))
    connection.execute(statement, [{"key": pk} for pk in pks])


def expire(connection: Connection) -> int:
    """Drops the bytes of records that have been gone for DAYS; how many. Each position is looked at once, hourly."""
    begun = int(connection.execute(select(about.c.value).where(about.c.name == _EXPIRED)).scalar() or 0)
    due = position_before(connection, now(connection) - KEPT_US)
    until = min(due, begun + STRETCH)
    if until <= begun:
        return 0
    gone = select(record.c.pk).where(record.c.seq > begun, record.c.seq <= until, record.c.live == 0)
    dropped = connection.execute(delete(original).where(original.c.pk.in_(gone))).rowcount
    row = {"name": _EXPIRED, "value": str(until)}
    connection.execute(upsert(connection, about, ("name",), ("value",)), [row])
    return dropped


def of_record(connection: Connection, pk: int) -> tuple[bytes, bytes] | None:
    """(raw, context) of a record, or None where nothing was kept; by primary key."""
    query = select(original.c.raw, original_context.c.context).where(original.c.pk == pk)
    row = connection.execute(query.outerjoin_from(original, original_context, _SAME)).first()
    return (bytes(row.raw), bytes(row.context or b"")) if row else None


def of_feed(connection: Connection, feed_id: int, after: int = 0, limit: int = BATCH) -> list[Any]:
    """The next `limit` live records of a feed by row number: pk, id, stamp, hash, document, raw, context (None: empty)."""
    columns = (record.c.pk, record.c.id, record.c.stamp, record.c.hash, record.c.document)
    query = (
        select(*columns, original.c.raw, original_context.c.context)
        .join_from(record, original, original.c.pk == record.c.pk)
        .outerjoin(original_context, _SAME)
        .where(record.c.feed_id == feed_id, record.c.live == 1, record.c.pk > after)
        .order_by(record.c.pk)
        .limit(limit)
    )
    return list(connection.execute(query))


_SAME = original_context.c.mark == original.c.context


def batches(connection: Connection, feed_id: int) -> Iterator[list[Any]]:
    """All live records of a feed with their kept bytes, in batches."""
    after = 0
    while rows := of_feed(connection, feed_id, after):
        yield rows
        after = rows[-1].pk
