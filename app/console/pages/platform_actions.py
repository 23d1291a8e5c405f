"""What a person may do with a platform as a whole: stop it, or let it go on; said beforehand, with a reason."""

from typing import Any, Final

from sqlalchemy import Connection

from app.console.form import Form
from app.feeds import service as feeds
from app.platforms import service as platforms
from app.protocol.errors import Conflict, NotFound

STATES: Final = {"suspend": "suspended", "readmit": "active"}


def confirmation(connection: Connection, code: str, action: str) -> dict[str, Any]:
    """The page that says what an action will do before it is done. Raises NotFound."""
    found = platforms.by_code(connection, code)
    own = [feed for feed in feeds.feeds(connection) if feed["platform"] == code and feed["state"] == "active"]
    return {"platform": found, "action": action, "as_it_is": found["state"] == _state(action), "feeds": len(own)}


def act(connection: Connection, code: str, action: str, form: Form) -> None:
    """Takes the action. Raises NotFound, BadRequest (no reason), Conflict (it is so already)."""
    state, why = _state(action), form.reason(needed=True)
    if platforms.by_code(connection, code)["state"] == state:
        raise Conflict(f"platform {code} is {state} already")
    platforms.transition(connection, code, state, why)


def _state(action: str) -> str:
    if action not in STATES:
        raise NotFound(f"there is no action {action}; there are {', '.join(STATES)}")
    return STATES[action]
