"""Databases of PostgreSQL for tests: a model that the migrations make once, and copies of it."""

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.pool import NullPool

from app import schema
from app.db import Database
from tests import planted

# Where Debian, Red Hat and Homebrew put the programs of PostgreSQL 15.
POSTGRES_15 = [
    Path("/usr/lib/postgresql/15/bin"),
    Path("/usr/pgsql-15/bin"),
    Path("/opt/homebrew/opt/postgresql@15/bin"),
]

ROLE = "hutong_test"  # as in production no superuser: row-level security binds it


def as_role(url: str, name: str) -> str:
    """The address of a database for the hub's own role."""
    made = make_url(url).set(database=name, username=ROLE, password=ROLE)
    return made.render_as_string(hide_password=False)


def _role(connection: Connection) -> None:
    """Makes the role where it is not there; several processes of a test run may share a server."""
    with suppress(IntegrityError, ProgrammingError):
        connection.execute(text(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'"))


@contextmanager
def model(url: str) -> Iterator[str]:
    """A database that the migrations made, to be copied; its name."""
    with fresh(url, "template0 ENCODING 'UTF8'") as database:
        schema.upgrade(database)
        database.close()  # nobody may be in a database that is copied
        yield str(database.url.database)


@contextmanager
def fresh(url: str, template: str) -> Iterator[Database]:
    """A copy of a database, for the hub's own role; no planted secret is in it at the end."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    admin = create_engine(url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        _role(connection)
        # The model's files as they are: through the log (the default) takes twice as long.
        connection.execute(text(f"CREATE DATABASE {name} OWNER {ROLE} TEMPLATE {template} STRATEGY FILE_COPY"))
    database = Database(as_role(url, name))
    yield database
    assert planted.in_tables(database.engine) == []
    database.close()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def unsynced(url: str) -> None:
    """This server's databases live for one test: it waits for no disk (tests of power cuts have their own)."""
    admin = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with admin.connect() as connection:
        for name in ("fsync", "full_page_writes"):
            connection.execute(text(f"ALTER SYSTEM SET {name} = off"))
        connection.execute(text("SELECT pg_reload_conf()"))


def answering(url: str, patience_s: float = 20) -> str:
    """The address, once somebody answers there."""
    admin, until = create_engine(url, poolclass=NullPool), time.monotonic() + patience_s
    while True:
        try:
            admin.connect().close()
            return url
        except OperationalError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
