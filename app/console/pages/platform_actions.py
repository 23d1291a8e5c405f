"""What a person may do with a platform as a whole: stop it, or let it go on; said beforehand, with a reason."""

from typing import Any, Final

from sqlalchemy import Connection

from app.console.form import Form
from app.feeds import service as feeds
from app.harvest import leaving
from app.platforms import moves
from app.platforms import service as platforms
from app.protocol.errors import Conflict, NotFound
from app.settings import Settings

STATES: Final = {"suspend": "suspended", "readmit": "active", "retire": "retired"}


def confirmation(connection: Connection, code: str, action: str) -> dict[str, Any]:
    """The page that says what an action will do before it is done: how many feeds stop, how many records go. Raises
    NotFound."""
    found = platforms.by_code(connection, code)
    own = [feed for feed in feeds.feeds(connection) if feed["platform"] == code and feed["state"] == "active"]
    going = leaving.would_go(connection, code) if action == "retire" else 0
    as_it_is = found["state"] == _state(action)
    return {"platform": found, "action": action, "as_it_is": as_it_is, "feeds": len(own), "going": going}


def act(connection: Connection, code: str, action: str, form: Form, settings: Settings) -> None:
    """Takes the action; an end is announced with the grace period. Raises NotFound, BadRequest (no reason), Conflict
    (it is so already)."""
    state, why = _state(action), form.reason(needed=True)
    if platforms.by_code(connection, code)["state"] == state:
        raise Conflict(f"platform {code} is {state} already")
    if action == "retire":
        moves.retire(connection, code, settings, why)
        return
    platforms.transition(connection, code, state, why)


def _state(action: str) -> str:
    if action not in STATES:
        raise NotFound(f"there is no action {action}; there are {', '.join(STATES)}")
    return STATES[action]
