"""TOTP (RFC 6238, 30 s, six digits), each code once, and ten recovery codes, each once."""

import hmac
import secrets
from hashlib import sha256
from typing import Any

import pyotp
from sqlalchemy import Connection, delete, update

from app.access.audit import Act, note
from app.access.keyring import Keyring
from app.access.people import by_name
from app.access.tables import person, recovery_code
from app.db import now
from app.protocol.errors import BadRequest, Conflict

STEP_S = 30
CODES = 10


def begin(connection: Connection, ring: Keyring, name: str) -> dict[str, str]:
    """A new secret, not yet in force, as text and as the address for an authenticator. Raises Conflict when on."""
    if by_name(connection, name).totp_on:
        raise Conflict("the second factor is on; a security administrator can take it back")
    fresh = pyotp.random_base32()
    key_id, sealed = ring.seal(f"totp {name}", fresh.encode())
    statement = update(person).where(person.c.name == name)
    connection.execute(statement.values(totp=key_id.encode() + sealed, totp_step=0))
    return {"secret": fresh, "uri": pyotp.TOTP(fresh).provisioning_uri(name=name, issuer_name="Hutong")}


def confirm(connection: Connection, ring: Keyring, name: str, code: str) -> list[str]:
    """Puts the secret in force with a first right code; the recovery codes, shown once. Raises BadRequest."""
    row = by_name(connection, name)
    if row.totp_on or row.totp is None or not _code_holds(connection, ring, row, code):
        raise BadRequest("this is not the code of the secret that was shown last")
    codes = [secrets.token_hex(8) for _ in range(CODES)]
    connection.execute(delete(recovery_code).where(recovery_code.c.person == name))
    connection.execute(recovery_code.insert(), [{"hash": _digest(one), "person": name} for one in codes])
    connection.execute(update(person).where(person.c.name == name).values(totp_on=1))
    note(connection, Act.SECOND_FACTOR, f"person:{name}", state="on")
    return codes


def holds(connection: Connection, ring: Keyring, row: Any, code: str) -> bool:
    """Whether a code, or a recovery code, is right; it is used up by asking."""
    return _code_holds(connection, ring, row, code) or _recovers(connection, row.name, code)


def _code_holds(connection: Connection, ring: Keyring, row: Any, code: str) -> bool:
    stored = bytes(row.totp)
    secret = ring.open(f"totp {row.name}", stored[:16].decode(), stored[16:]).decode()
    today = now(connection) // 1_000_000 // STEP_S
    for step in (today - 1, today, today + 1):
        if hmac.compare_digest(pyotp.TOTP(secret).at(step * STEP_S).encode(), code.encode()):
            unused = update(person).where(person.c.name == row.name, person.c.totp_step < step)
            return connection.execute(unused.values(totp_step=step)).rowcount == 1
    return False


def _recovers(connection: Connection, name: str, code: str) -> bool:
    unused = update(recovery_code).where(recovery_code.c.hash == _digest(code), recovery_code.c.person == name)
    used = unused.where(recovery_code.c.used_at.is_(None)).values(used_at=now(connection))
    return connection.execute(used).rowcount == 1


def _digest(code: str) -> str:
    return sha256(code.strip().lower().encode()).hexdigest()
