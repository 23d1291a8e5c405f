"""A member that has left takes its records along: what its feeds brought becomes tombstones, by the ordinary removal.

People decided it and gave notice, so the delete brake has no word in it. The worker does it, feed by feed, in batches;
it can be undone for 30 days like other removals (app/harvest/undo.py). A suspended member's records stay.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from sqlalchemy import Connection, select

from app.access.audit import Act, note
from app.access.principal import narrowed
from app.admission import service as admission
from app.catalogue import digests, queries, service
from app.feeds import service as feeds
from app.feeds.leases import LEFT, Lease
from app.feeds.tables import feed as feed_table
from app.harvest import batches, decisions, runs
from app.harvest.discovery import kinds
from app.harvest.engine import Engine
from app.harvest.tables import run
from app.platforms.tables import platform
from app.protocol.words import Job, RunStatus


def ask(connection: Connection) -> int:
    """Lets the workers take the records of retired members out, of each feed once; how many feeds. Run hourly."""
    done = select(run.c.id).where(
        run.c.feed_id == feed_table.c.id, run.c.job == Job.RETIRE, run.c.status.in_((RunStatus.DONE, RunStatus.HELD))
    )
    left = select(feed_table.c.id, platform.c.reason).join(platform, platform.c.code == feed_table.c.platform)
    rows = connection.execute(narrowed(left.where(platform.c.state == LEFT, ~done.exists()))).all()
    for row in rows:
        feeds.want(connection, row.id, Job.RETIRE, row.reason or "", anyway=True)
    return len(rows)


def would_go(connection: Connection, code: str) -> int:
    """How many live records would go with a platform: those that its feeds brought."""
    own = connection.execute(narrowed(select(feed_table.c.id).where(feed_table.c.platform == code))).scalars()
    return sum(digests.state(connection, f"feed:{number}")[0] for number in own)


def leave(
    engine: Engine, lease: Lease, feed: Mapping[str, Any], job: str = Job.RETIRE, asked: runs.Asked = runs.NOBODY
) -> dict[str, Any]:
    """Takes all live records of a retired member's feed out, and what of it waits for admission; its run's report."""
    run_id = batches.begin(engine.database, lease, job, asked)
    native = feed["connector"] in kinds() and kinds()[feed["connector"]].native
    batch = partial(_batch, feed_id=feed["id"], run_id=run_id, native=native)
    return batches.carry_out(engine.database, lease, run_id, batch, partial(_last, feed_id=feed["id"], why=asked.why))


def _batch(connection: Connection, feed_id: int, run_id: int, native: bool) -> int:
    """One transaction with its row of the audit chain; an origin's own records keep their version: they left (V8)."""
    ids = queries.live_of_feed(connection, feed_id, batches.BATCH)
    removed = service.remove(connection, ids, run_id, ids if native else ())
    if removed:
        runs.count(connection, run_id, tombstoned=removed, pages=1)
        note(connection, Act.LEFT, f"run:{run_id}", feed=feeds.owner(feed_id), records=removed)
    return removed


def _last(connection: Connection, feed_id: int, why: str) -> None:
    admission.dropped(connection, feed_id)
    decisions.dismiss(connection, feed_id)
    feeds.transition(connection, feed_id, "retired", why)
