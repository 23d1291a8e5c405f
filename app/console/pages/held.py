"""Held changes: what waits, a sample, and a decision with who took it and why."""

from typing import Any

from sqlalchemy import Connection

from app.console.form import Form
from app.console.pages.records import fields
from app.console.pages.work import names
from app.feeds import service as feeds
from app.harvest import decisions, host_brake, queries, runs, undo
from app.harvest.tables import HOSTS, REMOVALS
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
    sample = _moves(connection, held_id) if found["kind"] == HOSTS else _removals(connection, held_id)
    feed = feeds.by_id(connection, found["feed_id"])
    undoable = found["kind"] == REMOVALS and found["removed"] > 0 and undo.possible(connection, feed, found["run_id"])
    platform = platforms.by_code(connection, feed["platform"])
    return {"held": found, "sample": sample, "feed": feed, "platform": platform, "undoable": undoable}


def _removals(connection: Connection, held_id: int) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "record": fields(restore(bytes(row.document))),
            "modified_at": row.modified_at,
            "cause": row.cause,
        }
        for row in queries.held_sample(connection, held_id)
    ]


def _moves(connection: Connection, held_id: int) -> list[dict[str, Any]]:
    found = host_brake.sample(connection, held_id, queries.SAMPLE)
    return [{**one, "record": fields(one["record"])} for one in found]


def decide(connection: Connection, held_id: int, decision: str, form: Form) -> None:
    """Approves, rejects, or carries out only what is chosen: ticked in the sample or listed, one id a line."""
    why = form.reason(needed=decision == "split")
    if decision == "approve":
        decisions.approve(connection, held_id, why)
    elif decision == "reject":
        decisions.reject(connection, held_id, why)
    else:
        listed = [line.strip() for line in form.one("ids").splitlines() if line.strip()]
        decisions.split(connection, held_id, list(dict.fromkeys([*form.all("id"), *listed])), why)
