"""Registers platforms by an operator's own act, and changes their state; how others come in is `applications`."""

from sqlalchemy import Connection, select

from app.access.audit import Act, note
from app.access.principal import acting, unbound
from app.db import now
from app.platforms import moves
from app.platforms.applications import new_id
from app.platforms.history import record
from app.platforms.queries import by_code, mine, names, narrow, platforms
from app.platforms.stages import Kind, Stage, Verdict
from app.platforms.tables import enrolment, platform
from app.protocol.errors import BadRequest, Conflict, Forbidden
from app.protocol.words import PLATFORM_CODE

__all__ = ["by_code", "mine", "names", "narrow", "platforms", "register", "transition"]
_KINDS = {"E": Kind.VENDOR, "S": Kind.SCHOOL}


def register(connection: Connection, code: str, name: str, region: str | None = None, parent: str | None = None) -> str:
    """Adds a platform as online, without application or review: an operator's act, noted as such; its code.

    Raises BadRequest for a malformed code, Conflict when it exists.
    """
    if not PLATFORM_CODE.match(code):
        raise BadRequest(f"platform code {code!r} is not of the form P-440000-01 (level, region, number)")
    if not acting(connection).rows.cover(code, region or code[2:8]):
        raise Forbidden(f"platform {code} lies outside of the regions that you look after")
    # Over all rows: a code that somebody else has is taken, whoever asks.
    if connection.execute(unbound(select(platform.c.code).where(platform.c.code == code))).first():
        raise Conflict(f"platform {code} is registered already")
    at, place = now(connection), {"name": name, "level": code[0], "region": region or code[2:8]}
    connection.execute(
        platform.insert(), {**place, "code": code, "parent": parent, "state": "active", "created_at": at}
    )
    id = new_id(code[2:8])
    row = {**place, "id": id, "code": code, "kind": _KINDS.get(code[0], Kind.PLATFORM), "stage": Stage.ONLINE}
    connection.execute(enrolment.insert(), {**row, "created_at": at, "moved_at": at})
    record(connection, id, Verdict.MOVED, "", Stage.ONLINE, "registered by the operator", ())
    note(connection, Act.PLATFORM_ADDED, code, name=name, region=place["region"], parent=parent)
    return code


def transition(connection: Connection, code: str, state: str, reason: str | None) -> None:
    """`suspended` or `active`; a suspended platform's feeds are not harvested and its keys do not open."""
    by_code(connection, code)
    if state == "suspended":
        moves.suspend(connection, code, reason or "")
    else:
        moves.resume(connection, code, reason or "")
