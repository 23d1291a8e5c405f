"""Digests: count and fingerprint of the live elements of a scope, kept by the writer (IX/1 section 6).

A scope's row with the empty prefix is its root, so that two catalogues can be compared by reading one row.
"""

from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, select

from app.catalogue.tables import digest_bucket
from app.db import among, load
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
    roots: dict[tuple[int, str], list[int]] = defaultdict(lambda: [0, 0])
    for element, sign, feed_id, platform in deltas:
        number, prefix = int.from_bytes(element, "big") * sign, element[:2].hex()
        for sums in (
            moved["all", prefix[:ALL_DEPTH]],
            moved[f"feed:{feed_id}", prefix[:FEED_DEPTH]],
            roots[feed_id, platform],
        ):
            sums[0] += sign
            sums[1] += number
    for (feed_id, platform), (n, total) in roots.items():
        for scope in ("all", f"feed:{feed_id}", f"platform:{platform}"):
            moved[scope, ""][0] += n
            moved[scope, ""][1] += total
    if moved:
        _write(connection, moved)


def _write(connection: Connection, moved: dict[tuple[str, str], list[int]]) -> None:
    stored = _stored(connection, moved)
    rows = []
    for key in sorted(moved):  # one order for all writers: PostgreSQL locks rows as it meets them
        n, total = stored.get(key, (0, b""))
        by, number = moved[key]
        new = (int.from_bytes(total, "big") + number) % MODULUS
        rows.append((*key, n + by, new.to_bytes(32, "big")))
    load(connection, "digest_bucket", ("scope", "prefix", "n", "sum"), rows, ("scope", "prefix"))


def _stored(connection: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], tuple[int, bytes]]:
    prefixes: dict[str, list[str]] = defaultdict(list)
    for scope, prefix in keys:
        prefixes[scope].append(prefix)
    table, found = digest_bucket.c, {}
    for scope, wanted in prefixes.items():
        query = select(table.prefix, table.n, table.sum)
        query = query.where(table.scope == scope, among(connection, table.prefix, wanted))
        found.update({(scope, prefix): (n, bytes(total)) for prefix, n, total in connection.execute(query)})
    return found


def state(connection: Connection, scope: str) -> tuple[int, str]:
    """(count, root) of a scope's live records; one row by primary key."""
    table = digest_bucket.c
    row = connection.execute(select(table.n, table.sum).where(table.scope == scope, table.prefix == "")).first()
    return (row.n, root(int.from_bytes(row.sum, "big"), row.n)) if row else (0, root(0, 0))
