"""Registers platforms and changes their state."""

from typing import Any

from sqlalchemy import ColumnElement, Connection, select, update

from app.access.audit import Act, note
from app.access.gate import suspend
from app.access.principal import Statement, acting, narrowed, within
from app.db import now, plain
from app.platforms.tables import platform
from app.protocol.errors import BadRequest, Conflict, Forbidden, NotFound
from app.protocol.words import PLATFORM_CODE


def register(connection: Connection, code: str, name: str, region: str | None = None, parent: str | None = None) -> str:
    """Adds a platform; its code. Raises BadRequest for a malformed code, Conflict when it exists."""
    if not PLATFORM_CODE.match(code):
        raise BadRequest(f"platform code {code!r} is not of the form P-440000-01 (level, region, number)")
    if not acting(connection).rows.cover(code, region or code[2:8]):
        raise Forbidden(f"platform {code} lies outside of the regions that you look after")
    # Over all rows: a code that somebody else has is taken, whoever asks.
    if connection.execute(narrowed(select(platform.c.code).where(platform.c.code == code))).first():
        raise Conflict(f"platform {code} is registered already")
    row = {"code": code, "name": name, "level": code[0], "region": region or code[2:8], "parent": parent}
    connection.execute(platform.insert(), {**row, "state": "active", "created_at": now(connection)})
    note(connection, Act.PLATFORM_ADDED, code, name=name, region=row["region"], parent=parent)
    return code


def transition(connection: Connection, code: str, state: str, reason: str | None) -> None:
    """`suspended` or `active`; a suspended platform's feeds are not harvested and its keys do not open."""
    statement = update(platform).where(platform.c.code == code).values(state=state, reason=reason)
    if not connection.execute(mine(connection, statement)).rowcount:
        raise NotFound(f"there is no platform {code}")
    suspend(connection, code, state == "suspended")
    note(connection, Act.PLATFORM_STATE, code, state=state, reason=reason)


def mine(connection: Connection, statement: Statement, code: ColumnElement[Any] | None = None) -> Statement:
    """A statement narrowed to the platforms that the acting principal may touch, by a column of platform codes."""
    if code is None:
        return within(connection, statement, platform.c.code, platform.c.region)
    if acting(connection).rows.everything:
        return statement
    own = within(connection, select(platform.c.code), platform.c.code, platform.c.region)
    return narrowed(statement.where(code.in_(own)))


def platforms(connection: Connection) -> list[dict[str, Any]]:
    """The platforms, by code."""
    query = mine(connection, select(platform).order_by(platform.c.code))
    return [plain(row) for row in connection.execute(query)]


def names(connection: Connection) -> dict[str, str]:
    """Names by code, of all platforms whoever asks: who published a record is public."""
    query = narrowed(select(platform.c.code, platform.c.name))
    return {row.code: row.name for row in connection.execute(query)}


def by_code(connection: Connection, code: str) -> dict[str, Any]:
    """One platform. Raises NotFound."""
    row = connection.execute(mine(connection, select(platform).where(platform.c.code == code))).first()
    if row is None:
        raise NotFound(f"there is no platform {code}")
    return plain(row)
