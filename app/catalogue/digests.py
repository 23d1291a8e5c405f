"""Digests: count and fingerprint of the live elements of a scope, kept by the writer (IX/1 section 6).

A scope's row with the empty prefix is its root, so that two catalogues can be compared by reading one row. Roots move
with each change. Buckets follow for many pages at once, because the elements of one page fall into as many buckets as
there are elements: until then they wait in `digest_pending`, written by the same transaction.
"""

from collections.abc import Sequence
from functools import lru_cache
from struct import Struct
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, select

from app.catalogue.tables import digest_bucket, digest_pending
from app.protocol.canonical import MODULUS, root
from app.statements import Fixed, among_bound, load, many

ELEMENT: Final = 32  # bytes
_ELEMENT: Final = Struct(f"{ELEMENT}s")
# Bytes of a prefix: 65,536 buckets of the whole catalogue, 256 of a feed.
ALL_DEPTH: Final = 2
FEED_DEPTH: Final = 1
PENDING: Final = 16  # rows, one or two a page: 40 ms of work when they are full

_SHIFT: Final = 288  # bits: no sum of elements comes near
_ONE: Final = 1 << _SHIFT
Weight = int
"""How many elements and their sum in one number, which adds and subtracts as a whole: an element weighs `_ONE` and
itself."""
Moved = dict[tuple[int, str, int], list[bytes]]
"""Elements that join (+1) or leave (-1) the catalogue, by feed, platform and sign."""


def change(connection: Connection, seq: int, moved: Moved) -> None:
    """Adds and subtracts elements, in every scope that keeps a digest; `seq` is the last position of the change."""
    roots: dict[str, Weight] = {}
    pending: dict[tuple[int, int], list[bytes]] = {}
    for (feed_id, platform, sign), elements in moved.items():
        weight = sign * sum(map(_weight, elements))
        for scope in ("all", f"feed:{feed_id}", f"platform:{platform}"):
            roots[scope] = roots.get(scope, 0) + weight
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
    for scope, weights in sorted(_pending(connection).items()):
        prefixes = sorted(weights)
        stored = _buckets(connection, scope, prefixes)
        _put(connection, [_merged(scope, prefix, stored.get(prefix), weights[prefix]) for prefix in prefixes])
    _NONE_PENDING.run(connection)


def _pending(connection: Connection) -> dict[str, dict[str, Weight]]:
    """What the buckets lack, by scope and prefix."""
    feeds: dict[int, dict[str, Weight]] = {}
    for feed_id, sign, elements in _PENDING.all(connection):
        weights = feeds.setdefault(feed_id, {})
        for (element,) in _ELEMENT.iter_unpack(elements):
            weight = _weight(element)
            prefix = element[:ALL_DEPTH].hex()
            weights[prefix] = weights.get(prefix, 0) + (weight if sign > 0 else -weight)
    scopes: dict[str, dict[str, Weight]] = {"all": {}}
    for feed_id, weights in feeds.items():
        of_all, of_feed = scopes["all"], scopes.setdefault(f"feed:{feed_id}", {})
        for prefix, weight in weights.items():
            of_all[prefix] = of_all.get(prefix, 0) + weight
            short = prefix[: 2 * FEED_DEPTH]
            of_feed[short] = of_feed.get(short, 0) + weight
    return scopes


def _number(element: bytes) -> int:
    return int.from_bytes(element, "big")


def _weight(element: bytes) -> Weight:
    return _ONE + int.from_bytes(element, "big")


def _apart(weight: Weight) -> tuple[int, int]:
    """How many elements, and their sum; of what is taken away both are negative."""
    n = (weight + (_ONE >> 1)) >> _SHIFT
    return n, weight - (n << _SHIFT)


Stored = dict[str, tuple[int, bytes]]
Row = tuple[str, str, int, bytes]


def _merged(scope: str, prefix: str, stored: tuple[int, bytes] | None, weight: Weight) -> Row:
    """The row of a prefix after a change; `stored` is what stands there."""
    n, total = stored or (0, b"")
    more, by = _apart(weight)
    return scope, prefix, n + more, ((_number(total) + by) % MODULUS).to_bytes(ELEMENT, "big")


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


def buckets(connection: Connection, scope: str) -> dict[str, tuple[int, int]]:
    """(count, sum) of a scope's live elements by prefix in hex digits, without the empty ones and the root.

    Of what is stored and what waits, so that it is true at any moment.
    """
    found: dict[str, tuple[int, int]] = {
        prefix: (n, _number(total)) for prefix, n, total in _ALL_BUCKETS.all(connection, named=scope)
    }
    for prefix, weight in _pending(connection).get(scope, {}).items():
        n, total = found.get(prefix, (0, 0))
        more, by = _apart(weight)
        found[prefix] = n + more, (total + by) % MODULUS
    return {prefix: sums for prefix, sums in found.items() if sums[0]}


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
