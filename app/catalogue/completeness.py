"""How complete a feed's records are: the share that holds each field, by month, beside feeds of the same kind.

A sample of the newest SAMPLE live records stands for the feed. Peers are feeds of platforms of the same level; fewer
than PEERS of them are not told of, since a median of two names the other one.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any, Final

import orjson
from sqlalchemy import Connection, and_, desc, or_, select

from app.access.principal import narrowed, unbound
from app.catalogue.tables import completeness, record
from app.db import now
from app.feeds.service import mine
from app.feeds.tables import feed
from app.platforms.tables import platform
from app.protocol.record import restore
from app.statements import insert_missing

SAMPLE: Final = 200
PEERS: Final = 3
ROUND: Final = 100
_DAY_US: Final = 86_400_000_000
_CHINA: Final = timedelta(hours=8)

Shares = Mapping[str, float]
"""0 to 1 by field."""


def month_of(at: int, back: int = 0) -> int:
    """202611 of a time in microseconds; `back` months before it."""
    day = datetime.fromtimestamp(at / 1e6, UTC) + _CHINA
    number = day.year * 12 + day.month - 1 - back
    return number // 12 * 100 + number % 12 + 1


def sampled(connection: Connection, feed_id: int) -> tuple[int, Counter[str]]:
    """How many records were looked at, and how many of them hold each field; by (feed_id, live)."""
    query = select(record.c.document).where(record.c.feed_id == feed_id, record.c.live == 1)
    rows = connection.execute(query.order_by(desc(record.c.pk)).limit(SAMPLE)).scalars().all()
    return len(rows), Counter(name for row in rows for name in restore(bytes(row)))


def refresh(connection: Connection) -> int:
    """Keeps this month's figure of the feeds whose last one is the oldest, at most ROUND of them; how many."""
    at = now(connection)
    month = month_of(at)
    kept = and_(completeness.c.feed_id == feed.c.id, completeness.c.month == month)
    due = (
        select(feed.c.id)
        .outerjoin(completeness, kept)
        .where(feed.c.state == "active", feed.c.succeeded_at.is_not(None))
    )
    stale = or_(completeness.c.at.is_(None), completeness.c.at < at - _DAY_US)
    ids = (
        connection.execute(narrowed(due.where(stale).order_by(completeness.c.at, feed.c.id).limit(ROUND)))
        .scalars()
        .all()
    )
    for feed_id in ids:
        keep(connection, feed_id, month, at)
    return len(ids)


def keep(connection: Connection, feed_id: int, month: int, at: int) -> None:
    """A feed's figure of a month, instead of the one before it."""
    n, present = sampled(connection, feed_id)
    values = {"at": at, "n": n, "present": orjson.dumps(present).decode()}
    connection.execute(insert_missing(connection, completeness), {"feed_id": feed_id, "month": month, **values})
    own = completeness.update().where(completeness.c.feed_id == feed_id, completeness.c.month == month)
    connection.execute(narrowed(own.values(values)))


def kept(connection: Connection, feed_id: int, month: int) -> Shares | None:
    """A feed's shares in a month; None where nothing was kept."""
    query = select(completeness).where(completeness.c.feed_id == feed_id, completeness.c.month == month)
    row = connection.execute(mine(connection, query, completeness.c.feed_id)).first()
    return _shares(row.n, orjson.loads(row.present)) if row is not None and row.n else None


def current(connection: Connection, feed_id: int) -> Shares | None:
    """A feed's shares now; None without records."""
    n, present = sampled(connection, feed_id)
    return _shares(n, present) if n else None


def peers(connection: Connection, code: str) -> tuple[int, Shares]:
    """How many feeds of other platforms of the same level were looked at this month or last, and their medians.

    Over all rows: a median of at least PEERS feeds tells nothing of one of them.
    """
    at = now(connection)
    query = select(completeness).join(feed, feed.c.id == completeness.c.feed_id)
    query = query.join(platform, platform.c.code == feed.c.platform).where(
        platform.c.level == code[0], platform.c.code != code
    )
    query = query.where(completeness.c.month.in_([month_of(at), month_of(at, 1)]), completeness.c.n > 0)
    latest: dict[int, Any] = {
        row.feed_id: row for row in connection.execute(unbound(query.order_by(completeness.c.month)))
    }
    found = [_shares(row.n, orjson.loads(row.present)) for row in latest.values()]
    if len(found) < PEERS:
        return len(found), {}
    return len(found), {name: median(one.get(name, 0.0) for one in found) for name in {n for one in found for n in one}}


def _shares(n: int, present: Mapping[str, int]) -> Shares:
    return {name: count / n for name, count in present.items()}
