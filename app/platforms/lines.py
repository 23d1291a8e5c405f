"""Lines: whom a platform reports to. By agreement, else by region code; the 计划单列市 report directly.

County to city to province to the hub. A platform that is not there is passed over. Vendors report to nobody, they
are chosen (see `choices`).
"""

from typing import Any, Final

from sqlalchemy import Connection, select, update

from app.access.audit import Act, note
from app.access.principal import unbound
from app.platforms.queries import by_code, mine
from app.platforms.stages import named
from app.platforms.tables import platform
from app.protocol import vocab
from app.protocol.errors import BadRequest, NotFound

DIRECT: Final = frozenset({"210200", "330200", "350200", "370200", "440300"})
"""大连 宁波 厦门 青岛 深圳: direct addressees of 教技〔2017〕7号."""

_ORDER: Final = "NPCDS"


def line(connection: Connection, code: str, hub: str) -> dict[str, Any]:
    """`{code, upper, by}` with by = agreement, region, direct, hub or none; `hub` is this hub's own code. NotFound."""
    row = by_code(connection, code)
    if row["parent"]:
        return {"code": code, "upper": row["parent"], "by": "agreement"}
    if row["level"] == "E":
        return {"code": code, "upper": None, "by": "none"}
    if row["level"] == "C" and row["region"] in DIRECT:
        return {"code": code, "upper": hub, "by": "direct"}
    upper = _nearest(connection, row)
    if upper is None:
        return {"code": code, "upper": hub if code != hub else None, "by": "hub"}
    return {"code": code, "upper": upper, "by": "region"}


def _nearest(connection: Connection, row: dict[str, Any]) -> str | None:
    """The active platform of the lowest level above whose region holds this one; 兵团 before 新疆 for the 6590xx."""
    levels = list(_ORDER[1 : _ORDER.index(row["level"])])
    if any(vocab.under(row["region"], city) for city in DIRECT):
        levels = [level for level in levels if level != "P"]
    # Over all rows: whom a platform reports to is no secret of the one above.
    query = select(platform.c.code, platform.c.level, platform.c.region)
    query = unbound(query.where(platform.c.level.in_(levels), platform.c.state == "active"))
    above = [other for other in connection.execute(query) if vocab.under(row["region"], other.region)]
    if not above:
        return None
    best = min(above, key=lambda other: (-_ORDER.index(other.level), other.region != "660000", other.code))
    return str(best.code)


def agree(connection: Connection, code: str, parent: str | None, reason: str) -> None:
    """Whom a platform reports to by agreement, instead of by region code. Raises BadRequest (`enrol.line`)."""
    row = by_code(connection, code)
    if parent is not None:
        upper = connection.execute(unbound(select(platform.c.level).where(platform.c.code == parent))).scalar()
        if upper is None:
            raise NotFound(f"there is no platform {parent}")
        if "E" in (upper, row["level"]) or _ORDER.index(upper) >= _ORDER.index(row["level"]):
            detail = f"{code} can report to a higher level only (N, P, C, D, S in this order); vendors report to nobody"
            raise named(BadRequest(detail), "enrol.line")
    statement = update(platform).where(platform.c.code == code).values(parent=parent)
    connection.execute(mine(connection, statement))
    note(connection, Act.LINE_AGREED, code, before=row["parent"], parent=parent, reason=reason)
