"""The reviewers' side of enrolment: who waits, for how long, with which evidence."""

from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import Connection

from app.console.form import Form
from app.db import now
from app.feeds import service as feeds
from app.harvest.readiness import ready, report
from app.platforms import moves, queries
from app.platforms.stages import APPROVED, REFUSED, Stage
from app.settings import Settings

ROWS: Final = 100


class Queue(BaseModel):
    """Which enrolments: those that wait for the hub, or one stage; `after` goes on."""

    stage: Stage | None = None
    after: str = ""


def queue(connection: Connection, query: Queue) -> dict[str, Any]:
    """Who waits for the hub, the longest first; or all of one stage."""
    stages = [query.stage] if query.stage else [*APPROVED]
    found = [row for stage in stages for row in queries.enrolments(connection, stage, query.after, ROWS + 1)]
    more = found[ROWS - 1]["id"] if query.stage and len(found) > ROWS else None
    at = now(connection)
    rows = [{**row, "since_s": (at - row["moved_at"]) // 1_000_000} for row in found[:ROWS]]
    return {"rows": sorted(rows, key=lambda row: row["moved_at"]), "more": more, "query": query, "stages": list(Stage)}


def enrolment(connection: Connection, reference: str, settings: Settings, error: Any = None) -> dict[str, Any]:
    """One enrolment with its evidence and history, and what may be decided now."""
    row = queries.shown(connection, reference)
    stage = Stage(row["stage"])
    own = [feed for feed in feeds.feeds(connection) if feed["platform"] == row["code"]] if row["code"] else []
    return {
        "one": row, "to": APPROVED.get(stage), "back": REFUSED.get(stage), "feeds": own, "error": error,
        "usual_s": queries.usual_s(connection, stage), "since_s": (now(connection) - row["moved_at"]) // 1_000_000,
        "trial": ready(connection, row["code"]) if APPROVED.get(stage) is Stage.ONLINE else None,
        "two": APPROVED.get(stage) in settings.enrol_two_people.split(","),
    }  # fmt: skip


def decide(connection: Connection, reference: str, deed: str, form: Form, settings: Settings) -> None:
    """One stage on, or back with a reason; on the documents that were ticked, else on the latest. Raises Conflict, BadRequest."""
    rests_on = form.all("rests_on")
    if deed == "approve":
        moves.approve(connection, reference, settings, report, form.reason(), rests_on, bool(form.one("waive")))
    else:
        moves.refuse(connection, reference, form.reason(), rests_on)
