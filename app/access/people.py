"""People: accounts, roles, rows. Nobody is there at the first start; the code of `hutong init` makes the first one."""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, delete, select, update

from app.access import keys, passwords
from app.access.audit import Act, note
from app.access.principal import Rows, acting
from app.access.scopes import APPLICANT, TENANTS, Role, Scope, granted, roles_of
from app.access.tables import attempt, person, recovery_code, session
from app.access.tally import Tally
from app.db import Database, now
from app.protocol import vocab
from app.protocol.errors import BadRequest, Conflict, NotFound, Unauthorized
from app.protocol.words import ENROLMENT_ID, PLATFORM_CODE


def add(
    connection: Connection, name: str, password: str, roles: Iterable[str], *, platforms: Iterable[str] = (),
    regions: Iterable[str] = (), initial: bool = True,
) -> None:  # fmt: skip
    """Adds a person. An initial password has to be changed at the first sign-in.

    Raises BadRequest for a weak password, unknown roles, two of the 三员, or a tenant's role without a platform.
    """
    if not 2 <= len(name) <= 64 or not name.isprintable() or any(mark in name for mark in " :,/"):
        raise BadRequest(f"account name {name!r}: 2 to 64 characters without spaces, colons, commas and slashes")
    if connection.execute(select(person.c.name).where(person.c.name == name)).first():
        raise Conflict(f"there is an account {name!r} already")
    passwords.check(password, name)
    place, at = _place(roles, platforms, regions), now(connection)
    row = {
        "name": name, "password": passwords.hashed(password), "password_at": 0 if initial else at, "created_at": at,
        "state": "active", **place,
    }  # fmt: skip
    connection.execute(person.insert(), row)
    note(connection, Act.PERSON_ADDED, f"person:{name}", **place)


def _place(roles: Iterable[str], platforms: Iterable[str], regions: Iterable[str]) -> dict[str, str]:
    of, codes, areas = roles_of(roles), sorted(set(platforms)), sorted(set(regions))
    if wrong := [code for code in codes if not (PLATFORM_CODE.match(code) or ENROLMENT_ID.match(code))]:
        raise BadRequest(f"{wrong[0]!r} is not the code of a platform or the number of an application")
    if wrong := [code for code in areas if vocab.region(code) is None]:
        raise BadRequest(f"{wrong[0]!r} is not a region code of GB/T 2260 that this hub knows")
    if of & TENANTS and (of - TENANTS or not codes or areas):
        raise BadRequest("a platform manager or vendor has platforms, no regions and no other kind of role")
    if codes and not of & TENANTS:
        raise BadRequest("only platform managers and vendors are bound to platforms")
    return {"roles": " ".join(sorted(of)), "platforms": " ".join(codes), "regions": " ".join(areas)}


def first(database: Database, tally: Tally, code: str, name: str, password: str) -> None:
    """The first person, a security administrator, by the code of `hutong init`. Commits by itself, a refusal too.

    Raises Unauthorized when not the first or with another code, BadRequest for a weak password.
    """
    with database.write() as connection:
        known = keys.found(connection, code)
        if nobody(connection) and known is not None and not known.platform and known.label == "init":
            add(connection, name, password, [Role.SECURITY], initial=False)
            return
        if (count := tally.refused(acting(connection))) is not None:
            note(connection, Act.PERSON_ADDED, "person:first", "refused", count=count)
    raise Unauthorized()


def nobody(connection: Connection) -> bool:
    """Whether the first person is still to come."""
    return connection.execute(select(person.c.name).limit(1)).first() is None


def move(
    connection: Connection, name: str, roles: Iterable[str], platforms: Iterable[str] = (), regions: Iterable[str] = ()
) -> None:
    """Gives a person these roles and rows instead of the former; holds from the next request."""
    row, values = by_name(connection, name), _place(roles, platforms, regions)
    connection.execute(update(person).where(person.c.name == name).values(values))
    note(connection, Act.PERSON_ROLES, f"person:{name}", before=row.roles, **values)


def follow(connection: Connection, application: str, code: str) -> None:
    """The people of an application are those of the platform that it has become."""
    bound = select(person.c.name, person.c.platforms).where(person.c.platforms.contains(application))
    for row in connection.execute(bound).all():
        codes = " ".join(sorted({*row.platforms.split(), code}))
        connection.execute(update(person).where(person.c.name == row.name).values(platforms=codes))
        note(connection, Act.PERSON_ROLES, f"person:{row.name}", platforms=codes)


def turn(connection: Connection, name: str, state: str) -> None:
    """`active` or `disabled`; a disabled person's sessions end at once, an enabled one's lock is lifted."""
    by_name(connection, name)
    if state not in ("active", "disabled"):
        raise BadRequest("a person is active or disabled")
    connection.execute(update(person).where(person.c.name == name).values(state=state))
    connection.execute(delete(attempt).where(attempt.c.name == tried(name)))
    if state == "disabled":
        connection.execute(delete(session).where(session.c.person == name))
    note(connection, Act.PERSON_STATE, f"person:{name}", state=state)


def tried(name: str) -> str:
    """How failed sign-ins of a name are kept."""
    return sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def set_password(connection: Connection, name: str, password: str, *, initial: bool) -> None:
    """A new password; every session of the person ends. Raises BadRequest for a weak or the same one."""
    row = by_name(connection, name)
    passwords.check(password, name)
    if passwords.matches(row.password, password):
        raise BadRequest("this is the password you have")
    values = {"password": passwords.hashed(password), "password_at": 0 if initial else now(connection)}
    connection.execute(update(person).where(person.c.name == name).values(values))
    connection.execute(delete(session).where(session.c.person == name))
    note(connection, Act.PASSWORD, f"person:{name}", initial=initial)


def forget_second_factor(connection: Connection, name: str) -> None:
    """For a lost telephone: the person signs in with the password and enrols again."""
    by_name(connection, name)
    connection.execute(update(person).where(person.c.name == name).values(totp=None, totp_on=0))
    connection.execute(delete(recovery_code).where(recovery_code.c.person == name))
    note(connection, Act.SECOND_FACTOR, f"person:{name}", state="forgotten")


def by_name(connection: Connection, name: str) -> Any:
    """The row of a person. Raises NotFound."""
    row = connection.execute(select(person).where(person.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no account {name!r}")
    return row


def people(connection: Connection) -> list[dict[str, Any]]:
    """All people by name, without what they sign in with."""
    return [
        {
            "name": row.name, "roles": row.roles.split(), "platforms": row.platforms.split(), "state": row.state,
            "regions": row.regions.split(), "second_factor": bool(row.totp_on), "created_at": row.created_at,
        }
        for row in connection.execute(select(person).order_by(person.c.name))
    ]  # fmt: skip


def rights(roles: frozenset[Role], platforms: frozenset[str]) -> frozenset[Scope]:
    """What somebody with these roles may do on these rows; on an application alone no more than its test key."""
    alone = roles & TENANTS and platforms and all(ENROLMENT_ID.match(code) for code in platforms)
    return APPLICANT if alone else granted(roles)


def rows_of(roles: frozenset[Role], platforms: frozenset[str], regions: frozenset[str]) -> Rows:
    """Whose things: a tenant's platforms, else the regions, else (hub staff without a region) everything."""
    if roles & TENANTS:
        return Rows(platforms=platforms)
    return Rows(regions=regions) if regions else Rows(everything=True)
