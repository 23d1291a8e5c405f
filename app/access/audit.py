"""The audit chain: who did what to what, from where, with what result. Append-only, in the change's own transaction.

hash(n) = SHA-256(hash(n-1) followed by the canonical row n without its hash); hash(0) is 64 zeros. Triggers on both
databases refuse UPDATE, and DELETE of rows younger than 180 days (Cybersecurity Law art. 21 (3)).
"""

from collections.abc import Iterator
from enum import StrEnum
from hashlib import sha256
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, delete, desc, func, select, text, update

from app.access.principal import acting
from app.access.tables import audit, audit_head
from app.db import now
from app.protocol.canonical import canonical
from app.statements import plain

BEGINNING = "0" * 64
KEPT_DAYS = 180
_DAY = 86_400_000_000


class Act(StrEnum):
    """What can be noted; a test sees each of them happen."""

    LOGIN = "login"
    LOGOUT = "logout"
    REFUSED = "refused"
    PERSON_ADDED = "person.added"
    PERSON_ROLES = "person.roles"
    PERSON_STATE = "person.state"
    PERSON_LINKED = "person.linked"
    PASSWORD = "person.password"  # noqa: S105 (the name of an act)
    SECOND_FACTOR = "person.second_factor"
    KEY_ISSUED = "key.issued"
    KEY_ROTATED = "key.rotated"
    KEY_REVOKED = "key.revoked"
    CERTIFICATE_BOUND = "certificate.bound"
    CERTIFICATE_FREED = "certificate.freed"
    TOKEN = "token.issued"  # noqa: S105 (the name of an act)
    SECRET_KEPT = "secret.kept"  # noqa: S105 (the name of an act)
    PLATFORM_ADDED = "platform.added"
    PLATFORM_STATE = "platform.state"
    ENROLMENT = "enrolment.step"
    DOCUMENT_KEPT = "document.kept"
    DOMAIN_PROVED = "domain.proved"
    LINE_AGREED = "line.agreed"
    WEIGHT = "platform.weight"
    CHOICE = "choice.made"
    GRADING = "grading.filed"
    NOTICE = "notice.sent"
    ACKNOWLEDGED = "notice.acknowledged"
    FEED_ADDED = "feed.added"
    FEED_STATE = "feed.state"
    FEED_ASKED = "feed.asked"
    FEED_MAPPED = "feed.mapped"
    FEED_MOVED = "feed.moved"
    FEED_BRAKES = "feed.brakes"
    FILE_UPLOADED = "feed.file"
    HELD_DECIDED = "held.decided"
    RETURNED = "records.returned"
    LEFT = "records.left"
    RAMP = "feed.ramp"
    INCIDENT_TAKEN = "incident.taken"
    ALERT_ROUTE = "route.changed"
    DIGEST_READERS = "digest.readers"
    OBJECTIVE = "feed.objective"
    POLICY_SET = "policy.set"
    VERDICT = "verdict.given"
    VERDICT_UNDONE = "verdict.undone"
    AUDIT_PURGED = "audit.purged"


class Break(NamedTuple):
    """The first row at which the chain does not hold."""

    seq: int
    why: str


def note(connection: Connection, act: Act, object: str, result: str = "done", **detail: Any) -> None:
    """Adds a row for the acting principal. Call it last in a transaction: from here to the commit others wait."""
    who = acting(connection)
    step = update(audit_head).values(seq=audit_head.c.seq + 1).returning(audit_head.c.seq, audit_head.c.hash)
    head = connection.execute(step).one()
    row = {
        "seq": head.seq, "at": now(connection), "actor": who.name[:200], "address": who.address[:64], "act": act,
        "object": object[:700], "result": result, "detail": canonical(detail).decode(), "request": who.request[:64],
    }  # fmt: skip
    chained = _chained(head.hash, row)
    connection.execute(audit.insert(), {**row, "hash": chained})
    connection.execute(update(audit_head).values(hash=chained))


def _chained(before: str, row: dict[str, Any]) -> str:
    return sha256(before.encode() + canonical(row)).hexdigest()


