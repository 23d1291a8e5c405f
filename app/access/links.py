"""Which person a subject of an identity provider stands for: one person a subject, one subject a person."""

from typing import Any

from sqlalchemy import Connection, delete, select

from app.access.audit import Act, note
from app.access.people import by_name
from app.access.tables import person_link
from app.db import now
from app.protocol.errors import BadRequest, Conflict
from app.statements import insert_missing, plain


def link(connection: Connection, name: str, issuer: str, subject: str) -> None:
    """From now on this subject signs in as this person. Raises NotFound, Conflict when either is linked already."""
    if not issuer:
        raise BadRequest("no identity provider is set: HUTONG_OIDC_ISSUER")
    if not (1 <= len(subject) <= 255 and subject.isprintable()):
        raise BadRequest("a subject has 1 to 255 characters, all of them printable")
    by_name(connection, name)
    if person_of(connection, issuer, subject) or linked(connection, issuer, name):
        raise Conflict(f"this subject, or {name}, is linked already; `hutong user unlink` takes a link back")
    row = {"issuer": issuer, "subject": subject, "person": name, "linked_at": now(connection)}
    fresh = insert_missing(connection, person_link).returning(person_link.c.person)
    if connection.execute(fresh, row).first() is None:
        raise Conflict(f"this subject, or {name}, has just been linked")
    note(connection, Act.PERSON_LINKED, f"person:{name}", issuer=issuer, subject=subject)


def unlink(connection: Connection, name: str) -> None:
    """Takes a person's links back; the sessions that they began go on until the person is disabled or they end."""
    by_name(connection, name)
    connection.execute(delete(person_link).where(person_link.c.person == name))
    note(connection, Act.PERSON_LINKED, f"person:{name}", subject=None)


def links(connection: Connection, name: str) -> list[dict[str, Any]]:
    """A person's links: `issuer`, `subject`, `linked_at`. Raises NotFound."""
    by_name(connection, name)
    query = select(person_link.c.issuer, person_link.c.subject, person_link.c.linked_at)
    return [plain(row) for row in connection.execute(query.where(person_link.c.person == name))]


def person_of(connection: Connection, issuer: str, subject: str) -> str | None:
    """The person's name, or None."""
    mine = select(person_link.c.person).where(person_link.c.issuer == issuer, person_link.c.subject == subject)
    found: str | None = connection.execute(mine).scalar()
    return found


def linked(connection: Connection, issuer: str, name: str) -> bool:
    """Whether this person has a subject at this issuer."""
    mine = select(person_link.c.subject).where(person_link.c.issuer == issuer, person_link.c.person == name)
    return connection.execute(mine).first() is not None
