"""The page loop: one page, one transaction. Records, refusals, removals, counts and the checkpoint, or nothing.

Never a transaction across a network call. A bad record goes to quarantine and the page goes on; a bad page ends
the run where the last good page left the checkpoint.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import orjson
from sqlalchemy import Connection

from app.access import secrets
from app.access.keyring import Keyring
from app.catalogue import service
from app.db import Database
from app.feeds import leases
from app.feeds.leases import Lease
from app.feeds.service import owner
from app.harvest import brake, quarantine, runs
from app.harvest.discovery import unmasked
from app.harvest.fetch import Fetcher
from app.harvest.prepare import Batch, Source, identity, prepared, reading, source_hash, source_key
from app.protocol.connector import Checkpoint, Connector, Entry, Fault, Page
from app.protocol.errors import HutongError, LeaseLost, PeerThrottled, PeerUnavailable, PeerViolation
from app.protocol.vocab import province_of
from app.protocol.words import Job

TRANSACTION = 500  # records; larger ones make other writers wait
RETRIES = (1.0, 2.0, 4.0)
PATIENCE_S = 5.0  # a longer Retry-After parks the feed instead of holding a worker


class Preparer(Protocol):
    """Prepares entries, here or in a process beside the writer."""

    def __call__(self, source: Source, entries: Sequence[Entry], context: bytes) -> Batch: ...


@dataclass(frozen=True, slots=True)
class Engine:
    """What every run needs; shared by all threads of a worker."""

    database: Database
    fetcher: Fetcher
    brake: brake.Limit
    prepare: Preparer = prepared
    progress: Callable[[int, Mapping[str, int]], None] | None = None
    patience_s: float = PATIENCE_S
    ring: Keyring | None = None  # opens the secrets of feeds


class _Run(NamedTuple):
    engine: Engine
    lease: Lease
    run_id: int
    feed: Mapping[str, Any]
    source: Source
    connector: Connector


def harvest(engine: Engine, lease: Lease, feed: Mapping[str, Any], job: str = Job.HARVEST) -> dict[str, Any]:
    """Runs a feed under its lease to the end; the run's report. LeaseLost passes through: another worker goes on."""
    mapping = orjson.dumps(feed["mapping"]).decode() if feed["mapping"] else None
    source = Source(feed["platform"], feed["key"], feed["connector"], orjson.dumps(feed["config"]).decode(), mapping)
    with engine.database.write() as connection:
        leases.hold(connection, lease)
        run_id = runs.begin(connection, feed["id"], job)
    error: HutongError | None = None
    try:
        _pages(_Run(engine, lease, run_id, feed, source, _asking(engine, feed, source)), job)
    except LeaseLost:
        raise
    except PeerThrottled as throttled:
        return _park(engine, lease, run_id, feed, throttled)
    except HutongError as failure:
        error = failure
    except Exception:
        # Ours, and unknown: the lease must not linger, and the operator must see which run it was.
        _finish(engine, lease, run_id, HutongError("internal fault; see the log of this run"))
        raise
    return _finish(engine, lease, run_id, error)


def _asking(engine: Engine, feed: Mapping[str, Any], source: Source) -> Connector:
    """The connector that asks the platform, with its secrets; the one that parses never sees them."""
    connector = reading(source).connector
    if engine.ring is None:
        return connector
    with engine.database.read() as connection:
        return unmasked(connector, secrets.opened(connection, engine.ring, owner(feed["id"])))


def _pages(run: _Run, job: str) -> None:
    checkpoint: Checkpoint = run.feed["checkpoint"] or {}
    with run.engine.database.read() as connection:
        begun = runs.by_id(connection, run.run_id)["pages"] > 0
    if job == Job.FULL and not begun:
        checkpoint = run.connector.fresh(checkpoint)
    done = False
    while not done:
        fetched = _fetch(run, checkpoint)
        traffic = {"requests": fetched.requests, "bytes": fetched.bytes}
        with fetched.response.body:
            for page in run.connector.read(checkpoint, fetched.response):
                _page(run, page, traffic)
                checkpoint, done, traffic = page.checkpoint, page.done, {}


def _fetch(run: _Run, checkpoint: Checkpoint) -> Any:
    request = run.connector.request(checkpoint)
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


def _page(run: _Run, page: Page, traffic: Mapping[str, int]) -> None:
    """Stores a page in transactions of at most TRANSACTION records; only the last one moves the checkpoint."""
    entries = list(page.entries)
    starts = range(0, max(len(entries), 1), TRANSACTION)
    for start in starts:
        last = start == starts[-1]
        _step(run, page, entries[start : start + TRANSACTION], dict(traffic) if last else {}, last)


