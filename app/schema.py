"""Brings a database to today's schema; the only caller of Alembic."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

import migrations
from app.db import Database


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrates up, in one transaction on both databases; makes the file of a SQLite database."""
    database.make()
    with database.write() as connection:
        command.upgrade(_config(connection), revision)


def downgrade(database: Database, revision: str = "base") -> None:
    """Migrates down."""
    with database.write() as connection:
        command.downgrade(_config(connection), revision)


def revisions(connection: Connection) -> tuple[str | None, str | None]:
    """The database's revision (None before the first) and the one that this program needs."""
    needed = ScriptDirectory.from_config(_config(connection)).get_current_head()
    return MigrationContext.configure(connection).get_current_revision(), needed


def _config(connection: object) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.attributes["connection"] = connection
    return config
