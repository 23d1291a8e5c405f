"""Freshness objectives: how many of a feed's changes became visible in time, what of the error budget is left, and
through whom it was spent. Reads the days that each run's end keeps (app/harvest/freshness.py)."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, delete, func, select

from app.access.audit import Act, note
from app.db import now
from app.feeds.service import by_id, mine, owner
from app.feeds.tables import feed
from app.harvest.freshness import PERMILLE, agreed, within
from app.harvest.runs import day_of
from app.harvest.tables import FRESHNESS, freshness_day, objective
from app.harvest.totals import BLAMES
from app.protocol.errors import BadRequest
from app.statements import among, upsert

DAYS: Final = 30
FAST: Final = 0.2  # of the 30 days' budget spent within the last two days: at that pace it lasts ten days
LEAST_CHANGES: Final = 20  # below that, one late change is no pace


class Standing(StrEnum):
    """How a budget stands."""

    QUIET = "quiet"  # nothing changed in 30 days
    MET = "met"
    BURNING = "burning"
    SPENT = "spent"


class Objective(NamedTuple):
    """A feed's agreement and its last 30 days.

    `late` of `changes` came after `within_s`; `late_by` tells through whom. `expected` are changes that a source
    silent to us for longer than agreed would have brought by now, counted as late until it is heard again.
    `left` is the part of the error budget that is left: 1 untouched, 0 spent, negative overdrawn.
    """

    feed: int
    within_s: int
    permille: int
    own: bool
    changes: int
    late: int
    expected: int
    late_by: dict[str, int]
    stamped: int
    mean_lag_s: int | None
    left: float
    recent: float
    standing: Standing

    def plain(self) -> dict[str, Any]:
        """For programs."""
        found = self._asdict() | {"days": DAYS, "share": round(self.share, 4), "standing": self.standing.value}
        return found | {"left": round(self.left, 4), "recent": round(self.recent, 4)}

    @property
    def share(self) -> float:
        """The part of the changes that came in time; 1 where nothing changed."""
        bad = self.late + self.expected
        return 1 - bad / (self.changes + self.expected) if self.changes + self.expected else 1.0


def objectives(connection: Connection, feed_ids: Sequence[int]) -> dict[int, Objective]:
    """The objectives of these feeds; one grouped read of at most 30 days for each."""
    at = now(connection)
    today = day_of(at)
    month = _sums(connection, feed_ids, today - DAYS + 1)
    recent = _sums(connection, feed_ids, today - 1)
    terms = agreed(connection)
    query = select(feed.c.id, feed.c.every_s, feed.c.succeeded_at, feed.c.state).where(
        among(connection, feed.c.id, feed_ids)
    )
    query = mine(connection, query)
    return {
        row.id: _objective(row, month.get(row.id, _NOTHING), recent.get(row.id, _NOTHING), terms.get(row.id), at)
        for row in connection.execute(query)
    }  # fmt: skip


_NOTHING: Final = dict.fromkeys(FRESHNESS, 0)


def _sums(connection: Connection, feed_ids: Sequence[int], since: int) -> dict[int, dict[str, int]]:
    days = freshness_day
    query = select(days.c.feed_id, *(func.sum(days.c[name]).label(name) for name in FRESHNESS))
    query = query.where(among(connection, days.c.feed_id, feed_ids), days.c.day >= since).group_by(days.c.feed_id)
    query = mine(connection, query, days.c.feed_id)
    return {row.feed_id: {name: int(getattr(row, name)) for name in FRESHNESS} for row in connection.execute(query)}


def _objective(row: Any, month: dict[str, int], recent: dict[str, int], own: Any, at: int) -> Objective:
    within_s, permille = own or (within(row.every_s), PERMILLE)
    expected = _expected(row, month["changes"], within_s, at)
    allowed = (month["changes"] + expected) * (1000 - permille) / 1000
    late = month["late"] + expected
    left = 1 - late / allowed if allowed else 1.0 - late
    pace = (recent["late"] + expected) / allowed if allowed else 0.0
    return Objective(
        row.id, within_s, permille, own is not None, month["changes"], month["late"], expected,
        {who: month[f"late_{who}"] for who in BLAMES}, month["stamped"],
        month["lag_s"] // month["changes"] if month["changes"] else None, left, pace,
        _standing(month["changes"] + expected, left, pace),
    )  # fmt: skip


def _expected(row: Any, changes: int, within_s: int, at: int) -> int:
    """Changes of the time in which a silent source has been overdue, at its pace of the last 30 days."""
    if row.succeeded_at is None or row.state != "active":
        return 0
    overdue_s = (at - row.succeeded_at) // 1_000_000 - within_s
    return max(0, min(changes, changes * int(overdue_s) // (DAYS * 86_400)))


def _standing(changes: int, left: float, pace: float) -> Standing:
    if not changes:
        return Standing.QUIET
    if left <= 0:
        return Standing.SPENT
    return Standing.BURNING if pace > FAST and changes >= LEAST_CHANGES else Standing.MET


def burning(connection: Connection) -> list[Objective]:
    """Feeds whose budget is spent or goes too fast; looks only at those with something late in the last 30 days."""
    since = day_of(now(connection)) - DAYS + 1
    late = select(freshness_day.c.feed_id).where(freshness_day.c.day >= since, freshness_day.c.late > 0).distinct()
    found = objectives(connection, list(connection.execute(late).scalars()))
    return [one for one in found.values() if one.standing in (Standing.BURNING, Standing.SPENT) and _enough(one)]


def _enough(one: Objective) -> bool:
    return one.changes + one.expected >= LEAST_CHANGES


def agree(connection: Connection, reference: int | str, within_s: int, permille: int) -> Objective:
    """Sets what was agreed for a feed; days already kept stay as they were counted. Raises NotFound, BadRequest."""
    found = by_id(connection, reference)
    if not found["every_s"] <= within_s <= DAYS * 86_400:
        raise BadRequest(
            f"{within_s} s cannot be promised of a feed that is asked every {found['every_s']} s: take at least that, "
            f"at most {DAYS} days"
        )
    row = {"feed_id": found["id"], "within_s": within_s, "permille": permille, "agreed_at": now(connection)}
    connection.execute(upsert(connection, objective, ("feed_id",), ("within_s", "permille", "agreed_at")), row)
    note(connection, Act.OBJECTIVE, owner(found["id"]), within_s=within_s, permille=permille)
    return objectives(connection, [found["id"]])[found["id"]]


def default(connection: Connection, reference: int | str) -> Objective:
    """Goes back to the default. Raises NotFound."""
    number = by_id(connection, reference)["id"]
    connection.execute(delete(objective).where(objective.c.feed_id == number))
    note(connection, Act.OBJECTIVE, owner(number), within_s="default")
    return objectives(connection, [number])[number]


def of_feed(connection: Connection, reference: int | str) -> Objective:
    """One feed's objective. Raises NotFound."""
    number = by_id(connection, reference)["id"]
    return objectives(connection, [number])[number]


def counted(found: Iterable[Objective]) -> dict[str, int]:
    """How many stand how."""
    counts = dict.fromkeys((word.value for word in Standing), 0)
    for one in found:
        counts[one.standing.value] += 1
    return counts
