"""What the move from the trial to online rests on. The rooms above know feeds and runs: their report is handed in."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection

from app.platforms import documents
from app.platforms.stages import named, reasoned
from app.protocol.errors import Conflict


class Report(NamedTuple):
    """How a trial went, and in words what is missing of it."""

    told: dict[str, Any]
    lacks: Sequence[str]


Gather = Callable[[Connection, str], Report]
"""Reports on the platform of a code: `app.harvest.readiness.report`."""


def ended(
    connection: Connection, gather: Gather, folder: Path, code: str, reason: str, waive: bool
) -> tuple[str, dict[str, Any]]:
    """Keeps the report as the hub's own document: its SHA-256, and what of it was waived.

    Raises Conflict (`enrol.not_ready`) that names what is missing, BadRequest for a waiver without a reason.
    """
    report = gather(connection, code)
    if report.lacks and not waive:
        error = named(Conflict("the trial is not over: " + "; ".join(report.lacks)), "enrol.not_ready")
        error.errors = [{"pointer": "trial", "detail": lack} for lack in report.lacks]
        raise error
    given = {"waived": list(report.lacks)} if report.lacks else {}
    if given:
        reasoned(reason, "let out of the trial before it is over")
    content = orjson.dumps(report.told | given, option=orjson.OPT_INDENT_2)
    kept = documents.keep(connection, folder, code, documents.TRIAL, "trial.json", content, by_hub=True)
    return str(kept["sha256"]), given
