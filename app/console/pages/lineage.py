"""A record as operators see it: where each field came from, every state it had, the way it took, what waits for it."""

from typing import Any

from sqlalchemy import Connection

from app.catalogue import queries
from app.console.pages.records import fields, known_run
from app.feeds import service as feeds
from app.harvest import explain
from app.harvest.queries import waiting_for
from app.platforms import service as platforms
from app.protocol.errors import HutongError, NotFound
from app.protocol.record import restore
from app.publish.history import states


def lineage(connection: Connection, id: str) -> dict[str, Any]:
    """The page. Raises NotFound for an id that nobody knows."""
    row = queries.by_id(connection, id)
    if row is None:
        raise NotFound(f"there is no record {id}")
    told, untold = _explained(connection, id)
    kept = queries.states(connection, row)
    history = [{**state, "at": past.modified_at} for state, past in zip(states(kept), kept, strict=True)]
    return {
        "row": row,
        "record": fields(restore(bytes(row.document))),
        "feed": feeds.by_id(connection, row.feed_id),
        "platforms": {p["code"]: p["name"] for p in platforms.platforms(connection)},
        "path": row.path.split(),
        "flags": row.flags.split(),
        "explained": told,
        "untold": untold,
        "states": history,
        "runs": {state["run"] for state in history if known_run(connection, state["run"]) is not None},
        "waits": waiting_for(connection, row.feed_id, id),
    }


def _explained(connection: Connection, id: str) -> tuple[dict[str, Any] | None, str]:
    """Where each field came from, or the sentence that says why nobody can tell."""
    try:
        return explain.explain(connection, id), ""
    except HutongError as error:
        return None, error.detail
