"""A large CSV from a web server to the store: the peak memory of the whole hub process (goal: below 300 MB for 1 GB).

`python -m benchmarks.csv_memory [--mb 1024] [--row 4000] [--dir FOLDER] [--read]`; `--read` reads and parses only.
"""

import argparse
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from app import schema
from app.db import Database
from app.feeds import service as feeds
from app.harvest.discovery import configured
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.worker import harvest_now
from app.platforms import service as platforms
from app.protocol.connector import Fault
from benchmarks.serving import served

GOAL_MB = 300
MAPPING: dict[str, Any] = {
    "version": 1,
    "fields": {"title": {"path": "名称"}, "subject": {"path": "学科"}, "languages": {"constant": ["zh-Hans"]}},
}


def generate(file: Path, size: int, row: int) -> int:
    """Writes a GB18030 table of about `size` bytes under title rows; the number of its records."""
    written = count = 0
    notes = "本资源依据课程标准编写，" * (row // 24)
    with file.open("wb") as out:
        written += out.write("某省数字教育资源目录,,,\n编号,名称,学科,备注\n".encode("gb18030"))
        while written < size:
            count += 1
            text = f'R{count:08d},第{count}课 长城,语文,"{notes}\n{count}"\n'
            written += out.write(text.encode("gb18030"))
    return count


def stored(url: str, config: dict[str, Any], folder: Path, count: int) -> float:
    """Seconds of a whole harvest."""
    database = Database(f"sqlite:///{folder / 'hub.db'}")
    schema.upgrade(database)
    with database.write() as connection:
        platforms.register(connection, "P-440000-01", "bench")
        feed = feeds.register(
            connection, platform="P-440000-01", name="bench", connector="csv", config=config, mapping=MAPPING
        )
    engine = Engine(database, Fetcher(allow="127.0.0.0/8"), (50, 0.05))
    began = time.perf_counter()
    report = harvest_now(engine, feed, "harvest")
    assert report["created"] == count, report
    return time.perf_counter() - began


def read(config: dict[str, Any], count: int) -> float:
    """Seconds to fetch, cut and parse alone."""
    connector, fetcher = configured("csv", config), Fetcher(allow="127.0.0.0/8")
    began, seen = time.perf_counter(), 0
    with fetcher.fetch(connector.request({})).response.body as body:
        from app.protocol.connector import Response

        for page in connector.read({}, Response("", 200, {}, body)):
            seen += sum(not isinstance(draft, Fault) for draft in connector.parse(page.entries, page.context))
    assert seen == count, seen
    return time.perf_counter() - began


def main() -> None:
    """Generates, harvests, prints."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=int, default=1024)
    parser.add_argument("--row", type=int, default=4000, help="bytes a row, about")
    parser.add_argument("--dir", type=Path)
    parser.add_argument("--read", action="store_true")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.dir) as name:
        folder = Path(name)
        (folder / "web").mkdir()
        count = generate(folder / "web" / "a.csv", chosen.mb << 20, chosen.row)
        with served(folder / "web") as url:
            config = {"url": f"{url}/a.csv", "id_columns": ["编号"]}
            spent = read(config, count) if chosen.read else stored(url, config, folder, count)
        size = (folder / "web" / "a.csv").stat().st_size
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    what = "read and parsed" if chosen.read else "stored"
    print(
        f"{size / 1e6:,.0f} MB, {count:,} rows {what} in {spent:,.1f} s ({count / spent:,.0f}/s, {size / spent / 1e6:,.0f} MB/s)"
    )
    print(f"peak memory of the process: {peak:,.0f} MB (goal below {GOAL_MB})")


if __name__ == "__main__":
    main()
