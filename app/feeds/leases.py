"""Leases: who may harvest a feed now. The claim is one conditional UPDATE, right on both databases.

Each page's transaction begins with `hold`; a fence that moved on means that somebody else owns the feed.
"""

import random
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    and_,
    bindparam,
    case,
    cast,
    func,
    or_,
    select,
    update,
)

from app.access.principal import narrowed
from app.db import now
from app.feeds.tables import feed, host
from app.feeds.turns import Queue
from app.platforms.tables import platform
from app.protocol.errors import LeaseLost
from app.protocol.words import Job
from app.statements import Fixed, insert_missing

HOST_LIMIT = 2  # feeds of one host harvested at the same time
FAILURES, REST_S = 4, 60  # requests without an answer, and for how long their host is left alone then
ADMITTED, LEFT = "active", "retired"  # states of a platform: its feeds are harvested; its records are taken out
LONGEST_US = 86_400_000_000
"""No lease is given and no host asks to wait for longer than a day: what lies further ahead was written by a clock
that has been set back since."""


class Lease(NamedTuple):
    """The right to write for a feed, until `fence` moves on, or its platform is not in the state `under` any more."""

    feed_id: int
    owner: str
    fence: int
    seconds: int
    under: str = ADMITTED


_AT = bindparam("at", type_=BigInteger)
# Built once: SQLAlchemy takes longer to build the queue's statements than a database to answer them.
_FREE = or_(feed.c.lease_until <= _AT, feed.c.lease_until > _AT + LONGEST_US)
_HELD = and_(feed.c.lease_owner.is_not(None), feed.c.lease_until.between(_AT + 1, _AT + LONGEST_US))
_PAUSE = cast(feed.c.every_s, BigInteger) * 1_100_000
# The first bound says nothing new; by it, and only by it, the index answers without reading what is not due.
_AHEAD = and_(feed.c.next_at > _AT + LONGEST_US, feed.c.next_at > _AT + _PAUSE + LONGEST_US)
_DUE = and_(feed.c.state == "active", or_(feed.c.next_at <= _AT, _AHEAD), _FREE)
_BUSY = select(feed.c.host).where(_HELD).group_by(feed.c.host).having(func.count() >= HOST_LIMIT)
_PARKED = select(host.c.name).where(host.c.not_before.between(_AT + 1, _AT + LONGEST_US))
_ANYTHING = select(feed.c.id).where(_DUE).limit(1)
_QUEUE = Queue(and_(_DUE, feed.c.host.not_in(_BUSY), feed.c.host.not_in(_PARKED)), _HELD)

_LEAVING = (
    select(feed.c.id)
    .join(platform, platform.c.code == feed.c.platform)
    .where(feed.c.wanted == Job.RETIRE, platform.c.state == LEFT, _FREE)
    .limit(1)
)


def claim_due(connection: Connection, owner: str, seconds: int) -> Lease | None:
    """A due feed that nobody holds, of the platform whose turn it is (`turns`), or one that is to leave; None when there
    is nothing to do."""
    at = {"at": now(connection)}
    chosen = _QUEUE.next(connection, at) if connection.execute(_ANYTHING, at).first() is not None else None
    if chosen is not None:
        return claim(connection, chosen, owner, seconds)
    leaving = connection.execute(_LEAVING, at).scalar()
    return claim(connection, leaving, owner, seconds, LEFT) if leaving is not None else None


def claim(connection: Connection, feed_id: int, owner: str, seconds: int, under: str = ADMITTED) -> Lease | None:
    """The lease of this feed, or None when somebody holds it."""
    at = now(connection)
    statement = (
        update(feed)
        .where(feed.c.id == feed_id, or_(_FREE, feed.c.lease_owner == owner))
        .values(lease_owner=owner, lease_until=at + seconds * 1_000_000, fence=feed.c.fence + 1)
        # Not given back: its holder died.
        .values(deaths=feed.c.deaths + case((feed.c.lease_owner != owner, 1), else_=0))
        .returning(feed.c.fence)
    )
    fence = connection.execute(statement, {"at": at}).scalar()
    return None if fence is None else Lease(feed_id, owner, fence, seconds, under)


def hold(connection: Connection, lease: Lease, **values: Any) -> None:
    """Extends the lease and writes to the feed row. Raises LeaseLost when the fence moved on or the platform is stopped."""
    fields = {"lease_until": now(connection) + lease.seconds * 1_000_000, **values}
    mine = {"mine": lease.feed_id, "under": lease.under, "now_fence": lease.fence, "holder": lease.owner}
    if _held(tuple(fields)).run(connection, **mine, **{f"new_{name}": to for name, to in fields.items()}) != 1:
        raise LeaseLost(f"feed {lease.feed_id} was taken over by another worker, or its platform may not be harvested")


