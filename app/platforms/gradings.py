"""等级保护: a platform's level, filing and expiry; a warning before, and after it what the setting says."""

from datetime import date, datetime, time, timedelta, timezone
from typing import Any, Final

from sqlalchemy import Connection, func, select

from app.access.audit import Act, note
from app.access.principal import acting
from app.db import now
from app.platforms import moves, notices
from app.platforms.history import evidence
from app.platforms.queries import enrolment_of, mine
from app.platforms.stages import DAY_US, HARVESTED, Stage
from app.platforms.tables import grading
from app.protocol.errors import BadRequest, NotFound
from app.settings import Settings
from app.statements import plain

BEIJING: Final = timezone(timedelta(hours=8))
REASON: Final = "等级保护备案已过期 the security grading has expired"


def file(connection: Connection, code: str, level: int, filing: str, expires_on: str, document: str = "") -> int:
    """Records a grading, by a platform's code or its enrolment; an earlier one stays on record.

    A suspension announced for an expiry is taken back.

    Raises BadRequest (`enrol.incomplete` for an unknown document, a date that is none or is over).
    """
    row, at = enrolment_of(connection, code), now(connection)
    if row.code is None:
        raise NotFound(f"there is no platform {code}")
    if document:
        evidence(connection, row, None, [document])
    if (ends := _end_of(expires_on)) <= at:
        raise BadRequest("expires_on: this day is over")
    found = {
        "platform": row.code, "level": level, "filing": filing, "expires_at": ends, "document": document,
        "by": acting(connection).name, "at": at,
    }  # fmt: skip
    number = int(connection.execute(grading.insert().returning(grading.c.id), found).scalar_one())
    if row.due_reason == REASON:
        moves.keep(connection, code, "a new grading was filed")
    note(connection, Act.GRADING, row.code, level=level, filing=filing, expires_on=expires_on, document=document)
    return number


def _end_of(day: str) -> int:
    """The last microsecond of a day in China. Raises BadRequest."""
    try:
        end = datetime.combine(date.fromisoformat(day), time.max, BEIJING)
    except ValueError:
        raise BadRequest("expires_on: not a day; write 2027-06-30") from None
    return int(end.timestamp() * 1_000_000)


def gradings(connection: Connection) -> list[dict[str, Any]]:
    """The latest grading of each of the reader's platforms, those that end first at the beginning, with days left."""
    latest = select(func.max(grading.c.id)).group_by(grading.c.platform)
    query = select(grading).where(grading.c.id.in_(latest)).order_by(grading.c.expires_at)
    at = now(connection)
    return [_standing(row, at) for row in connection.execute(mine(connection, query, grading.c.platform))]


def _standing(row: Any, at: int) -> dict[str, Any]:
    left = (row.expires_at - at) // DAY_US
    return {**plain(row), "days_left": left, "expired": row.expires_at < at}


def watch(connection: Connection, settings: Settings) -> int:
    """Gives the notices that are due, and announces suspensions by the rule; how many."""
    marks = sorted(int(mark) for mark in settings.grading_warn_days.split(","))
    return sum(_watched(connection, found, marks, settings) for found in gradings(connection))


def _watched(connection: Connection, found: dict[str, Any], marks: list[int], settings: Settings) -> bool:
    row = enrolment_of(connection, found["platform"])
    if row.stage not in HARVESTED:
        return False
    if found["expired"]:
        return _expired(connection, row, found, settings)
    mark = next((mark for mark in marks if found["days_left"] < mark), None)
    return mark is not None and _warned(connection, found, str(mark), f"{found['days_left']} 天后到期 days left")


def _warned(connection: Connection, found: dict[str, Any], mark: str, text: str) -> bool:
    cause = f"grading:{found['id']}:{mark}"
    if notices.sent(connection, cause):
        return False
    body = f"{found['filing']}（第 {found['level']} 级 level）：{text}"
    notices.send(
        connection,
        "等级保护 security grading",
        body,
        [found["platform"]],
        max(found["expires_at"], now(connection)),
        cause,
    )
    return True


def _expired(connection: Connection, row: Any, found: dict[str, Any], settings: Settings) -> bool:
    if not _warned(connection, found, "expired", "已过期 has expired"):
        return False
    if settings.grading_expired == "suspend" and row.due_at is None:
        if settings.grading_grace_days:
            moves.announce(connection, row, Stage.SUSPENDED, REASON, settings.grading_grace_days)
        else:
            moves.suspend(connection, found["platform"], REASON)
    return True
