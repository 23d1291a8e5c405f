"""One step of a run in one transaction: records, refusals, removals, counts and the checkpoint, or nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence

import orjson
from sqlalchemy import Connection

from app.catalogue import originals, service
from app.feeds import leases
from app.harvest import brake, quarantine, runs
from app.harvest.pages import Memory, Run, Step
from app.harvest.prepare import Batch
from app.protocol.connector import Entry, Fault
from app.protocol.errors import PeerViolation
from app.protocol.vocab import province_of

JUDGED = 20  # records
Refused = Sequence[tuple[Entry, Fault]]


def store(run: Run, step: Step) -> Mapping[str, int]:
    """Stores a step; its counts. Raises LeaseLost, Unavailable, and PeerViolation for a page that changed its shape."""
    if run.engine.disk is not None:
        run.engine.disk.check()
    batch = step.batch()
    _refuse_schema_change(run.memory, step, batch)
    again = run.memory.again(id for id, entry in zip(step.ids, step.entries, strict=True) if not entry.deleted)
    with run.engine.database.write() as connection:
        values = {"checkpoint": orjson.dumps(step.page.checkpoint).decode(), "deaths": 0} if step.last else {}
        leases.hold(connection, run.lease, **values)
        province = province_of(run.feed["platform"][2:8])
        origin = service.Origin(run.feed["id"], run.run_id, province, run.connector.native, again)
        outcome = service.apply(connection, batch.arrivals, origin)
        raws = batch.raws([step.entries[place] for place in step.fresh])
        originals.keep(connection, outcome.written, raws, step.page.context)
        refused = _refused(step, batch, outcome)
        _quarantine(connection, run, step, refused)
        deleted = _deleted(connection, run, step)
        counts = runs.figures(outcome)
        counts["unchanged"] += len(step.entries) - len(step.fresh) - deleted
        counts |= {"rejected": len(refused), "held": deleted + _absent(connection, run, step)}
        counts |= {"pages": int(step.last), **step.traffic}
        runs.count(connection, run.run_id, **counts)
        if step.last and step.page.done:
            runs.read_through(connection, run.run_id)
        if step.page.total is not None:
            runs.expect(connection, run.run_id, step.page.total)
    return counts


def _refused(step: Step, batch: Batch, outcome: service.Outcome) -> Refused:
    """Entries that cannot become records, and those whose version came with other content (IX/1 V3)."""
    refused = [(step.entries[step.fresh[place]], fault) for place, fault in batch.refused]
    if not outcome.conflicts:
        return refused
    conflict = Fault("record.version_conflict", "the same version came with other content", "version", stage="store")
    return refused + [(step.entries[place], conflict) for place in step.fresh if step.ids[place] in outcome.conflicts]


def _quarantine(connection: Connection, run: Run, step: Step, refused: Refused) -> None:
    bad = {id(entry) for entry, _ in refused}
    good = [entry.identifier for entry in step.entries if not entry.deleted and id(entry) not in bad]
    quarantine.cleared(connection, run.feed["id"], good)
    quarantine.store(connection, run.feed["id"], run.run_id, refused, step.page.context)


def _deleted(connection: Connection, run: Run, step: Step) -> int:
    """Gathers the removals a page names and forgets those whose records came again; how many were gathered."""
    present = [id for id, entry in zip(step.ids, step.entries, strict=True) if not entry.deleted]
    brake.returned(connection, run.feed["id"], present)
    if step.page.listing is not None:
        if step.begins:
            brake.forget(connection, run.feed["id"], frozenset({step.page.listing}))
        brake.sight(connection, run.feed["id"], step.page.listing, present)
    named = [(id, entry) for id, entry in zip(step.ids, step.entries, strict=True) if entry.deleted]
    if not named:
        return 0
    return brake.gather(connection, run.feed["id"], run.run_id, _current(connection, named), "explicit")


def _current(connection: Connection, named: Sequence[tuple[str, Entry]]) -> list[str]:
    """Deletions that are not older than what is stored (V3); only native entries carry a version."""
    versioned = [id for id, entry in named if entry.version is not None]
    stored = service.known(connection, versioned) if versioned else {}
    return [
        id for id, entry in named if entry.version is None or id not in stored or entry.version >= stored[id].version
    ]


def _absent(connection: Connection, run: Run, step: Step) -> int:
    if not step.last or step.page.complete is None:
        return 0
    return brake.absent(connection, run.feed["id"], run.run_id, step.page.complete)


def _refuse_schema_change(memory: Memory, step: Step, batch: Batch) -> None:
    """Half of the records refused for one reason is not bad records but a source that has changed its shape.

    Judged whenever JUDGED records have come since the last verdict, in one page or in several small ones.
    """
    memory.size += sum(not entry.deleted for entry in step.entries)
    for place, fault in batch.refused:
        memory.rules[fault.rule] += 1
        memory.first.setdefault(fault.rule, (step.entries[step.fresh[place]].identifier, fault))
    if memory.size < JUDGED:
        return
    size, rules, first = memory.size, memory.rules, memory.first
    memory.size, memory.rules, memory.first = 0, Counter(), {}
    for rule, number in rules.most_common(1):
        if number * 2 >= size:
            identifier, fault = first[rule]
            detail = f"{number} of {size} records refused by {rule} ({fault.detail}), first {identifier!r}"
            raise PeerViolation("run.schema_changed", detail)
