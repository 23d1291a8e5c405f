"""A small platform in small pages, and a process that harvests it once."""

import os
from functools import cache
from typing import Any

from sqlalchemy import event

from app.catalogue import queries
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.feeds import leases, service
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.loop import harvest
from tests.peers.replay import ReplayServer

RECORDS, LIMIT = 40, 10


def small() -> ReplayServer:
    """Four pages of ten records over IX/1."""
    return ReplayServer(face(DemoPlatform("P-440000-01", "广东省平台", "ix", None, RECORDS)))


@cache
def fetcher() -> Fetcher:
    """One for all runs of a process and of its copies: to make one reads every certificate of the machine."""
    return Fetcher(allow="127.0.0.0/8")


def run_once(url: str, feed: int, pragmas: tuple[str, ...] = (), acknowledge: bool = False) -> None:
    """One run of a feed; with `acknowledge` the last position is written to the standard output after every page."""
    database = Database(url)

    def _set(connection: Any, _: Any) -> None:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}")

    for engine in database.engines:
        event.listen(engine, "connect", _set)

    def told(_: int, __: Any) -> None:
        with database.read() as connection:
            os.write(1, b"ack %d\n" % queries.head(connection))

    with database.write() as connection:
        lease = leases.claim(connection, feed, "victim", 600)
        known = service.by_id(connection, feed)
    assert lease is not None
    harvest(Engine(database, fetcher(), (50, 0.05), progress=told if acknowledge else None), lease, known)
    os._exit(0)
