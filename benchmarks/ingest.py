"""First and second harvest against sickle's parse-only rate: the same pages and server, in turn, median of ratios."""

import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import orjson
from sickle import Sickle

from app import schema
from app.db import Database
from app.feeds import service as feeds
from app.harvest.fetch import Fetcher
from app.harvest.loop import Engine
from app.harvest.worker import harvest_now
from app.platforms import service as platforms

RECORDS, ROUNDS = 20_000, 3


def _sickle(url: str) -> float:
    began = time.perf_counter()
    count = sum(1 for record in Sickle(url).ListRecords(metadataPrefix="oai_dc") if record.metadata)
    assert count == RECORDS
    return time.perf_counter() - began


def _hub(url: str, folder: Path) -> tuple[float, float]:
    database = Database(f"sqlite:///{folder / 'hub.db'}")
    schema.upgrade(database)
    with database.write() as connection:
        platforms.register(connection, "P-440000-01", "bench")
        feed = feeds.register(
            connection, platform="P-440000-01", name="bench", connector="oai-pmh", config={"base_url": url}
        )
    engine = Engine(database, Fetcher(allow="127.0.0.0/8"), (50, 0.05))
    times = []
    for job in ("harvest", "full"):
        began = time.perf_counter()
        report = harvest_now(engine, feed, job)
        times.append(time.perf_counter() - began)
        assert report["seen"] == RECORDS, report
    assert report["unchanged"] == RECORDS
    engine.fetcher.close()
    database.close()
    return times[0], times[1]


def main() -> None:
    """Prints the rounds and the median ratios."""
    logging.disable(logging.WARNING)
    command = [sys.executable, "-m", "app.demo.server", "1", str(RECORDS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
        assert peer.stdout is not None
        url = orjson.loads(peer.stdout.readline())[0]["config"]["base_url"]
        _sickle(url)  # the platform renders its pages once
        first, second = [], []
        for number in range(ROUNDS):
            base = _sickle(url)
            with tempfile.TemporaryDirectory() as folder:
                one, two = _hub(url, Path(folder))
            first.append(base / one)
            second.append(one / two)
            print(
                f"round {number + 1}: sickle {RECORDS / base:,.0f}/s, first {RECORDS / one:,.0f}/s, second {RECORDS / two:,.0f}/s"
            )
        print(f"first harvest, one process: {median(first):.2f} x sickle parse-only (goal 1.0)")
        print(f"second harvest, nothing changed: {median(second):.2f} x the first (goal 5)")
        peer.terminate()


if __name__ == "__main__":
    main()
