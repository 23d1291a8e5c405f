"""Runs the demonstration: platforms, hub and worker; live progress, then the sums."""

import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import orjson
import uvicorn
from rich.console import Console
from rich.live import Live
from rich.table import Table
from sqlalchemy import Connection

from app import schema
from app.access.http import Http
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.demo.past import remember
from app.demo.sums import sums
from app.deployment import engine
from app.feeds import service as feeds
from app.feeds import uploads
from app.harvest import runs
from app.harvest.worker import Worker
from app.main import create
from app.monitor.figures import numbers
from app.platforms import service as platforms_service
from app.protocol.errors import BadRequest
from app.settings import Settings

EVERY_S = 3600
MARK = "made-by-hutong-demo"


def show(*, port: int, once: bool, platforms: int, records: int, folder: Path, as_json: bool) -> int:
    """The whole demonstration; 0 when every sum adds up."""
    started = time.monotonic()
    listener = _listener(port)
    _emptied(folder)
    settings = Settings(
        data_dir=folder,
        fetch_allow="127.0.0.0/8",
        database_url="",
        public_url=f"http://127.0.0.1:{port}",
        anonymous_scopes="catalogue:read ops:read",
        disk_reserve="0,0%",  # a demonstration runs on whatever is left
    )
    database = Database(settings.url)
    schema.upgrade(database)
    command = [sys.executable, "-m", "app.demo.server", str(platforms), str(records)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as peers:
        assert peers.stdout is not None
        described = orjson.loads(peers.stdout.readline())
        _register(settings, database, described)
        _serve(settings, listener)
        worker = Worker(engine(settings, database), lease_s=settings.lease_s, concurrency=8, idle_s=0.1)
        worker.start()
        try:
            _rounds(database, described)
            with database.write() as connection:
                remember(connection, {peer["code"]: peer["fault"] for peer in described})
            found = sums(database, described, round(time.monotonic() - started, 1))
            _print(found, as_json)
            if not once:
                Console(stderr=True).print(f"the hub goes on at http://127.0.0.1:{port}/ (Ctrl-C ends it)")
                threading.Event().wait()
        except KeyboardInterrupt:
            pass
        finally:
            worker.stop()
            peers.terminate()
    return 0 if found["adds_up"] else 1


def _register(settings: Settings, database: Database, described: list[dict[str, Any]]) -> None:
    with database.write() as connection:
        for peer in described:
            platforms_service.register(connection, peer["code"], peer["name"])
            number = feeds.register(
                connection, platform=peer["code"], name=peer["feed"], connector=peer["kind"], config=peer["config"],
                mapping=peer["mapping"], every_s=EVERY_S,
            )  # fmt: skip
            if peer["kind"] == uploads.KIND:
                _upload(settings, connection, number, peer)


def _upload(settings: Settings, connection: Connection, feed: int, peer: dict[str, Any]) -> None:
    """What the vendor's clerk does: gives the hub the workbook that the vendor has made."""
    _, _, content = face(DemoPlatform(*(peer[name] for name in DemoPlatform._fields)))("/catalogue.xlsx")
    staged = uploads.staged(settings.files, [content], settings.fetch_file_max_bytes)
    uploads.keep(connection, settings.files, staged, feed, "catalogue.xlsx")


def _listener(port: int) -> socket.socket:
    """The port, taken before anything else is done. Raises BadRequest."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError as error:
        listener.close()
        raise BadRequest(f"port {port}: {error.strerror}; choose another with --port") from None
    return listener


def _emptied(folder: Path) -> None:
    """A folder of our own, empty; what no demonstration has made is never deleted. Raises BadRequest."""
    if folder.exists() and not (folder.is_dir() and ((folder / MARK).exists() or not any(folder.iterdir()))):
        raise BadRequest(f"{folder} is not empty and no demonstration's; name another folder with --dir")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def _serve(settings: Settings, listener: socket.socket) -> None:
    server = uvicorn.Server(uvicorn.Config(create(settings, harvest=False), http=Http, log_level="error"))
    threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()


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
            figures = numbers(connection)
        ended = [run for run in found if run["status"] != "running"]
        table = Table("平台运行 runs", "完成 done", "记录 records", "拒 refused", "待人工 held")
        table.add_row(str(number), str(len(ended)), *(f"{figures[name]:,}" for name in ("records", "rejected", "held")))
        live.update(table)
        if len(ended) >= number:
            return
        time.sleep(0.2)


def _print(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(found).decode(), flush=True)
        return
    table = Table("figure", "value")
    for name, value in found.items():
        table.add_row(name, str(value))
    Console().print(table)
