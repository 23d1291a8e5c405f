"""A platform's week for the people who run it: their own figures, what was refused by which rule, lag, what to do."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from app.catalogue.queries import tallies
from app.db import now
from app.harvest import queries
from app.harvest.runs import day_of
from app.monitor import days, objectives, status
from app.monitor.objectives import Objective
from app.monitor.objectives import Standing as Budget
from app.monitor.states import State
from app.monitor.status import Standing
from app.platforms import service as platforms
from app.protocol.errors import BadRequest

SUMS: Final = ("created", "changed", "tombstoned", "rejected", "seen", "runs", "failed")
RULES: Final = 12  # rules that are named, the most refused first
_EPOCH: Final = date(1970, 1, 1)
_WEEK: Final = re.compile(r"([0-9]{4})-W([0-9]{2})\Z")


class Act(StrEnum):
    """What somebody at the platform can do, the most urgent first."""

    MEND = "mend"
    CHECK = "check"
    DECIDE = "decide"
    SETTLE = "settle"
    CORRECT = "correct"
    HASTEN = "hasten"


class Todo(NamedTuple):
    """One thing to do: what, about which feed or rule, how many, and the page of this hub that shows it."""

    act: Act
    about: str
    n: int
    path: str


class Refused(NamedTuple):
    """Entries that a rule keeps out now, with the page that lists them."""

    rule: str
    n: int
    path: str


class Digest(NamedTuple):
    """A week, Monday to Sunday as days since 1970. `week` and `before` are sums of what ended in it and in the one
    before; feeds, records, refusals and freshness are as they stand now."""

    platform: str
    name: str
    monday: int
    feeds: Sequence[Standing]
    records: int
    week: Mapping[str, int]
    before: Mapping[str, int]
    refused: Sequence[Refused]
    objectives: Sequence[Objective]
    lag_s: int | None
    todo: Sequence[Todo]

    @property
    def share(self) -> float | None:
        """The part of the last 30 days' changes that became visible in time; None where nothing changed."""
        changes = sum(one.changes + one.expected for one in self.objectives)
        late = sum(one.late + one.expected for one in self.objectives)
        return 1 - late / changes if changes else None


def digest(connection: Connection, code: str, monday: int) -> Digest:
    """One platform's week. Raises NotFound."""
    found = platforms.by_code(connection, code)
    feeds = status.standings(connection, code)
    ids = [one.feed for one in feeds]
    freshness = list(objectives.objectives(connection, ids).values())
    refused = _refused(connection, code, ids)
    lags = [one.lag_s for one in feeds if one.lag_s is not None and one.state is not State.PAUSED]
    return Digest(
        code, found["name"], monday, feeds, tallies(connection, [f"platform={code}"]).get(f"platform={code}", 0),
        _week(connection, ids, monday), _week(connection, ids, monday - 7), refused, freshness, max(lags, default=None),
        todo(feeds, refused, freshness),
    )  # fmt: skip


def _week(connection: Connection, ids: Sequence[int], monday: int) -> dict[str, int]:
    totals = days.totals(connection, monday + 6, 7, ids)
    return {name: int(sum(row[name] for row in totals if row["day"] <= monday + 6)) for name in SUMS}


def _refused(connection: Connection, code: str, ids: Sequence[int]) -> list[Refused]:
    counts: dict[str, list[tuple[int, int]]] = {}
    for number in ids:
        for row in queries.by_rule(connection, feed_id=number):
            counts.setdefault(row["rule"], []).append((row["n"], number))
    found = [
        Refused(rule, sum(n for n, _ in every), f"/quarantine?rule={rule}&feed={max(every)[1]}")
        for rule, every in counts.items()
    ]
    return sorted(found, key=lambda one: (-one.n, one.rule))[:RULES]


def todo(feeds: Sequence[Standing], refused: Sequence[Refused], freshness: Sequence[Objective]) -> list[Todo]:
    """What the platform itself can do about how it stands. Pure."""
    found: list[Todo] = []
    names = {one.feed: one.name for one in feeds}
    for one in feeds:
        if one.state is State.FAILING:
            found.append(
                Todo(Act.MEND, one.name, one.attempts, f"/runs/{one.run}" if one.run else f"/feeds/{one.feed}")
            )
        elif one.state is State.LATE:
            found.append(Todo(Act.CHECK, one.name, 1, f"/feeds/{one.feed}"))
        if one.held:
            found.append(Todo(Act.DECIDE, one.name, one.held_count, f"/held/{one.held}"))
        if one.halt:
            found.append(Todo(Act.SETTLE, one.name, one.halt.bad, f"/feeds/{one.feed}#ramp"))
    found += [Todo(Act.CORRECT, rule.rule, rule.n, rule.path) for rule in refused]
    found += [
        Todo(Act.HASTEN, names[one.feed], one.late, f"/feeds/{one.feed}")
        for one in freshness
        if one.standing in (Budget.SPENT, Budget.BURNING) and one.late_by["source"]
    ]
    return sorted(found, key=lambda one: list(Act).index(one.act))


def last_week(connection: Connection) -> int:
    """The Monday of the last whole week, UTC+8."""
    today = day_of(now(connection))
    return monday_of(today) - 7


def monday_of(day: int) -> int:
    """The Monday of a day's week: 1 January 1970 was a Thursday."""
    return day - (day + 3) % 7


def week_name(monday: int) -> str:
    """`2026-W48` (ISO 8601)."""
    year, week, _ = (_EPOCH + timedelta(days=monday)).isocalendar()
    return f"{year}-W{week:02d}"


def monday(text: str) -> int:
    """The Monday of `2026-W48`. Raises BadRequest."""
    found = _WEEK.match(text)
    try:
        if found is None:
            raise ValueError
        return (date.fromisocalendar(int(found[1]), int(found[2]), 1) - _EPOCH).days
    except ValueError:
        raise BadRequest(f"week {text[:20]!r}: write 2026-W48 (ISO 8601)") from None


def due_at(monday: int) -> int:
    """When the letter about a week may leave: eight in the morning of the Monday after, UTC+8. Microseconds."""
    return (monday + 7) * 86_400_000_000


def plain(one: Digest) -> dict[str, Any]:
    """For programs."""
    begin = datetime.combine(_EPOCH, datetime.min.time(), UTC) + timedelta(days=one.monday)
    return {
        "platform": one.platform, "name": one.name, "week": week_name(one.monday), "from": begin.strftime("%Y-%m-%d"),
        "to": (begin + timedelta(days=6)).strftime("%Y-%m-%d"), "records": one.records, **one.week, "before": dict(one.before),
        "refused": [rule._asdict() for rule in one.refused], "lag_s": one.lag_s, "share": one.share,
        "feeds": [{"feed": f.feed, "name": f.name, "state": f.state.value, "lag_s": f.lag_s} for f in one.feeds],
        "todo": [{**t._asdict(), "act": t.act.value} for t in one.todo],
    }  # fmt: skip
