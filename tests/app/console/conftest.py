"""One served hub for the tests of pages."""

from collections.abc import Iterator

import pytest

from tests.console_hub import Served, served


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A hub with a feed in every state."""
    with served(tmp_path_factory.mktemp("hub")) as made:
        yield made
