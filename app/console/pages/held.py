"""Held removals: what waits, a sample, and a decision with who took it and why."""

from typing import Any

from sqlalchemy import Connection

from app.console.form import Form
from app.console.pages.records import fields
from app.console.pages.work import names
from app.feeds import service as feeds
from app.harvest import brake, queries, runs, undo
from app.platforms import service as platforms
from app.protocol.record import restore


def held_list(connection: Connection) -> dict[str, Any]:
    """What waits for a person, and what was decided lately."""
    return {
        "waiting": runs.waiting(connection),
        "decided": queries.decisions(connection, 20),
        "names": names(connection),
    }


def held_change(connection: Connection, held_id: int) -> dict[str, Any]:
    """One held set: why, how much of the feed, a sample to choose from."""
    found = queries.held_change(connection, held_id)
    sample = [
        {
            "id": row.id,
            "record": fields(restore(bytes(row.document))),
            "modified_at": row.modified_at,
            "cause": row.cause,
        }
        for row in queries.held_sample(connection, held_id)
    ]
    feed = feeds.by_id(connection, found["feed_id"])
    undoable = found["removed"] > 0 and undo.possible(connection, feed, found["run_id"])
    platform = platforms.by_code(connection, feed["platform"])
    return {"held": found, "sample": sample, "feed": feed, "platform": platform, "undoable": undoable}


def decide(connection: Connection, held_id: int, decision: str, form: Form) -> None:
    """Approves, rejects, or removes only what is chosen: ticked in the sample or listed, one id a line."""
    why = form.reason(needed=decision == "split")
    if decision == "approve":
        brake.approve(connection, held_id, why)
    elif decision == "reject":
        brake.reject(connection, held_id, why)
    else:
        listed = [line.strip() for line in form.one("ids").splitlines() if line.strip()]
        brake.split(connection, held_id, list(dict.fromkeys([*form.all("id"), *listed])), why)
