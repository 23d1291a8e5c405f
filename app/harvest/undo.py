"""Takes removals back that a run carried out, at its end or by a person's decision: the records return as they were.

Each in a new version and at a new position, because readers were told that it is gone. A run of its own, so that the
records' history says what brought them back; killed in the middle it is simply asked for again. What a reviewer has
refused or withdrawn meanwhile stays out.
"""

from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, update

from app.access.audit import Act, note
from app.access.principal import acting
from app.admission import service as admission
from app.catalogue import originals, service
from app.db import Database, now
from app.feeds import leases
from app.feeds import service as feeds
from app.harvest import batches, queries, runs
from app.harvest.discovery import kinds
from app.harvest.tables import REMOVALS, held
from app.harvest.worker import heartbeat, owner
from app.platforms import service as platforms
from app.protocol.errors import Conflict, NotFound
from app.protocol.words import Job

DAYS: Final = originals.DAYS
UNDONE: Final = "undone"


class TooLate(Conflict):
    """The removals are older than what is kept of them."""

    kind = "removal.too_late"


class Native(Conflict):
    """The records' versions are their origin's: only it can bring them back (IX/1 V3)."""

    kind = "removal.native"


def undo(database: Database, run_id: int, asked: runs.Asked = runs.NOBODY, lease_s: int = 60) -> dict[str, Any]:
    """Brings back what this run removed and nothing has changed since; the report of the run that did it.

    Raises NotFound where nothing is left to bring back, Conflict while the feed is being harvested, TooLate, Native.
    """
    with database.read() as connection:
        done, who = runs.by_id(connection, run_id), acting(connection)
    database = database.acting(who.widened())
    with database.write() as connection:
        feed = feeds.by_id(connection, done["feed"])
        under = _allowed(connection, feed, done)
        lease = leases.claim(connection, feed["id"], owner(), lease_s, under)
        if lease is None:
            raise Conflict(f"feed {feed['id']} is being harvested by {feed['lease_owner']}; try again after its run")
        number = runs.begin(connection, feed["id"], Job.UNDO, asked)
    batch = partial(_batch, feed_id=feed["id"], run_id=run_id, number=number, why=asked.why)
    with heartbeat(database, lease):
        return batches.carry_out(database, lease, number, batch, partial(_undone, run_id=run_id))


def of_held(connection: Connection, held_id: int) -> int:
    """The run whose removals this decision carried out. Raises NotFound, and Conflict where it carried none out."""
    row = queries.held_change(connection, held_id)
    if row["kind"] != REMOVALS:
        raise Conflict(f"held change {held_id} is of links to other hosts: it removed nothing that could come back")
    if row["state"] not in ("approved", "split"):
        raise Conflict(f"held change {held_id} is {row['state']}: nothing of it is removed")
    return int(row["run_id"])


def possible(connection: Connection, feed: dict[str, Any], run_id: int) -> bool:
    """Whether anything that this run removed could be brought back now."""
    last = service.buried(connection, feed["id"], run_id)
    return last is not None and last > now(connection) - originals.KEPT_US and not kinds()[feed["connector"]].native


def _allowed(connection: Connection, feed: dict[str, Any], done: dict[str, Any]) -> str:
    """The platform's state under which the records come back: those of a member that has left, though it has left."""
    run_id = done["run"]
    if kinds()[feed["connector"]].native:
        raise Native(f"the records of feed {feed['id']} are their origin's own (IX/1): only it can bring them back")
    state = str(platforms.by_code(connection, feed["platform"])["state"])
    if state != leases.ADMITTED and (state, done["job"]) != (leases.LEFT, Job.RETIRE):
        raise Conflict(f"platform {feed['platform']} is {state}; only records of those in trial or online come back")
    last = service.buried(connection, feed["id"], run_id)
    if last is None:
        raise NotFound(f"run {run_id} has removed nothing that could come back: no record, or all have changed since")
    if last <= now(connection) - originals.KEPT_US:
        raise TooLate(f"the removals of run {run_id} are more than {DAYS} days old: harvest the feed in full instead")
    return state


def _batch(connection: Connection, feed_id: int, run_id: int, number: int, why: str) -> int:
    """One transaction: a batch of records with their counts and its row of the audit chain; how many came back."""
    since = now(connection) - originals.KEPT_US
    back = service.revive(connection, feed_id, run_id, number, since, batches.BATCH, admission.refused())
    if back:
        runs.count(connection, number, changed=back, pages=1)
        said: dict[str, Any] = {"by_run": number, "records": back, "why": why}
        note(connection, Act.RETURNED, f"run:{run_id}", feed=feeds.owner(feed_id), **said)
    return back


def _undone(connection: Connection, run_id: int) -> None:
    decided = update(held).where(
        held.c.run_id == run_id, held.c.kind == REMOVALS, held.c.state.in_(("approved", "split"))
    )
    connection.execute(decided.values(state=UNDONE))
