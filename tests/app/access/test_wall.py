"""Row-level security of PostgreSQL: what holds where a statement was never narrowed. The hub's role is no superuser."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Table, func, insert, select, text, update
from sqlalchemy.exc import ProgrammingError

from app import schema
from app.access import keys, wall
from app.access.principal import Principal, Rows, narrowed, unbound
from app.access.scopes import PLATFORM_SCOPES
from app.access.tables import api_key
from app.db import Database, metadata
from app.feeds import service as feeds
from app.feeds.tables import feed
from app.harvest.tables import run
from app.monitor import doctor
from app.platforms import choices, queries
from app.platforms import service as platforms
from app.platforms.tables import enrolment, platform
from app.settings import Settings

PROVINCE, CITY, VENDOR = "P-440000-01", "C-440100-01", "E-110000-01"


def _tenant(database: Database, rows: Rows) -> Database:
    return database.acting(Principal("key:x", PLATFORM_SCOPES, rows))


def _stocked(database: Database) -> None:
    """Three platforms, each with a feed, a run of it, and a key; one more feed of a platform that moved to Beijing."""
    with database.write() as connection:
        for code, region in ((PROVINCE, None), (CITY, None), (VENDOR, None), ("D-530102-01", "110105")):
            platforms.register(connection, code, code, region)
            number = feeds.register(connection, platform=code, name="f", connector="ix", config={})
            connection.execute(insert(run), {"feed_id": number, "job": "harvest", "status": "done", "started_at": 0})
            keys.issue(connection, code)


@contextmanager
def _forgetful(database: Database, rows: Rows) -> Iterator[Connection]:
    """A tenant's transaction in which every statement says that it was narrowed, and none was."""
    _stocked(database)
    with _tenant(database, rows).write() as connection:
        yield connection


def _all(connection: Connection, table: Table) -> list[Any]:
    return list(connection.execute(narrowed(select(table))).all())


def test_a_forgotten_filter_shows_a_platform_its_own_rows_only(postgres: Database) -> None:
    with _forgetful(postgres, Rows(platforms=frozenset({CITY}))) as connection:
        assert [row.code for row in _all(connection, platform)] == [CITY]
        assert [row.code for row in _all(connection, enrolment)] == [CITY]
        assert [row.platform for row in _all(connection, feed)] == [CITY]
        assert [row.platform for row in _all(connection, api_key)] == [CITY]
        assert len(_all(connection, run)) == 1
        assert connection.execute(text("SELECT count(*) FROM feed")).scalar_one() == 1, "written by hand, too"


def test_a_forgotten_filter_shows_a_region_its_subtree_only(postgres: Database) -> None:
    with _forgetful(postgres, Rows(regions=frozenset({"440000"}))) as connection:
        assert {row.platform for row in _all(connection, feed)} == {PROVINCE, CITY}
    with _tenant(postgres, Rows(regions=frozenset({"110000"}))).read() as connection:
        moved = {VENDOR, "D-530102-01"}
        assert {row.platform for row in _all(connection, feed)} == moved, "where a platform lies, not its code, counts"
        assert len(_all(connection, run)) == len(moved)


def test_a_forgotten_filter_changes_and_deletes_nothing_of_others(postgres: Database) -> None:
    with _forgetful(postgres, Rows(platforms=frozenset({CITY}))) as connection:
        theirs = connection.execute(narrowed(update(feed).where(feed.c.platform != CITY).values(name="mine")))
        gone = connection.execute(narrowed(run.delete()))
        assert (theirs.rowcount, gone.rowcount) == (0, 1)
    with postgres.read() as connection:
        assert set(connection.execute(select(feed.c.name)).scalars()) == {"f"}
        assert len(_all(connection, run)) == 3


@pytest.mark.parametrize("way", ["insert", "update"])
def test_nothing_is_written_in_anothers_name(postgres: Database, way: str) -> None:
    row = {"feed_id": 1, "job": "harvest", "status": "done", "started_at": 0}
    statement = insert(run).values(row) if way == "insert" else narrowed(update(feed).values(platform=PROVINCE))
    _stocked(postgres)
    tenant = _tenant(postgres, Rows(platforms=frozenset({CITY})))
    with tenant.write() as connection, pytest.raises(ProgrammingError, match="row-level security"):
        connection.execute(statement)


def test_who_has_no_rows_sees_none_and_the_next_transaction_is_the_hubs_again(postgres: Database) -> None:
    with _forgetful(postgres, Rows()) as connection:
        assert _all(connection, feed) == []
        process = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
    with postgres.read() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() == process, "the same connection"
        assert len(_all(connection, feed)) == 4


def test_what_is_meant_over_all_rows_passes_and_the_wall_stands_again_behind_it(postgres: Database) -> None:
    with _forgetful(postgres, Rows(platforms=frozenset({VENDOR}))) as connection:
        assert len(queries.names(connection)) == 4
        assert len(_all(connection, platform)) == 1
        assert connection.execute(unbound(select(func.count()).select_from(feed))).scalar_one() == 4
        assert len(_all(connection, feed)) == 1
        assert choices.chosen(connection, "440000") == []


def test_every_tenants_table_stands_behind_the_wall(postgres: Database) -> None:
    with postgres.read() as connection:
        walled = set(connection.execute(text("SELECT tablename FROM pg_policies")).scalars())
        forced = connection.execute(text("SELECT relname FROM pg_class WHERE relrowsecurity AND relforcerowsecurity"))
        assert walled == set(forced.scalars()) == {table.name for table in wall.tenants(metadata)}
        assert not wall.walks_through(connection)


def test_the_wall_goes_with_the_schema_and_comes_back(postgres: Database) -> None:
    schema.downgrade(postgres)
    with postgres.read() as connection:
        left = connection.execute(text("SELECT count(*) FROM pg_proc WHERE proname LIKE 'hutong%'")).scalar_one()
        assert left == 0
    schema.upgrade(postgres)
    with _forgetful(postgres, Rows(platforms=frozenset({CITY}))) as connection:
        assert len(_all(connection, feed)) == 1


def test_the_doctor_says_when_the_databases_role_walks_through(postgres: Database, postgres_url: str) -> None:
    def said(database: Database) -> Any:
        with database.read() as connection:
            return next(one for one in doctor.checks(connection, Settings()) if one.check == "database.rows")

    assert said(postgres).good
    other = Database(postgres_url)
    try:
        with other.read() as connection:
            assert wall.walks_through(connection)
    finally:
        other.close()
    master = postgres.url.set(username=other.url.username, password=other.url.password)
    strong = Database(master.render_as_string(hide_password=False))
    try:
        assert not said(strong).good
        assert "SUPERUSER" in said(strong).remedy
    finally:
        strong.close()
