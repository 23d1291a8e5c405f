"""First and second harvest against sickle's parse-only rate: the same pages and server, in turn, median of ratios.

20,000 records of about 2 KB in pages of 500, everything on: fetch, parse, map, validate, store, positions, digests,
search. `beside` harvests with one parse process next to the writer. Processor time is printed too: it is steadier than
the clock where other programs share the machine; for the pair, the slower of both is what a perfect overlap would take.
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
from typing import NamedTuple

from sickle import Sickle

from app import schema
from app.db import Database
from app.feeds import service as feeds
from app.harvest.beside import AHEAD, Parsers
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.worker import harvest_now
from app.platforms import service as platforms
from app.protocol import text

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
        beside = {"prepare": parsers, "ahead": AHEAD} if parsers else {}
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


def _processor_time(pid: int) -> float:
    """Seconds of another process: its clock as clock_getcpuclockid(3) of Linux names it."""
    return time.clock_gettime((~pid << 3) | 2)


class Round(NamedTuple):
    """Seconds on the clock, and of processor time, of one round; the pair's are its writer's and its parser's."""

    sickle: float
    first: float
    second: float
    beside: float
    sickle_cpu: float
    first_cpu: float
    writer_cpu: float
    parser_cpu: float


def _round(url: str, parsers: Parsers) -> Round:
    def parsed() -> float:
        return sum(map(_processor_time, parsers.pids()))

    began = time.process_time()
    base = _sickle(url)
    sickle_cpu = time.process_time() - began
    with hub(url) as (engine, feed):
        began = time.process_time()
        first = harvest(engine, feed, "harvest")
        first_cpu = time.process_time() - began
        second = harvest(engine, feed, "full")
    with hub(url, parsers) as (engine, feed):
        before, began = parsed(), time.process_time()
        beside = harvest(engine, feed, "harvest")
        writer_cpu = time.process_time() - began
        return Round(base, first, second, beside, sickle_cpu, first_cpu, writer_cpu, parsed() - before)


def main() -> None:
    """Prints the rounds and the median ratios."""
    logging.disable(logging.WARNING)
    print("compiled modules" if text.__file__.endswith(".so") else "plain Python", flush=True)
    rounds: list[Round] = []
    parsers = Parsers(1)
    with repository() as url:
        for number in range(ROUNDS):
            one = _round(url, parsers)
            if number == 0:
                continue  # the first round starts the parse process and warms the caches of all
            rounds.append(one)
            rates = " · ".join(
                f"{name} {RECORDS / seconds:,.0f}/s" for name, seconds in list(one._asdict().items())[:4]
            )
            spent = " · ".join(
                f"{name.removesuffix('_cpu')} {seconds / RECORDS * 1e6:.0f}"
                for name, seconds in list(one._asdict().items())[4:]
            )
            print(f"round {number}: {rates}; processor time, µs a record: {spent}", flush=True)
    parsers.close()
    first, beside, second = (
        median(r.sickle / r.first for r in rounds), median(r.sickle / r.beside for r in rounds),
        median(r.first / r.second for r in rounds),
    )  # fmt: skip
    alone = median(r.sickle_cpu / r.first_cpu for r in rounds)
    slower = median(r.sickle_cpu / max(r.writer_cpu, r.parser_cpu) for r in rounds)
    print(f"first harvest, one process: {first:.2f} x sickle parse-only (goal 1.0); by processor time {alone:.2f} x")
    print(
        f"first harvest, a parse process beside the writer: {beside:.2f} x (goal 1.6); "
        f"by processor time of the slower of the two {slower:.2f} x"
    )
    print(f"second harvest, nothing changed: {second:.2f} x the first (goal 5)")


if __name__ == "__main__":
    main()
