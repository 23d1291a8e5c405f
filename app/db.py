"""The database: one code path on SQLite and PostgreSQL, and the only place that commits.

SQLite runs in WAL mode with synchronous=FULL (NORMAL loses acknowledged commits in a power cut) and one
writer: a write transaction begins IMMEDIATE, so that commit order is position order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url

metadata = MetaData()


class Database:
    """An engine with two doors: `read()` for a snapshot, `write()` for one transaction that commits at its end."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url) if self.sqlite else create_engine(url, pool_size=20, max_overflow=60)
        # Threads of one process queue here instead of spinning on SQLite's busy handler.
        self._writer = RLock()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: everything or nothing."""
        if not self.sqlite:
            with self.engine.begin() as connection:
                yield connection
            return
        with self._writer, self.engine.connect().execution_options(writes=True) as connection:
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads."""
        with self.engine.connect() as connection:
            yield connection

    def bind(self, principal: Any) -> None:
        """Says who acts on every connection from now on: a command's user. A request binds its own connection."""
        self.engine = self.engine.execution_options(principal=principal)

    def close(self) -> None:
        """Gives all connections back."""
        self.engine.dispose()


def _sqlite_engine(url: str) -> Engine:
    file = make_url(url).database
    if file:
        Path(file).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 60}, pool_size=20, max_overflow=80)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the begin event below says BEGIN, not the driver
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            "busy_timeout=60000",
            "foreign_keys=ON",
            "cache_size=-65536",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def plain(row: Any) -> dict[str, Any]:
    """A row by column name. SQLAlchemy's names are a subclass of str, which orjson refuses as keys."""
    return {str(name): value for name, value in row._mapping.items()}


def now(connection: Connection) -> int:
    """The database's clock, microseconds UTC: the one clock all workers share."""
    if connection.dialect.name == "sqlite":
        query = "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
    else:
        query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
    return int(connection.execute(text(query)).scalar_one())


def upsert(connection: Connection, table: Any, keys: Sequence[str], columns: Sequence[str]) -> Any:
    """`INSERT ... ON CONFLICT (keys) DO UPDATE` of the columns, for executemany with a list of rows."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table)
    return statement.on_conflict_do_update(
        index_elements=list(keys), set_={name: statement.excluded[name] for name in columns}
    )


def insert_missing(connection: Connection, table: Any) -> Any:
    """`INSERT ... ON CONFLICT DO NOTHING`, for executemany with a list of rows."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    return insert(table).on_conflict_do_nothing()
