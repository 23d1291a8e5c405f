"""Runs the demonstration: platforms, hub and worker; live progress, then the sums."""

import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from rich.console import Console
from rich.live import Live
from rich.table import Table

from app import schema
from app.db import Database
from app.demo.past import remember
from app.feeds import service as feeds
from app.harvest import runs
from app.harvest.tables import COUNTS
from app.harvest.worker import Worker
from app.main import create, engine
from app.monitor import status
from app.platforms import service as platforms_service
from app.settings import Settings

EVERY_S = 3600
NAMES = {"oai-pmh": "资源目录", "ix": "增量目录", "static-parts": "静态清单"}


def show(*, port: int, once: bool, platforms: int, records: int, folder: Path, as_json: bool) -> int:
    """The whole demonstration; 0 when every sum adds up."""
    started = time.monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    settings = Settings(
        data_dir=folder,
        fetch_allow="127.0.0.0/8",
        database_url="",
        public_url=f"http://127.0.0.1:{port}",
        anonymous_scopes="catalogue:read ops:read",
    )
    database = Database(settings.url)
    schema.upgrade(database)
    command = [sys.executable, "-m", "app.demo.server", str(platforms), str(records)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peers:
        assert peers.stdout is not None
        described = orjson.loads(peers.stdout.readline())
        _register(database, described)
        _serve(settings, port)
        worker = Worker(engine(settings, database), lease_s=settings.lease_s, concurrency=8, idle_s=0.1)
        worker.start()
        try:
            _rounds(database, described)
            with database.write() as connection:
                remember(connection, {peer["code"]: peer["fault"] for peer in described})
            sums = _sums(database, round(time.monotonic() - started, 1))
            _print(sums, as_json)
            if not once:
                Console(stderr=True).print(f"the hub goes on at http://127.0.0.1:{port}/ (Ctrl-C ends it)")
                threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            worker.stop()
            peers.terminate()
    return 0 if sums["adds_up"] else 1


def _register(database: Database, described: list[dict[str, Any]]) -> None:
    with database.write() as connection:
        for peer in described:
            platforms_service.register(connection, peer["code"], peer["name"])
            feeds.register(
                connection, platform=peer["code"], name=NAMES[peer["kind"]], connector=peer["kind"], config=peer["config"],
                mapping=peer["mapping"], every_s=EVERY_S,
            )  # fmt: skip


def _serve(settings: Settings, port: int) -> None:
    server = uvicorn.Server(uvicorn.Config(create(settings, harvest=False), port=port, log_level="error"))
    threading.Thread(target=server.run, daemon=True).start()


def _rounds(database: Database, described: list[dict[str, Any]]) -> None:
    """First every platform once, then those again that change between two harvests."""
    with Live(console=Console(stderr=True), refresh_per_second=4) as live:
        _wait(database, len(described), live)
        again = {peer["code"] for peer in described if peer["fault"] == "vanishes"}
        with database.write() as connection:
            for feed in feeds.feeds(connection):
                if feed["platform"] in again:
                    feeds.transition(connection, feed["id"], "active")
        _wait(database, len(described) + len(again), live)


def _wait(database: Database, number: int, live: Live) -> None:
    while True:
        with database.read() as connection:
            found = runs.runs(connection, limit=1000)
            figures = status.figures(connection)
        ended = [run for run in found if run["status"] != "running"]
        table = Table("平台运行 runs", "完成 done", "记录 records", "拒 refused", "待人工 held")
        table.add_row(str(number), str(len(ended)), *(f"{figures[name]:,}" for name in ("records", "rejected", "held")))
        live.update(table)
        if len(ended) >= number:
            return
        time.sleep(0.2)


def _sums(database: Database, seconds: float) -> dict[str, Any]:
    with database.read() as connection:
        found = runs.runs(connection, limit=1000)
        figures = status.figures(connection)
        refused = Counter(row["rule"] for row in runs.rejections(connection, limit=100_000))
        held = [{k: row[k] for k in ("id", "feed_id", "count", "live", "cause")} for row in runs.waiting(connection)]
    total = {name: sum(run[name] for run in found) for name in ("seen", *COUNTS)}
    adds_up = all(run["seen"] == sum(run[name] for name in COUNTS) for run in found)
    adds_up = adds_up and figures["records"] == total["created"] - total["tombstoned"]
    failed = [{"feed": run["feed"], **run["error"]} for run in found if run["status"] == "failed"]
    return {
        "runs": len(found), **total, "records": figures["records"], "position": figures["head"],
        "refused_by_rule": dict(refused), "held_changes": held, "failed": failed, "adds_up": adds_up, "seconds": seconds,
    }  # fmt: skip


def _print(sums: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(sums).decode(), flush=True)
        return
    table = Table("figure", "value")
    for name, value in sums.items():
        table.add_row(name, str(value))
    Console().print(table)
