"""What must be done now and then: the head of the audit chain goes to a file every hour, what has ended is removed."""

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, delete

from app.access import audit
from app.access.audit import Act
from app.access.gate import Gate
from app.access.keyring import Keyring
from app.access.principal import SYSTEM
from app.access.tables import attempt, nonce, session
from app.access.tally import Tally
from app.clock import iso
from app.db import Database, now
from app.protocol.canonical import canonical
from app.protocol.errors import QuotaExceeded

log = structlog.get_logger()
HOUR_S = 3600
_HOUR_US = HOUR_S * 1_000_000
FILE = "audit-heads.ndjson"


class Clerk:
    """A thread of the hub. `duty` is what the rooms above want done every hour, in a transaction of its own."""

    def __init__(self, database: Database, gate: Gate, duty: Callable[[Connection], object] | None = None) -> None:
        self._database, self._gate, self._duty = database, gate, duty
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="clerk", daemon=True)

    def start(self) -> None:
        """Begins; the first round is an hour from now."""
        self._thread.start()

    def stop(self) -> None:
        """Ends, with a last export."""
        self._stop.set()
        self._thread.join()
        self._round()

    def _work(self) -> None:
        while not self._stop.wait(HOUR_S):
            self._round()

    def _round(self) -> None:
        settings = self._gate.settings
        try:
            told(self._database, self._gate.tally)
            with self._database.write() as connection:
                tidy(connection, settings.session_s)
                audit.purge(connection, settings.audit_days)
                export(connection, self._gate.ring, settings.data_dir)
            if self._duty is not None:
                with self._database.write() as connection:
                    self._duty(connection)
        except Exception:
            log.exception("clerk.fault")


def told(database: Database, tally: Tally) -> None:
    """Puts on the chain what was refused since the last time and is on no row yet: a row for each tenant or address."""
    for why, counts in (("", tally.rest()), (QuotaExceeded.kind, tally.throttles())):
        for tenant, address, count in counts:
            who = replace(SYSTEM, name=tenant or "anonymous", address=address)
            detail = {"why": why, "count": count} if why else {"count": count}
            with database.acting(who).write() as connection:
                audit.note(connection, Act.REFUSED, "requests", "refused", **detail)


def tidy(connection: Connection, session_s: int) -> None:
    """Removes ended sessions, nonces older than ten minutes, counts of failed sign-ins older than a day."""
    at = now(connection)
    connection.execute(delete(session).where(session.c.began_at < at - session_s * 1_000_000))
    connection.execute(delete(nonce).where(nonce.c.seen_at < at - 600_000_000))
    connection.execute(delete(attempt).where(attempt.c.first_at < at - 24 * _HOUR_US, attempt.c.until < at))


def export(connection: Connection, ring: Keyring, folder: Path) -> dict[str, Any]:
    """Adds the head, signed, to DATA_DIR/audit-heads.ndjson, which belongs on another machine; the line."""
    head = audit.head(connection)
    line = {"seq": head["seq"], "hash": head["hash"], "at": iso(head["at"])}
    signature = _key(ring.seeds("audit")[0]).sign(canonical(line)).hex()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("ab") as file:
        file.write(orjson.dumps({**line, "sig": signature}) + b"\n")
    return line


def exported(ring: Keyring, file: Path) -> tuple[list[dict[str, Any]], int]:
    """The heads of a file whose signatures hold, and how many lines do not."""
    good: list[dict[str, Any]] = []
    bad = 0
    for text in file.read_bytes().splitlines() if file.exists() else ():
        try:
            line = orjson.loads(text)
            signature = bytes.fromhex(line.pop("sig"))
            held = any(_holds(seed, signature, canonical(line)) for seed in ring.seeds("audit"))
        except (ValueError, TypeError, KeyError, AttributeError):
            held = False
        if held:
            good.append(line)
        else:
            bad += 1
    return good, bad


def _holds(seed: bytes, signature: bytes, content: bytes) -> bool:
    try:
        _key(seed).public_key().verify(signature, content)
    except InvalidSignature:
        return False
    return True


def _key(seed: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(seed)
