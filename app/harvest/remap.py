"""Another mapping on kept bytes: tried first, then applied to live and quarantined records. The source is not asked."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from sqlalchemy import func, select

from app.admission import service as admission
from app.catalogue import originals
from app.catalogue.arrivals import Origin
from app.catalogue.tables import record
from app.db import Database
from app.feeds import leases
from app.feeds import service as feeds
from app.feeds.leases import Lease
from app.harvest import quarantine, runs
from app.harvest.assess import outcomes
from app.harvest.prepare import Source, prepared, reading
from app.harvest.worker import heartbeat, owner
from app.protocol import mapping as crosswalk
from app.protocol.connector import Entry, Fault
from app.protocol.errors import BadRequest, Conflict
from app.protocol.record import Prepared, restore
from app.protocol.vocab import province_of
from app.protocol.words import Job

DIFFS: Final = 10


@dataclass(slots=True)
class Trial:
    """What a mapping would do to live records and to those in quarantine."""

    live: int = 0
    same: int = 0
    changed: int = 0
    refused: int = 0
    quarantined: int = 0
    mended: int = 0
    rules: Counter[str] = field(default_factory=Counter)
    diffs: list[dict[str, Any]] = field(default_factory=list)

    def report(self, kept: int, total: int) -> dict[str, Any]:
        """As people and programs read it; `unkept` are live records without bytes, which only a full harvest reaches."""
        names = ("live", "same", "changed", "refused", "quarantined", "mended")
        counts = {name: getattr(self, name) for name in names}
        return {**counts, "live": total, "unkept": total - kept, "rules": dict(self.rules), "diffs": self.diffs}


def trial(database: Database, feed: Mapping[str, Any], mapping: dict[str, Any], rules: str = "") -> dict[str, Any]:
    """How many records the mapping would change, with ten differences; nothing is written. Raises BadRequest."""
    source, found = _source(feed, mapping, rules), Trial()
    with database.read() as connection:
        for batch in originals.batches(connection, feed["id"]):
            for context, rows in _by_context(batch):
                _compare(found, source, context, rows)
        _requeue(found, source, quarantine.waiting(connection, feed["id"]))
        alive = select(func.count()).select_from(record).where(record.c.feed_id == feed["id"], record.c.live == 1)
        total = int(connection.execute(alive).scalar_one())
    return found.report(found.live, total)


def _source(feed: Mapping[str, Any], mapping: dict[str, Any], rules: str) -> Source:
    crosswalk.checked(mapping)
    source = Source.of({**feed, "mapping": mapping}, rules)
    if reading(source).connector.native:
        raise BadRequest("records of IX/1 are their origin's own: a mapping cannot change them")
    return source


def _by_context(rows: Sequence[Any]) -> Iterator[tuple[bytes, list[Any]]]:
    groups: dict[bytes, list[Any]] = defaultdict(list)
    for row in rows:
        groups[bytes(row.context or b"")].append(row)
    yield from groups.items()


def _entry(row: Any) -> Entry:
    """The entry a live record came from: its own identifier stands, quoted, behind the feed's key."""
    return Entry(unquote(row.id.split("/", 1)[1]), bytes(row.raw), row.stamp)


def _compare(found: Trial, source: Source, context: bytes, rows: list[Any]) -> None:
    found.live += len(rows)
    for row, (_, outcome) in zip(rows, outcomes(source, [_entry(row) for row in rows], context), strict=True):
        if isinstance(outcome, Fault):
            found.refused += 1
            found.rules[outcome.rule] += 1
        elif outcome.hash == row.hash:
            found.same += 1
        else:
            found.changed += 1
            if len(found.diffs) < DIFFS:
                found.diffs.append({"id": row.id, "fields": _differences(bytes(row.document), outcome)})


def _differences(document: bytes, outcome: Prepared) -> dict[str, list[Any]]:
    """Field to [now, then]; None where it is missing."""
    before, after = restore(document), restore(outcome.document)
    names = sorted(before.keys() | after.keys())
    return {name: [before.get(name), after.get(name)] for name in names if before.get(name) != after.get(name)}


def _requeue(found: Trial, source: Source, rows: Sequence[Any]) -> None:
    found.quarantined = len(rows)
    for context, group in _by_context(rows):
        entries = [Entry(row.identifier, bytes(row.raw), row.stamp) for row in group]
        for _, outcome in outcomes(source, entries, context):
            if isinstance(outcome, Fault):
                found.rules[outcome.rule] += 1
            else:
                found.mended += 1


def apply(
    database: Database,
    reference: int | str,
    mapping: dict[str, Any],
    rules: str = "",
    lease_s: int = 60,
    asked: runs.Asked = runs.NOBODY,
    level: str = "nation",
) -> dict[str, Any]:
    """Gives the feed its new mapping and runs all kept bytes through it; the reports of both runs.

    Under the feed's lease, so that no harvest writes meanwhile; killed in the middle it is simply run again. A record
    that the mapping refuses stays live as it was, and its bytes go to quarantine. Raises BadRequest and Conflict.
    """
    with database.write() as connection:
        feed = feeds.by_id(connection, reference)
        source = _source(feed, mapping, rules)
        lease = leases.claim(connection, feed["id"], owner(), lease_s)
        if lease is None:
            raise Conflict(f"feed {reference} is being harvested by {feed['lease_owner']}; try again after its run")
        feeds.remap(connection, feed["id"], mapping)
        run_id = runs.begin(connection, feed["id"], Job.REPLAY, asked)
    with heartbeat(database, lease):
        live = _live(database, lease, source, run_id, level)
        waiting = quarantine.replay(database, {**feed, "mapping": mapping}, None, rules, asked, level)
    with database.write() as connection:
        leases.give_back(connection, lease)
    return {"live": live, "quarantined": waiting}


def _live(database: Database, lease: Lease, source: Source, run_id: int, level: str) -> dict[str, Any]:
    after = 0
    while True:
        with database.read() as connection:
            rows = originals.of_feed(connection, lease.feed_id, after)
        if not rows:
            break
        for context, group in _by_context(rows):
            _step(database, lease, source, run_id, context, group, level)
        after = rows[-1].pk
    with database.write() as connection:
        leases.hold(connection, lease)
        runs.end(connection, run_id, None)
        return runs.by_id(connection, run_id)


def _step(
    database: Database, lease: Lease, source: Source, run_id: int, context: bytes, rows: list[Any], level: str
) -> None:
    entries = [_entry(row) for row in rows]
    batch = prepared(source, entries, context)
    with database.write() as connection:
        leases.hold(connection, lease)
        origin = Origin(lease.feed_id, run_id, province_of(source.platform[2:8]))
        kept = admission.Kept(partial(batch.raws, entries), context, batch.packs)
        outcome = admission.receive(connection, batch.arrivals, origin, kept, level)
        found = [(entries[place], fault) for place, fault in batch.refused]
        waits = quarantine.held_back(connection, lease.feed_id, [entry.identifier for entry, _ in found])
        refused = [(entry, fault) for entry, fault in found if entry.identifier not in waits]
        quarantine.store(connection, lease.feed_id, run_id, refused, context)
        runs.count(connection, run_id, **runs.figures(outcome), rejected=len(batch.refused), pages=1)
