"""Reconciliation: what the source lists against what we hold, by identifier and stamp or version; then repair.

Missing and stale records are asked for one by one, whatever the checkpoint says; what is left over here goes
through the delete brake like any other removal. A record that was refused as it is now is not asked for again.
Where a source cannot list identifiers, a full harvest is the reconciliation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from app.admission import service as admission
from app.catalogue import service
from app.feeds import leases
from app.harvest import brake, runs
from app.harvest.pages import Memory, Run, ahead, pages, steps
from app.harvest.prepare import identities, stamp
from app.harvest.store import stored
from app.harvest.tables import rejection
from app.protocol.connector import Entry, Page
from app.protocol.errors import BadRequest, PeerViolation
from app.protocol.words import Job
from app.statements import among

SHOWN = 20  # identifiers of each sort that a run's note names
PICK_LIMIT = 1000  # records asked for one by one; more of them, and a full harvest is cheaper for both sides


class Difference(NamedTuple):
    """One page of the source's list against the catalogue.

    `missing` and `stale` are the source's identifiers, `unseen` likewise of newer ones of what
    admission keeps back, which no run names; `gone` our ids of records it lists as deleted, `refused` how
    many stand in quarantine as they are now.
    """

    missing: Sequence[str]
    stale: Sequence[str]
    unseen: Sequence[str]
    gone: Sequence[str]
    refused: int


@dataclass(slots=True)
class Findings:
    """What a comparison has found so far; `left_over` counts live records that the source has not."""

    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)
    left_over: int = 0

    def note(self) -> dict[str, Any]:
        """As the run keeps it: three figures and the first identifiers of each."""
        found = {"missing": len(self.missing), "stale": len(self.stale), "left_over": self.left_over}
        return {**found, "first_missing": self.missing[:SHOWN], "first_stale": self.stale[:SHOWN]}


def reconcile(run: Run, job: str) -> None:
    """Compares, and repairs unless the job is only to compare.

    Raises BadRequest where the source cannot be compared without harvesting it, PeerViolation `reconcile.too_many`
    where a full harvest is the better repair.
    """
    sweep = run.connector.sweep()
    if sweep is None:
        raise BadRequest(
            f"a {run.connector.name} feed has no list to compare with; a full harvest compares and repairs"
        )
    found = Findings()
    for page, traffic in pages(run, sweep, {}):
        _compare(run, job, page, traffic, found)
    if job == Job.RECONCILE:
        _repair(run, [*found.missing, *found.stale], found.unseen)


def _repair(run: Run, named: Sequence[str], unseen: Sequence[str]) -> None:
    wanted = [*named, *unseen]
    if len(wanted) > PICK_LIMIT:
        raise PeerViolation(
            "reconcile.too_many",
            f"{len(wanted)} records are missing or stale here, first {[*named, '(kept back)'][0]!r}; run a full harvest of this feed",
        )
    if not wanted:
        return
    # Records asked for one by one are those that are odd: they say nothing of the source's shape.
    picked = run._replace(connector=run.connector.pick(wanted), memory=Memory(size=-len(wanted)))
    # None is the last step of anything: the feed's checkpoint belongs to its harvests.
    found = (step._replace(last=False) for step in steps(picked, {}))
    for _ in stored(picked, ahead(found, run.engine.ahead)):
        pass


def _compare(run: Run, job: str, page: Page, traffic: Mapping[str, int], found: Findings) -> None:
    ids = identities(run.source, page.entries, run.connector.native)
    feed_id = run.feed["id"]
    with run.engine.database.write() as connection:
        leases.hold(connection, run.lease)
        here = _difference(connection, feed_id, ids, page.entries)
        found.missing += here.missing
        found.stale += here.stale
        found.unseen += here.unseen
        if page.listing is not None:
            present = [id for id, entry in zip(ids, page.entries, strict=True) if not entry.deleted]
            if page.begins:
                brake.forget(connection, feed_id, frozenset({page.listing}))
            brake.sight(connection, feed_id, run.run_id, page.listing, present)
        held = _left_over(connection, run, job, page, here, found)
        # What will be asked for is counted when it comes.
        asked = len(here.missing) + len(here.stale) + len(here.unseen) if job == Job.RECONCILE else 0
        same = len(ids) - asked - len(here.gone) - here.refused
        figures = {"unchanged": same, "rejected": here.refused, "held": held, "pages": 1, **traffic}
        runs.count(connection, run.run_id, page.total, **figures)
        runs.note(connection, run.run_id, found.note())


def _left_over(connection: Connection, run: Run, job: str, page: Page, here: Difference, found: Findings) -> int:
    """Removals gathered for the brake, none where the job is only to compare."""
    feed_id, held = run.feed["id"], 0
    found.left_over += len(here.gone)
    if here.gone and job == Job.RECONCILE:
        held += brake.gather(connection, feed_id, run.run_id, here.gone, "explicit")
    if page.complete is not None:
        gone = brake.lacking(connection, feed_id, page.complete)
        found.left_over += len(gone)
        if job == Job.RECONCILE:
            for start in range(0, len(gone), 500):
                held += brake.gather(connection, feed_id, run.run_id, gone[start : start + 500], "absent")
        brake.forget(connection, feed_id, page.complete)
    return held


def _difference(connection: Connection, feed_id: int, ids: Sequence[str], entries: Sequence[Entry]) -> Difference:
    stored, kept = service.known(connection, ids), admission.heads(connection, ids)
    refused = _refused(connection, feed_id, [entry.identifier for entry in entries])
    missing, stale, unseen, gone, known = [], [], [], [], 0
    for id, entry in zip(ids, entries, strict=True):
        old = stored.get(id)
        held = kept.get(id)
        if entry.deleted:
            if old is not None and old.live:
                gone.append(id)
        elif refused.get(entry.identifier, "") == stamp(entry):
            known += 1
        elif held is not None:
            if not _same(entry, held):
                unseen.append(entry.identifier)
        elif old is None or not old.live:
            missing.append(entry.identifier)
        elif not _same(entry, old):
            stale.append(entry.identifier)
    return Difference(missing, stale, unseen, gone, known)


def _same(entry: Entry, old: Any) -> bool:
    """Whether what we hold is what the source lists: by version and hash where it states them, else by its stamp."""
    if entry.version is not None:
        return bool((entry.version, entry.hash) == (old.version, old.hash))
    return entry.stamp is None or old.stamp == stamp(entry)


def _refused(connection: Connection, feed_id: int, identifiers: Sequence[str]) -> dict[str, str | None]:
    query = select(rejection.c.identifier, rejection.c.stamp).where(
        rejection.c.feed_id == feed_id,
        rejection.c.state == "open",
        among(connection, rejection.c.identifier, [name[:600] for name in identifiers]),
    )
    return {identifier: found for identifier, found in connection.execute(query)}
