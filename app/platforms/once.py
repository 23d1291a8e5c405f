"""A vendor connects once, a school has one space, a domain is one member's. Only who was admitted keeps others out.

Looked at over all rows, and only for who has proved a domain: a stranger is not told who is connected.
"""

from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from app.access.principal import unbound
from app.platforms.stages import HARVESTED, Kind, Stage, named
from app.platforms.tables import enrolment
from app.protocol.errors import Conflict


def unrivalled(connection: Connection, row: Any) -> None:
    """Nobody admitted is the same organisation or has the domain. Raises Conflict (`enrol.taken`, `enrol.domain_taken`)."""
    own_domain(connection, row)
    if row.kind == Kind.PLATFORM:
        return
    column = enrolment.c.school_code if row.kind == Kind.SCHOOL else enrolment.c.credit_code
    if code := _admitted(connection, row, column, enrolment.c.kind == row.kind):
        detail = f"this organisation is connected already as {code}: one technical connection serves all regions"
        raise named(Conflict(detail), "enrol.taken")


def own_domain(connection: Connection, row: Any) -> None:
    """Nobody admitted has the domain. Raises Conflict (`enrol.domain_taken`)."""
    if code := _admitted(connection, row, enrolment.c.domain):
        raise named(Conflict(f"the domain {row.domain} belongs to {code}"), "enrol.domain_taken")


def _admitted(connection: Connection, row: Any, column: ColumnElement[Any], *more: ColumnElement[bool]) -> str | None:
    others = select(enrolment.c.code).where(column == row._mapping[column.name], column != "", enrolment.c.id != row.id)
    living = others.where(enrolment.c.stage.in_([*HARVESTED, Stage.SUSPENDED]), *more)
    return connection.execute(unbound(living)).scalar()
