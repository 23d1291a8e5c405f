"""A member's own home: where it stands, whose turn it is, the one thing to do next, feeds, notices, keys, documents."""

from typing import Any, Final

from sqlalchemy import Connection

from app.access import keys
from app.catalogue.queries import tallies
from app.console.pages.diagnosis import counts
from app.db import now
from app.harvest import leaving
from app.monitor import status
from app.platforms import notices, proof, queries
from app.platforms.documents import VALIDATION
from app.platforms.stages import HARVESTED, Stage

WAY: Final = (Stage.APPLIED, Stage.REVIEW, Stage.SANDBOX, Stage.CONFORMANCE, Stage.TRIAL, Stage.ONLINE)
_WAITS: Final = (Stage.REVIEW, Stage.CONFORMANCE)


def mine(connection: Connection) -> list[dict[str, Any]]:
    """One's own enrolments."""
    return queries.enrolments(connection, limit=500)


def home(connection: Connection, reference: str, **more: Any) -> dict[str, Any]:
    """The page. Raises NotFound for anybody else's."""
    row = queries.shown(connection, reference)
    feeds = status.standings(connection, row["code"]) if row["code"] else []
    at, stage = now(connection), Stage(row["stage"])
    owner = row["code"] or row["id"]
    return {
        "one": row,
        "owner": owner,
        "way": [(stage_, _kind(stage_, stage)) for stage_ in WAY],
        "since_s": (at - row["moved_at"]) // 1_000_000,
        "usual_s": queries.usual_s(connection, stage),
        "next": step(stage, row, bool(feeds)),
        "places": proof.places(row["domain"]) if row["domain"] else None,
        "feeds": feeds,
        "records": tallies(connection, [f"feed={one.feed}" for one in feeds]),
        "keys": [key for key in _keys(connection, row) if key["state"] != "revoked"],
        "notices": notices.to_enrolment(connection, row["id"]) if row["code"] else [],
        "troubles": counts(connection, row, feeds),
        "refused": _refusal(row),
        "harvested": stage in HARVESTED,
        "going": leaving.would_go(connection, row["code"]) if stage in HARVESTED else 0,
        "may_key": stage not in (Stage.SUSPENDED, Stage.RETIRED)
        and (row["proved_at"] is not None or row["code"] is not None),
        "at": at,
        "shown_once": None,
        "failed": None,
        **more,
    }


def _keys(connection: Connection, row: dict[str, Any]) -> list[dict[str, Any]]:
    return [key for owner in (row["code"], row["id"]) if owner for key in keys.keys(connection, owner)]


def _kind(stage: Stage, present: Stage) -> str:
    """`done`, `here` or `ahead`; who is suspended or has left stands nowhere on the way."""
    if present not in WAY:
        return "done" if stage is Stage.APPLIED else "ahead"
    here, there = WAY.index(present), WAY.index(stage)
    return "here" if here == there else "done" if there < here else "ahead"


def step(stage: Stage, row: dict[str, Any], has_feeds: bool) -> str:
    """The one thing to do next: `prove`, `submit`, `wait`, `feed`, `validate`, `look`, `suspended` or `retired`."""
    if stage in (Stage.SUSPENDED, Stage.RETIRED):
        return stage.value
    if stage in _WAITS:
        return "wait"
    if stage is Stage.APPLIED:
        return "submit" if row["proved_at"] is not None else "prove"
    if not has_feeds:
        return "feed"
    if stage is Stage.SANDBOX:
        return "submit" if reported(row) else "validate"
    return "look"


def reported(row: dict[str, Any]) -> dict[str, Any] | None:
    """The validation report that the next submission would rest on: kept since the last refusal."""
    refused = _refusal(row)
    return next(
        (
            one
            for one in row["documents"]
            if one["kind"] == VALIDATION and (refused is None or one["at"] > refused["at"])
        ),
        None,
    )


def _refusal(row: dict[str, Any]) -> dict[str, Any] | None:
    """The refusal that has not been answered by another submission."""
    moves = [step for step in row["steps"] if step["verdict"] in ("moved", "refused")]
    last: dict[str, Any] | None = moves[-1] if moves and moves[-1]["verdict"] == "refused" else None
    return last
