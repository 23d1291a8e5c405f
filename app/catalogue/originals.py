"""The bytes each live record came from, kept so that another mapping can be tried and applied without its source.

One row for each record, replaced when it changes; the context of a page (namespaces, say) is kept once by its hash.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any

from sqlalchemy import Connection, bindparam, delete, select

from app.catalogue.tables import original, original_context, record
from app.db import insert_missing, load

BATCH = 500


def keep(connection: Connection, written: Mapping[int, bytes], raws: Mapping[bytes, bytes], context: bytes) -> None:
    """Keeps the bytes of created and changed records: `written` is row number to source hash, `raws` hash to bytes."""
    if not written:
        return
    mark = _mark(connection, context)
    rows = [(pk, raws[digest], mark) for pk, digest in written.items()]
    load(connection, "original", ("pk", "raw", "context"), rows, ("pk",))


def _mark(connection: Connection, context: bytes) -> bytes:
    if not context:
        return b""
    mark = blake2b(context, digest_size=16).digest()
    connection.execute(insert_missing(connection, original_context), [{"mark": mark, "context": context}])
    return mark


def forget(connection: Connection, pks: Sequence[int]) -> None:
    """Drops the bytes of records that are gone: a tombstone says nothing of what was."""
    statement = delete(original).where(original.c.pk == bindparam("key"))
    connection.execute(statement, [{"key": pk} for pk in pks])


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
