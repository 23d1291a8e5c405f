"""What falls due by itself: announced moves, gradings and keys that end, applications that nobody submits. Run hourly."""

from typing import Final

from sqlalchemy import Connection, select

from app.access import keys
from app.access.principal import narrowed
from app.db import now
from app.platforms import gradings, moves, notices
from app.platforms.stages import DAY_US, FORGOTTEN_DAYS, Stage, Verdict
from app.platforms.tables import enrolment
from app.settings import Settings

KEY_MARKS: Final = (1, 7, 30)


def carry_out(connection: Connection, settings: Settings) -> dict[str, int]:
    """Does what is due, as the hub itself; how many of each."""
    return {
        "moved": _announced(connection), "forgotten": _forgotten(connection),
        "noticed": gradings.watch(connection, settings) + _ending_keys(connection),
    }  # fmt: skip


def _announced(connection: Connection) -> int:
    rows = connection.execute(narrowed(select(enrolment).where(enrolment.c.due_at <= now(connection)))).all()
    for row in rows:
        moves.go(connection, row, Stage(row.due_stage), Verdict.MOVED, row.due_reason, ())
    return len(rows)


def _ending_keys(connection: Connection) -> int:
    """Notices of platform keys that end within 30, 7 and 1 days, each once; how many."""
    told = 0
    for key in keys.keys(connection):
        mark = next((mark for mark in KEY_MARKS if key["days_left"] is not None and key["days_left"] < mark), None)
        code, cause = key["platform"] or "", f"key:{key['prefix']}:{mark}"
        if (
            mark is None
            or key["state"] != "live"
            or not code
            or code.startswith("A-")
            or notices.sent(connection, cause)
        ):
            continue
        body = f"{key['prefix']}（{key['label']}）：{key['days_left']} 天后到期 days left; hutong key rotate"
        notices.send(connection, "密钥即将到期 a key ends", body, [code], key["expires_at"], cause)
        told += 1
    return told


def _forgotten(connection: Connection) -> int:
    before = now(connection) - FORGOTTEN_DAYS * DAY_US
    query = select(enrolment).where(enrolment.c.stage == Stage.APPLIED, enrolment.c.moved_at < before)
    rows = connection.execute(narrowed(query)).all()
    for row in rows:
        why = f"not submitted within {FORGOTTEN_DAYS} days"
        moves.go(connection, row, Stage.RETIRED, Verdict.WITHDRAWN, why, ())
    return len(rows)
