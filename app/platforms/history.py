"""What a move leaves behind: a row of the history that is never changed, and what it rests on."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from app.access.audit import Act, note
from app.access.principal import acting
from app.db import now
from app.platforms.queries import documents
from app.platforms.stages import EVIDENCE, Stage, Verdict, named
from app.platforms.tables import step
from app.protocol.errors import BadRequest


def evidence(connection: Connection, row: Any, to: Stage | None, named_ones: Sequence[str]) -> list[str]:
    """SHA-256 of what a move rests on: the named documents, else the latest of each kind that the stage asks for.

    A stage that asks for none in particular rests on the latest of every kind; without a stage on the named ones alone.

    Raises BadRequest (`enrol.incomplete`): a named one is not of this enrolment, or none of a kind that is asked for.
    """
    kept = documents(connection, row.id)
    if strange := set(named_ones) - {item["sha256"] for item in kept}:
        detail = f"rests_on: {', '.join(sorted(strange))} is not a document of this enrolment"
        raise named(BadRequest(detail), "enrol.incomplete")
    asked = EVIDENCE.get(to, ()) if to else ()
    latest: dict[str, str] = {}
    for item in kept:
        latest.setdefault(item["kind"], item["sha256"])
    found = [latest[kind] for kind in asked or (latest if to else ()) if kind in latest]
    if asked and not found:
        detail = f"this step rests on a {' or '.join(asked)} report, and there is none; validate a feed with `attach`"
        raise named(BadRequest(detail), "enrol.incomplete")
    return sorted({*named_ones, *(found if not named_ones else ())})


def write(
    connection: Connection, id: str, code: str | None, verdict: Verdict, before: str, to: str, reason: str,
    rests_on: Iterable[str], given: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """A row of the history, and its note in the audit chain."""
    found = record(connection, id, verdict, before, to, reason, rests_on, given)
    told: dict[str, Any] = {"verdict": verdict, "before": before, "to": to, "reason": reason, "rests_on": found}
    note(connection, Act.ENROLMENT, code or id, enrolment=id, **told)


def record(
    connection: Connection, id: str, verdict: Verdict, before: str, to: str, reason: str, rests_on: Iterable[str],
    given: Mapping[str, Any] | None = None,
) -> list[str]:  # fmt: skip
    """A row of the history alone, where another act is noted in the audit chain; what it rests on."""
    found = sorted(rests_on)
    row = {
        "enrolment": id, "at": now(connection), "by": acting(connection).name[:200], "verdict": verdict,
        "from_stage": before, "to_stage": to, "reason": reason, "rests_on": orjson.dumps(found).decode(),
        "given": orjson.dumps(dict(given or {})).decode(),
    }  # fmt: skip
    connection.execute(step.insert(), row)
    return found
