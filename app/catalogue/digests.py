"""Digests: count and fingerprint of the live elements of a scope, kept by the writer (IX/1 section 6).

A scope's row with the empty prefix is its root, so that two catalogues can be compared by reading one row.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, Select, bindparam, select

from app.catalogue.tables import digest_bucket
from app.db import among_bound, load, many
from app.protocol.canonical import MODULUS, root

# Hex digits: 65,536 buckets of the whole catalogue, 256 of a feed.
ALL_DEPTH: Final = 4
FEED_DEPTH: Final = 2


Moved = dict[tuple[int, str, int], list[bytes]]
"""Elements that join (+1) or leave (-1) the catalogue, by feed, platform and sign."""
Sums = dict[str, tuple[int, int]]
"""By prefix: how many elements more or fewer, and their sum."""


def change(connection: Connection, moved: Moved) -> None:
    """Adds and subtracts the elements in every scope that keeps a digest; one read and one write a page."""
    scopes: dict[str, Sums] = defaultdict(dict)
    for (feed_id, platform, sign), elements in moved.items():
        numbers = [int.from_bytes(element, "big") * sign for element in elements]
        prefixes = [element[: ALL_DEPTH // 2].hex() for element in elements]
        of_feed = f"feed:{feed_id}"
        _add(scopes["all"], prefixes, numbers, sign)
        _add(scopes[of_feed], [prefix[:FEED_DEPTH] for prefix in prefixes], numbers, sign)
        for scope in ("all", of_feed, f"platform:{platform}"):
            by, number = scopes[scope].get("", (0, 0))
            scopes[scope][""] = by + sign * len(numbers), number + sum(numbers)
    _write(connection, scopes)


def _add(sums: Sums, prefixes: Iterable[str], numbers: Iterable[int], sign: int) -> None:
    for prefix, number in zip(prefixes, numbers, strict=True):
        if (found := sums.get(prefix)) is not None:
            sums[prefix] = found[0] + sign, found[1] + number
        else:
            sums[prefix] = sign, number


def _write(connection: Connection, scopes: Mapping[str, Sums]) -> None:
    rows: list[tuple[str, str, int, bytes]] = []
    nothing = 0, b""
    for scope in sorted(scopes):  # one order for all writers: PostgreSQL locks rows as it meets them
        sums, stored = scopes[scope], _stored(connection, scope, list(scopes[scope]))
        for prefix in sorted(sums):
            (by, number), (n, total) = sums[prefix], stored.get(prefix, nothing)
            new = (int.from_bytes(total, "big") + number) % MODULUS
            rows.append((scope, prefix, n + by, new.to_bytes(32, "big")))
    load(connection, "digest_bucket", ("scope", "prefix", "n", "sum"), rows, ("scope", "prefix"))


def _stored(connection: Connection, scope: str, prefixes: Sequence[str]) -> dict[str, tuple[int, bytes]]:
    values = {"named": scope, "many": many(connection, prefixes)}
    found = connection.execute(_buckets(connection.dialect.name), values)
    return {prefix: (n, total) for prefix, n, total in found.all()}


@lru_cache(maxsize=2)
def _buckets(dialect: str) -> Select[Any]:
    table = digest_bucket.c
    query = select(table.prefix, table.n, table.sum)
    return query.where(table.scope == bindparam("named"), among_bound(dialect, table.prefix))


def state(connection: Connection, scope: str) -> tuple[int, str]:
    """(count, root) of a scope's live records; one row by primary key."""
    row = connection.execute(_ROOT, {"named": scope}).first()
    return (row.n, root(int.from_bytes(row.sum, "big"), row.n)) if row else (0, root(0, 0))


def count(connection: Connection, scope: str) -> int:
    """How many live records a scope has; one row by primary key."""
    row = connection.execute(_ROOT, {"named": scope}).first()
    return int(row.n) if row else 0


_ROOT: Final = select(digest_bucket.c.n, digest_bucket.c.sum).where(
    digest_bucket.c.scope == bindparam("named"), digest_bucket.c.prefix == ""
)
