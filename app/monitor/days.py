"""What each day brought, by feed or by platform: the cells of strips and of the heat map. One read of `run_day`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, literal, select, text

from app.feeds.service import mine
from app.feeds.tables import feed
from app.harvest.tables import COUNTS, run_day
from app.statements import plain


class Outcome(StrEnum):
    """What a day was like, the worst first."""

    FAILED = "failed"
    HELD = "held"
    MIXED = "mixed"
    REFUSED = "refused"
    GOOD = "good"
    NONE = "none"


class Cell(NamedTuple):
    """One day: its word, the ended runs and how many of them failed, the records seen and refused."""

    day: int
    outcome: Outcome
    runs: int = 0
    failed: int = 0
    seen: int = 0
    rejected: int = 0


def outcome(runs: int, failed: int, held: int, rejected: int) -> Outcome:
    """The word of a day: failed only when nothing succeeded, held when removals wait, mixed when some runs failed."""
    if not runs:
        return Outcome.NONE
    if failed >= runs:
        return Outcome.FAILED
    if held:
        return Outcome.HELD
    if failed:
        return Outcome.MIXED
    return Outcome.REFUSED if rejected else Outcome.GOOD


def strips(connection: Connection, last: int, days: int, codes: Sequence[str]) -> dict[str, list[Cell]]:
    """The last `days` days of these platforms, oldest first, `last` being the newest; a platform that ran never is
    as one on whose every day nothing ran."""
    query = _sums(feed.c.platform, last, days).where(feed.c.platform.in_(codes))
    found = _filled(connection.execute(mine(connection, query)).all(), last, days)
    return {code: found.get(code) or blank(last, days) for code in codes}


def strip(connection: Connection, last: int, days: int, feed_ids: Sequence[int]) -> list[Cell]:
    """The last `days` days of some feeds taken together, oldest first."""
    query = _sums(literal("all"), last, days).where(run_day.c.feed_id.in_(feed_ids))
    return _filled(connection.execute(mine(connection, query)).all(), last, days).get("all") or blank(last, days)


def blank(last: int, days: int) -> list[Cell]:
    """Days on which nothing ran."""
    return [Cell(day, Outcome.NONE) for day in range(last - days + 1, last + 1)]


def totals(connection: Connection, last: int, days: int, feed_ids: Sequence[int]) -> list[dict[str, Any]]:
    """Sums by day with all counts, for trends; only days on which something ended."""
    sums = [func.sum(run_day.c[name]).label(name) for name in ("runs", "failed", "seen", *COUNTS)]
    query = select(run_day.c.day, *sums).where(run_day.c.feed_id.in_(feed_ids), run_day.c.day > last - days)
    query = mine(connection, query.group_by(run_day.c.day).order_by(run_day.c.day), run_day.c.feed_id)
    return [plain(row) for row in connection.execute(query)]


def _sums(key: Any, last: int, days: int) -> Any:
    names = ("runs", "failed", "held", "rejected", "seen")
    query = select(key.label("key"), run_day.c.day, *(func.sum(run_day.c[name]).label(name) for name in names))
    query = query.select_from(run_day.join(feed, feed.c.id == run_day.c.feed_id))
    return query.where(run_day.c.day > last - days, run_day.c.day <= last).group_by(text("1"), run_day.c.day)


def _filled(rows: Iterable[Any], last: int, days: int) -> dict[str, list[Cell]]:
    found: dict[str, list[Cell]] = defaultdict(lambda: blank(last, days))
    for key, day, runs, failed, waits, rejected, seen in rows:  # by position: a look-up by name costs more than a cell
        word = outcome(runs, failed, waits, rejected)
        found[key][day - (last - days + 1)] = Cell(day, word, int(runs), int(failed), int(seen), int(rejected))
    return dict(found)
