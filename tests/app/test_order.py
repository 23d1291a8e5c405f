"""Positions, transactions and migrations: each test would catch the trap it names."""

import threading
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import inspect, text

from app import schema
from app.catalogue import queries
from app.catalogue.arrivals import Arrival, Origin
from app.catalogue.service import apply, remove
from app.db import Database
from app.protocol.record import Prepared, prepare
from app.web import Tx
from tests.hub import Hub

pytestmark = pytest.mark.postgres15


def _arrivals(writer: int, page: int, number: int = 5) -> list[Arrival]:
    made = [prepare({"title": f"第{n}课"}, f"ix:P-440000-01:w{writer}/{page}-{n}") for n in range(number)]
    return [Arrival(record, b"x" * 16) for record in made if isinstance(record, Prepared)]


def test_a_reader_sees_every_position_once_while_four_writers_commit(database: Database) -> None:
    seen: list[int] = []
    done = threading.Event()

    def write(writer: int) -> None:
        for page in range(25):
            try:
                with database.write() as connection:
                    apply(connection, _arrivals(writer, page), Origin(writer, 1, "440000"))
                    if page % 10 == 9:
                        raise RuntimeError("rolled back")
            except RuntimeError:
                pass

    def read() -> None:
        while True:
            ended = done.is_set()
            with database.read() as connection:
                rows = queries.changes(connection, after=seen[-1] if seen else 0, limit=7)
            seen.extend(row.seq for row in rows)
            if ended and not rows:
                return

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    reader.join()
    assert seen == list(range(1, 4 * 23 * 5 + 1))
    Hub(database).check()


def test_a_read_sees_one_moment_while_others_commit(database: Database) -> None:
    with database.read() as reading:
        assert queries.head(reading) == 0
        with database.write() as connection:
            apply(connection, _arrivals(1, 1), Origin(1, 1, "440000"))
        assert (queries.head(reading), queries.changes(reading, after=0, limit=9)) == (0, [])
    with database.read() as reading:
        assert queries.head(reading) == 5


@pytest.mark.usefixtures("as_in_production")
def test_sqlite_acknowledges_only_what_is_on_disk(sqlite: Database) -> None:
    with sqlite.write() as connection:
        assert connection.execute(text("PRAGMA synchronous")).scalar_one() == 2
        assert connection.execute(text("PRAGMA journal_mode")).scalar_one() == "wal"


def test_nobody_hears_201_before_a_failing_commit(postgres: Database) -> None:
    app = FastAPI()
    app.state.database = postgres
    with postgres.write() as connection:
        connection.execute(text("CREATE TABLE p (id int PRIMARY KEY)"))
        connection.execute(text("CREATE TABLE c (id int REFERENCES p DEFERRABLE INITIALLY DEFERRED)"))

    @app.post("/", status_code=201)
    def add(connection: Tx) -> dict[str, str]:
        connection.execute(text("INSERT INTO c VALUES (1)"))
        return {}

    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.post("/").status_code == 500


def test_migrations_go_down_and_up_again(database: Database) -> None:
    schema.downgrade(database)
    assert set(inspect(database.engine).get_table_names()) <= {"alembic_version"}
    schema.upgrade(database)
    with database.write() as connection:
        outcome = apply(connection, _arrivals(1, 1), Origin(1, 1, "440000"))
    assert outcome.created == 5


def test_a_removed_record_is_a_tombstone_and_may_come_back(database: Database) -> None:
    hub = Hub(database)
    origin = Origin(1, 1, "440000")
    with database.write() as connection:
        apply(connection, _arrivals(1, 1), origin)
        assert remove(connection, ["ix:P-440000-01:w1/1-0", "ix:P-440000-01:unknown"], 1) == 1
    hub.check()
    with database.write() as connection:
        row: Any = queries.by_id(connection, "ix:P-440000-01:w1/1-0")
        assert (row.live, row.version) == (0, 2)
        assert apply(connection, _arrivals(1, 1), origin).changed == 1
    hub.check()
