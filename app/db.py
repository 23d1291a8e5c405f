"""The database: one code path on SQLite and PostgreSQL, and the only place that commits.

SQLite runs in WAL mode with synchronous=FULL (NORMAL loses acknowledged commits in a power cut) and one
writer: a write transaction begins IMMEDIATE, so that commit order is position order.
"""

import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from copy import copy
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    Integer,
    MetaData,
    create_engine,
    event,
    text,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolExhausted

from app.protocol.errors import DiskFull, Unavailable
from app.statements import Fixed

Made = TypeVar("Made")
metadata = MetaData()
# A 64-bit key: on SQLite INTEGER, because only a key of that name is the row's own number and needs no index beside it.
Key = BigInteger().with_variant(Integer(), "sqlite")


class Database:
    """An engine with two doors: `read()` for a snapshot, `write()` for one transaction that commits at its end."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.sqlite = self.url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(url, _READS) if self.sqlite else _postgres_engine(url)
        # On SQLite one connection writes for all threads of a process: what it keeps of the file stays true, because
        # nobody else changes it, and there are not as many copies of it as there are connections.
        self._writing = _sqlite_engine(url, _WRITES) if self.sqlite else self.engine
        # One moment for all statements of a read, as on SQLite: with READ COMMITTED a page of changes could name a
        # newer head than the rows it was read with, and its reader would pass over what lies between (IX/1 V1).
        snapshot = {} if self.sqlite else {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        self._reader = self.engine.execution_options(**snapshot)
        # Threads of one process queue here instead of spinning on SQLite's busy handler. A plain lock: a request's
        # transaction may end in another thread of the pool than it began in, and only the owner may release an RLock.
        self._writer = Lock() if self.sqlite else nullcontext()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction: everything or nothing. Raises Unavailable, DiskFull; a commit that got no answer may hold."""
        with _answering(), self._writer, self._writing.begin() as connection:
            yield connection

    def committing(self, work: Callable[[Connection], Made], beside: Executor) -> Callable[[], Made]:
        """Does the work in one transaction and begins its commit in another thread; the call it gives back waits for it.

        Raises what the work raises; the call raises what the commit raises. A commit is one call of the driver that
        mostly writes and waits for the disk: whoever has something else to do meanwhile does it (docs/performance.md).
        """
        with ExitStack() as transaction:
            made = work(transaction.enter_context(self.write()))
            end = transaction.pop_all().close
        try:
            ended = beside.submit(end)
        except RuntimeError:  # no thread to be had
            end()
            return lambda: made
        return lambda: (ended.result(), made)[1]

    def checkpoint(self) -> None:
        """Moves what is committed into SQLite's file, beside the writers; else a commit does it while everybody waits.

        It seldom finds the log at rest, so that a commit still ends it now and then (wal_autocheckpoint): what is left
        for it is little. What goes wrong here goes wrong there as well, and is told there.
        """
        if self.sqlite:
            with (
                suppress(sqlite3.Error, PoolExhausted, Unavailable),
                closing(self.engine.raw_connection()) as connection,
            ):
                connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that only reads, and sees one moment. Raises Unavailable."""
        with _answering(), self._reader.connect() as connection:
            yield connection

    def acting(self, principal: Any) -> "Database":
        """The same database for somebody: each of its connections carries who acts (app/access/principal.py)."""
        same = copy(self)
        same.engine = self.engine.execution_options(principal=principal)
        same._writing = self._writing.execution_options(principal=principal)
        same._reader = self._reader.execution_options(principal=principal)
        return same

    def make(self) -> None:
        """Makes the file of a SQLite database where there is none; nothing else does."""
        if self.sqlite and self.url.database and self.url.database != ":memory:":
            Path(self.url.database).parent.mkdir(parents=True, exist_ok=True)
            Path(self.url.database).touch()

    def close(self) -> None:
        """Gives all connections back; what is asked afterwards makes new ones."""
        for engine in self.engines:
            engine.dispose()

    @property
    def engines(self) -> frozenset[Engine]:
        """All that connect to the database."""
        return frozenset({self.engine, self._writing})


@contextmanager
def _answering() -> Iterator[None]:
    """Turns what passes by itself (a restart, a lock, a full disk) into Unavailable; what is our fault stays as it is."""
    try:
        yield
    except PoolExhausted as error:
        raise Unavailable("all connections to the database are taken") from error
    except DBAPIError as error:
        code = getattr(error.orig, "sqlite_errorcode", None)
        state = getattr(error.orig, "sqlstate", None)
        if code == _SQLITE_FULL or state == _POSTGRES_FULL:
            raise DiskFull("the database's disk is full; nothing was stored", wait_s=30) from error
        if error.connection_invalidated or (code & 0xFF in _SQLITE_PASSING if code else _passes(error)):
            # What the driver says names machines and folders: it is for the log (`why`), not for whoever asked.
            raise Unavailable("the database does not answer now; try again") from error
        raise


def why(error: Unavailable) -> str:
    """What the driver said, in one line, for the log."""
    return " ".join(str(getattr(error.__cause__, "orig", None) or error.__cause__ or error.detail).split())[:300]


def _passes(error: DBAPIError) -> bool:
    # A stopped process's transaction is ended by the server (idle_in_transaction_session_timeout).
    ended = getattr(error.orig, "sqlstate", None) == "25P03"
    return ended or (isinstance(error, OperationalError) and not hasattr(error.orig, "sqlite_errorcode"))


_SQLITE_FULL = 13
_SQLITE_PASSING = frozenset({5, 6, 10, 14})  # BUSY, LOCKED, IOERR, CANTOPEN
_POSTGRES_FULL = "53100"
IDLE_MS = 60_000


def _postgres_engine(url: str) -> Engine:
    # A process that is stopped (SIGSTOP, a frozen machine) in the middle of a transaction holds the counter of
    # positions, and with it every writer: the server ends such a transaction after a minute.
    options = (
        {} if "options" in make_url(url).query else {"options": f"-c idle_in_transaction_session_timeout={IDLE_MS}"}
    )
    return create_engine(url, pool_size=20, max_overflow=60, connect_args={"connect_timeout": 10, **options})


_PRAGMAS = {
    # Of a new file. Four records of 2 KB fill such a page, and of the usual 4 KiB two of them leave a tenth empty.
    "page_size": "8192",
    "journal_mode": "WAL",
    "synchronous": "FULL",
    "busy_timeout": "60000",
    "foreign_keys": "ON",
    # Index pages are written by every page of a harvest: fewer checkpoints write them fewer times.
    "wal_autocheckpoint": "4000",
}


class _Role(NamedTuple):
    """What connections to SQLite are for: how their transactions begin, how much of the file each keeps in memory, how
    many there are and how many more when these are taken."""

    begin: str
    cache_kib: int
    connections: int
    more: int


_READS = _Role("BEGIN", 32_768, 20, 80)
# A larger cache is no faster here: a page of a harvest writes 3 MB, most of which is not looked at again.
_WRITES = _Role("BEGIN IMMEDIATE", 16_384, 1, 0)


def _sqlite_engine(url: str, role: _Role) -> Engine:
    file = make_url(url).database
    arguments = {"check_same_thread": False, "timeout": 60}
    # The last one back is the first to go: what it has in its cache is what the next one asks for.
    engine = create_engine(
        url, connect_args=arguments, pool_size=role.connections, max_overflow=role.more, pool_use_lifo=True
    )

    @event.listens_for(engine, "do_connect")
    def _missing(*_: Any) -> None:
        if file and file != ":memory:" and not Path(file).exists():
            # SQLite would make an empty file of a mistyped name and call it a database.
            raise Unavailable(f"there is no database {file}: check HUTONG_DATA_DIR, or make it with `hutong init`")

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the begin event below says BEGIN, not the driver
        for name, value in {**_PRAGMAS, "cache_size": f"-{role.cache_kib}"}.items():
            connection.execute(f"PRAGMA {name}={value}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(role.begin)

    return engine


def now(connection: Connection) -> int:
    """The database's clock, microseconds UTC: the one clock all workers share."""
    return int(_NOW[connection.dialect.name].scalar(connection))


_SQLITE_NOW = "SELECT CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
_NOW = {
    "sqlite": Fixed(text(_SQLITE_NOW)),
    "postgresql": Fixed(text("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)")),
}
