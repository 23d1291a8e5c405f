"""Reads of platforms and enrolments: by identifier or code, the lists, the history. Narrowed to the acting principal's rows."""

from functools import lru_cache
from statistics import median
from typing import Any, Final

import orjson
from sqlalchemy import ColumnElement, Connection, Select, desc, func, or_, select

from app.access import principal
from app.access.principal import PRINCIPALS, Rows, Statement, acting, narrowed, unbound
from app.platforms.stages import DAY_US, FORGOTTEN_DAYS, Stage, Verdict, missing, turn
from app.platforms.tables import document, enrolment, platform, step
from app.protocol.errors import NotFound
from app.protocol.words import ENROLMENT_ID, PLATFORM_CODE
from app.statements import plain

_HIDDEN: Final = ("challenge", "origin")
_DECIDED: Final = (Verdict.MOVED, Verdict.REFUSED)


def own(connection: Connection, statement: Statement) -> Statement:
    """A statement on `enrolment` narrowed to those of the acting principal, before and after they have a code."""
    rows = acting(connection).rows
    if rows.everything:
        return statement
    by_id = rows.criterion(enrolment.c.id, enrolment.c.region)
    return narrowed(statement.where(or_(by_id, rows.criterion(enrolment.c.code, enrolment.c.region))))


def enrolment_of(connection: Connection, reference: str) -> Any:
    """The row by its identifier (`A-...`) or its platform's code. Raises NotFound."""
    by = enrolment.c.id if reference.startswith("A-") else enrolment.c.code
    known = ENROLMENT_ID.match(reference) or PLATFORM_CODE.match(reference)
    row = connection.execute(own(connection, select(enrolment).where(by == reference))).first() if known else None
    if row is None:
        raise NotFound(f"there is no enrolment {reference}")
    return row


def enrolments(connection: Connection, stage: str = "", after: str = "", limit: int = 100) -> list[dict[str, Any]]:
    """By identifier, without contacts; the reviewers' queue is `stage=review`."""
    query = own(connection, select(enrolment).where(enrolment.c.id > after).order_by(enrolment.c.id).limit(limit))
    if stage:
        query = query.where(enrolment.c.stage == stage)
    return [_brief(row) for row in connection.execute(query)]


def shown(connection: Connection, reference: str) -> dict[str, Any]:
    """One enrolment with contacts, documents, the whole history (the oldest step first), notices, and what is next.

    `next`: whose `turn` it is (`applicant`, `hub` or null), what the applicant's submission is `missing`, and `until`
    when an unsubmitted application is kept.
    """
    row = enrolment_of(connection, reference)
    kept, stage = documents(connection, row.id), Stage(row.stage)
    lacks = missing(stage, row.proved_at is not None, {one["kind"] for one in kept})
    ends = row.moved_at + FORGOTTEN_DAYS * DAY_US if stage == Stage.APPLIED else None
    found = {
        **plain(row),
        "contacts": orjson.loads(row.contacts),
        "documents": kept,
        "steps": steps(connection, row.id),
    }
    del found["origin"]
    return {**found, "next": {"turn": turn(stage), "missing": lacks, "until": ends}}


def documents(connection: Connection, id: str) -> list[dict[str, Any]]:
    """An enrolment's documents, the latest first."""
    query = select(document).where(document.c.enrolment == id).order_by(desc(document.c.id))
    return [plain(row) for row in connection.execute(query)]


def steps(connection: Connection, id: str) -> list[dict[str, Any]]:
    """An enrolment's history, the oldest first."""
    query = select(step).where(step.c.enrolment == id).order_by(step.c.id)
    return [
        {**plain(row), "rests_on": orjson.loads(row.rests_on), "given": orjson.loads(row.given)}
        for row in connection.execute(query)
    ]


def usual_s(connection: Connection, stage: str) -> int | None:
    """Seconds that the latest fifty moves out of a stage took, the median; None of fewer than three.

    Over all rows: a figure that tells nothing of anybody.
    """
    ended = select(step).where(step.c.from_stage == stage, step.c.to_stage != stage, step.c.verdict.in_(_DECIDED))
    rows = connection.execute(narrowed(ended.order_by(desc(step.c.id)).limit(50))).all()
    begun = select(func.max(step.c.at)).where(step.c.to_stage == stage, step.c.from_stage != stage)
    spans = [
        (row.at - at) // 1_000_000
        for row in rows
        if (at := connection.execute(begun.where(step.c.enrolment == row.enrolment, step.c.id < row.id)).scalar())
    ]
    return int(median(spans)) if len(spans) > 2 else None


def waiting(connection: Connection) -> int:
    """Applications that nobody has submitted yet, of everybody: what bounds them is the hub's."""
    query = select(func.count()).select_from(enrolment).where(enrolment.c.stage == "applied")
    return int(connection.execute(unbound(query)).scalar_one())


def applied_from(connection: Connection, origin: str, since: int) -> int:
    """Applications that came from an address after this time; by the index on both."""
    query = select(func.count()).select_from(enrolment).where(enrolment.c.origin == origin)
    return int(connection.execute(unbound(query.where(enrolment.c.created_at > since))).scalar_one())


def _brief(row: Any) -> dict[str, Any]:
    return {name: value for name, value in plain(row).items() if name not in (*_HIDDEN, "contacts")}


def mine(connection: Connection, statement: Statement, code: ColumnElement[Any] | None = None) -> Statement:
    """A statement narrowed to the platforms that the acting principal may touch, by a column of platform codes."""
    return narrow(acting(connection).rows, statement, code)


def narrow(rows: Rows, statement: Statement, code: ColumnElement[Any] | None = None) -> Statement:
    """`mine` for known rows."""
    if code is None:
        return principal.narrow(rows, statement, platform.c.code, platform.c.region)
    return statement if rows.everything else narrowed(statement.where(code.in_(_codes(rows))))


@lru_cache(maxsize=PRINCIPALS)
def _codes(rows: Rows) -> Select[Any]:
    return narrow(rows, select(platform.c.code))


def platforms(connection: Connection) -> list[dict[str, Any]]:
    """The platforms, by code."""
    query = mine(connection, select(platform).order_by(platform.c.code))
    return [plain(row) for row in connection.execute(query)]


def names(connection: Connection) -> dict[str, str]:
    """Names by code, of all platforms whoever asks: who published a record is public."""
    query = unbound(select(platform.c.code, platform.c.name))
    return {row.code: row.name for row in connection.execute(query)}


def by_code(connection: Connection, code: str) -> dict[str, Any]:
    """One platform. Raises NotFound."""
    query = mine(connection, select(platform).where(platform.c.code == code))
    row = connection.execute(query).first() if PLATFORM_CODE.match(code) else None
    if row is None:
        raise NotFound(f"there is no platform {code}")
    return plain(row)
