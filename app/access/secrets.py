"""What the hub holds in order to present it to others (a feed's password or key): sealed at rest, opened for a run."""

from collections.abc import Mapping

from sqlalchemy import Connection, delete, select

from app.access.audit import Act, note
from app.access.keyring import Keyring
from app.access.tables import secret
from app.db import now
from app.statements import upsert


def keep(connection: Connection, ring: Keyring, owner: str, values: Mapping[str, str]) -> None:
    """Seals the values of an owner (`feed:12`), each under its name; a value given again replaces the one before."""
    for name, value in values.items():
        key_id, sealed = ring.seal(_use(owner, name), value.encode())
        row = {"owner": owner, "name": name, "key_id": key_id, "sealed": sealed, "kept_at": now(connection)}
        connection.execute(upsert(connection, secret, ("owner", "name"), ("key_id", "sealed", "kept_at")), row)
        note(connection, Act.SECRET_KEPT, owner, name=name, key_id=key_id)


def opened(connection: Connection, ring: Keyring, owner: str) -> dict[str, str]:
    """The owner's values by name, empty when there are none. Raises SecretLost."""
    rows = connection.execute(select(secret).where(secret.c.owner == owner)).all()
    return {row.name: ring.open(_use(owner, row.name), row.key_id, bytes(row.sealed)).decode() for row in rows}


def forget(connection: Connection, owner: str) -> None:
    """Removes the owner's values."""
    connection.execute(delete(secret).where(secret.c.owner == owner))


def reseal(connection: Connection, ring: Keyring) -> int:
    """Seals with today's key what an earlier one sealed; how many. After it the earlier key may go."""
    stale = connection.execute(select(secret).where(secret.c.key_id != ring.ids[0])).all()
    for row in stale:
        plain = ring.open(_use(row.owner, row.name), row.key_id, bytes(row.sealed))
        keep(connection, ring, row.owner, {row.name: plain.decode()})
    return len(stale)


def _use(owner: str, name: str) -> str:
    return f"secret {owner} {name}"
