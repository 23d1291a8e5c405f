"""A hub for each test, on both databases; it may reach loopback."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database
from tests.app.access.desk import Desk, desk


@pytest.fixture
def hub(database: Database, tmp_path: Path) -> Iterator[Desk]:
    """A running hub."""
    with desk(database, tmp_path, fetch_allow="127.0.0.0/8") as running:
        yield running
