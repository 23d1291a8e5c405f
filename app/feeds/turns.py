"""Turns: whose feed is harvested next when more are due than there are threads.

Weighted fair queueing among platforms. First those that use the fewest threads for their weight; among these the one
whose turn comes first on the queue's clock, which a turn moves on by 1/weight for its platform; then the feed that
has waited longest. A thousand feeds of one platform are one in the queue, and a platform that is alone has all threads.

The queue's clock is the latest turn that was given (start-time fair queueing): who had nothing due saves no turns up
for later, and who used what nobody wanted pays nothing for it.
"""

from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Select,
    bindparam,
    case,
    cast,
    func,
    literal,
    select,
)

from app.access.audit import Act, note
from app.feeds.tables import feed, turn
from app.platforms.queries import by_code, mine
from app.platforms.tables import platform
from app.protocol.errors import BadRequest
from app.statements import upsert

HEAVIEST: Final = 100
_STEP: Final = 1_000_000  # what a turn of weight 1 moves its platform on by
_TRIES: Final = 8  # platforms that are looked at when the rows of the first are held
_CLAIMS: Final = 0x7475726E  # the name of PostgreSQL's lock: any number that nobody else uses


class Queue:
    """The queue of the feeds that the condition `due` finds; `running` finds those that have a thread now.

    Both may have bound values, which are given with each question.
    """

    def __init__(self, due: ColumnElement[bool], running: ColumnElement[bool]) -> None:
        self._order = _order(due, running)
        longest = select(feed.c.id).where(feed.c.platform == bindparam("code"), due).order_by(feed.c.next_at).limit(1)
        # Where a person's decision holds a feed's row (`leases.still`), the queue does not wait for it.
        self._longest = longest.with_for_update(of=feed, skip_locked=True)

    def next(self, connection: Connection, bound: Mapping[str, Any]) -> int | None:
        """The number of the feed whose turn it is; the turn is taken. One index look-up for each platform."""
        _one_at_a_time(connection)
        for code, place in connection.execute(self._order, bound).all():
            found: int | None = connection.execute(self._longest, {**bound, "code": code}).scalar()
            if found is not None:
                connection.execute(
                    upsert(connection, turn, ["platform"], ["began"]), {"platform": code, "began": place}
                )
                return found
        return None


def _one_at_a_time(connection: Connection) -> None:
    """Until this transaction ends nobody else claims: what runs is counted right. SQLite's writer is alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_CLAIMS)))


def _order(due: ColumnElement[bool], running: ColumnElement[bool]) -> Select[Any]:
    """Platforms that have something due, the next first, each with the turn it would get."""
    clock = select(func.coalesce(func.max(turn.c.began), 0)).scalar_subquery()
    using = select(feed.c.platform, func.count().label("n")).where(running).group_by(feed.c.platform).subquery("using")
    joined = platform.outerjoin(turn, turn.c.platform == platform.c.code)
    joined = joined.outerjoin(using, using.c.platform == platform.c.code)
    share = cast(func.coalesce(turn.c.weight, 1), Float)
    earned = turn.c.began + literal(_STEP, BigInteger) / share
    place = cast(case((earned > clock, earned), else_=clock), BigInteger).label("place")
    theirs = select(func.min(feed.c.next_at)).where(feed.c.platform == platform.c.code, due).correlate(platform)
    query = select(platform.c.code, place).select_from(joined)
    query = query.where(platform.c.state == "active", theirs.with_only_columns(feed.c.id).exists())
    return query.order_by(func.coalesce(using.c.n, 0) / share, place, theirs.scalar_subquery(), platform.c.code).limit(
        _TRIES
    )


def weight(connection: Connection, code: str) -> int:
    """A platform's weight; 1 where nobody said another. Raises NotFound."""
    by_code(connection, code)
    query = mine(connection, select(turn.c.weight).where(turn.c.platform == code), turn.c.platform)
    return int(connection.execute(query).scalar() or 1)


def weigh(connection: Connection, code: str, weight: int, reason: str) -> None:
    """Gives a platform another weight. Raises NotFound, and BadRequest outside of 1 to 100."""
    by_code(connection, code)
    if not 1 <= weight <= HEAVIEST:
        raise BadRequest(f"weight: a whole number from 1 to {HEAVIEST}")
    connection.execute(upsert(connection, turn, ["platform"], ["weight"]), {"platform": code, "weight": weight})
    note(connection, Act.WEIGHT, code, weight=weight, reason=reason)
