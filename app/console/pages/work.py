"""Runs and quarantine."""

from typing import Any

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.clock import now as clock_now
from app.console.formats import day_number, pictures
from app.feeds import service as feeds
from app.harvest import inspection, queries, runs, undo
from app.harvest.discovery import kinds
from app.harvest.tables import ANSWERS, COUNTS
from app.monitor.problems import problems
from app.platforms import service as platforms
from app.protocol.words import Job, RunStatus

ROWS = 50
WINDOW = 6000  # bytes of a quarantined entry shown around the break
ICONS = {
    "created": "ok",
    "changed": "run",
    "unchanged": "off",
    "rejected": "fail",
    "tombstoned": "gone",
    "held": "held",
    "duplicate": "new",
}
ANSWER_ICONS = {
    "answered": "ok",
    "redirected": "run",
    "refused": "fail",
    "broken": "fail",
    "throttled": "late",
    "silent": "fail",
}


class RunFilter(BaseModel):
    """What the list of runs can be narrowed by; `before` goes on to older ones."""

    feed: int | None = None
    platform: str = Field(default="", max_length=16)
    status: str = ""
    job: str = ""
    day: str = ""
    before: int | None = None


def names(connection: Connection) -> dict[int, dict[str, Any]]:
    """Feeds by number with their platform's name: what a list of runs calls them."""
    known = {p["code"]: p["name"] for p in platforms.platforms(connection)}
    return {f["id"]: {**f, "platform_name": known[f["platform"]]} for f in feeds.feeds(connection)}


def run_list(connection: Connection, query: RunFilter) -> dict[str, Any]:
    """The latest runs first."""
    found = queries.listed(
        connection, feed_id=query.feed, platform=query.platform, status=query.status, job=query.job, day=day_number(query.day),
        before=query.before, limit=ROWS + 1,
    )  # fmt: skip
    more = found[ROWS - 1]["run"] if len(found) > ROWS else None
    return {
        "runs": found[:ROWS], "more": more, "names": names(connection), "query": query,
        "statuses": list(RunStatus), "jobs": list(Job),
    }  # fmt: skip


def run(connection: Connection, run_id: int) -> dict[str, Any]:
    """One run: its sum, its way, what it refused, and what differs from the run before."""
    found = runs.by_id(connection, run_id)
    feed = feeds.by_id(connection, found["feed"])
    earlier = queries.before(connection, found["feed"], run_id)
    seconds = found["seconds"] if found["ended_at"] else (clock_now() - found["started_at"]) / 1e6
    held = [row for row in runs.waiting(connection, found["feed"]) if row["run_id"] == run_id]
    return {
        "run": found,
        "feed": feed,
        "platform": platforms.by_code(connection, feed["platform"]),
        "live": found["status"] == RunStatus.RUNNING,
        "seconds": seconds,
        "rate": found["seen"] / seconds if seconds > 0.001 else 0,
        "counts": [(name, found[name], earlier[name] if earlier else None, ICONS[name]) for name in COUNTS],
        "earlier": earlier,
        "refused": queries.refused_in(connection, found["feed"], run_id),
        "held": held,
        "undoable": found["tombstoned"] > 0 and undo.possible(connection, feed, run_id),
        "answers": [(name, found["answers"][name], ANSWER_ICONS[name]) for name in ANSWERS],
    }


class RefusalFilter(BaseModel):
    """Quarantine: with a rule and a feed its entries, else the groups."""

    rule: str = Field(default="", max_length=64)
    feed: int | None = None
    before: int | None = None


def quarantine(connection: Connection, query: RefusalFilter) -> dict[str, Any]:
    """Groups by rule and feed, or the entries of one group."""
    entries = None
    if query.rule and query.feed is not None:
        entries = queries.refusals(connection, rule=query.rule, feed_id=query.feed, before=query.before, limit=ROWS + 1)
    return {
        "groups": queries.by_rule(connection, query.rule, query.feed),
        "entries": entries[:ROWS] if entries is not None else None,
        "more": entries[ROWS - 1]["id"] if entries is not None and len(entries) > ROWS else None,
        "names": names(connection),
        "problem": problems().get(query.rule),
        "query": query,
    }


def refusal(connection: Connection, number: int) -> dict[str, Any]:
    """One quarantined entry: bytes with the break, what was understood, the rule, the last good version."""
    row = queries.refusal(connection, number)
    feed = feeds.by_id(connection, row["feed_id"])
    looked = inspection.inspect(connection, feed, row)
    return {
        "row": row,
        "feed": feed,
        "platform": platforms.by_code(connection, feed["platform"]),
        "looked": looked,
        "native": kinds()[feed["connector"]].native,
        "waiting": sum(group["n"] for group in queries.by_rule(connection, row["rule"], row["feed_id"])),
        "shown": excerpt(bytes(row["raw"]), row),
        "problem": problems().get(row["rule"]),
        "fields": differences(looked.understood or {}, looked.earlier),
    }


def excerpt(raw: bytes, row: dict[str, Any]) -> dict[str, Any]:
    """The bytes as text in three pieces (before, the break, after), at most WINDOW bytes on each side."""
    found = inspection.broken_at(raw, row["rule"], row["path"], row["value"])
    start, end = found or (0, 0)
    low, high = max(0, start - WINDOW), min(len(raw), end + WINDOW)
    pieces = {"before": raw[low:start], "broken": raw[start:end], "after": raw[end:high]}
    return {
        **{name: visible(piece) for name, piece in pieces.items()},
        "found": found is not None, "cut_before": low, "cut_after": len(raw) - high, "bytes": len(raw), "at": start,
    }  # fmt: skip


def visible(raw: bytes) -> str:
    """Bytes as text in which nothing hides: control characters as their pictures, what is no UTF-8 as `\\xff`."""
    return pictures(raw.decode("utf-8", "backslashreplace"))


def differences(now: dict[str, Any], earlier: dict[str, Any] | None) -> list[tuple[str, Any, Any, bool]]:
    """Field, value now, value in the last good version, whether they differ; in the order of the fields now."""
    every = [*now, *(name for name in earlier or {} if name not in now and name != "id")]
    return [
        (name, now.get(name), (earlier or {}).get(name), earlier is not None and now.get(name) != earlier.get(name))
        for name in every
    ]