@lru_cache(maxsize=64)
def _held(names: tuple[str, ...]) -> Fixed:
    # The owner too: a heartbeat that comes after the release must not take the feed again for nobody.
    mine = update(feed).where(
        feed.c.id == bindparam("mine"), feed.c.fence == bindparam("now_fence"), feed.c.lease_owner == bindparam("holder"),
        _stands(bindparam("under")),
    )  # fmt: skip
    return Fixed(mine.values({name: bindparam(f"new_{name}") for name in names}))


def _stands(state: Any) -> ColumnElement[bool]:
    """The feed's platform is in this state: admitted (in trial or online) and not suspended, or retired."""
    found = select(platform.c.state).where(platform.c.code == feed.c.platform).correlate(feed).scalar_subquery()
    stands: ColumnElement[bool] = found == state
    return stands


def release(connection: Connection, lease: Lease, *, succeeded: bool, wait_s: float | None = None) -> None:
    """Ends the lease and sets the next time: the feed's period with jitter, or a growing pause after a failure."""
    at = now(connection)
    row = connection.execute(select(feed.c.every_s, feed.c.attempts).where(feed.c.id == lease.feed_id)).one()
    attempts = 0 if succeeded else row.attempts + 1
    pause = row.every_s * random.uniform(0.9, 1.1) if succeeded else min(row.every_s, 30 * 2 ** min(attempts, 10))
    values: dict[str, Any] = {"attempts": attempts, "next_at": at + int(max(pause, wait_s or 0) * 1_000_000)}
    if succeeded:
        values |= {"succeeded_at": at, "deaths": 0}
    hold(connection, lease, **values)
    connection.execute(update(feed).where(feed.c.id == lease.feed_id).values(lease_owner=None, lease_until=0))


def hand_over(connection: Connection, lease: Lease) -> None:
    """Gives a feed back in the middle of its run: whoever claims it next goes on from the last page that was stored.

    The fence moves on, so that nothing more of the old holder is stored, however long its thread still lives.
    """
    mine = update(feed).where(
        feed.c.id == lease.feed_id, feed.c.fence == lease.fence, feed.c.lease_owner == lease.owner
    )
    connection.execute(mine.values(fence=feed.c.fence + 1, lease_owner=None, lease_until=0))


def forsake(connection: Connection, owner: str) -> None:
    """Gives back whatever this owner holds, also what it does not know of: a claim whose commit got no answer."""
    mine = update(feed).where(feed.c.lease_owner == owner)
    connection.execute(mine.values(fence=feed.c.fence + 1, lease_owner=None, lease_until=0))


def give_back(connection: Connection, lease: Lease) -> None:
    """Ends the lease and leaves the feed's next time as it is: the source was not asked."""
    hold(connection, lease, lease_owner=None)
    connection.execute(update(feed).where(feed.c.id == lease.feed_id).values(lease_until=0))


def not_asked(connection: Connection, lease: Lease) -> None:
    """After work of the hub's own that was begun at once: the source's turn comes when it would have come."""
    turn = func.coalesce(feed.c.succeeded_at + cast(feed.c.every_s, BigInteger) * 1_000_000, 0)
    connection.execute(update(feed).where(feed.c.id == lease.feed_id).values(next_at=turn))


def park(connection: Connection, name: str, wait_s: float) -> None:
    """Remembers a host's Retry-After for every feed on it, across runs and restarts."""
    until = now(connection) + int(wait_s * 1_000_000)
    connection.execute(insert_missing(connection, host), {"name": name, "not_before": until, "failures": 0})
    earlier = or_(host.c.not_before < until, host.c.not_before > now(connection) + LONGEST_US)
    connection.execute(update(host).where(host.c.name == name, earlier).values(not_before=until))


def unanswered(connection: Connection, name: str) -> bool:
    """Counts a request that a host did not answer; whether it is left alone now, with every feed on it."""
    connection.execute(insert_missing(connection, host), {"name": name, "not_before": 0, "failures": 0})
    mine = update(host).where(host.c.name == name).values(failures=host.c.failures + 1).returning(host.c.failures)
    if connection.execute(mine).scalar_one() < FAILURES:
        return False
    park(connection, name, REST_S)
    return True


def answered(connection: Connection, name: str) -> None:
    """A host answers again: what it failed before does not count any more."""
    connection.execute(update(host).where(host.c.name == name, host.c.failures > 0).values(failures=0))


def still(connection: Connection, feed_ids: Iterable[int]) -> None:
    """Until this transaction ends no page of these feeds is stored: each page begins by writing to its feed's row."""
    rows = select(feed.c.id).where(feed.c.id.in_(sorted(set(feed_ids)))).order_by(feed.c.id)
    connection.execute(narrowed(rows.with_for_update())).all()


def not_before(connection: Connection, name: str) -> int:
    """When a host may be asked again, microseconds; 0 when at once."""
    return int(connection.execute(select(host.c.not_before).where(host.c.name == name)).scalar() or 0)


def checkpoint(connection: Connection, feed_id: int) -> dict[str, Any]:
    """Where the feed's last committed page left off."""
    found: dict[str, Any] = orjson.loads(
        connection.execute(select(feed.c.checkpoint).where(feed.c.id == feed_id)).scalar_one()
    )
    return found
