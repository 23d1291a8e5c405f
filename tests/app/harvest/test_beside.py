"""Parsers beside the writer change the time a harvest takes and nothing else."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from app import schema
from app.catalogue import digests
from app.db import Database
from app.harvest.beside import Parsers
from app.harvest.engine import Engine
from app.harvest.worker import harvest_now
from tests.app.test_reconcile import Repository
from tests.hub import Hub
from tests.peers.replay import ReplayServer


@pytest.fixture(scope="module")
def parsers() -> Iterator[Parsers]:
    made = Parsers(2)
    yield made
    made.close()


def _harvest(database: Database, url: str, parsers: Parsers | None) -> tuple[dict[str, object], tuple[int, str]]:
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": url})
    with hub.engine() as bare:
        engine = Engine(database, bare.fetcher, bare.brake, prepare=parsers, ahead=2) if parsers else bare
        report = harvest_now(engine, feed, "harvest")
    hub.check()
    with database.read() as connection:
        return report, digests.state(connection, "all")


def _repository() -> Repository:
    made = Repository(1200)
    for number in range(0, 1200, 100):
        made.records[f"r{number:03d}"] = ("2026-09-01T00:00:00Z", " ")
    return made


def test_the_catalogue_is_the_same_with_parsers(database: Database, parsers: Parsers, tmp_path: Path) -> None:
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    schema.upgrade(other)
    with ReplayServer(_repository()) as url:
        beside, one = _harvest(database, f"{url}/oai", parsers)
        alone, two = _harvest(other, f"{url}/oai", None)
    other.close()
    figures = ("seen", "created", "rejected", "pages", "requests", "bytes", "error")
    assert {n: beside[n] for n in figures} == {n: alone[n] for n in figures}
    assert (beside["seen"], beside["rejected"]) == (1200, 12)
    assert one == two


def test_a_killed_parser_costs_no_record(sqlite: Database) -> None:
    parsers = Parsers(1)
    with ReplayServer(_repository()) as url:
        first, _ = _harvest(sqlite, f"{url}/oai", parsers)
        for pid in parsers.pids():
            os.kill(pid, signal.SIGKILL)
        hub = Hub(sqlite)
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"}, platform="P-330000-01")
        with hub.engine() as bare:
            engine = Engine(sqlite, bare.fetcher, bare.brake, prepare=parsers, ahead=2)
            second = harvest_now(engine, feed, "harvest")
    parsers.close()
    assert first["created"] == second["created"] == 1188
    assert second["error"] is None
