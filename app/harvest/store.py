"""One step of a run in one transaction: records, refusals, removals, counts and the checkpoint, or nothing."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import NamedTuple

import orjson
from sqlalchemy import Connection, bindparam, select

from app.admission import service as admission
from app.catalogue import digests, service
from app.catalogue.arrivals import Origin, Outcome
from app.feeds import leases
from app.feeds.tables import feed
from app.harvest import brake, host_brake, owners, quarantine, runs
from app.harvest.pages import Memory, Run, Step
from app.harvest.prepare import Batch
from app.protocol.connector import Entry, Fault
from app.protocol.errors import PeerViolation, QuotaFull
from app.protocol.vocab import province_of
from app.statements import Fixed

EVIDENCE = 20  # refused entries kept of a page that was not stored
JUDGED = 20  # records
CHECKPOINT = 4  # steps
Refused = Sequence[tuple[Entry, Fault]]
Committing = Callable[[], Mapping[str, int]]
"""A step whose commit has begun: waits for its end and gives the step's counts."""


class Ready(NamedTuple):
    """A step with all that is made of it outside of a transaction.

    `again` are ids that came before in this run.
    """

    step: Step
    batch: Batch
    again: frozenset[str]


def stored(run: Run, steps: Iterable[Step]) -> Iterator[Mapping[str, int]]:
    """Stores steps one after the other; the counts of each when it is committed.

    While a step is committed the next one is read, unless a reader of this feed has died: then everything before the
    page that may have killed it is stored first. An error comes after everything that came before it: LeaseLost,
    Unavailable, QuotaFull, PeerViolation for another shape, and what reading raises.
    """
    begun: list[Committing] = []  # at most one
    with ThreadPoolExecutor(1, "commit") as beside:
        try:
            for number, step in enumerate(steps, 1):
                ready = _ready(run, step)
                yield from _ended(begun)
                begun.append(store(run, ready, beside))
                if run.feed["deaths"]:
                    yield from _ended(begun)
                if number % CHECKPOINT == 0:
                    with suppress(RuntimeError):  # no thread to be had; a commit does it
                        beside.submit(run.engine.database.checkpoint)
        except Exception:
            yield from _ended(begun)
            raise
        yield from _ended(begun)


def _ended(begun: list[Committing]) -> Iterator[Mapping[str, int]]:
    while begun:
        yield begun.pop()()


def _ready(run: Run, step: Step) -> Ready:
    """Raises PeerViolation for another shape, with evidence kept."""
    batch = step.batch()
    if (changed := _schema_change(run.memory, step, batch)) is not None:
        _keep_evidence(run, step, batch)
        raise changed
    return Ready(step, batch, run.memory.again(step.present))


def store(run: Run, ready: Ready, beside: Executor) -> Committing:
    """Stores a step and begins its commit."""
    if run.engine.disk is not None:
        run.engine.disk.check()
    return run.engine.database.committing(lambda connection: _written(connection, run, *ready), beside)


def _written(connection: Connection, run: Run, step: Step, batch: Batch, again: frozenset[str]) -> Mapping[str, int]:
    values = {"checkpoint": orjson.dumps(step.page.checkpoint).decode(), "deaths": 0} if step.last else {}
    leases.hold(connection, run.lease, **values)
    origin = _origin(connection, run, step, again)
    kept = admission.Kept(partial(_raws, step, batch), step.page.context, batch.packs)
    batch, passed = owners.screened(connection, run.feed, batch)
    outcome = admission.receive(connection, batch.arrivals, origin, kept, run.engine.level)
    if outcome.created:
        bounded(connection, run.feed["platform"], run.engine.quotas.records)
    refused = _refused(connection, step, batch, outcome)
    _quarantine(connection, run, step, refused)
    deleted, dropped = _deleted(connection, run, step)
    counts = runs.figures(outcome)
    counts["duplicate"] += dropped
    counts["unchanged"] += len(step.entries) - len(step.fresh) - deleted + passed
    counts |= {"rejected": len(refused), "held": outcome.held - dropped + deleted + _absent(connection, run, step)}
    if outcome.repeated:
        runs.warn(connection, run.run_id, "record.repeated", outcome.repeated)
    counts |= {"pages": int(step.last), **step.traffic}
    runs.count(connection, run.run_id, step.page.total, **counts)
    if step.last and step.page.done:
        runs.read_through(connection, run.run_id)
    return counts


def _raws(step: Step, batch: Batch) -> Mapping[bytes, bytes]:
    return batch.raws([step.entries[place] for place in step.fresh])


def _origin(connection: Connection, run: Run, step: Step, again: frozenset[str]) -> Origin:
    """Where a step's records come from; `again` are those that this worker has met in the run before."""
    feed_id, province = run.feed["id"], province_of(run.feed["platform"][2:8])
    if step.page.listing is not None and step.standing and not step.begins:
        again |= brake.sighted(connection, feed_id, run.run_id, step.page.listing, step.standing)
    return Origin(feed_id, run.run_id, province, run.connector.native, again, step.standing)


