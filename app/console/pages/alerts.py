"""What is wrong now, who has it in hand, who is told of what, and the rules behind it."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.access.keyring import Keyring
from app.console.form import Form
from app.console.pages.work import names
from app.monitor import alert_routes, alerts, incidents
from app.monitor.causes import SEVERITY, Rule, Severity
from app.monitor.courier import KINDS
from app.monitor.wording import RULES, SEVERITIES

ROWS: Final = 50
CLASSES: Final = {Severity.CRITICAL: "fail", Severity.WARNING: "late", Severity.DECISION: "held"}


class AlertFilter(BaseModel):
    """Which incidents are shown; `before` goes on to older ones."""

    state: Literal["open", "resolved", "all"] = "open"
    before: int | None = Field(default=None, ge=1)


def board(connection: Connection, query: AlertFilter, lang: str, **more: Any) -> dict[str, Any]:
    """The page; `draft` and `error` where a form was refused, `made` and `told` where something was done."""
    found = incidents.incidents(connection, query.state, ROWS + 1, query.before)
    place = 1 if lang == "en" else 0
    open_ones = incidents.counted(connection)
    return {
        "incidents": found[:ROWS],
        "more": found[ROWS - 1]["id"] if len(found) > ROWS else None,
        "waiting": sum(open_ones.values()),
        "names": names(connection),
        "query": query,
        "looked_at": alerts.last_look(connection),
        "routes": alert_routes.routes(connection),
        "rules": [
            (rule, SEVERITY[rule], sum(n for (name, _), n in open_ones.items() if name == rule)) for rule in Rule
        ],
        "rule_names": {rule: words[place] for rule, words in RULES.items()},
        "severities": {severity: words[place] for severity, words in SEVERITIES.items()},
        "severity_classes": CLASSES,
        "kinds": KINDS,
        "draft": more.get("draft", Form({})),
        "error": more.get("error", ""),
        "made": more.get("made"),
        "told": more.get("told"),
    }


def add(connection: Connection, ring: Keyring, form: Form) -> dict[str, Any]:
    """The route that a form describes; recipients are separated by commas or blanks. Raises BadRequest, Conflict."""
    return alert_routes.add(
        connection, ring, name=form.one("name"), kind=form.one("kind"), to=form.one("to").replace(",", " ").split(),
        url=form.one("url"), key=form.one("key"), rules=form.all("rule"), quiet=form.one("quiet"),
    )  # fmt: skip
