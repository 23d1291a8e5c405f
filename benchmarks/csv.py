"""CSV from file to stored against the OAI-PMH first harvest of the same records.

`python -m benchmarks.csv [RECORDS]`. In turn, in one run, median of the rounds' ratios, by the clock and by the hub's
own processor time: the machine may be shared, and then only the second tells.
"""

import csv
import io
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import orjson
import xlsxwriter
from python_calamine import CalamineWorkbook

from app import schema
from app.db import Database
from app.demo.catalogue import records
from app.demo.federation import platforms as demo_platforms
from app.feeds import service as feeds
from app.harvest.discovery import configured
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.worker import harvest_now
from app.platforms import service as platforms
from app.protocol import vocab
from app.protocol.connector import Response
from benchmarks.serving import served

RECORDS, ROUNDS = 100_000, 3
COLUMNS = ("编号", "名称", "学科", "简介", "语种", "类型", "作者", "对象", "地址", "日期", "权利")
MAPPING: dict[str, Any] = {
    "version": 1,
    "fields": {
        "title": {"path": "名称"}, "subject": {"path": "学科"}, "description": {"path": "简介"},
        "languages": {"path": "语种", "list": True}, "type": {"path": "类型", "list": True},
        "contributors": {"path": "作者", "each": {"role": "creator"}}, "audience": {"path": "对象", "list": True},
        "location": {"path": "地址", "list": True}, "published": {"path": "日期"},
    },
}  # fmt: skip


def rows(count: int) -> list[list[str]]:
    """The records of the demonstration's OAI-PMH platform as rows."""
    return [
        [r["local"], r["title"], vocab.label("subject", r["subject"]), r["description"], r["languages"][0], r["type"][0],
         r["contributors"][0]["name"], r["audience"][0], r["location"][0], r["published"], r["rights"]["statement"]]
        for r in records(demo_platforms(1, count)[0])
    ]  # fmt: skip


def harvested(
    connector: str, config: dict[str, Any], mapping: dict[str, Any] | None, count: int
) -> tuple[float, float]:
    """Seconds of a first harvest into a new store: by the clock, and of this process on a processor."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'hub.db'}")
        schema.upgrade(database)
        with database.write() as connection:
            platforms.register(connection, "P-440000-01", "bench")
            feed = feeds.register(
                connection, platform="P-440000-01", name="bench", connector=connector, config=config, mapping=mapping
            )
        engine = Engine(database, Fetcher(allow="127.0.0.0/8"), (50, 0.05))
        began, busy = time.perf_counter(), time.process_time()
        report = harvest_now(engine, feed, "harvest")
        spent = time.perf_counter() - began, time.process_time() - busy
        assert report["created"] == count, report
        engine.fetcher.close()
        database.close()
    return spent


def parsed(connector: str, config: dict[str, Any], content: bytes, count: int) -> float:
    """Processor seconds to cut and parse all rows of a file at hand, page by page as the hub does."""
    made = configured(connector, config)
    began = time.process_time()
    pages = made.read({}, Response.of(content))
    assert sum(isinstance(d, dict) for page in pages for d in made.parse(page.entries, page.context)) == count
    return time.process_time() - began


def bare(content: bytes, count: int) -> float:
    """Processor seconds of the workbook library alone on the same file."""
    began = time.process_time()
    book = CalamineWorkbook.from_filelike(io.BytesIO(content))
    assert sum(1 for _ in book.get_sheet_by_index(0).iter_rows()) == count + 1
    return time.process_time() - began


def workbook(table: list[list[str]]) -> bytes:
    """The rows as XLSX."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"strings_to_urls": False})
    sheet = book.add_worksheet("目录")
    for number, row in enumerate([list(COLUMNS), *table]):
        sheet.write_row(number, 0, row)
    book.close()
    return out.getvalue()


def text(table: list[list[str]]) -> bytes:
    """The rows as CSV."""
    out = io.StringIO()
    csv.writer(out).writerows([COLUMNS, *table])
    return out.getvalue().encode()


def main() -> None:
    """Prints the rounds and the median ratios."""
    logging.disable(logging.WARNING)
    count = int(sys.argv[1]) if len(sys.argv) > 1 else RECORDS
    table = rows(count)
    ids, plain = {"url": "http://127.0.0.1/a", "id_columns": ["编号"]}, text(table)
    command = [sys.executable, "-m", "app.demo.server", "1", str(count)]
    with tempfile.TemporaryDirectory() as folder, served(Path(folder)) as url:
        (Path(folder) / "a.csv").write_bytes(plain)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peer:
            assert peer.stdout is not None
            oai = orjson.loads(peer.stdout.readline())[0]["config"]
            Fetcher(allow="127.0.0.0/8").fetch(configured("oai-pmh", oai).request({})).response.body.close()
            clock, busy = [], []
            for number in range(ROUNDS):
                first = harvested("oai-pmh", oai, None, count)
                second = harvested("csv", {**ids, "url": f"{url}/a.csv"}, MAPPING, count)
                clock.append(first[0] / second[0])
                busy.append(first[1] / second[1])
                print(
                    f"round {number + 1}: OAI-PMH {count / first[0]:,.0f}/s, CSV {count / second[0]:,.0f}/s; a record's"
                    f" microseconds of processor {first[1] / count * 1e6:.0f} and {second[1] / count * 1e6:.0f}",
                    flush=True,
                )
            peer.terminate()
    print(f"CSV from file to stored: {median(clock):.2f} x the rate of the OAI-PMH first harvest (goal 1.2)")
    print(f"the same by processor time: {median(busy):.2f} x")


if __name__ == "__main__":
    main()
