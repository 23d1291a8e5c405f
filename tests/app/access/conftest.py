"""A hub for each test, on both databases."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database
from tests.app.access.desk import Desk, desk


@pytest.fixture
def hub(database: Database, tmp_path: Path) -> Iterator[Desk]:
    """A running hub."""
    with desk(database, tmp_path) as running:
        yield running