def bounded(connection: Connection, platform: str, quota: int) -> None:
    """Raises QuotaFull when the platform now has more live records than it may; what was written is not stored then."""
    live = sum(digests.count(connection, f"feed:{number}") for (number,) in _FEEDS.all(connection, of=platform))
    if live > quota:
        raise QuotaFull(f"platform {platform} may have {quota} records in the hub (HUTONG_QUOTA_RECORDS)")


_FEEDS = Fixed(select(feed.c.id).where(feed.c.platform == bindparam("of")))


def _refused(connection: Connection, step: Step, batch: Batch, outcome: Outcome) -> Refused:
    """Entries that cannot become records, whose version came with other content (IX/1 V3), or whose host was declined."""
    refused = [(step.entries[step.fresh[place]], fault) for place, fault in batch.refused]
    if not outcome.conflicts and not outcome.declined:
        return refused
    late = dict.fromkeys(outcome.conflicts, _CONFLICT) | host_brake.faults(connection, outcome.declined)
    return refused + [(step.entries[at], late[id]) for at in step.fresh if (id := step.ids[at]) in late]


_CONFLICT = Fault("record.version_conflict", "the same version came with other content", "version", stage="store")


def _quarantine(connection: Connection, run: Run, step: Step, refused: Refused) -> None:
    if quarantine.any_open(connection, run.feed["id"]):
        bad = {id(entry) for entry, _ in refused}
        good = [entry.identifier for entry in step.entries if not entry.deleted and id(entry) not in bad]
        quarantine.cleared(connection, run.feed["id"], good)
    quota = run.engine.quotas.rejections
    quarantine.store(connection, run.feed["id"], run.run_id, refused, step.page.context, quota)


def _deleted(connection: Connection, run: Run, step: Step) -> tuple[int, int]:
    """Gathers the removals a page names and forgets those whose records came again; how many were gathered.

    The second number says how much that this run had put aside has gone with them.
    """
    brake.returned(connection, run.feed["id"], step.present)
    if step.page.listing is not None:
        if step.begins:
            brake.forget(connection, run.feed["id"], frozenset({step.page.listing}))
        brake.sight(connection, run.feed["id"], run.run_id, step.page.listing, step.present)
    if len(step.present) == len(step.ids):
        return 0, 0
    named = [(id, entry) for id, entry in zip(step.ids, step.entries, strict=True) if entry.deleted]
    dropped = admission.gone(connection, run.feed["id"], run.run_id, [id for id, _ in named])
    gone, left = _current(connection, named)
    gathered = brake.gather(connection, run.feed["id"], run.run_id, gone, "explicit")
    return gathered + brake.gather(connection, run.feed["id"], run.run_id, left, brake.LEFT), dropped


def _current(connection: Connection, named: Sequence[tuple[str, Entry]]) -> tuple[list[str], list[str]]:
    """Deletions that are not older than what is stored (V3), and those that are no deletions.

    Only native entries carry a version. An origin raises it to delete; the same one says that the record has left.
    """
    versioned = [id for id, entry in named if entry.version is not None]
    stored = service.known(connection, versioned) if versioned else {}
    gone, left = [], []
    for id, entry in named:
        if entry.version is None or id not in stored or entry.version > stored[id].version:
            gone.append(id)
        elif entry.version == stored[id].version:
            left.append(id)
    return gone, left


def _absent(connection: Connection, run: Run, step: Step) -> int:
    if not step.last or step.page.complete is None:
        return 0
    admission.absent(connection, run.feed["id"], step.page.complete)
    return brake.absent(connection, run.feed["id"], run.run_id, step.page.complete)


def _keep_evidence(run: Run, step: Step, batch: Batch) -> None:
    """The first refused entries of a page that is not stored: without their bytes nobody could mend the mapping."""
    refused = [(step.entries[step.fresh[place]], fault) for place, fault in batch.refused[:EVIDENCE]]
    with run.engine.database.write() as connection:
        leases.hold(connection, run.lease)
        quarantine.store(connection, run.feed["id"], run.run_id, refused, step.page.context)
        runs.count(connection, run.run_id, **step.traffic)


def _schema_change(memory: Memory, step: Step, batch: Batch) -> PeerViolation | None:
    """Half of the records refused for one reason is not bad records but a source that has changed its shape.

    Judged whenever JUDGED records have come since the last verdict, in one page or in several small ones.
    """
    memory.size += len(step.present)
    for place, fault in batch.refused:
        memory.rules[fault.rule] += 1
        memory.first.setdefault(fault.rule, (step.entries[step.fresh[place]].identifier, fault))
    if memory.size < JUDGED:
        return None
    size, rules, first = memory.size, memory.rules, memory.first
    memory.size, memory.rules, memory.first = 0, Counter(), {}
    for rule, number in rules.most_common(1):
        if number * 2 >= size:
            identifier, fault = first[rule]
            detail = f"{number} of {size} records refused by {rule} ({fault.detail}), first {identifier!r}"
            return PeerViolation("run.schema_changed", detail)
    return None
