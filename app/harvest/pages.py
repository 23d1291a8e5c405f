"""A run's pages, fetched, cut and prepared, in the order in which they are stored.

Reading goes ahead of storing where another process prepares: while a page is written the next is already parsed.
What is read ahead and never stored is read again, because only the stored page moves the checkpoint.
"""

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from app.admission import service as admission
from app.catalogue import service
from app.feeds import leases
from app.feeds.leases import Lease
from app.harvest import trial
from app.harvest.engine import Engine
from app.harvest.fetch import Fetched
from app.harvest.files import stored
from app.harvest.prepare import Batch, Source, identities, source_hash, source_key
from app.protocol.connector import Checkpoint, Connector, Entry, Fault, Page, Request
from app.protocol.errors import AddressForbidden, PeerThrottled, PeerUnavailable
from app.protocol.files import UPLOADED
from app.protocol.seen import Seen

MET = 40_000
TRANSACTION = 500  # records; larger ones make other writers wait
RETRIES = (1.0, 2.0, 4.0)


@dataclass(slots=True)
class Memory:
    """What a run knows of its own pages and no table keeps; a worker that takes the run over begins anew.

    `size`, `rules` and `first` are the records judged since the last verdict on the source's shape, what refused them
    and the first record that each rule refused; `poison` marks records that kill their reader; `met` and `met_before`
    are the last 40,000 to 80,000 identifiers.
    """

    size: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    first: dict[str, tuple[str, Fault]] = field(default_factory=dict)
    poison: set[bytes] = field(default_factory=set)
    met: Seen = field(default_factory=Seen)
    met_before: Seen = field(default_factory=Seen)

    def again(self, ids: Sequence[str]) -> frozenset[str]:
        """Those that came before in this run, or more than once here: the source's pages moved."""
        found = frozenset(self.met.add_all(ids))
        if len(self.met_before):
            found |= frozenset(id for id in ids if id in self.met_before)
        if len(self.met) > MET:
            self.met, self.met_before = Seen(), self.met
        return found


class Run(NamedTuple):
    """One run of a feed under its lease."""

    engine: Engine
    lease: Lease
    run_id: int
    feed: Mapping[str, Any]
    source: Source
    connector: Connector
    traffic: Counter[str]
    """Requests, bytes, how they ended and what they took (`tables.TRAFFIC`), as far as no page has carried it yet."""
    memory: Memory


class Step(NamedTuple):
    """What one transaction stores: at most TRANSACTION entries of a page; the last one moves the checkpoint.

    `ids` are the hub's, in the order of `entries`, `present` those of entries that are not deletions; `fresh` the places
    of those whose bytes are not known yet, `standing` the ids of those of them that are live; `begins` a listing that is
    read anew.
    """

    page: Page
    entries: Sequence[Entry]
    ids: Sequence[str]
    present: Sequence[str]
    fresh: Sequence[int]
    standing: frozenset[str]
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
    done, suspect = False, run.feed["deaths"] >= trial.SUSPECT
    checkpoint, fetched = _opened(run, connector, checkpoint)
    while True:
        with fetched.response.body:
            if suspect:
                run.memory.poison |= trial.poisoned(run.source, connector, checkpoint, fetched.response)
            for page in connector.read(checkpoint, fetched.response):
                yield page, _carried(run)
                checkpoint, done, suspect = page.checkpoint, page.done, False
        if done:
            return
        fetched = _fetch(run, connector.request(checkpoint))


def _opened(run: Run, connector: Connector, checkpoint: Checkpoint) -> tuple[Checkpoint, Fetched]:
    """The first answer of a run, and where it is read from.

    An address to go on with, which the source gave and the guard refuses, is dropped and everything read anew. It is
    stored with the page that named it: each later run would stand there. Where the feed's own address is refused too,
    nothing has moved. Raises what `_fetch` raises.
    """
    asked = connector.request(checkpoint)
    try:
        return checkpoint, _fetch(run, asked)
    except AddressForbidden:
        anew = connector.fresh(checkpoint)
        first = connector.request(anew)
        if first.url == asked.url:
            raise
        return anew, _fetch(run, first)