def _step(run: _Run, page: Page, entries: list[Entry], traffic: dict[str, int], last: bool) -> None:
    native = run.connector.native
    ids = {id(entry): identity(run.source, entry, native) for entry in entries}
    puts = [entry for entry in entries if not entry.deleted]
    key = source_key(run.source, page.context)
    hashes = {id(entry): source_hash(entry.raw, key) for entry in puts}
    with run.engine.database.read() as connection:
        stored = service.known(connection, [ids[id(entry)] for entry in puts]) if puts else {}
    fresh = [entry for entry in puts if not _repeat(stored.get(ids[id(entry)]), hashes[id(entry)])]
    batch = run.engine.prepare(run.source, fresh, page.context)
    _refuse_schema_change(batch, len(puts))
    with run.engine.database.write() as connection:
        values = {"checkpoint": orjson.dumps(page.checkpoint).decode()} if last else {}
        leases.hold(connection, run.lease, **values)
        origin = service.Origin(run.feed["id"], run.run_id, province_of(run.feed["platform"][2:8]), native)
        outcome = service.apply(connection, batch.arrivals, origin)
        refused = batch.refused + _conflicts(outcome, fresh, ids)
        present = [ids[id(entry)] for entry in puts]
        brake.returned(connection, run.feed["id"], present)
        bad = {id(entry) for entry, _ in refused}
        quarantine.cleared(connection, run.feed["id"], [e.identifier for e in puts if id(e) not in bad])
        quarantine.store(connection, run.feed["id"], run.run_id, refused, page.context)
        gone = [ids[id(entry)] for entry in _current(connection, [e for e in entries if e.deleted], ids)]
        gathered = brake.gather(connection, run.feed["id"], run.run_id, gone, "explicit") if gone else 0
        if page.listing is not None:
            brake.sight(connection, run.feed["id"], page.listing, present)
        counts = runs.figures(outcome)
        counts["unchanged"] += len(entries) - len(fresh) - gathered
        counts |= {"rejected": len(refused), "held": gathered, "pages": int(last), **traffic}
        if last and page.complete is not None:
            counts["held"] += brake.absent(connection, run.feed["id"], run.run_id, page.complete)
        runs.count(connection, run.run_id, **counts)
        if page.total is not None:
            runs.expect(connection, run.run_id, page.total)
    if run.engine.progress:
        run.engine.progress(run.feed["id"], counts)


def _current(connection: Connection, entries: list[Entry], ids: Mapping[int, str]) -> list[Entry]:
    """Deletions that are not older than what is stored (V3); only native entries carry a version."""
    versioned = [ids[id(entry)] for entry in entries if entry.version is not None]
    stored = service.known(connection, versioned) if versioned else {}
    return [
        e for e in entries if e.version is None or ids[id(e)] not in stored or e.version >= stored[ids[id(e)]].version
    ]


def _repeat(stored: Any, digest: bytes) -> bool:
    return stored is not None and stored.live == 1 and bytes(stored.source_hash) == digest


def _conflicts(outcome: service.Outcome, entries: list[Entry], ids: Mapping[int, str]) -> list[tuple[Entry, Fault]]:
    fault = Fault("record.version_conflict", "the same version came with other content", "version", stage="store")
    return [(entry, fault) for entry in entries if ids[id(entry)] in outcome.conflicts]


def _refuse_schema_change(batch: Batch, size: int) -> None:
    """Half of a page refused for one reason is not bad records but a source that has changed its shape."""
    if size < 20 or not batch.refused:
        return
    rule, number = Counter(fault.rule for _, fault in batch.refused).most_common(1)[0]
    if number * 2 >= size:
        entry, fault = next((e, f) for e, f in batch.refused if f.rule == rule)
        detail = f"{number} of {size} records refused by {rule} ({fault.detail}), first {entry.identifier!r}"
        raise PeerViolation("run.schema_changed", detail)


def _park(engine: Engine, lease: Lease, run_id: int, feed: Mapping[str, Any], error: PeerThrottled) -> dict[str, Any]:
    """Leaves the run open; a worker goes on with it when the platform's own waiting time is over."""
    with engine.database.write() as connection:
        leases.release(connection, lease, succeeded=False, wait_s=error.wait_s)
        return {**runs.by_id(connection, run_id), "error": {"kind": error.kind, "detail": error.detail}}


def _finish(engine: Engine, lease: Lease, run_id: int, error: HutongError | None) -> dict[str, Any]:
    with engine.database.write() as connection:
        leases.hold(connection, lease)
        if error is None:
            brake.settle(connection, lease.feed_id, run_id, engine.brake)
        runs.end(connection, run_id, error)
        leases.release(connection, lease, succeeded=error is None)
        return runs.by_id(connection, run_id)
