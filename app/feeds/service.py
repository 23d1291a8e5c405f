"""Registers feeds and changes their state; the connector's configuration is checked before it is stored."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
from sqlalchemy import ColumnElement, Connection, Select, func, select, update

from app.access import secrets
from app.access.audit import Act, note
from app.access.keyring import Keyring
from app.access.principal import PRINCIPALS, Rows, Statement, acting, narrowed, unbound
from app.access.quotas import STANDARD
from app.access.scopes import Scope
from app.db import now
from app.feeds.tables import feed
from app.platforms import notices
from app.platforms import service as platforms
from app.platforms.queries import enrolment_of
from app.protocol.errors import BadRequest, Conflict, Forbidden, NotFound, QuotaFull
from app.statements import plain

SUSPENDED: Final = "suspended"
MASK: Final = "**********"  # what a secret is in a stored configuration (pydantic's)
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
    quota: int = STANDARD.feeds,
) -> int:
    """Adds a feed; its number. `config` must have been checked by the connector's own schema.

    `sealed` holds the true values of the fields that stand masked in `config`; they go to the vault, never to the row.
    Raises QuotaFull for a platform that has `quota` feeds, Conflict for a key that is taken.
    """
    platforms.by_code(connection, platform)
    if _count(connection, platform, feed.c.state != "retired") >= quota:
        raise QuotaFull(f"platform {platform} has {quota} feeds (HUTONG_QUOTA_FEEDS); retire one first")
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


def _count(connection: Connection, platform: str, *which: ColumnElement[bool]) -> int:
    query = select(func.count()).select_from(feed).where(feed.c.platform == platform, *which)
    return int(connection.execute(mine(connection, query)).scalar_one())


def mine(connection: Connection, statement: Statement, feed_id: ColumnElement[Any] | None = None) -> Statement:
    """A statement narrowed to the feeds that the acting principal may touch, by a column of feed numbers."""
    return narrow(acting(connection).rows, statement, feed_id)


def narrow(rows: Rows, statement: Statement, feed_id: ColumnElement[Any] | None = None) -> Statement:
    """`mine` for known rows."""
    if feed_id is None:
        return platforms.narrow(rows, statement, feed.c.platform)
    return statement if rows.everything else narrowed(statement.where(feed_id.in_(_numbers(rows))))


@lru_cache(maxsize=PRINCIPALS)
def _numbers(rows: Rows) -> Select[Any]:
    return narrow(rows, select(feed.c.id))


def _host(config: dict[str, Any]) -> str:
    urls = [value for value in config.values() if isinstance(value, str) and "://" in value]
    return urlsplit(urls[0]).netloc.lower() if urls else ""


def transition(connection: Connection, feed_id: int, state: str, why: str = "") -> None:
    """`active`, `paused`, `suspended` or `retired`, who says so and why; moving the fence stops a harvest within one page.

    A feed that the hub suspended is let go on by the hub alone. Raises Forbidden (`enrol.feed_suspended`).
    """
    row = by_id(connection, feed_id)
    if SUSPENDED in (state, row["state"]) and not acting(connection).has(Scope.OPS_WRITE):
        error = Forbidden("a feed is suspended, and let go on, by the hub's operator")
        error.kind = "enrol.feed_suspended"
        raise error
    values: dict[str, Any] = {"state": state, "state_by": acting(connection).said[:100], "state_why": why}
    if state != "active":
        values |= {"fence": feed.c.fence + 1, "lease_until": 0, "lease_owner": None}
    else:
        values |= {"next_at": 0, "attempts": 0}
    statement = mine(connection, update(feed).where(feed.c.id == feed_id).values(values))
    if not connection.execute(statement).rowcount:
        raise NotFound(f"there is no feed {feed_id}")
    note(connection, Act.FEED_STATE, owner(feed_id), state=state, why=why)
    if state == SUSPENDED:
        title = f"已暂停资源源 feed suspended: {row['platform']}/{row['key']}"
        notices.send(connection, title, why or "–", [row["platform"]])


def ask(connection: Connection, feed_id: int, job: str, why: str = "") -> None:
    """Lets the next free worker run this job of a feed at once. Raises Conflict where it runs already or may not run."""
    values = {"wanted": job, "wanted_by": acting(connection).said[:100], "wanted_why": why, "next_at": 0}
    free = update(feed).where(feed.c.id == feed_id, feed.c.state == "active", feed.c.lease_until <= now(connection))
    if not connection.execute(mine(connection, free.values(values))).rowcount:
        found = by_id(connection, feed_id)
        raise Conflict(
            f"feed {feed_id} is {'running' if found['state'] == 'active' else found['state']}; nothing was begun"
        )
    note(connection, Act.FEED_ASKED, owner(feed_id), job=job, why=why)


def want(connection: Connection, feed_id: int, job: str, why: str = "", anyway: bool = False) -> None:
    """Lets the next free worker do this work of the hub's own on a feed; what somebody asked for before goes first,
    unless `anyway`."""
    values = {"wanted": job, "wanted_by": acting(connection).said[:100], "wanted_why": why, "next_at": 0}
    mine = update(feed).where(feed.c.id == feed_id)
    free = mine if anyway else mine.where(feed.c.wanted.is_(None))
    connection.execute(narrowed(free.values(values)))


def answered(connection: Connection, feed_id: int, job: str) -> None:
    """The job that was asked for has ended; a later wish stays."""
    done = update(feed).where(feed.c.id == feed_id, feed.c.wanted == job)
    connection.execute(done.values(wanted=None, wanted_by="", wanted_why=""))


def remap(connection: Connection, feed_id: int, mapping: dict[str, Any]) -> None:
    """Gives a feed another mapping, which must have been checked."""
    statement = update(feed).where(feed.c.id == feed_id).values(mapping=orjson.dumps(mapping).decode())
    connection.execute(mine(connection, statement))
    note(connection, Act.FEED_MAPPED, owner(feed_id))


def move(
    connection: Connection, feed_id: int, config: dict[str, Any], sealed: tuple[Keyring, Mapping[str, str]], why: str
) -> None:
    """Gives a feed another configuration, such as a new address, checked by its connector; its next run reads all anew.

    Raises Forbidden (`enrol.elsewhere`) for an address outside of the domain that the platform has proved: that is the
    operator's to decide. A secret that is not given stays.
    """
    row = by_id(connection, feed_id)
    at_home(connection, row["platform"], config)
    hidden = {name: value for name, value in row["config"].items() if value == MASK}
    values = {
        "config": orjson.dumps(hidden | config).decode(),
        "host": _host(config) or row["host"],
        "checkpoint": "{}",
    }
    values |= {"fence": feed.c.fence + 1, "lease_until": 0, "lease_owner": None, "next_at": 0, "attempts": 0}
    connection.execute(mine(connection, update(feed).where(feed.c.id == feed_id).values(values)))
    secrets.keep(connection, sealed[0], owner(feed_id), sealed[1])
    note(connection, Act.FEED_MOVED, owner(feed_id), host=_host(config), why=why)


def at_home(connection: Connection, code: str, config: dict[str, Any]) -> None:
    """Whether who acts may let a feed go on at this address. Raises Forbidden (`enrol.elsewhere`)."""
    if acting(connection).has(Scope.OPS_WRITE):
        return
    host, domain = _host(config), str(enrolment_of(connection, code).domain)
    if host and not (domain and f".{host.partition(':')[0]}".endswith(f".{domain.partition(':')[0]}")):
        error = Forbidden(
            f"{host} is not at {domain or 'a proved domain'}; the operator moves a feed to another domain"
        )
        error.kind = "enrol.elsewhere"
        raise error


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
    platform, key = connection.execute(unbound(select(feed.c.platform, feed.c.key).where(feed.c.id == feed_id))).one()
    return platform, key


def feeds(connection: Connection) -> list[dict[str, Any]]:
    """The feeds, by number."""
    return [_decoded(row) for row in connection.execute(mine(connection, select(feed).order_by(feed.c.id)))]


def _decoded(row: Any) -> dict[str, Any]:
    found = plain(row)
    for name in ("config", "mapping", "checkpoint"):
        found[name] = orjson.loads(found[name]) if found[name] else None
    return found
