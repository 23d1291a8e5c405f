"""A feed's ramp as three steps: where it stands, what each step holds, what may be done now and why not."""

from typing import Any, Final

from sqlalchemy import Connection

from app.access.principal import acting
from app.access.scopes import Scope
from app.admission import entering, ramp
from app.console.form import Form
from app.settings import Settings

REASONED: Final = ("lower", "stop", "resume")


def shown(connection: Connection, feed_id: int, records: int) -> dict[str, Any] | None:
    """`steps`: (percent, how it stands, records in the catalogue on it); `acts`: what may be done; None without a ramp."""
    found = ramp.found(connection, feed_id)
    if found is None:
        return None
    steps = [(percent, _word(found, percent), records + found["inside"][str(percent)]) for percent in ramp.STEPS]
    operator = acting(connection).has(Scope.OPS_WRITE)
    ready = found["good_run"] is not None or operator
    return {**found, "steps": steps, "acts": _acts(found, ready, operator), "ready": ready, "operator": operator}


def _word(found: dict[str, Any], percent: int) -> str:
    if found["state"] == ramp.OVER or percent < found["percent"]:
        return "done"
    if percent > found["percent"]:
        return "ahead"
    return "stopped" if found["state"] == ramp.STOPPED else "here"


def _acts(found: dict[str, Any], ready: bool, operator: bool) -> list[str]:
    back = ["lower"] if found["percent"] > ramp.STEPS[0] else []
    if found["state"] == ramp.STOPPED:
        return ["resume", *back] if operator or found["cause"] != ramp.OPERATOR else back
    if found["state"] == ramp.OVER:
        return back
    return [*(["raise"] if ready else []), "stop", *back]


def act(connection: Connection, settings: Settings, feed_id: int, form: Form) -> None:
    """Takes a step. Raises BadRequest (no reason, no such step), Conflict, Forbidden, NotFound."""
    verb = form.one("do")
    why = form.reason(needed=verb in REASONED)
    entering.take(connection, feed_id, verb, why, ramp.Terms(*settings.ramp_terms))
