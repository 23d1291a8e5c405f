"""Digests: count and fingerprint of the live elements of a scope, kept by the writer (IX/1 section 6).

Two catalogues can be compared by reading one row, the root of a scope, which moves with each change. Buckets follow for
many pages at once, because the elements of one page fall into as many buckets as there are elements: until then they
wait in `digest_pending`, written by the same transaction. 256 buckets lie side by side in one row.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, delete, func, select

from app.catalogue.tables import digest, digest_bucket, digest_pending
from app.protocol.canonical import MODULUS, root
from app.statements import among_bound, load, many

ELEMENT: Final = 32  # bytes
# Bytes of a prefix: 65,536 buckets of the whole catalogue, 256 of a feed.
ALL_DEPTH: Final = 2
FEED_DEPTH: Final = 1
PENDING: Final = 16  # rows, one or two a page: 15 ms of work when they are full
CELL: Final = 48  # bytes: how many elements (8), and their sum as it is (40), big-endian
CELLS: Final = 256
_ONE: Final = 1 << 320  # one more element, in a cell read as one number
_WRAP: Final = 1 << 384
_EMPTY: Final = bytes(CELL)

Sum = tuple[int, int]
"""How many elements, and their sum."""
Moved = dict[tuple[int, str, int], list[bytes]]
"""Elements that join (+1) or leave (-1) the catalogue, by feed, platform and sign."""
Cells = dict[bytes, int]
"""Changes of buckets, each a cell read as one number, by prefix."""


def change(connection: Connection, seq: int, moved: Moved) -> None:
    """Adds and subtracts elements, in every scope that keeps a digest; `seq` is the last position of the change."""
    roots: defaultdict[str, list[Sum]] = defaultdict(list)
    pending: dict[tuple[int, int], list[bytes]] = {}
    for (feed_id, platform, sign), elements in moved.items():
        total = sum(map(_number, elements))
        for scope in ("all", f"feed:{feed_id}", f"platform:{platform}"):
            roots[scope].append((sign * len(elements), sign * total))
        pending.setdefault((feed_id, sign), []).extend(elements)
    _move_roots(connection, roots)
    rows = [(seq, feed_id, sign, b"".join(elements)) for (feed_id, sign), elements in pending.items()]
    load(connection, "digest_pending", ("seq", "feed_id", "sign", "elements"), rows)
    if connection.execute(_HOW_MANY).scalar_one() >= PENDING:
        settle(connection)


def _move_roots(connection: Connection, changes: dict[str, list[Sum]]) -> None:
    found = connection.execute(_some_roots(connection.dialect.name), {"many": many(connection, list(changes))})
    stored = {scope: (n, _number(total)) for scope, n, total in found}
    rows = []
    # One order for all writers, here and in `settle`: PostgreSQL locks rows as it meets them.
    for scope in sorted(changes):
        counts, sums = zip(stored.get(scope, (0, 0)), *changes[scope], strict=True)
        rows.append((scope, sum(counts), (sum(sums) % MODULUS).to_bytes(ELEMENT, "big")))
    load(connection, "digest", ("scope", "n", "sum"), rows, ("scope",))


def settle(connection: Connection) -> None:
    """Brings the buckets up to date with the roots."""
    for scope, changes in sorted(_pending(connection).items()):
        of_rows = {shared.hex(): list(own) for shared, own in groupby(sorted(changes.items()), _shared)}
        stored = _stored(connection, scope, list(of_rows))
        rows = [(scope, prefix, _merged(stored.get(prefix), own)) for prefix, own in of_rows.items()]
        load(connection, "digest_bucket", ("scope", "prefix", "cells"), rows, ("scope", "prefix"))
    connection.execute(delete(digest_pending))


def _shared(change: tuple[bytes, int]) -> bytes:
    """The part of a bucket's prefix that all buckets of its row share."""
    return change[0][:-1]


def _merged(stored: bytes | None, changes: Iterable[tuple[bytes, int]]) -> bytes:
    """A row's cells after changes of its buckets."""
    cells = bytearray(stored or CELLS * CELL)
    for prefix, by in changes:
        at = prefix[-1] * CELL
        cells[at : at + CELL] = ((int.from_bytes(cells[at : at + CELL], "big") + by) % _WRAP).to_bytes(CELL, "big")
    return bytes(cells)


def _pending(connection: Connection) -> dict[str, Cells]:
    """What the buckets lack, by scope."""
    of_all: Cells = defaultdict(int)
    scopes: dict[str, Cells] = {"all": of_all}
    for feed_id, sign, elements in connection.execute(_PENDING):
        of_feed = scopes.setdefault(f"feed:{feed_id}", defaultdict(int))
        for at in range(0, len(elements), ELEMENT):
            element = elements[at : at + ELEMENT]
            by = sign * (_ONE + _number(element))
            of_all[element[:ALL_DEPTH]] += by
            of_feed[element[:FEED_DEPTH]] += by
    return scopes


def _number(bytes_: bytes | bytearray) -> int:
    return int.from_bytes(bytes_, "big")


def _stored(connection: Connection, scope: str, prefixes: Sequence[str]) -> dict[str, bytes]:
    values = {"named": scope, "many": many(connection, prefixes)}
    return {prefix: cells for prefix, cells in connection.execute(_some_cells(connection.dialect.name), values)}


@lru_cache(maxsize=2)
def _some_roots(dialect: str) -> Select[Any]:
    return select(digest.c.scope, digest.c.n, digest.c.sum).where(among_bound(dialect, digest.c.scope))


@lru_cache(maxsize=2)
def _some_cells(dialect: str) -> Select[Any]:
    query = select(digest_bucket.c.prefix, digest_bucket.c.cells)
    return query.where(digest_bucket.c.scope == bindparam("named"), among_bound(dialect, digest_bucket.c.prefix))


_HOW_MANY: Final = select(func.count()).select_from(digest_pending)
_PENDING: Final = select(digest_pending.c.feed_id, digest_pending.c.sign, digest_pending.c.elements)


def buckets(connection: Connection, scope: str) -> dict[str, Sum]:
    """(count, sum) of a scope's live elements by prefix in hex digits, without the empty ones.

    Of what is stored and what waits, so that it is true at any moment.
    """
    found: Cells = defaultdict(int, _all_cells(connection, scope))
    for prefix, by in _pending(connection).get(scope, {}).items():
        found[prefix] += by
    return {prefix.hex(): (cell // _ONE, cell % _ONE % MODULUS) for prefix, cell in found.items() if cell}


def _all_cells(connection: Connection, scope: str) -> Iterator[tuple[bytes, int]]:
    for prefix, cells in connection.execute(_CELLS, {"named": scope}):
        shared = bytes.fromhex(prefix)
        for last in range(CELLS):
            if (cell := cells[last * CELL : (last + 1) * CELL]) != _EMPTY:
                yield shared + bytes((last,)), _number(cell)


_CELLS: Final = select(digest_bucket.c.prefix, digest_bucket.c.cells).where(digest_bucket.c.scope == bindparam("named"))


def state(connection: Connection, scope: str) -> tuple[int, str]:
    """(count, root) of a scope's live records; one row by primary key."""
    row = connection.execute(_ROOT, {"named": scope}).first()
    return (row.n, root(_number(row.sum), row.n)) if row else (0, root(0, 0))


def count(connection: Connection, scope: str) -> int:
    """How many live records a scope has; one row by primary key."""
    row = connection.execute(_ROOT, {"named": scope}).first()
    return int(row.n) if row else 0


_ROOT: Final = select(digest.c.n, digest.c.sum).where(digest.c.scope == bindparam("named"))
