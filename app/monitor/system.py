"""The hub itself: who works, what waits, how large the database is and how much disk is left."""

import platform as machine
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select, text

from app.access.principal import acting, narrowed
from app.catalogue.queries import epoch, head
from app.db import now
from app.disk import Disk
from app.feeds.service import mine
from app.feeds.tables import feed, host
from app.harvest.tables import run
from app.monitor.figures import queue


def system(connection: Connection, data_dir: Path) -> dict[str, Any]:
    """Workers with their leases, the queue, parked hosts, database, disk, versions; sizes in bytes."""
    at = now(connection)
    return {
        "at": at,
        "queue": queue(connection, at),
        "workers": workers(connection, at),
        "parked": parked(connection, at),
        "database": _database(connection),
        "disk": disk(data_dir),
        "head": head(connection),
        "epoch": epoch(connection),
        "python": machine.python_version(),
        "version": version("hutong"),
    }


def workers(connection: Connection, at: int) -> list[dict[str, Any]]:
    """Owners of living leases: how many feeds each runs and when its first lease would run out."""
    query = select(feed.c.lease_owner, func.count().label("feeds"), func.min(feed.c.lease_until).label("until"))
    query = query.where(feed.c.lease_until > at).group_by(feed.c.lease_owner).order_by(feed.c.lease_owner)
    return [
        {"owner": row.lease_owner, "feeds": row.feeds, "left_s": (row.until - at) // 1_000_000}
        for row in connection.execute(mine(connection, query))
    ]


def parked(connection: Connection, at: int) -> list[dict[str, Any]]:
    """Hosts that asked to be left alone (Retry-After), the longest wait first."""
    query = select(host).where(host.c.not_before > at).order_by(host.c.not_before.desc()).limit(50)
    if not acting(connection).rows.everything:
        query = narrowed(query.where(host.c.name.in_(mine(connection, select(feed.c.host)))))
    return [{"host": r.name, "left_s": (r.not_before - at) // 1_000_000} for r in connection.execute(query)]


def pulse(connection: Connection) -> str:
    """Changes whenever a page was stored, a run began or a feed changed hands: what live pages listen to."""
    leases = connection.execute(mine(connection, select(func.sum(feed.c.fence), func.max(feed.c.succeeded_at)))).one()
    latest = connection.execute(mine(connection, select(func.max(run.c.id)), run.c.feed_id)).scalar()
    return f"{head(connection)}-{latest or 0}-{leases[0] or 0}-{leases[1] or 0}"


def _database(connection: Connection) -> dict[str, Any]:
    if connection.dialect.name == "sqlite":
        query = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        release = connection.execute(text("SELECT sqlite_version()")).scalar_one()
    else:
        query = "SELECT pg_database_size(current_database())"
        release = connection.execute(text("SHOW server_version")).scalar_one()
    return {"kind": connection.dialect.name, "release": release, "bytes": connection.execute(text(query)).scalar_one()}


def disk(folder: Path) -> dict[str, int]:
    """Bytes in all and free where a folder is, or would be made."""
    return Disk(folder, (0, 0)).usage()._asdict()