def verify(connection: Connection, heads: list[dict[str, Any]] | None = None) -> Break | None:
    """None when every row follows from the one before, up to the head and through the exported `heads`."""
    exported = {head["seq"]: head["hash"] for head in heads or []}
    before, expected, first = BEGINNING, 1, True
    for row in _rows(connection):
        if first and row["seq"] != 1:
            anchor = _anchor(connection, row["seq"])
            if anchor is None:
                return Break(1, "the rows before the first are gone and no purge is on record")
            before, expected = anchor, row["seq"]
        first = False
        if row["seq"] != expected:
            return Break(expected, "this row is missing")
        stored = row.pop("hash")
        if stored != _chained(before, row):
            return Break(expected, "this row, or its place, is not what was written")
        if exported.get(expected, stored) != stored:
            return Break(expected, "this row differs from the head that was exported")
        before, expected = stored, expected + 1
    return _tail(connection, before, expected, exported)


def _tail(connection: Connection, last: str, expected: int, exported: dict[int, str]) -> Break | None:
    head = connection.execute(select(audit_head)).one()
    if max([head.seq, *exported]) >= expected:
        return Break(expected, "this row and those after it are missing from the end")
    return None if (head.seq, head.hash) == (expected - 1, last) else Break(expected - 1, "the head was altered")


def _rows(connection: Connection) -> Iterator[dict[str, Any]]:
    after = 0
    while rows := connection.execute(select(audit).where(audit.c.seq > after).order_by(audit.c.seq).limit(5000)).all():
        for row in rows:
            yield plain(row)
        after = rows[-1].seq


def _anchor(connection: Connection, first: int) -> str | None:
    """The hash before row `first`, from the note that the purge left."""
    query = select(audit.c.detail).where(audit.c.act == Act.AUDIT_PURGED).order_by(desc(audit.c.seq))
    for detail in connection.execute(query).scalars():
        found = orjson.loads(detail)
        if found.get("last") == first - 1:
            return str(found["hash"])
    return None


def search(
    connection: Connection, *, actor: str = "", object: str = "", act: str = "", since: int = 0, until: int | None = None,
    before: int | None = None, limit: int = 100,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows, the latest first, by exact actor, object or act and by time in microseconds."""
    query = select(audit).where(audit.c.at >= since).order_by(desc(audit.c.seq)).limit(limit)
    for column, value in ((audit.c.actor, actor), (audit.c.object, object), (audit.c.act, act)):
        if value:
            query = query.where(column == value)
    if until is not None:
        query = query.where(audit.c.at <= until)
    if before is not None:
        query = query.where(audit.c.seq < before)
    return [{**plain(row), "detail": orjson.loads(row.detail)} for row in connection.execute(query)]


def head(connection: Connection) -> dict[str, Any]:
    """Position and hash of the last row."""
    row = connection.execute(select(audit_head)).one()
    return {"seq": row.seq, "hash": row.hash, "at": now(connection)}


def purge(connection: Connection, days: int) -> int:
    """Removes rows older than `days` (180 at least) and notes where the chain goes on; how many."""
    limit = now(connection) - max(days, KEPT_DAYS) * _DAY
    last = connection.execute(select(func.max(audit.c.seq)).where(audit.c.at < limit)).scalar()
    if last is None:
        return 0
    hash = connection.execute(select(audit.c.hash).where(audit.c.seq == last)).scalar_one()
    gone = connection.execute(delete(audit).where(audit.c.seq <= last)).rowcount
    note(connection, Act.AUDIT_PURGED, "audit", last=last, hash=hash, rows=gone)
    return gone


def protect(connection: Connection) -> None:
    """Makes the head and the triggers; called once by the migration."""
    connection.execute(audit_head.insert(), {"id": 1, "seq": 0, "hash": BEGINNING})
    for statement in _SQLITE if connection.dialect.name == "sqlite" else _POSTGRES:
        connection.execute(text(statement))


def unprotect(connection: Connection) -> None:
    """Undoes `protect` for the way down."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP FUNCTION audit_kept() CASCADE"))


_SQLITE = (
    "CREATE TRIGGER audit_no_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit "
    f"WHEN OLD.at > CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER) - {KEPT_DAYS * _DAY} "
    "BEGIN SELECT RAISE(ABORT, 'audit is append-only'); END",
)
_POSTGRES = (
    f"""CREATE FUNCTION audit_kept() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF TG_OP = 'DELETE' THEN
        IF OLD.at <= (extract(epoch FROM clock_timestamp()) * 1000000)::bigint - {KEPT_DAYS * _DAY} THEN RETURN OLD; END IF;
    END IF;
    RAISE EXCEPTION 'audit is append-only'; END $$""",
    "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_kept()",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_kept()",
)
