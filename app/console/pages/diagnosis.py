"""What is wrong, in three levels kept apart (account, feed, item) and three weights (error, warning, advice)."""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from app.access import keys
from app.catalogue.queries import tallies
from app.console.pages.members import trend
from app.db import now
from app.harvest import queries, unmapped
from app.harvest.assess import cell
from app.harvest.runs import day_of
from app.monitor import days, status
from app.monitor.problems import sentence
from app.monitor.states import State
from app.monitor.status import Standing
from app.platforms import notices
from app.platforms import queries as enrolments
from app.protocol.rules import RULES, Severity

DAYS: Final = 28
SOON_DAYS: Final = 30
_FEED_WEIGHTS: Final = {
    State.FAILING: Severity.ERROR, State.HELD: Severity.WARNING, State.LATE: Severity.WARNING,
    State.CATCHING_UP: Severity.ADVICE, State.PAUSED: Severity.ADVICE,
}  # fmt: skip
LEVELS: Final = ("account", "feed", "item")
COLUMNS: Final = ("level", "severity", "what", "feed", "count", "of", "detail")


class Trouble(NamedTuple):
    """One thing that is wrong: `what` is a word of ours (account, feed) or a rule (item); `n` of `of` are affected."""

    level: str
    weight: Severity
    what: str
    feed: int | None = None
    feed_name: str = ""
    n: int = 0
    of: int = 0
    detail: str = ""
    sample: int | None = None


def troubles(connection: Connection, row: dict[str, Any], feeds: Sequence[Standing]) -> list[Trouble]:
    """All of an enrolment, the gravest first within each level."""
    found = [*_account(connection, row, feeds), *_feeds(feeds), *_items(connection, feeds)]
    order = list(Severity)
    return sorted(found, key=lambda one: (LEVELS.index(one.level), order.index(one.weight), -one.n))


def counts(connection: Connection, row: dict[str, Any], feeds: Sequence[Standing]) -> dict[str, int]:
    """How many of each weight; without looking into records."""
    found = [*_account(connection, row, feeds), *_feeds(feeds), *_refused(connection, feeds)]
    return {weight.value: sum(one.weight == weight for one in found) for weight in Severity}


def _account(connection: Connection, row: dict[str, Any], feeds: Sequence[Standing]) -> Iterator[Trouble]:
    def trouble(weight: Severity, what: str, detail: str = "", n: int = 0) -> Trouble:
        return Trouble("account", weight, what, detail=detail, n=n)

    if row["stage"] == "suspended":
        yield trouble(Severity.ERROR, "suspended", row["steps"][-1]["reason"] if row["steps"] else "")
    if row["stage"] == "applied" and row["proved_at"] is None:
        yield trouble(Severity.ERROR, "unproved", row["domain"])
    at = now(connection)
    told = notices.to_enrolment(connection, row["id"]) if row["code"] else []
    waiting = [one for one in told if one["acknowledged_at"] is None]
    if late := [one for one in waiting if one["deadline_at"] and one["deadline_at"] < at]:
        yield trouble(Severity.ERROR, "notice_late", late[0]["title"], len(late))
    elif waiting:
        yield trouble(Severity.ADVICE, "notice", waiting[0]["title"], len(waiting))
    held = [key for key in keys.keys(connection, row["code"] or row["id"]) if key["state"] == "live"]
    for key in held:
        if key["days_left"] is not None and key["days_left"] < SOON_DAYS:
            yield trouble(Severity.WARNING, "key_ends", key["prefix"], key["days_left"])
    if row["code"] and not feeds:
        yield trouble(Severity.ADVICE, "no_feed")


def _feeds(feeds: Sequence[Standing]) -> Iterator[Trouble]:
    for one in feeds:
        if (weight := _FEED_WEIGHTS.get(one.state)) is not None:
            yield Trouble(
                "feed", weight, one.state.value, one.feed, one.name, one.held_count, one.held_live, one.error_kind or ""
            )


def _items(connection: Connection, feeds: Sequence[Standing]) -> Iterator[Trouble]:
    yield from _refused(connection, feeds)
    live = tallies(connection, [f"feed={one.feed}" for one in feeds])
    for one in feeds:
        for term in unmapped.unmapped(connection, one.feed)[:20]:
            yield Trouble(
                "item", Severity.WARNING, "unmapped", one.feed, one.name, term.records, live.get(f"feed={one.feed}", 0),
                f"{term.field}: {term.term}",
            )  # fmt: skip


def _refused(connection: Connection, feeds: Sequence[Standing]) -> Iterator[Trouble]:
    live = tallies(connection, [f"feed={one.feed}" for one in feeds])
    for one in feeds:
        rows = queries.by_rule(connection, feed_id=one.feed)
        came = live.get(f"feed={one.feed}", 0) + sum(row["n"] for row in rows)
        for row in rows:
            rule = RULES.get(row["rule"])
            weight = rule.severity if rule else Severity.ERROR
            yield Trouble("item", weight, row["rule"], one.feed, one.name, row["n"], came, sample=row["sample"])


def page(connection: Connection, reference: str) -> dict[str, Any]:
    """The three levels, and refusals of the last 28 days. Raises NotFound for anybody else's."""
    row = enrolments.shown(connection, reference)
    feeds = status.standings(connection, row["code"]) if row["code"] else []
    found, today = troubles(connection, row, feeds), day_of(now(connection))
    ids = [one.feed for one in feeds]
    return {
        "one": row,
        "levels": [(level, [one for one in found if one.level == level]) for level in LEVELS],
        "trend": trend(days.totals(connection, today, DAYS, ids), today) if ids else None,
        "feeds": feeds,
    }


def table(connection: Connection, reference: str, lang: str) -> str:
    """The same as CSV (RFC 4180, with a byte order mark for office programs)."""
    row = enrolments.shown(connection, reference)
    feeds = status.standings(connection, row["code"]) if row["code"] else []
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for one in troubles(connection, row, feeds):
        detail = one.detail or sentence(one.what, lang)
        writer.writerow(
            map(cell, (one.level, one.weight.value, one.what, one.feed_name, str(one.n), str(one.of), detail))
        )
    return "\ufeff" + out.getvalue()
