"""What falls due by itself: announced moves, gradings that end, applications that nobody submits. Run hourly."""

from sqlalchemy import Connection, select

from app.access.principal import narrowed
from app.db import now
from app.platforms import gradings, moves
from app.platforms.stages import DAY_US, FORGOTTEN_DAYS, Stage, Verdict
from app.platforms.tables import enrolment
from app.settings import Settings


def carry_out(connection: Connection, settings: Settings) -> dict[str, int]:
    """Does what is due, as the hub itself; how many of each."""
    return {
        "moved": _announced(connection), "forgotten": _forgotten(connection),
        "noticed": gradings.watch(connection, settings),
    }  # fmt: skip


def _announced(connection: Connection) -> int:
    rows = connection.execute(narrowed(select(enrolment).where(enrolment.c.due_at <= now(connection)))).all()
    for row in rows:
        moves.go(connection, row, Stage(row.due_stage), Verdict.MOVED, row.due_reason, ())
    return len(rows)


def _forgotten(connection: Connection) -> int:
    before = now(connection) - FORGOTTEN_DAYS * DAY_US
    query = select(enrolment).where(enrolment.c.stage == Stage.APPLIED, enrolment.c.moved_at < before)
    rows = connection.execute(narrowed(query)).all()
    for row in rows:
        why = f"not submitted within {FORGOTTEN_DAYS} days"
        moves.go(connection, row, Stage.RETIRED, Verdict.WITHDRAWN, why, ())
    return len(rows)
