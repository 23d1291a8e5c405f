"""Registers platforms and changes their state."""

from typing import Any

from sqlalchemy import Connection, select, update

from app.db import now, plain
from app.platforms.tables import platform
from app.protocol.errors import BadRequest, Conflict, NotFound
from app.protocol.words import PLATFORM_CODE


def register(connection: Connection, code: str, name: str, region: str | None = None, parent: str | None = None) -> str:
    """Adds a platform; its code. Raises BadRequest for a malformed code, Conflict when it exists."""
    if not PLATFORM_CODE.match(code):
        raise BadRequest(f"platform code {code!r} is not of the form P-440000-01 (level, region, number)")
    if connection.execute(select(platform.c.code).where(platform.c.code == code)).first():
        raise Conflict(f"platform {code} is registered already")
    row = {"code": code, "name": name, "level": code[0], "region": region or code[2:8], "parent": parent}
    connection.execute(platform.insert(), {**row, "state": "active", "created_at": now(connection)})
    return code


def transition(connection: Connection, code: str, state: str, reason: str | None) -> None:
    """`suspended` or `active`; a suspended platform's feeds are not harvested."""
    changed = connection.execute(update(platform).where(platform.c.code == code).values(state=state, reason=reason))
    if not changed.rowcount:
        raise NotFound(f"there is no platform {code}")


def platforms(connection: Connection) -> list[dict[str, Any]]:
    """All platforms by code."""
    return [plain(row) for row in connection.execute(select(platform).order_by(platform.c.code))]


def by_code(connection: Connection, code: str) -> dict[str, Any]:
    """One platform. Raises NotFound."""
    row = connection.execute(select(platform).where(platform.c.code == code)).first()
    if row is None:
        raise NotFound(f"there is no platform {code}")
    return plain(row)
