"""The hub's own work on a feed's records, under the feed's lease: the source is not asked. Batches of one transaction
each, with their counts; killed in the middle, whoever takes the feed next goes on with the same run."""

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection

from app.db import Database
from app.feeds import leases, service
from app.feeds.leases import Lease
from app.harvest import runs
from app.protocol.errors import HutongError, LeaseLost, Unavailable

BATCH: Final = 500  # records


def begin(database: Database, lease: Lease, job: str, asked: runs.Asked) -> int:
    """The run of this work: the unfinished one of a worker that was lost, else a new one."""
    with database.write() as connection:
        leases.hold(connection, lease)
        return runs.begin(connection, lease.feed_id, job, asked)


def carry_out(
    database: Database,
    lease: Lease,
    run_id: int,
    batch: Callable[[Connection], int],
    last: Callable[[Connection], None] = lambda connection: None,
) -> dict[str, Any]:
    """Does `batch` (how many it moved) until it moves none, then `last`, the lease given back; the run's report.

    LeaseLost and Unavailable leave the run open; any other error of ours ends it.
    """
    error: HutongError | None = None
    try:
        while _one(database, lease, batch):
            pass
    except (LeaseLost, Unavailable):
        raise
    except HutongError as failure:
        error = failure
    with database.write() as connection:
        leases.hold(connection, lease)
        runs.end(connection, run_id, error)
        found = runs.by_id(connection, run_id)
        service.answered(connection, lease.feed_id, found["job"])
        leases.give_back(connection, lease)
        if error is None:
            last(connection)
        return found


def _one(database: Database, lease: Lease, batch: Callable[[Connection], int]) -> int:
    with database.write() as connection:
        leases.hold(connection, lease)
        return batch(connection)
