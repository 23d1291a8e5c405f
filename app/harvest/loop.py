"""The page loop: one page, one transaction. Records, refusals, removals, counts and the checkpoint, or nothing.

Never a transaction across a network call. A bad record goes to quarantine and the page goes on; a bad page ends
the run where the last good page left the checkpoint.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from app.access import secrets
from app.feeds import leases, service
from app.feeds.brakes import Brake, own
from app.feeds.leases import Lease
from app.feeds.service import owner
from app.harvest import brake, freshness, host_brake, quarantine, ramping, runs
from app.harvest.discovery import unmasked
from app.harvest.engine import Engine
from app.harvest.pages import Memory, Run, ahead, steps
from app.harvest.prepare import Source, reading
from app.harvest.reconcile import reconcile
from app.harvest.store import stored
from app.protocol.connector import Checkpoint, Connector
from app.protocol.errors import HutongError, LeaseLost, PeerThrottled, Unavailable
from app.protocol.words import Job


def harvest(
    engine: Engine, lease: Lease, feed: Mapping[str, Any], job: str = Job.HARVEST, asked: runs.Asked = runs.NOBODY
) -> dict[str, Any]:
    """Runs a feed under its lease to the end; the run's report.

    LeaseLost and Unavailable pass through and leave the run open: whoever claims the feed next goes on with it.
    """
    source = Source.of(feed, engine.rules)
    with engine.database.write() as connection:
        leases.hold(connection, lease)
        run_id = runs.begin(connection, feed["id"], job, asked)
        poison = quarantine.poison(connection, feed["id"])
    run = Run(engine, lease, run_id, feed, source, reading(source).connector, Counter(), Memory(poison=poison))
    swept = job == Job.COMPARE or (job == Job.RECONCILE and run.connector.sweep() is not None)
    work = reconcile if swept else _pages
    error: HutongError | None = None
    try:
        work(run._replace(connector=_asking(engine, feed, run.connector)), job)
        host_brake.settle(run)
    except (LeaseLost, Unavailable):
        raise
    except PeerThrottled as throttled:
        return _park(run, throttled)
    except HutongError as failure:
        error = failure
    except Exception:
        # Ours, and unknown: the lease must not linger, and the operator must see which run it was.
        _finish(run, job, HutongError("internal fault; see the log of this run"))
        raise
    return _finish(run, job, error)


def _asking(engine: Engine, feed: Mapping[str, Any], connector: Connector) -> Connector:
    """The connector that asks the platform, with its secrets; the one that parses never sees them."""
    if engine.ring is None:
        return connector
    with engine.database.read() as connection:
        return unmasked(connector, secrets.opened(connection, engine.ring, owner(feed["id"])))


def _pages(run: Run, job: str) -> None:
    checkpoint: Checkpoint = run.feed["checkpoint"] or {}
    with run.engine.database.read() as connection:
        begun, read = runs.progress(connection, run.run_id)
    if read:
        return
    if job in (Job.FULL, Job.RECONCILE) and not begun:
        checkpoint = run.connector.fresh(checkpoint)
    for counts in stored(run, ahead(steps(run, checkpoint), run.engine.ahead)):
        if run.engine.progress:
            run.engine.progress(run.feed["id"], counts)


def _park(run: Run, error: PeerThrottled) -> dict[str, Any]:
    """Leaves the run open; a worker goes on with it when the platform's own waiting time is over."""
    with run.engine.database.write() as connection:
        runs.count(connection, run.run_id, **run.traffic)
        leases.release(connection, run.lease, succeeded=False, wait_s=error.wait_s)
        return {**runs.by_id(connection, run.run_id), "error": {"kind": error.kind, "detail": error.detail}}


def _finish(run: Run, job: str, error: HutongError | None) -> dict[str, Any]:
    with run.engine.database.write() as connection:
        leases.hold(connection, run.lease)
        runs.count(connection, run.run_id, **run.traffic)
        if error is None:
            leases.answered(connection, run.feed["host"])
            brake.settle(connection, run.lease.feed_id, run.run_id, own(run.feed, Brake.DELETE, run.engine.brake))
        runs.end(connection, run.run_id, error)
        freshness.measure(connection, run.run_id)
        leases.release(connection, run.lease, succeeded=error is None)
        service.answered(connection, run.lease.feed_id, job)
        found = runs.by_id(connection, run.run_id)
        ramping.judge(connection, found, error)
        return found