def _carried(run: Run) -> Mapping[str, int]:
    """What has been asked since the page before; from now on this page's to store."""
    traffic = dict(run.traffic)
    run.traffic.clear()
    return traffic


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
    failed = False
    for pause in (*RETRIES, None):
        try:
            fetched = _noted(run, run.engine.fetcher.fetch(request))
            if fetched.response.status < 500:
                return _answered(run, fetched) if failed else fetched
            # What a 5xx means only the connector knows (OAI-PMH may answer so); it judges the last one.
            if _unanswered(run) or pause is None:
                return fetched
            fetched.response.body.close()
        except PeerThrottled as throttled:
            wait = 60.0 if throttled.wait_s is None else throttled.wait_s
            run.traffic["throttled"] += 1
            with run.engine.database.write() as connection:
                leases.hold(connection, run.lease)
                leases.park(connection, run.feed["host"], wait)
            if wait > run.engine.patience_s or pause is None:
                raise
            _wait(run, max(wait, pause))
            continue
        except PeerUnavailable:
            run.traffic["silent"] += 1
            if _unanswered(run) or pause is None:
                raise
        failed = True
        _wait(run, pause * random.uniform(0.8, 1.2))
    raise AssertionError("the last try returns or raises")


def _wait(run: Run, seconds: float) -> None:
    run.traffic["waited_ms"] += round(seconds * 1000)
    time.sleep(seconds)


def _unanswered(run: Run) -> bool:
    with run.engine.database.write() as connection:
        leases.hold(connection, run.lease)
        return leases.unanswered(connection, run.feed["host"])


def _answered(run: Run, fetched: Fetched) -> Fetched:
    with run.engine.database.write() as connection:
        leases.answered(connection, run.feed["host"])
    return fetched


def _noted(run: Run, fetched: Fetched) -> Fetched:
    """The same, counted by how it ended."""
    status = fetched.response.status
    run.traffic["answered" if status < 400 else "refused" if status < 500 else "broken"] += 1
    run.traffic["redirected"] += fetched.requests - 1
    run.traffic["requests"] += fetched.requests
    run.traffic["bytes"] += fetched.bytes
    run.traffic["fetched_ms"] += round(fetched.seconds * 1000)
    return fetched


def _cut(run: Run, page: Page, traffic: Mapping[str, int]) -> Iterator[Step]:
    entries = list(page.entries)
    starts = range(0, max(len(entries), 1), TRANSACTION)
    for start in starts:
        last = start == starts[-1]
        part = entries[start : start + TRANSACTION]
        yield Step(page, part, *_prepared(run, page, part), traffic if last else {}, last, page.begins and start == 0)


def _prepared(
    run: Run, page: Page, entries: list[Entry]
) -> tuple[list[str], list[str], list[int], frozenset[str], Callable[[], Batch]]:
    ids = identities(run.source, entries, run.connector.native)
    key = source_key(run.source, page.context)
    present = [id for id, entry in zip(ids, entries, strict=True) if not entry.deleted]
    with run.engine.database.read() as connection:
        # What is kept back is newer than what is live under the same id.
        waiting = {id: bytes(row.source_hash) for id, row in admission.heads(connection, present).items()}
        live = service.marks(connection, present)
    marks = live | waiting
    # Of entries that share an id the last one counts; were it passed over, an earlier one would take its place.
    shared = _more_than_once(present) if len(marks) < len(present) else set()
    fresh = [
        place
        for place, (id, entry) in enumerate(zip(ids, entries, strict=True))
        if not entry.deleted
        and ((mark := marks.get(id)) is None or id in shared or mark != source_hash(entry.raw, key))
    ]
    standing = frozenset(ids[place] for place in fresh if ids[place] in live)
    return ids, present, fresh, standing, _careful(run, [entries[place] for place in fresh], page.context)


def _more_than_once(ids: Sequence[str]) -> set[str]:
    return {id for id, count in Counter(ids).items() if count > 1} if len(set(ids)) < len(ids) else set()


def _careful(run: Run, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]:
    """Prepares what may be prepared; a record that is known to kill its reader is refused unread."""
    if not run.memory.poison:
        return run.engine.prepare(run.source, entries, context)
    good, bad = trial.refused(entries, run.memory.poison)
    begun = run.engine.prepare(run.source, good, context)
    return lambda: _joined(begun(), len(entries), bad)


def _joined(batch: Batch, size: int, bad: Mapping[int, Fault]) -> Batch:
    places = [place for place in range(size) if place not in bad]
    refused = [*bad.items(), *((places[place], fault) for place, fault in batch.refused)]
    return replace(batch, refused=sorted(refused, key=lambda one: one[0]))
