"""Statements that go to the driver as they are: the same answers, errors, moment and guard as through Core."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Text,
    bindparam,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError

from app import schema
from app.access.principal import SYSTEM, Principal, Rows
from app.access.scopes import Scope
from app.catalogue.tables import digest_bucket, moment, position, tally
from app.db import Database, metadata, now
from app.feeds.tables import feed
from app.protocol.errors import Unavailable
from app.statements import Fixed, accumulate, load

_PLACES = select(position.c.name, position.c.value).order_by(position.c.name)
_PLACED = Fixed(_PLACES)
_FORWARD = Fixed(
    update(position)
    .where(position.c.name == bindparam("sought"))
    .values(value=position.c.value + bindparam("by"))
    .returning(position.c.value)
)
_SET = Fixed(update(position).where(position.c.name == bindparam("sought")).values(value=bindparam("to")))
_MOMENT = Fixed(moment.insert(), ("seq", "at"))


def _work(database: Database) -> list[Any]:
    with database.write() as connection:
        done = [_FORWARD.scalar(connection, sought="seq", by=41), _SET.run(connection, sought="at", to=7)]
        done.append(_SET.run(connection, sought="nothing of that name", to=7))
        _MOMENT.run(connection, seq=41, at=7)
        _MOMENT.each(connection, [{"at": 8, "seq": 42}, {"seq": 43, "at": 9}])
        accumulate(connection, tally, ("term",), ("n",), [{"n": 2, "term": "a"}, {"term": "b", "n": 3}])
        accumulate(connection, tally, ("term",), ("n",), [{"term": "a", "n": 5}])
        accumulate(connection, tally, ("term",), ("n",), [])
    with database.read() as connection:
        stored = [connection.execute(select(table).order_by(*table.primary_key)).all() for table in (moment, tally)]
        done += [[tuple(row) for row in rows] for rows in (_PLACED.all(connection), *stored)]
        return [*done, Fixed(select(moment.c.at).where(moment.c.seq < 0)).scalar(connection)]


def test_whoever_acts_gets_the_same(database: Database) -> None:
    placed = [("at", 7), ("seq", 41)]
    once = [41, 1, 0, placed, [(41, 7), (42, 8), (43, 9)], [("a", 7), ("b", 3)], None]
    with database.write() as connection:
        connection.execute(position.delete().where(position.c.name.not_in(("at", "seq"))))
    assert _work(database) == once
    with database.write() as connection:
        connection.execute(moment.delete())
        connection.execute(tally.delete())
        connection.execute(update(position).values(value=0))
    assert _work(database.acting(SYSTEM)) == once


def test_statements_of_tenants_are_watched_as_others_are(database: Database) -> None:
    somebody = Principal("P-440000-01", frozenset(Scope), Rows(platforms=frozenset({"P-440000-01"})))
    feeds = Fixed(select(feed.c.id))
    with database.read() as connection:
        assert feeds.all(connection) == []
    with database.acting(somebody).read() as connection, pytest.raises(RuntimeError, match="was not narrowed"):
        feeds.all(connection)


def test_errors_are_those_of_core(database: Database) -> None:
    for fails in (
        lambda connection: _MOMENT.run(connection, seq=1, at=None),
        lambda connection: _MOMENT.each(connection, [{"seq": 1, "at": None}]),
        lambda connection: load(connection, "moment", ("seq", "at"), [(1, 1), (2, None)]),
    ):
        with pytest.raises(IntegrityError), database.write() as connection:
            fails(connection)
    with database.read() as connection:
        assert connection.execute(select(moment)).all() == []


def test_a_value_that_was_forgotten_is_no_null(database: Database) -> None:
    for given in ({"sought": "seq"}, {"sought": "seq", "too": 7}):
        with database.write() as connection, pytest.raises(KeyError, match="to"):
            _SET.run(connection, **given)


def test_a_locked_file_does_not_answer_now(tmp_path: Path) -> None:
    database, other = (Database(f"sqlite:///{tmp_path / 'hub.db'}?timeout=0.1") for _ in range(2))
    schema.upgrade(database)

    def late() -> None:
        with other.read() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout=50")
            _SET.run(connection, sought="seq", to=6)

    with database.write() as connection:
        _SET.run(connection, sought="seq", to=5)
        with pytest.raises(Unavailable):
            late()
    for one in (database, other):
        one.close()


DOORS: dict[str, Callable[[Connection], Any]] = {
    "all": _PLACED.all,
    "run": lambda connection: _MOMENT.run(connection, seq=1, at=1),
    "each": lambda connection: _MOMENT.each(connection, [{"seq": 1, "at": 1}]),
    "load": lambda connection: load(connection, "moment", ("seq", "at"), [(1, 1)]),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_connection_that_was_cut_does_not_answer_now_and_the_next_one_does(postgres: Database, door: str) -> None:
    def cut() -> None:
        with postgres.write() as connection:
            mine = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
            with postgres.write() as other:
                other.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": mine})
            DOORS[door](connection)

    with pytest.raises(Unavailable):
        cut()
    with postgres.write() as connection:
        DOORS[door](connection)


def test_a_read_that_begins_with_one_sees_one_moment(database: Database) -> None:
    with database.read() as connection:
        before = [tuple(row) for row in _PLACED.all(connection)]
        with database.write() as writing:
            _FORWARD.scalar(writing, sought="seq", by=1)
        assert [tuple(row) for row in _PLACED.all(connection)] == before
        assert [tuple(row) for row in connection.execute(_PLACES)] == before
    with database.read() as connection:
        assert [tuple(row) for row in _PLACED.all(connection)] != before


def test_the_clock_is_one_of_the_database(database: Database) -> None:
    with database.read() as connection:
        first = now(connection)
        assert 0 <= now(connection) - first < 60_000_000


def test_no_column_needs_a_translation_between_it_and_the_driver() -> None:
    """What `Fixed` passes as it is."""
    plain = (BigInteger, Integer, LargeBinary, SmallInteger, String, Text)
    columns = [column for table in metadata.tables.values() for column in table.c]
    assert len(columns) > 300
    assert digest_bucket.c.n in columns
    assert [str(column) for column in columns if type(column.type) not in plain] == []
