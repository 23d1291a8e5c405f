"""Registers feeds and changes their state; the connector's configuration is checked before it is stored."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from sqlalchemy import ColumnElement, Connection, func, select, update

from app.access import secrets
from app.access.audit import Act, note
from app.access.keyring import Keyring
from app.access.principal import Statement, acting, narrowed
from app.db import now, plain
from app.feeds.tables import feed
from app.platforms import service as platforms
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
    sealed: tuple[Keyring, Mapping[str, str]] | None = None,
) -> int:
    """Adds a feed; its number. `config` must have been checked by the connector's own schema.

    `sealed` holds the true values of the fields that stand masked in `config`; they go to the vault, never to the row.
    """
    platforms.by_code(connection, platform)
    key = key or f"{connector}-{_count(connection, platform) + 1}"
    if not KEY.match(key):
        raise BadRequest(f"feed key {key!r}: use lower-case letters, digits and hyphens")
    taken = mine(connection, select(feed.c.id).where(feed.c.platform == platform, feed.c.key == key))
    if connection.execute(taken).first():
        raise Conflict(f"platform {platform} has a feed {key!r} already; the key never changes, choose another")
    row = {
        "platform": platform, "key": key, "name": name, "connector": connector, "every_s": every_s,
        "config": orjson.dumps(config).decode(), "mapping": orjson.dumps(mapping).decode() if mapping else None,
        "state": "active", "checkpoint": "{}", "host": _host(config) or f"{platform}/{key}", "created_at": now(connection),
    }  # fmt: skip
    made = int(connection.execute(feed.insert().returning(feed.c.id), row).scalar_one())
    if sealed is not None:
        secrets.keep(connection, sealed[0], owner(made), sealed[1])
    note(connection, Act.FEED_ADDED, owner(made), platform=platform, key=key, connector=connector)
    return made


def owner(feed_id: int) -> str:
    """The name of a feed in the vault and in the audit chain."""
    return f"feed:{feed_id}"


def _count(connection: Connection, platform: str) -> int:
    query = select(func.count()).select_from(feed).where(feed.c.platform == platform)
    return int(connection.execute(mine(connection, query)).scalar_one())


def mine(connection: Connection, statement: Statement, feed_id: ColumnElement[Any] | None = None) -> Statement:
    """A statement narrowed to the feeds that the acting principal may touch, by a column of feed numbers."""
    if feed_id is None:
        return platforms.mine(connection, statement, feed.c.platform)
    if acting(connection).rows.everything:
        return statement
    own = platforms.mine(connection, select(feed.c.id), feed.c.platform)
    return narrowed(statement.where(feed_id.in_(own)))


def _host(config: dict[str, Any]) -> str:
    urls = [value for value in config.values() if isinstance(value, str) and "://" in value]
    return urlsplit(urls[0]).netloc.lower() if urls else ""


def transition(connection: Connection, feed_id: int, state: str) -> None:
    """`active`, `paused` or `retired`; moving the fence stops a running harvest within one page."""
    values: dict[str, Any] = {"state": state}
    if state != "active":
        values |= {"fence": feed.c.fence + 1, "lease_until": 0, "lease_owner": None}
    else:
        values |= {"next_at": 0, "attempts": 0}
    statement = mine(connection, update(feed).where(feed.c.id == feed_id).values(values))
    if not connection.execute(statement).rowcount:
        raise NotFound(f"there is no feed {feed_id}")
    note(connection, Act.FEED_STATE, owner(feed_id), state=state)


def remap(connection: Connection, feed_id: int, mapping: dict[str, Any]) -> None:
    """Gives a feed another mapping, which must have been checked."""
    statement = update(feed).where(feed.c.id == feed_id).values(mapping=orjson.dumps(mapping).decode())
    connection.execute(mine(connection, statement))
    note(connection, Act.FEED_MAPPED, owner(feed_id))


def by_id(connection: Connection, reference: int | str) -> dict[str, Any]:
    """One feed by number or `PLATFORM/key`, configuration and mapping decoded. Raises NotFound."""
    query = select(feed)
    if str(reference).isdigit():
        query = query.where(feed.c.id == int(reference))
    else:
        platform, _, key = str(reference).partition("/")
        query = query.where(feed.c.platform == platform, feed.c.key == key)
    row = connection.execute(mine(connection, query)).first()
    if row is None:
        raise NotFound(f"there is no feed {reference}; `hutong feed list` shows them")
    return _decoded(row)


def place(connection: Connection, feed_id: int) -> tuple[str, str]:
    """Platform and key of a feed, whoever asks: both stand in the identifiers of its records."""
    platform, key = connection.execute(narrowed(select(feed.c.platform, feed.c.key).where(feed.c.id == feed_id))).one()
    return platform, key


def feeds(connection: Connection) -> list[dict[str, Any]]:
    """The feeds, by number."""
    return [_decoded(row) for row in connection.execute(mine(connection, select(feed).order_by(feed.c.id)))]


def _decoded(row: Any) -> dict[str, Any]:
    found = plain(row)
    for name in ("config", "mapping", "checkpoint"):
        found[name] = orjson.loads(found[name]) if found[name] else None
    return found
