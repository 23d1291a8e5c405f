"""API keys: `hk_1a2b3c4d_...`, 256 random bits behind a visible prefix. Only the SHA-256 is stored; shown once.

A platform has at most two live keys of one label: rotation makes the second and lets the first end within 30 days.
A hash without salt is right here: the input is random, not chosen, and one fast hash cannot be used to stall the hub.
"""

import secrets
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, and_, func, or_, select, update

from app.access.audit import Act, note
from app.access.principal import acting, narrowed, unbound, within
from app.access.scopes import KEY_SCOPES, PLATFORM_SCOPES, Scope, scopes_of
from app.access.tables import api_key, suspension
from app.db import now
from app.protocol.errors import BadRequest, Conflict, NotFound

OVERLAP_S = 30 * 86_400
LIVE = 2
_DAY_US = 86_400_000_000


class NewKey(NamedTuple):
    """A key at the one moment when it can be read."""

    prefix: str
    key: str


def issue(
    connection: Connection, platform: str | None, *, label: str = "main", scopes: str = "", days: int | None = None
) -> NewKey:
    """A key of a platform, or of the hub itself. Raises BadRequest for a scope it cannot have, Conflict for a third."""
    allowed = PLATFORM_SCOPES if platform else KEY_SCOPES
    wanted = scopes_of(scopes.split(), allowed) if scopes else allowed
    alive = (
        select(func.count()).select_from(api_key).where(_of(platform), api_key.c.label == label, *_alive(connection))
    )
    if connection.execute(narrowed(alive)).scalar_one() >= LIVE:
        raise Conflict(f"{platform or 'the hub'} has {LIVE} live keys {label!r}; revoke one first")
    made = _add(connection, platform, label, wanted, days)
    note(connection, Act.KEY_ISSUED, made.prefix, platform=platform, label=label, scopes=" ".join(sorted(wanted)))
    return made


def issue_mine(connection: Connection, platform: str, **asked: Any) -> NewKey:
    """`issue`, for a platform among the acting principal's rows only. Raises NotFound for another."""
    rows = acting(connection).rows
    if not (rows.everything or platform in rows.platforms):
        raise NotFound(f"there is no platform {platform}")
    return issue(connection, platform, **asked)


def _of(platform: str | None) -> Any:
    return api_key.c.platform == platform if platform else api_key.c.platform.is_(None)


def _alive(connection: Connection) -> tuple[Any, ...]:
    ends = api_key.c.expires_at
    return api_key.c.revoked_at.is_(None), or_(ends.is_(None), ends > now(connection))


def _add(
    connection: Connection, platform: str | None, label: str, scopes: frozenset[Scope], days: int | None
) -> NewKey:
    prefix = f"hk_{secrets.token_hex(4)}"
    key = f"{prefix}_{secrets.token_urlsafe(32)}"
    at = now(connection)
    row = {
        "prefix": prefix, "platform": platform, "label": label, "hash": sha256(key.encode()).hexdigest(),
        "scopes": " ".join(sorted(scopes)), "created_at": at, "created_by": acting(connection).name,
        "expires_at": at + days * _DAY_US if days else None,
    }  # fmt: skip
    # The first key of an application is issued to somebody who has no rows yet; who may issue is said above.
    connection.execute(unbound(api_key.insert()), row)
    return NewKey(prefix, key)


def first(connection: Connection) -> str | None:
    """At the first start: the hub's own key, which is also the first administrator's one-time code. None afterwards."""
    if connection.execute(select(api_key.c.prefix).limit(1)).first():
        return None
    return issue(connection, None, label="init").key


def found(connection: Connection, key: str) -> Any:
    """The row of a live key of a platform that is not suspended, or None; by the unique index on the hash."""
    mine = api_key.c.hash == sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    # Over all rows: who asks is found by it.
    return connection.execute(unbound(select(api_key).where(mine, _going(), *_alive(connection)))).first()


def living(connection: Connection, prefix: str) -> Any:
    """The same by prefix: what a token rests on."""
    mine = api_key.c.prefix == prefix
    # Over all rows: who asks is found by it.
    return connection.execute(unbound(select(api_key).where(mine, _going(), *_alive(connection)))).first()


def _going() -> Any:
    """The platform is not suspended."""
    stopped = select(suspension.c.platform).where(suspension.c.platform == api_key.c.platform)
    return ~stopped.exists()


