"""Signing in and what follows. A session has a new 256-bit id at each sign-in, stored as its SHA-256, an idle and an
absolute limit; roles and state of the person are read at every request, so that a change holds at once.
"""

import secrets
from hashlib import sha256
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, select, update

from app.access import passwords, second_factor
from app.access.audit import Act, note
from app.access.keyring import Keyring
from app.access.people import by_name, rights, rows_of, set_password, tried
from app.access.principal import Principal, acting
from app.access.scopes import OFFICERS, TENANTS, Role
from app.access.tables import attempt, person, session, suspension
from app.access.tally import Tally
from app.db import Database, now
from app.protocol.errors import QuotaExceeded, SecondFactorNeeded, Unauthorized
from app.settings import Settings
from app.statements import insert_missing

TRIES = 5
WINDOW_S = 900
LONGEST_LOCK_S = 86_400
_US = 1_000_000


class SignedIn(NamedTuple):
    """A fresh session: the cookie's value, the CSRF token, and what must be done before anything else."""

    cookie: str
    csrf: str
    name: str
    must: str


def sign_in(
    database: Database, ring: Keyring, settings: Settings, tally: Tally, *, name: str, password: str, code: str = ""
) -> SignedIn:
    """A session for a right password (and code). Commits by itself: a failure must be remembered though it raises.

    Raises Unauthorized (alike for a wrong password, an unknown or a disabled account), SecondFactorNeeded, and
    QuotaExceeded (`auth.locked`) after five failures in 15 minutes, for names without an account as well.
    """
    name = name[:64]
    with database.write() as connection:
        wait = reserve(connection, name)
        row = connection.execute(select(person).where(person.c.name == name)).first()
        # A name without an account is not written down: people type their password into the field for the name.
        shown = f"person:{name}" if row else "person:unknown"
        # Of an account each failure is a row; what cannot succeed anyway is counted, or anybody could fill the chain.
        count = tally.refused(acting(connection)) if wait or not row else 1
        if wait and count is not None:
            note(connection, Act.LOGIN, shown, "refused", why="locked", count=count)
    if wait:
        raise locked(wait)
    # Outside of a transaction: hashing is slow on purpose.
    right = passwords.matches(row.password if row else None, password)
    with database.write() as connection:
        refusal = _refusal(connection, ring, row, right, code)
        if refusal is None:
            return begin(connection, ring, settings, row, "password")
        if isinstance(refusal, SecondFactorNeeded):
            connection.execute(delete(attempt).where(attempt.c.name == tried(name), attempt.c.failed <= 1))
        if count is not None:
            note(connection, Act.LOGIN, shown, "refused", why=refusal.kind, count=count)
    raise refusal


def locked(wait_s: float) -> QuotaExceeded:
    """The refusal of a name that has been tried too often."""
    error = QuotaExceeded("too many failed sign-ins for this name; wait", wait_s=wait_s, limit=TRIES)
    error.kind = "auth.locked"
    return error


def change_password(database: Database, name: str, old: str, new: str) -> None:
    """A new password for whoever knows the old one; tries count like those of signing in. Commits by itself.

    Raises Unauthorized for a wrong old one, QuotaExceeded (`auth.locked`), BadRequest for a weak new one.
    """
    with database.write() as connection:
        wait, row = reserve(connection, name), by_name(connection, name)
    if wait:
        raise locked(wait)
    right = passwords.matches(row.password, old)
    with database.write() as connection:
        if right:
            connection.execute(delete(attempt).where(attempt.c.name == tried(name)))
        else:
            note(connection, Act.PASSWORD, f"person:{name}", "refused")
    if not right:
        raise Unauthorized()
    with database.write() as connection:
        set_password(connection, name, new, initial=False)


def _refusal(connection: Connection, ring: Keyring, row: Any, right: bool, code: str) -> Unauthorized | None:
    if row is None or not right or row.state != "active":
        return Unauthorized()
    if not row.totp_on:
        return None
    if not code:
        return SecondFactorNeeded()
    return None if second_factor.holds(connection, ring, row, code) else Unauthorized()


