"""A run's pages, fetched, cut and prepared, in the order in which they are stored.

Reading goes ahead of storing where another process prepares: while a page is written the next is already parsed.
What is read ahead and never stored is read again, because only the stored page moves the checkpoint.
"""

import gc
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from app.access.keyring import Keyring
from app.catalogue import service
from app.db import Database
from app.feeds import leases
from app.feeds.leases import Lease
from app.harvest.brake import Limit
from app.harvest.fetch import Fetched, Fetcher
from app.harvest.files import stored
from app.harvest.prepare import Batch, Source, identity, prepared, source_hash, source_key
from app.protocol.connector import Checkpoint, Connector, Entry, Page, Request
from app.protocol.errors import PeerThrottled, PeerUnavailable
from app.protocol.files import UPLOADED

TRANSACTION = 500  # records; larger ones make other writers wait
# How often the cyclic collector looks (gc.set_threshold): a page makes many objects and hardly a cycle.
COLLECT = (20_000, 10, 10)
RETRIES = (1.0, 2.0, 4.0)
PATIENCE_S = 5.0  # a longer Retry-After parks the feed instead of holding a worker


class Preparer(Protocol):
    """Begins to prepare entries; the call it gives back waits for the batch."""

    def __call__(self, source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]: ...


def at_once(source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]:
    """Prepares in this process, when the batch is asked for."""
    return lambda: prepared(source, entries, context)


@dataclass(frozen=True, slots=True)
class Engine:
    """What every run needs; shared by all threads of a worker. `ahead` is how many pages are prepared beforehand."""

    database: Database
    fetcher: Fetcher
    brake: Limit
    prepare: Preparer = at_once
    ahead: int = 0
    progress: Callable[[int, Mapping[str, int]], None] | None = None
    patience_s: float = PATIENCE_S
    rules: str = ""
    files: Path = Path()
    ring: Keyring | None = None  # opens the secrets of feeds

    def __post_init__(self) -> None:
        gc.set_threshold(*COLLECT)

    def close(self) -> None:
        """Gives connections back and ends the processes beside, if there are any."""
        self.fetcher.close()
        if (end := getattr(self.prepare, "close", None)) is not None:
            end()


class Run(NamedTuple):
    """One run of a feed under its lease."""

    engine: Engine
    lease: Lease
    run_id: int
    feed: Mapping[str, Any]
    source: Source
    connector: Connector


class Step(NamedTuple):
    """What one transaction stores: at most TRANSACTION entries of a page; the last one moves the checkpoint.

    `ids` are the hub's, in the order of `entries`; `fresh` the places of those whose bytes are not known yet;
    `begins` a listing that is read anew.
    """

    page: Page
    entries: Sequence[Entry]
    ids: Sequence[str]
    fresh: Sequence[int]
    batch: Callable[[], Batch]
    traffic: Mapping[str, int]
    last: bool
    begins: bool


def steps(run: Run, checkpoint: Checkpoint) -> Iterator[Step]:
    """Everything from a checkpoint to the end, ready to be stored. Raises what `pages` raises."""
    for page, traffic in pages(run, run.connector, checkpoint):
        yield from _cut(run, page, traffic)


def pages(run: Run, connector: Connector, checkpoint: Checkpoint) -> Iterator[tuple[Page, Mapping[str, int]]]:
    """Pages and what they cost. Raises what fetching and reading raise, after the pages before it."""
    done = False
    while not done:
        fetched = _fetch(run, connector.request(checkpoint))
        traffic = {"requests": fetched.requests, "bytes": fetched.bytes}
        with fetched.response.body:
            for page in connector.read(checkpoint, fetched.response):
                yield page, traffic
                checkpoint, done, traffic = page.checkpoint, page.done, {}


def ahead(items: Iterable[Step], number: int) -> Iterator[Step]:
    """The same items, `number` of them taken beforehand; an error comes after everything that came before it."""
    waiting: deque[Step] = deque()
    try:
        for item in items:
            waiting.append(item)
            if len(waiting) > number:
                yield waiting.popleft()
    except Exception:
        yield from waiting
        raise
    yield from waiting


def _fetch(run: Run, request: Request) -> Fetched:
    if request.url == UPLOADED:
        return stored(run.engine.database, run.engine.files, run.feed["id"], request)
    for pause in (*RETRIES, None):
        try:
            return run.engine.fetcher.fetch(request)
        except PeerThrottled as throttled:
            wait = throttled.wait_s or 60.0
            with run.engine.database.write() as connection:
                leases.hold(connection, run.lease)
                leases.park(connection, run.feed["host"], wait)
            if wait > run.engine.patience_s or pause is None:
                raise
            time.sleep(wait)
        except PeerUnavailable:
            if pause is None:
                raise
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _cut(run: Run, page: Page, traffic: Mapping[str, int]) -> Iterator[Step]:
    entries = list(page.entries)
    starts = range(0, max(len(entries), 1), TRANSACTION)
    for start in starts:
        last = start == starts[-1]
        part = entries[start : start + TRANSACTION]
        yield Step(page, part, *_prepared(run, page, part), traffic if last else {}, last, page.begins and start == 0)


def _prepared(run: Run, page: Page, entries: list[Entry]) -> tuple[list[str], list[int], Callable[[], Batch]]:
    ids = [identity(run.source, entry, run.connector.native) for entry in entries]
    key = source_key(run.source, page.context)
    puts = [id for id, entry in zip(ids, entries, strict=True) if not entry.deleted]
    with run.engine.database.read() as connection:
        stored = service.known(connection, puts) if puts else {}
    fresh = [
        place
        for place, (id, entry) in enumerate(zip(ids, entries, strict=True))
        if not entry.deleted and not _repeat(stored.get(id), entry, key)
    ]
    return ids, fresh, run.engine.prepare(run.source, [entries[place] for place in fresh], page.context)


def _repeat(stored: Any, entry: Entry, key: bytes) -> bool:
    return stored is not None and stored.live == 1 and bytes(stored.source_hash) == source_hash(entry.raw, key)
