"""The store stage against the driver: rows ready, upsert with the table's indexes, the same sync mode on both sides.

Ours is the catalogue's own way to its record table (`statements.load` as the ingest path calls it, in transactions of 500);
the floor is the driver's upsert of the same rows: executemany in SQLite, executemany (pipelined) in PostgreSQL.
Search, digests and kept bytes are left out on both sides. In turn, median of the ratios; goal 0.70 on each database.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

from app.catalogue.order import COLUMNS
from app.db import Database
from app.statements import load
from benchmarks.databases import postgres, sqlite
from benchmarks.peer import fields

RECORDS, BATCH, ROUNDS = 20_000, 500, 5
Row = tuple[Any, ...]


def rows() -> list[Row]:
    """Rows of the record table in the order of its columns, about 1.3 KB of document each."""
    made = []
    for number in range(1, RECORDS + 1):
        document = repr(fields(number)).encode()[:1300]
        values = {
            "pk": number, "id": f"ix:P-440000-01:bench/{number}", "seq": number, "feed_id": 1, "run_id": 1,
            "platform": "P-440000-01", "province": "440000", "subject": str(number % 20), "version": 1,
            "hash": f"{number:064x}", "source_hash": number.to_bytes(16, "big"), "stamp": "2026-09-01T00:00:00Z",
            "live": 1, "modified_at": 1_700_000_000_000_000, "path": "", "flags": "", "terms": f"subject={number % 20}",
            "document": document,
        }  # fmt: skip
        made.append(tuple(values[name] for name in COLUMNS))
    return made


def ours(database: Database, made: list[Row]) -> None:
    """The hub's way."""
    for start in range(0, len(made), BATCH):
        with database.write() as connection:
            load(connection, "record", COLUMNS, made[start : start + BATCH], ("id",))


def floor(database: Database, made: list[Row]) -> None:
    """The driver's upsert with nothing around it."""
    names = ", ".join(COLUMNS)
    mark = "?" if database.sqlite else "%s"
    marks = ", ".join([mark] * len(COLUMNS))
    changed = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS if name != "id")
    statement = f"INSERT INTO record ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {changed}"
    with database.engine.connect() as connection:
        driver: Any = connection.connection.dbapi_connection
        cursor = driver.cursor()
        for start in range(0, len(made), BATCH):
            if database.sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            cursor.executemany(statement, made[start : start + BATCH])
            driver.commit() if not database.sqlite else cursor.execute("COMMIT")


def timed(database: Database, way: Callable[[Database, list[Row]], None], made: list[Row]) -> float:
    """Seconds for all rows into the empty table."""
    with database.write() as connection:
        connection.exec_driver_sql("DELETE FROM record")
    began = time.perf_counter()
    way(database, made)
    return time.perf_counter() - began


def main() -> None:
    """Prints the median ratio on each database."""
    made = rows()
    for fresh in (sqlite, postgres):
        with fresh() as database:
            timed(database, floor, made)  # warms caches and the file
            ratios = []
            for _ in range(ROUNDS):
                bare, hub = timed(database, floor, made), timed(database, ours, made)
                ratios.append(bare / hub)
            rate = f"{RECORDS / bare:,.0f}/s against {RECORDS / hub:,.0f}/s in the last round"
            print(
                f"store on {fresh.__name__}: {median(ratios):.2f} x the driver's upsert (goal 0.70); {rate}", flush=True
            )


if __name__ == "__main__":
    main()
