"""Debian's Chromium under Playwright; elsewhere these tests skip with the reason."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.console_hub import Served, served

CHROMIUM = shutil.which("chromium")


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A real browser, headless, that reaches nothing but this machine."""
    api = pytest.importorskip("playwright.sync_api", reason="no playwright: the e2e group is not installed")
    if CHROMIUM is None:
        pytest.skip("no browser: /usr/bin/chromium is not here (apt-get install chromium fonts-noto-cjk)")
    with api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
        )
        yield started
        started.close()


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub with a feed in every state and records that mean harm."""
    with served(tmp_path_factory.mktemp("hub")) as made:
        yield made


@pytest.fixture
def pictures(request: pytest.FixtureRequest) -> Path | None:
    """Where to put pictures: only with `--pictures`."""
    return Path(__file__).parents[2] / "docs" / "pictures" if request.config.getoption("--pictures") else None