def rotate(connection: Connection, prefix: str, overlap_s: int = 7 * 86_400) -> NewKey:
    """A second key like this one, which then ends after the overlap (at most 30 days)."""
    if not 0 <= overlap_s <= OVERLAP_S:
        raise BadRequest("two keys of one label live together for 30 days at most")
    old = _mine(connection, prefix)
    if old.revoked_at or (old.expires_at and old.expires_at <= now(connection)):
        raise Conflict(f"key {prefix} has ended; issue a new one")
    alive = select(func.count()).select_from(api_key).where(_of(old.platform), api_key.c.label == old.label)
    if connection.execute(narrowed(alive.where(*_alive(connection)))).scalar_one() >= LIVE:
        raise Conflict(f"key {prefix} is being rotated already; revoke one of the two first")
    scopes = frozenset(Scope(name) for name in old.scopes.split())
    made = _add(connection, old.platform, old.label, scopes, None)
    ends = now(connection) + overlap_s * 1_000_000
    values = {"expires_at": ends if old.expires_at is None else min(ends, old.expires_at)}
    connection.execute(narrowed(update(api_key).where(api_key.c.prefix == prefix).values(values)))
    note(connection, Act.KEY_ROTATED, prefix, by=made.prefix, overlap_s=overlap_s)
    return made


def revoke(connection: Connection, prefix: str, reason: str = "") -> None:
    """Ends a key and every token made with it, at once."""
    row = _mine(connection, prefix)
    if row.revoked_at is None:
        statement = update(api_key).where(api_key.c.prefix == prefix).values(revoked_at=now(connection))
        connection.execute(narrowed(statement))
        note(connection, Act.KEY_REVOKED, prefix, reason=reason)


def suspend(connection: Connection, platform: str, stopped: bool) -> None:
    """Stops, or lets through again, a platform's keys, tokens and people; the platform's transition is what is noted."""
    connection.execute(suspension.delete().where(suspension.c.platform == platform))
    if stopped:
        connection.execute(suspension.insert(), {"platform": platform, "at": now(connection)})


def _mine(connection: Connection, prefix: str) -> Any:
    query = within(connection, select(api_key).where(api_key.c.prefix == prefix), api_key.c.platform)
    row = connection.execute(query).first()
    if row is None:
        raise NotFound(f"there is no key {prefix}")
    return row


def used(connection: Connection, prefix: str) -> None:
    """Notes the time of use."""
    connection.execute(narrowed(update(api_key).where(api_key.c.prefix == prefix).values(used_at=now(connection))))


def keys(connection: Connection, platform: str | None = None) -> list[dict[str, Any]]:
    """Keys without their hashes, newest first, with one word of state and days left."""
    query = within(connection, select(api_key).order_by(api_key.c.created_at.desc()), api_key.c.platform)
    if platform:
        query = query.where(api_key.c.platform == platform)
    at, stopped = now(connection), set(connection.execute(select(suspension.c.platform)).scalars())
    return [_shown(row, at, row.platform in stopped) for row in connection.execute(query)]


class Ending(NamedTuple):
    """A live key that ends soon and has no successor: `days` left, counted up."""

    prefix: str
    platform: str | None
    label: str
    days: int


def ending(connection: Connection, days: int = 30) -> list[Ending]:
    """Live keys that end within `days` while no other live key of their platform and label goes on, the soonest first."""
    at, other = now(connection), api_key.alias()
    limit = at + days * _DAY_US
    same = and_(
        func.coalesce(other.c.platform, "") == func.coalesce(api_key.c.platform, ""), other.c.label == api_key.c.label
    )
    goes_on = or_(other.c.expires_at.is_(None), other.c.expires_at > limit)
    successor = select(other.c.prefix).where(same, other.c.revoked_at.is_(None), goes_on)
    query = select(api_key).where(
        api_key.c.revoked_at.is_(None), api_key.c.expires_at > at, api_key.c.expires_at <= limit
    )
    rows = connection.execute(narrowed(query.where(~successor.exists()).order_by(api_key.c.expires_at)))
    return [Ending(row.prefix, row.platform, row.label, -(-(row.expires_at - at) // _DAY_US)) for row in rows]


def _shown(row: Any, at: int, stopped: bool) -> dict[str, Any]:
    left = None if row.expires_at is None else max(0, (row.expires_at - at) // _DAY_US)
    state = "suspended" if stopped else "live"
    if row.expires_at is not None and row.expires_at <= at:
        state = "expired"
    if row.revoked_at is not None:
        state = "revoked"
    return {
        "prefix": row.prefix, "platform": row.platform, "label": row.label, "scopes": row.scopes.split(), "state": state,
        "days_left": left, "created_at": row.created_at, "created_by": row.created_by, "expires_at": row.expires_at,
        "used_at": row.used_at, "revoked_at": row.revoked_at,
    }  # fmt: skip
