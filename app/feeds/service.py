"""Registers feeds and changes their state; the connector's configuration is checked before it is stored."""

import re
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import Connection, select, update

from app.db import now, plain
from app.feeds.tables import feed
from app.platforms.service import by_code
from app.protocol.errors import BadRequest, Conflict, NotFound

KEY = re.compile(r"[a-z0-9][a-z0-9-]{0,62}\Z")


def register(
    connection: Connection,
    *,
    platform: str,
    name: str,
    connector: str,
    config: dict[str, Any],
    mapping: dict[str, Any] | None = None,
    every_s: int = 900,
    key: str | None = None,
) -> int:
    """Adds a feed; its number. `config` must have been checked by the connector's own schema."""
    by_code(connection, platform)
    key = key or f"{connector}-{_count(connection, platform) + 1}"
    if not KEY.match(key):
        raise BadRequest(f"feed key {key!r}: use lower-case letters, digits and hyphens")
    if connection.execute(select(feed.c.id).where(feed.c.platform == platform, feed.c.key == key)).first():
        raise Conflict(f"platform {platform} has a feed {key!r} already; the key never changes, choose another")
    row = {
        "platform": platform, "key": key, "name": name, "connector": connector, "every_s": every_s,
        "config": orjson.dumps(config).decode(), "mapping": orjson.dumps(mapping).decode() if mapping else None,
        "state": "active", "checkpoint": "{}", "host": _host(config) or f"{platform}/{key}", "created_at": now(connection),
    }  # fmt: skip
    return int(connection.execute(feed.insert().returning(feed.c.id), row).scalar_one())


def _count(connection: Connection, platform: str) -> int:
    return len(connection.execute(select(feed.c.id).where(feed.c.platform == platform)).all())


def _host(config: dict[str, Any]) -> str:
    urls = [value for value in config.values() if isinstance(value, str) and "://" in value]
    return urlsplit(urls[0]).netloc.lower() if urls else ""


def transition(connection: Connection, feed_id: int, state: str, *, by: str = "", why: str = "") -> None:
    """`active`, `paused` or `retired`, who says so and why; moving the fence stops a running harvest within one page."""
    values: dict[str, Any] = {"state": state, "state_by": by[:100], "state_why": why}
    if state != "active":
        values |= {"fence": feed.c.fence + 1, "lease_until": 0, "lease_owner": None}
    else:
        values |= {"next_at": 0, "attempts": 0}
    if not connection.execute(update(feed).where(feed.c.id == feed_id).values(values)).rowcount:
        raise NotFound(f"there is no feed {feed_id}")


def ask(connection: Connection, feed_id: int, job: str, *, by: str, why: str) -> None:
    """Lets the next free worker run this job of a feed at once. Raises Conflict where it runs already or may not run."""
    values = {"wanted": job, "wanted_by": by[:100], "wanted_why": why, "next_at": 0}
    free = update(feed).where(feed.c.id == feed_id, feed.c.state == "active", feed.c.lease_until <= now(connection))
    if not connection.execute(free.values(values)).rowcount:
        found = by_id(connection, feed_id)
        raise Conflict(
            f"feed {feed_id} is {'running' if found['state'] == 'active' else found['state']}; nothing was begun"
        )


def answered(connection: Connection, feed_id: int, job: str) -> None:
    """The job that was asked for has ended; a later wish stays."""
    done = update(feed).where(feed.c.id == feed_id, feed.c.wanted == job)
    connection.execute(done.values(wanted=None, wanted_by="", wanted_why=""))


def remap(connection: Connection, feed_id: int, mapping: dict[str, Any]) -> None:
    """Gives a feed another mapping, which must have been checked."""
    connection.execute(update(feed).where(feed.c.id == feed_id).values(mapping=orjson.dumps(mapping).decode()))


def by_id(connection: Connection, reference: int | str) -> dict[str, Any]:
    """One feed by number or `PLATFORM/key`, configuration and mapping decoded. Raises NotFound."""
    query = select(feed)
    if str(reference).isdigit():
        query = query.where(feed.c.id == int(reference))
    else:
        platform, _, key = str(reference).partition("/")
        query = query.where(feed.c.platform == platform, feed.c.key == key)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no feed {reference}; `hutong feed list` shows them")
    return _decoded(row)


def feeds(connection: Connection) -> list[dict[str, Any]]:
    """All feeds by number."""
    return [_decoded(row) for row in connection.execute(select(feed).order_by(feed.c.id))]


def _decoded(row: Any) -> dict[str, Any]:
    # SQLAlchemy names columns in a subclass of str that orjson takes for no key.
    found = plain(row)
    for name in ("config", "mapping", "checkpoint"):
        found[name] = orjson.loads(found[name]) if found[name] else None
    return found
