"""Digests: count and fingerprint of the live elements of a scope, kept by the writer (IX/1 section 6).

A scope's row with the empty prefix is its root, so that two catalogues can be compared by reading one row.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select

from app.catalogue.tables import digest_bucket
from app.db import among_bound, load, many
from app.protocol.canonical import MODULUS, root

# Hex digits: 65,536 buckets of the whole catalogue, 256 of a feed.
ALL_DEPTH: Final = 4
FEED_DEPTH: Final = 2


class Delta(NamedTuple):
    """One element that joins (+1) or leaves (-1) the catalogue."""

    element: bytes
    sign: int
    feed_id: int
    platform: str


Sums = dict[str, list[int]]
"""By prefix: how many elements more or fewer, and their sum."""


def change(connection: Connection, deltas: Iterable[Delta]) -> None:
    """Adds and subtracts the elements in every scope that keeps a digest; one read and one write a page."""
    together: dict[tuple[int, str, int], list[bytes]] = defaultdict(list)
    for element, sign, feed_id, platform in deltas:
        together[feed_id, platform, sign].append(element)
    moved: dict[str, Sums] = defaultdict(dict)
    for (feed_id, platform, sign), elements in together.items():
        numbers = [int.from_bytes(element, "big") * sign for element in elements]
        prefixes = [element[: ALL_DEPTH // 2].hex() for element in elements]
        _add(moved["all"], prefixes, numbers, sign)
        _add(moved[f"feed:{feed_id}"], [prefix[:FEED_DEPTH] for prefix in prefixes], numbers, sign)
        for scope in ("all", f"feed:{feed_id}", f"platform:{platform}"):
            sums = moved[scope].setdefault("", [0, 0])
            sums[0] += sign * len(numbers)
            sums[1] += sum(numbers)
    _write(connection, moved)


def _add(sums: Sums, prefixes: Iterable[str], numbers: Iterable[int], sign: int) -> None:
    for prefix, number in zip(prefixes, numbers, strict=True):
        if prefix in sums:
            sums[prefix][0] += sign
            sums[prefix][1] += number
        else:
            sums[prefix] = [sign, number]


def _write(connection: Connection, moved: Mapping[str, Sums]) -> None:
    rows = []
    for scope in sorted(moved):  # one order for all writers: PostgreSQL locks rows as it meets them
        sums, stored = moved[scope], _stored(connection, scope, list(moved[scope]))
        for prefix in sorted(sums):
            n, total = stored.get(prefix, (0, b""))
            by, number = sums[prefix]
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
    table = digest_bucket.c
    row = connection.execute(select(table.n, table.sum).where(table.scope == scope, table.prefix == "")).first()
    return (row.n, root(int.from_bytes(row.sum, "big"), row.n)) if row else (0, root(0, 0))
