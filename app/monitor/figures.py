"""The figures of the whole: how large the catalogue is, what waits and what came in among one's own feeds, the queue.

Each is one statement, made once for the rows of whoever asks: the wall, the status document and the metrics ask for
them again and again, and to make a statement costs more than to run it on a hub of a few thousand feeds.
"""

from functools import lru_cache
from typing import Any, Final

from sqlalchemy import BindParameter, Connection, Select, bindparam, func, select, true

from app.access.principal import PRINCIPALS, Rows, acting, narrowed
from app.catalogue.queries import size
from app.db import now
from app.feeds.service import narrow
from app.feeds.tables import feed, host
from app.harvest.runs import day_of
from app.harvest.tables import held, rejection, run_day
from app.platforms.tables import platform

DAY_US: Final = 86_400_000_000
_AT: Final[BindParameter[Any]] = bindparam("at")


def numbers(connection: Connection) -> dict[str, Any]:
    """Numbers: records and positions of the whole catalogue; refusals, runs, what is held and waits, of one's own feeds."""
    at = now(connection)
    live, head, before = size(connection, at - DAY_US)
    found = connection.execute(_counts(acting(connection).rows), {"day": day_of(at)}).one()
    counts = {name: int(value) for name, value in found._mapping.items()}
    return {"records": live, "head": head, "changed_24h": head - before, **counts, **queue(connection, at)}


def queue(connection: Connection, at: int) -> dict[str, int]:
    """Feeds whose time has come and that nobody holds: how many, the longest wait; and how many are being run."""
    number, oldest, running = connection.execute(_queue(acting(connection).rows), {"at": at}).one()
    return {"queue": number, "queue_age_s": (at - oldest) // 1_000_000 if oldest else 0, "running": running}


@lru_cache(maxsize=PRINCIPALS)
def _counts(rows: Rows) -> Select[Any]:
    """One row; parameter `day`."""
    refused = select(func.count()).select_from(rejection).where(rejection.c.state == "open")
    every = select(func.count()).select_from(feed)
    waits = select(func.coalesce(func.sum(held.c.count), 0).label("n"), func.count().label("changes"))
    waits = waits.where(held.c.state == "pending")
    today = select(
        func.coalesce(func.sum(run_day.c.rejected), 0).label("rejected"), func.coalesce(func.sum(run_day.c.runs), 0).label("runs")
    ).where(run_day.c.day == bindparam("day"))  # fmt: skip
    waiting = narrow(rows, waits, held.c.feed_id).subquery("waiting")
    ended = narrow(rows, today, run_day.c.feed_id).subquery("ended")
    query = select(
        narrow(rows, refused, rejection.c.feed_id).scalar_subquery().label("rejected"),
        ended.c.rejected.label("rejected_today"), ended.c.runs.label("runs_today"),
        waiting.c.n.label("held"), waiting.c.changes.label("held_changes"),
        narrow(rows, every).scalar_subquery().label("feeds"),
    )  # fmt: skip
    return narrowed(query.select_from(waiting.join(ended, true())))


@lru_cache(maxsize=PRINCIPALS)
def _queue(rows: Rows) -> Select[Any]:
    """One row: how many are due, since when the first, how many are being run; parameter `at`."""
    parked = select(host.c.name).where(host.c.not_before > _AT)
    since = func.min(func.coalesce(func.nullif(feed.c.next_at, 0), feed.c.created_at))
    due = (
        select(func.count().label("n"), since.label("since"))
        .join(platform, platform.c.code == feed.c.platform)
        .where(feed.c.state == "active", platform.c.state == "active", feed.c.next_at <= _AT, feed.c.lease_until <= _AT)
        .where(feed.c.host.not_in(parked))
    )
    leased = select(func.count()).select_from(feed).where(feed.c.lease_until > _AT)
    waiting = narrow(rows, due).subquery("due")
    return narrowed(select(waiting.c.n, waiting.c.since, narrow(rows, leased).scalar_subquery()))
