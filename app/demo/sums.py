"""Do the sums of a demonstration add up? Every run for itself, all of them together, and against what the platforms hold."""

from collections import Counter
from typing import Any

from app.db import Database
from app.harvest import runs
from app.harvest.tables import COUNTS
from app.monitor.figures import numbers

READ = ("created", "rejected", "duplicate")
"""The counts of a first reading: each record of a platform is one of these."""


def sums(database: Database, described: list[dict[str, Any]], seconds: float) -> dict[str, Any]:
    """All figures; `adds_up` says whether they hold.

    `seen` is the sum of the seven counts; `records` is what was created and not removed; what the platforms hold is
    what was read of them, or `unread` because the last run of their feed failed.
    """
    with database.read() as connection:
        found = runs.runs(connection, limit=1000)
        figures = numbers(connection)
        refused = Counter(row["rule"] for row in runs.rejections(connection, limit=100_000))
        held = [{k: row[k] for k in ("id", "feed_id", "count", "live", "cause")} for row in runs.waiting(connection)]
    total = {name: sum(run[name] for run in found) for name in ("seen", *COUNTS)}
    offered = sum(peer["records"] for peer in described)
    unread, whole = _unread(found, described)
    adds_up = whole and total["seen"] == sum(total[name] for name in COUNTS)
    adds_up = adds_up and all(run["seen"] == sum(run[name] for name in COUNTS) for run in found)
    adds_up = adds_up and figures["records"] == total["created"] - total["tombstoned"]
    adds_up = adds_up and offered - unread == sum(total[name] for name in READ)
    failed = [{"feed": run["feed"], **run["error"]} for run in found if run["status"] == "failed"]
    return {
        "platforms": len(described), "kinds": len({peer["kind"] for peer in described}), "offered": offered,
        "unread": unread, "runs": len(found), **total, "records": figures["records"], "position": figures["head"],
        "refused_by_rule": dict(refused), "held_changes": held, "failed": failed, "adds_up": adds_up, "seconds": seconds,
    }  # fmt: skip


def _unread(found: list[dict[str, Any]], described: list[dict[str, Any]]) -> tuple[int, bool]:
    """What did not come, and whether it is missing only where the last run failed; feeds count from 1 as registered."""
    missing, whole = 0, True
    for feed, peer in enumerate(described, 1):
        mine = [run for run in found if run["feed"] == feed]
        gap = peer["records"] - sum(run[name] for run in mine for name in READ)
        failed = bool(mine) and max(mine, key=lambda run: int(run["run"]))["status"] == "failed"
        whole = whole and (gap == 0 or (failed and gap > 0))
        missing += gap
    return missing, whole
