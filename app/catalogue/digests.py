"""Digests: count and fingerprint of the live elements of a scope, kept by the writer (IX/1 section 6).

A scope's row with the empty prefix is its root, so that two catalogues can be compared by reading one row. Roots move
with each change. Buckets follow for many pages at once, because the elements of one page fall into as many buckets as
there are elements: until then they wait in `digest_pending`, written by the same transaction.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, TypeVar

from sqlalchemy import Connection, bindparam, delete, func, select

from app.catalogue.tables import digest_bucket, digest_pending
from app.protocol.canonical import MODULUS, root
from app.statements import Fixed, among_bound, load, many

ELEMENT: Final = 32  # bytes
# Bytes of a prefix: 65,536 buckets of the whole catalogue, 256 of a feed.
ALL_DEPTH: Final = 2
FEED_DEPTH: Final = 1
PENDING: Final = 16  # rows, one or two a page: 40 ms of work when they are full

Key = TypeVar("Key")
Sum = tuple[int, int]
"""How many elements, and their sum; of a change either may be negative."""
Moved = dict[tuple[int, str, int], list[bytes]]
"""Elements that join (+1) or leave (-1) the catalogue, by feed, platform and sign."""


def change(connection: Connection, seq: int, moved: Moved) -> None:
    """Adds and subtracts elements, in every scope that keeps a digest; `seq` is the last position of the change."""
    roots: dict[str, Sum] = {}
    pending: dict[tuple[int, int], list[bytes]] = {}
    for (feed_id, platform, sign), elements in moved.items():
        total = sign * sum(map(_number, elements))
        for scope in ("all", f"feed:{feed_id}", f"platform:{platform}"):
            _add(roots, scope, sign * len(elements), total)
        pending.setdefault((feed_id, sign), []).extend(elements)
    stored = _roots(connection, list(roots))
    # One order for all writers, here and in `settle`: PostgreSQL locks rows as it meets them.
    _put(connection, [_merged(scope, "", stored.get(scope), roots[scope]) for scope in sorted(roots)])
    rows = [(seq, feed_id, sign, b"".join(elements)) for (feed_id, sign), elements in pending.items()]
    load(connection, "digest_pending", ("seq", "feed_id", "sign", "elements"), rows)
    if _HOW_MANY.scalar(connection) >= PENDING:
        settle(connection)


def settle(connection: Connection) -> None:
    """Brings the buckets up to date with the roots."""
    for scope, sums in sorted(_pending(connection).items()):
        changes = [(prefix.hex(), sums[prefix]) for prefix in sorted(sums)]
        stored = _buckets(connection, scope, [prefix for prefix, _ in changes])
        _put(connection, [_merged(scope, prefix, stored.get(prefix), by) for prefix, by in changes])
    _NONE_PENDING.run(connection)


def _pending(connection: Connection) -> dict[str, dict[bytes, Sum]]:
    """What the buckets lack, by scope and prefix."""
    feeds: dict[int, dict[bytes, Sum]] = {}
    for feed_id, sign, elements in _PENDING.all(connection):
        sums = feeds.setdefault(feed_id, {})
        for at in range(0, len(elements), ELEMENT):
            element = elements[at : at + ELEMENT]
            _add(sums, element[:ALL_DEPTH], sign, sign * _number(element))
    scopes: dict[str, dict[bytes, Sum]] = {"all": {}}
    for feed_id, sums in feeds.items():
        of_all, of_feed = scopes["all"], scopes.setdefault(f"feed:{feed_id}", {})
        for prefix, change in sums.items():
            _add(of_all, prefix, *change)
            _add(of_feed, prefix[:FEED_DEPTH], *change)
    return scopes


def _number(element: bytes) -> int:
    return int.from_bytes(element, "big")


def _add(sums: dict[Key, Sum], key: Key, by: int, number: int) -> None:
    n, total = sums.get(key, (0, 0))
    sums[key] = n + by, total + number


Stored = dict[str, tuple[int, bytes]]
Row = tuple[str, str, int, bytes]


def _merged(scope: str, prefix: str, stored: tuple[int, bytes] | None, by: Sum) -> Row:
    """The row of a prefix after a change; `stored` is what stands there."""
    n, total = stored or (0, b"")
    return scope, prefix, n + by[0], ((_number(total) + by[1]) % MODULUS).to_bytes(ELEMENT, "big")


def _put(connection: Connection, rows: Sequence[Row]) -> None:
    load(connection, "digest_bucket", ("scope", "prefix", "n", "sum"), rows, ("scope", "prefix"))


def _roots(connection: Connection, scopes: Sequence[str]) -> Stored:
    rows = _some_roots(connection.dialect.name).all(connection, many=many(connection, scopes))
    return {scope: (n, total) for scope, n, total in rows}


def _buckets(connection: Connection, scope: str, prefixes: Sequence[str]) -> Stored:
    rows = _some_buckets(connection.dialect.name).all(connection, named=scope, many=many(connection, prefixes))
    return {prefix: (n, total) for prefix, n, total in rows}


_TABLE = digest_bucket.c


@lru_cache(maxsize=2)
def _some_roots(dialect: str) -> Fixed:
    query = select(_TABLE.scope, _TABLE.n, _TABLE.sum)
    return Fixed(query.where(_TABLE.prefix == "", among_bound(dialect, _TABLE.scope)))


@lru_cache(maxsize=2)
def _some_buckets(dialect: str) -> Fixed:
    query = select(_TABLE.prefix, _TABLE.n, _TABLE.sum)
    return Fixed(query.where(_TABLE.scope == bindparam("named"), among_bound(dialect, _TABLE.prefix)))


_HOW_MANY: Final = Fixed(select(func.count()).select_from(digest_pending))
_PENDING: Final = Fixed(select(digest_pending.c.feed_id, digest_pending.c.sign, digest_pending.c.elements))
_NONE_PENDING: Final = Fixed(delete(digest_pending))


def buckets(connection: Connection, scope: str) -> dict[str, Sum]:
    """(count, sum) of a scope's live elements by prefix in hex digits, without the empty ones and the root.

    Of what is stored and what waits, so that it is true at any moment.
    """
    rows = _ALL_BUCKETS.all(connection, named=scope)
    found: dict[bytes, Sum] = {bytes.fromhex(prefix): (n, _number(total)) for prefix, n, total in rows}
    for prefix, change in _pending(connection).get(scope, {}).items():
        _add(found, prefix, *change)
    return {prefix.hex(): (n, total % MODULUS) for prefix, (n, total) in found.items() if n}


_ALL_BUCKETS: Final = Fixed(
    select(_TABLE.prefix, _TABLE.n, _TABLE.sum).where(_TABLE.scope == bindparam("named"), _TABLE.prefix != "")
)


def state(connection: Connection, scope: str) -> tuple[int, str]:
    """(count, root) of a scope's live records; one row by primary key."""
    for n, total in _ROOT.all(connection, named=scope):
        return n, root(_number(total), n)
    return 0, root(0, 0)


def count(connection: Connection, scope: str) -> int:
    """How many live records a scope has; one row by primary key."""
    return int(_ROOT.scalar(connection, named=scope) or 0)


_ROOT: Final = Fixed(select(_TABLE.n, _TABLE.sum).where(_TABLE.scope == bindparam("named"), _TABLE.prefix == ""))