def reserve(connection: Connection, name: str) -> float:
    """Counts this try as failed before it is checked (tries at the same time cannot slip by); seconds to wait, or 0."""
    at = now(connection)
    name = tried(name)
    new = {"name": name, "failed": 0, "first_at": at, "until": 0, "locks": 0}
    connection.execute(insert_missing(connection, attempt), new)
    row = connection.execute(select(attempt).where(attempt.c.name == name).with_for_update()).one()
    if row.until > at:
        return float(row.until - at) / _US
    fresh = at - row.first_at > WINDOW_S * _US
    values = {"failed": 1 if fresh else row.failed + 1, "first_at": at if fresh else row.first_at, "until": 0}
    if values["failed"] >= TRIES:
        pause = min(WINDOW_S * 2**row.locks, LONGEST_LOCK_S)
        values |= {"failed": 0, "until": at + pause * _US, "locks": min(row.locks + 1, 10)}
    connection.execute(update(attempt).where(attempt.c.name == name).values(values))
    return 0.0


def locked_s(connection: Connection, name: str) -> float:
    """Seconds for which a name is still locked, 0 when it is not; counts nothing."""
    until = connection.execute(select(attempt.c.until).where(attempt.c.name == tried(name))).scalar() or 0
    return max(0.0, float(until - now(connection)) / _US)


def begin(connection: Connection, ring: Keyring, settings: Settings, row: Any, means: str) -> SignedIn:
    """A session of this person, who has shown who they are by `means`; failed tries are forgotten."""
    connection.execute(delete(attempt).where(attempt.c.name == tried(row.name)))
    cookie, at = secrets.token_urlsafe(32), now(connection)
    address = acting(connection).address
    stored = {
        "hash": _digest(cookie),
        "person": row.name,
        "address": address,
        "began_at": at,
        "seen_at": at,
        "means": means,
    }
    connection.execute(session.insert(), stored)
    note(connection, Act.LOGIN, f"person:{row.name}", means=means)
    return SignedIn(cookie, csrf(ring, cookie), row.name, _must(row, settings, at, means))


def _must(row: Any, settings: Settings, at: int, means: str) -> str:
    """`password` or `second-factor` when it has to be dealt with first, else empty.

    A password is of no matter to who came without one; a second factor is, unless the provider has asked for it.
    """
    aged = settings.password_days and at - row.password_at > settings.password_days * 86_400 * _US
    if means == "password" and (row.password_at == 0 or aged):
        return "password"
    if means == "oidc-mfa":
        return ""
    roles = {Role(name) for name in row.roles.split()}
    staff = settings.second_factor == "staff" and (roles & OFFICERS or not roles & TENANTS)
    return "second-factor" if (settings.second_factor == "all" or staff) and not row.totp_on else ""


def find(connection: Connection, settings: Settings, cookie: str) -> Principal:
    """Who this cookie stands for. Raises Unauthorized when the session has ended or the person is disabled.

    The principal has no scopes while the password or the second factor must be dealt with first.
    """
    query = select(session, person).join(person, person.c.name == session.c.person)
    row = connection.execute(query.where(session.c.hash == _digest(cookie))).first()
    at = now(connection)
    if row is None or row.state != "active" or not _lasts(row, settings, at):
        raise Unauthorized()
    roles = frozenset(Role(name) for name in row.roles.split())
    stopped = set(connection.execute(select(suspension.c.platform)).scalars())
    platforms = frozenset(row.platforms.split()) - stopped
    scopes = frozenset() if _must(row, settings, at, row.means) else rights(roles, frozenset(row.platforms.split()))
    tenant = min(row.platforms.split(), default=f"person:{row.name}")
    rows = rows_of(roles, platforms, frozenset(row.regions.split()))
    return Principal(f"person:{row.name}", scopes, rows, tenant, session=row.hash)


def _lasts(row: Any, settings: Settings, at: int) -> bool:
    idle, age = at - row.seen_at, at - row.began_at
    return bool(idle < settings.session_idle_s * _US and age < settings.session_s * _US)


def seen(connection: Connection, hash: str) -> None:
    """Moves the idle limit."""
    connection.execute(update(session).where(session.c.hash == hash).values(seen_at=now(connection)))


def end(connection: Connection, hash: str) -> None:
    """Ends a session."""
    connection.execute(delete(session).where(session.c.hash == hash))
    note(connection, Act.LOGOUT, "session")


def csrf(ring: Keyring, cookie: str) -> str:
    """The token that a page puts into its forms: only who can read our pages has it."""
    return ring.mac("csrf", _digest(cookie))


def _digest(cookie: str) -> str:
    return sha256(cookie.encode()).hexdigest()
