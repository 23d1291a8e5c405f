"""First and second harvest against sickle's parse-only rate: the same pages and server, in turn, median of ratios.

20,000 records of about 2 KB in pages of 500, everything on: fetch, parse, map, validate, store, positions, digests,
search. `beside` harvests with one parse process next to the writer.
"""

import logging
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from sickle import Sickle

from app import schema
from app.db import Database
from app.feeds import service as feeds
from app.harvest.beside import Parsers
from app.harvest.fetch import Fetcher
from app.harvest.pages import Engine
from app.harvest.worker import harvest_now
from app.platforms import service as platforms

RECORDS, ROUNDS = 20_000, 5


@contextmanager
def repository(records: int = RECORDS) -> Iterator[str]:
    """A repository in a process of its own; its base URL."""
    command = [sys.executable, "-m", "benchmarks.peer", str(records)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as peer:
        assert peer.stdout is not None
        try:
            yield peer.stdout.readline().decode().strip()
        finally:
            peer.terminate()


@contextmanager
def hub(url: str, parsers: Parsers | None = None) -> Iterator[tuple[Engine, int]]:
    """A hub on a fresh SQLite file with one feed; its engine and the feed."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'hub.db'}")
        schema.upgrade(database)
        with database.write() as connection:
            platforms.register(connection, "P-440000-01", "bench")
            feed = feeds.register(
                connection, platform="P-440000-01", name="bench", connector="oai-pmh", config={"base_url": url}
            )
        fetcher = Fetcher(allow="127.0.0.0/8")
        beside = {"prepare": parsers, "ahead": 2} if parsers else {}
        try:
            yield Engine(database, fetcher, (50, 0.05), **beside), feed
        finally:
            fetcher.close()
            database.close()


def harvest(engine: Engine, feed: int, job: str, records: int = RECORDS) -> float:
    """Seconds of one harvest; its sums are checked."""
    began = time.perf_counter()
    report = harvest_now(engine, feed, job)
    taken = time.perf_counter() - began
    assert report["status"] == "done", report
    assert report["seen"] == records, report
    assert report["created" if job == "harvest" else "unchanged"] == records, report
    return taken


def _sickle(url: str) -> float:
    began = time.perf_counter()
    count = sum(1 for record in Sickle(url).ListRecords(metadataPrefix="oai_dc") if record.metadata)
    assert count == RECORDS
    return time.perf_counter() - began


def main() -> None:
    """Prints the rounds and the median ratios."""
    logging.disable(logging.WARNING)
    first, second, beside = [], [], []
    parsers = Parsers(1)
    with repository() as url:
        for number in range(ROUNDS):
            base = _sickle(url)
            with hub(url) as (engine, feed):
                one, two = harvest(engine, feed, "harvest"), harvest(engine, feed, "full")
            with hub(url, parsers) as (engine, feed):
                pair = harvest(engine, feed, "harvest")
            if number == 0:
                continue  # the first round starts the parse process and warms the caches of all
            first.append(base / one)
            second.append(one / two)
            beside.append(base / pair)
            rates = " · ".join(
                f"{name} {RECORDS / seconds:,.0f}/s"
                for name, seconds in (("sickle", base), ("first", one), ("beside", pair), ("second", two))
            )
            print(f"round {number}: {rates}", flush=True)
    parsers.close()
    print(f"first harvest, one process: {median(first):.2f} x sickle parse-only (goal 1.0)")
    print(f"first harvest, a parse process beside the writer: {median(beside):.2f} x (goal 1.6)")
    print(f"second harvest, nothing changed: {median(second):.2f} x the first (goal 5)")


if __name__ == "__main__":
    main()
