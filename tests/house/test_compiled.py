"""The hot modules compiled from their own sources: never older than these, and the same in all that tests can tell."""

import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools import compiled

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("test_exact.py", "test_text.py", "test_words.py", "test_oaipmh.py", "test_vocab.py")
CATALOGUE = ("tests/app/catalogue", "tests/app/test_order.py", "tests/app/test_history.py", "tests/app/test_harvest.py")


def _lacking() -> str | None:
    """What a compilation lacks here."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler})"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "no headers of Python"
    return None


CONFTEST = """
import pytest
from hypothesis import settings
# The sources' own run draws every example; whether a compiled function does the same shows in a few.
settings.register_profile("here", deadline=None, max_examples=25)
settings.load_profile("here")
@pytest.fixture
def data():
    pytest.skip("the corpora are read by the tests of the sources")
"""
COPIED = ("app", "connectors", "docs", "migrations", "openapi", "tests")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this checkout with all modules compiled."""
    if (lacking := _lacking()) is not None:
        pytest.skip(lacking)
    folder = tmp_path_factory.mktemp("compiled")
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    (folder / "tests" / "protocol" / "conftest.py").write_text(CONFTEST)
    shutil.copy(ROOT / "pyproject.toml", folder)
    compiled.compile(folder, folder, level="0")
    yield folder
    shutil.rmtree(folder)  # its tests hold the secrets that no file of a test may hold at the end


def test_no_compiled_module_is_older_than_its_source() -> None:
    assert compiled.stale(ROOT) == [], "run `make compiled`, or `make pure`"


def test_every_module_to_compile_is_there() -> None:
    assert all((ROOT / module).is_file() for module in compiled.MODULES)


def test_compiled_modules_pass_the_tests_of_their_sources(copy: Path) -> None:
    assert len(list(compiled.built(copy))) == len(compiled.MODULES) + 1
    told = f"from importlib import import_module as m; assert all(m(n).__file__.endswith('.so') for n in {_names()})"
    subprocess.run([sys.executable, "-c", told], cwd=copy, check=True)
    _passes(copy, *(f"tests/protocol/{name}" for name in TESTS))


def test_the_compiled_catalogue_passes_the_tests_of_its_sources(copy: Path) -> None:
    # What differs between the databases is SQL, which is not compiled: one of them is enough here.
    _passes(copy, *CATALOGUE, "-k", "sqlite")


def _passes(copy: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *arguments], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def _names() -> list[str]:
    return [module.removesuffix(".py").replace("/", ".") for module in compiled.MODULES]
