"""Digests: count and fingerprint of the live elements of a scope, kept by the writer (IX/1 section 6).

A scope's row with the empty prefix is its root, so that two catalogues can be compared by reading one row.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select, tuple_

from app.catalogue.tables import digest_bucket
from app.db import upsert
from app.protocol.canonical import MODULUS, root

ALL_DEPTH = 4  # hex digits: 65,536 buckets
FEED_DEPTH = 2  # 256 buckets


class Delta(NamedTuple):
    """One element that joins (+1) or leaves (-1) the catalogue."""

    element: bytes
    sign: int
    feed_id: int
    platform: str


def change(connection: Connection, deltas: Iterable[Delta]) -> None:
    """Adds and subtracts the elements in every scope that keeps a digest; one read and one write a page."""
    moved: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for delta in deltas:
        number = int.from_bytes(delta.element, "big") * delta.sign
        for key in _buckets(delta):
            bucket = moved[key]
            bucket[0] += delta.sign
            bucket[1] += number
    if not moved:
        return
    keys = sorted(moved)
    for start in range(0, len(keys), 400):
        _change(connection, keys[start : start + 400], moved)


def _buckets(delta: Delta) -> tuple[tuple[str, str], ...]:
    key, feed = delta.element[:2].hex(), f"feed:{delta.feed_id}"
    return (
        ("all", ""),
        ("all", key[:ALL_DEPTH]),
        (feed, ""),
        (feed, key[:FEED_DEPTH]),
        (f"platform:{delta.platform}", ""),
    )


def _change(connection: Connection, keys: list[tuple[str, str]], moved: dict[tuple[str, str], list[int]]) -> None:
    table = digest_bucket.c
    stored = {
        (row.scope, row.prefix): (row.n, int.from_bytes(row.sum, "big"))
        for row in connection.execute(select(digest_bucket).where(tuple_(table.scope, table.prefix).in_(keys)))
    }
    rows = []
    for key in keys:
        n, total = stored.get(key, (0, 0))
        new = (total + moved[key][1]) % MODULUS
        rows.append({"scope": key[0], "prefix": key[1], "n": n + moved[key][0], "sum": new.to_bytes(32, "big")})
    connection.execute(upsert(connection, digest_bucket, ("scope", "prefix"), ("n", "sum")), rows)


def state(connection: Connection, scope: str) -> tuple[int, str]:
    """(count, root) of a scope's live records; one row by primary key."""
    table = digest_bucket.c
    row = connection.execute(select(table.n, table.sum).where(table.scope == scope, table.prefix == "")).first()
    return (row.n, root(int.from_bytes(row.sum, "big"), row.n)) if row else (0, root(0, 0))
