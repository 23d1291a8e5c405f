"""The hot modules compiled from their own sources: never older than these, and the same in all that tests can tell."""

import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tools import compiled

ROOT = Path(__file__).resolve().parents[2]
TESTS = ("test_exact.py", "test_text.py", "test_words.py", "test_oaipmh.py", "test_vocab.py")


def _lacking() -> str | None:
    """What a compilation lacks here."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"no C compiler ({compiler})"
    if not (Path(sysconfig.get_paths()["include"]) / "Python.h").exists():
        return "no headers of Python"
    return None


CONFTEST = """
from pathlib import Path
import pytest
from hypothesis import settings
# The sources' own run draws every example; whether a compiled function does the same shows in a few.
settings.register_profile("here", deadline=None, max_examples=25)
settings.load_profile("here")
SCHEMAS = Path("away")
@pytest.fixture
def data():
    pytest.skip("the corpora are read by the tests of the sources")
"""


def test_no_compiled_module_is_older_than_its_source() -> None:
    assert compiled.stale(ROOT) == [], "run `make compiled`, or `make pure`"


def test_every_module_to_compile_is_there() -> None:
    assert all((ROOT / module).is_file() for module in compiled.MODULES)


def test_compiled_modules_pass_the_tests_of_their_sources(tmp_path: Path) -> None:
    if (lacking := _lacking()) is not None:
        pytest.skip(lacking)
    for folder in ("app", "connectors", "docs", "tests/protocol"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    shutil.copy(ROOT / "tests" / "__init__.py", tmp_path / "tests")
    (tmp_path / "tests" / "conftest.py").write_text(CONFTEST)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    compiled.compile(tmp_path, tmp_path, level="0")
    assert len(list(compiled.built(tmp_path))) == len(compiled.MODULES) + 1
    told = f"from importlib import import_module as m; assert all(m(n).__file__.endswith('.so') for n in {_names()})"
    subprocess.run([sys.executable, "-c", told], cwd=tmp_path, check=True)
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *(f"tests/protocol/{name}" for name in TESTS)], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:]


def _names() -> list[str]:
    return [module.removesuffix(".py").replace("/", ".") for module in compiled.MODULES]
