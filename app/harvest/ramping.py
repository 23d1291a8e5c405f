"""The ramp beside the harvest: each run's end judges the step, and a raised step lets in what waits below it."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from app.admission import entering, ramp
from app.feeds.leases import Lease, not_asked
from app.harvest import batches, runs
from app.harvest.engine import Engine
from app.harvest.store import bounded
from app.protocol.errors import HutongError
from app.protocol.words import Job

_JUDGED: Final = (Job.HARVEST, Job.FULL)
_RESHAPED: Final = "run.schema_changed"


def judge(connection: Connection, report: Mapping[str, Any], error: HutongError | None) -> None:
    """After a run has ended: what it says of its feed's step, and whether something may enter now."""
    reshaped = error is not None and error.kind == _RESHAPED
    if report["job"] in _JUDGED and (error is None or reshaped):
        ramp.judge(connection, report["feed"], report["run"], report["seen"], report["rejected"], reshaped)
    if error is None:
        entering.call(connection, report["feed"])


def let_in(
    engine: Engine, lease: Lease, feed: Mapping[str, Any], job: str = Job.RAMP, asked: runs.Asked = runs.NOBODY
) -> dict[str, Any]:
    """Lets in what the step allows, without asking the source; the report of its run: `created` are in the catalogue,
    `held` wait for a reviewer. More live records than the platform may have end it (QuotaFull)."""
    run_id = batches.begin(engine.database, lease, job, asked)
    batch = partial(_batch, feed=feed, run_id=run_id, quota=engine.quotas.records)
    return batches.carry_out(engine.database, lease, run_id, batch, partial(not_asked, lease=lease))


def _batch(connection: Connection, feed: Mapping[str, Any], run_id: int, quota: int) -> int:
    entered = entering.enter(connection, feed["id"], batches.BATCH)
    if entered.shown:
        bounded(connection, feed["platform"], quota)
    if moved := sum(entered):
        runs.count(connection, run_id, created=entered.shown, held=entered.queued, pages=1)
    return moved
