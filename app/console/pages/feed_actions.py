"""What a person may do with a feed: each with what it will do, and why not where it is not allowed."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from app.catalogue.queries import tallies
from app.console.form import Form
from app.db import now
from app.feeds import leases
from app.feeds import service as feeds
from app.harvest import queries
from app.harvest.prepare import Source, reading
from app.platforms import service as platforms
from app.protocol.errors import Conflict, HutongError, NotFound
from app.protocol.words import Job, RunStatus

JOBS: Final = {"harvest": Job.HARVEST, "full": Job.FULL, "compare": Job.COMPARE, "reconcile": Job.RECONCILE}
STATES: Final = {"pause": "paused", "resume": "active", "retire": "retired"}
ACTIONS: Final = (*JOBS, *STATES)
REASONED: Final = frozenset({"full", "reconcile", "pause", "retire"})
COMPARED_US: Final = 24 * 3_600_000_000  # a comparison older than this says little about what a repair would do


class Offer(NamedTuple):
    """An action and why it cannot be taken now; an empty `refusal` means that it can."""

    action: str
    refusal: str


def offers(connection: Connection, feed: Mapping[str, Any]) -> list[Offer]:
    """Every action of a feed that makes sense in its state, in the order they are shown."""
    shown = [name for name in ACTIONS if name != ("resume" if feed["state"] == "active" else "pause")]
    return [Offer(name, refusal(connection, feed, name)) for name in shown]


def refusal(connection: Connection, feed: Mapping[str, Any], action: str) -> str:
    """Why an action cannot be taken, as a key of the strings `refused_act`; empty where it can."""
    if feed["state"] == "retired":
        return "retired"
    if action in STATES:
        return "as_it_is" if feed["state"] == STATES[action] else ""
    if feed["state"] != "active":
        return "paused"
    if platforms.by_code(connection, feed["platform"])["state"] != "active":
        return "suspended"
    if feed["lease_until"] > now(connection):
        return "running"
    return _comparing(connection, feed, action) if action in ("compare", "reconcile") else ""


def _comparing(connection: Connection, feed: Mapping[str, Any], action: str) -> str:
    try:
        lists = reading(Source.of(feed)).connector.sweep() is not None
    except HutongError:
        return "configuration"
    if not lists:
        return "no_list"
    return "" if action == "compare" or comparison(connection, feed["id"]) else "compare_first"


def comparison(connection: Connection, feed_id: int) -> dict[str, Any] | None:
    """The last comparison of a feed with its source, where it is young enough to decide by."""
    found = queries.listed(connection, feed_id=feed_id, status="", job=Job.COMPARE, day=None, before=None, limit=1)
    if not found or found[0]["status"] in (RunStatus.RUNNING, RunStatus.FAILED):
        return None
    return found[0] if found[0]["ended_at"] > now(connection) - COMPARED_US else None


def confirmation(connection: Connection, feed_id: int, action: str) -> dict[str, Any]:
    """The page that says what an action will do before it is done."""
    if action not in ACTIONS:
        raise NotFound(f"there is no action {action}; there are {', '.join(ACTIONS)}")
    feed = feeds.by_id(connection, feed_id)
    parked = leases.not_before(connection, feed["host"]) - now(connection)
    return {
        "feed": feed,
        "platform": platforms.by_code(connection, feed["platform"]),
        "action": action,
        "refusal": refusal(connection, feed, action),
        "reasoned": action in REASONED,
        "records": tallies(connection, [f"feed={feed_id}"]).get(f"feed={feed_id}", 0),
        "compared": comparison(connection, feed_id) if action == "reconcile" else None,
        "parked_s": max(0, parked // 1_000_000) if action in JOBS else 0,
    }


def act(connection: Connection, feed_id: int, action: str, form: Form) -> str:
    """Takes the action; where to go on. Raises NotFound, BadRequest (no reason), Conflict (not allowed now)."""
    if action not in ACTIONS:
        raise NotFound(f"there is no action {action}; there are {', '.join(ACTIONS)}")
    feed, why = feeds.by_id(connection, feed_id), form.reason(needed=action in REASONED)
    if refused := refusal(connection, feed, action):
        raise Conflict(f"feed {feed_id}: {action} is not possible now ({refused})")
    if action in JOBS:
        feeds.ask(connection, feed_id, JOBS[action], why)
    else:
        feeds.transition(connection, feed_id, STATES[action], why)
    return f"/platforms/{feed['platform']}" if action == "retire" else f"/feeds/{feed_id}"
