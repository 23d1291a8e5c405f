"""Pages of the one change order at 1,000,000 records: the deepest against the first (goal 1.3).

IX/1 `changes` in pages of 1,000 and OAI-PMH ListRecords in its own page size, each through the hub's own functions
on SQLite, warm; rounds in turn, median of the ratios. Sets by platform, region and subject are walked alike.
"""

import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from sqlalchemy import update

from app.catalogue import queries
from app.catalogue.order import COLUMNS
from app.catalogue.tables import moment, position
from app.db import Database
from app.publish.items import item
from app.statements import load
from benchmarks.databases import sqlite
from benchmarks.peer import fields

RECORDS, BATCH, ROUNDS = 1_000_000, 5_000, 15
PAGE = 1_000


def fill(database: Database, records: int) -> None:
    """A catalogue of 32 provinces and 20 subjects, written in bulk without search."""
    documents = [repr(fields(number)).encode()[:1300] for number in range(1000)]
    for start in range(0, records, BATCH):
        rows = [_row(number, documents[number % 1000]) for number in range(start + 1, start + BATCH + 1)]
        with database.write() as connection:
            load(connection, "record", COLUMNS, rows)
            connection.execute(moment.insert(), {"seq": start + BATCH, "at": _at(start + BATCH)})
    with database.write() as connection:
        connection.execute(update(position).where(position.c.name == "seq").values(value=records))
        connection.exec_driver_sql("ANALYZE")


def _at(number: int) -> int:
    return 1_700_000_000_000_000 + number * 1000


def _row(number: int, document: bytes) -> tuple[Any, ...]:
    region = f"{11 + number % 32}0000"
    values = {
        "pk": number, "id": f"ix:P-{region}-01:bench/{number}", "seq": number, "feed_id": number % 32, "run_id": 1,
        "platform": f"P-{region}-01", "province": region, "subject": str(number % 20), "version": 1,
        "hash": f"{number:064x}", "source_hash": number.to_bytes(16, "big"), "stamp": None, "live": 1,
        "modified_at": _at(number), "path": "", "flags": "", "terms": f"subject={number % 20}", "document": document,
    }  # fmt: skip
    return tuple(values[name] for name in COLUMNS)


def changes(database: Database, after: int, **only: str) -> None:
    """A page of changes, rendered."""
    with database.read() as connection:
        rows = queries.changes(connection, after=after, limit=PAGE, **only)  # type: ignore[arg-type]
        assert len(b",".join([item(row) for row in rows])) > PAGE


def listed(database: Database, after: int, **only: str) -> None:
    """The rows of a page of an OAI list."""
    with database.read() as connection:
        assert len(queries.listed(connection, after=after, until=RECORDS, limit=501, **only)) == 501  # type: ignore[arg-type]


def main(records: int) -> None:
    """Prints first against deepest for each listing."""
    with sqlite() as database:
        fill(database, records)
        for name, page, only in (
            ("changes of 1,000", changes, {}),
            ("changes of a platform", changes, {"platform": "P-110000-01"}),
            ("OAI list of 500", listed, {}),
            ("OAI set of a region", listed, {"set_name": "region", "code": "110000"}),
            ("OAI set of a subject", listed, {"set_name": "subject", "code": "7"}),
        ):
            _compare(name, database, page, only, records)


def _compare(name: str, database: Database, page: Callable[..., None], only: dict[str, str], records: int) -> None:
    deep = records - PAGE * (32 if only else 1) - 1
    ratios, last = [], 0.0
    for number in range(ROUNDS + 2):
        first, deepest = _timed(page, database, 0, only), _timed(page, database, deep, only)
        if number >= 2:
            ratios.append(deepest / first)
        last = deepest
    print(
        f"{name}: deepest {median(ratios):.2f} x the first at {records:,} records (goal 1.3); {last * 1000:.1f} ms",
        flush=True,
    )


def _timed(page: Callable[..., None], database: Database, after: int, only: dict[str, str]) -> float:
    began = time.perf_counter()
    page(database, after, **only)
    return time.perf_counter() - began


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS)
