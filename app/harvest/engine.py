"""What every run needs and a deployment decides: one engine for all threads of a worker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from app import heap
from app.access.keyring import Keyring
from app.access.quotas import STANDARD, Quotas
from app.db import Database
from app.disk import Disk
from app.feeds.brakes import Limit
from app.harvest.fetch import Fetcher
from app.harvest.prepare import Batch, Source, prepared
from app.protocol.connector import Entry

PATIENCE_S = 5.0  # a longer Retry-After parks the feed instead of holding a worker


class Preparer(Protocol):
    """Begins to prepare entries; the call it gives back waits for the batch."""

    def __call__(self, source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]: ...


def at_once(source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]:
    """Prepares in this process, at once."""
    batch = prepared(source, entries, context)
    return lambda: batch


@dataclass(frozen=True, slots=True)
class Engine:
    """What every run needs; shared by all threads of a worker. `ahead` is how many pages are prepared beforehand."""

    database: Database
    fetcher: Fetcher
    brake: Limit  # of removals
    prepare: Preparer = at_once
    ahead: int = 0
    progress: Callable[[int, Mapping[str, int]], None] | None = None
    patience_s: float = PATIENCE_S
    rules: str = ""
    level: str = "nation"  # of the hub's public faces (app.admission); records of narrower visibility wait
    files: Path = Path()
    quotas: Quotas = STANDARD
    ring: Keyring | None = None  # opens the secrets of feeds
    disk: Disk | None = None  # below its reserve nothing is taken in
    hosts: Limit = (50, 0.3)  # of links that lead to another host

    def __post_init__(self) -> None:
        heap.seldom()

    def close(self) -> None:
        """Gives connections back and ends the processes beside, if there are any."""
        self.fetcher.close()
        if (end := getattr(self.prepare, "close", None)) is not None:
            end()
