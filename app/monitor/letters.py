"""Sends each platform's weekly digest once: who is sent it, and what was sent. Called by whoever holds the watch.

A letter is taken by one row's change of state before it is handed to the mail server, and taken for good once that
server has it: two processes cannot both send it. Where a process dies in between nobody knows, and it is not sent again
by itself (`hutong digest list` shows it as `sending`, `hutong digest send` sends it).
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

import structlog
from sqlalchemy import Connection, and_, delete, select, update

from app.access.audit import Act, note
from app.db import Database, now
from app.monitor.alert_routes import recipients
from app.monitor.courier import AlertUndelivered, Courier, Letter
from app.monitor.digest import Digest, digest, due_at, last_week, week_name
from app.monitor.notices import ATTEMPTS, PAUSE_MOST_S, PAUSE_S
from app.monitor.tables import digest_letter, digest_reader
from app.platforms import service as platforms
from app.platforms.service import mine
from app.protocol.errors import BadRequest, NotFound
from app.statements import insert_missing, plain, upsert

log = structlog.get_logger()
LANGUAGES: Final = ("zh-CN", "en")
Write = Callable[[Digest, str], Letter]


def subscribe(connection: Connection, code: str, to: Sequence[str], lang: str = "zh-CN") -> dict[str, Any]:
    """These people get the platform's digest from next Monday on, in this language. Raises NotFound, BadRequest."""
    platforms.by_code(connection, code)
    if lang not in LANGUAGES:
        raise BadRequest(f"language {lang[:20]!r} of a digest: {' or '.join(LANGUAGES)}")
    row = {"platform": code, "recipients": " ".join(recipients(to)), "lang": lang, "created_at": now(connection)}
    connection.execute(upsert(connection, digest_reader, ("platform",), ("recipients", "lang")), row)
    found = reader(connection, code)
    note(connection, Act.DIGEST_READERS, code, recipients=len(to), lang=lang)
    return found


def unsubscribe(connection: Connection, code: str) -> None:
    """Nobody gets it any more. Raises NotFound."""
    reader(connection, code)
    connection.execute(mine(connection, delete(digest_reader).where(digest_reader.c.platform == code), digest_reader.c.platform))  # fmt: skip
    note(connection, Act.DIGEST_READERS, code, recipients=0)


def readers(connection: Connection, code: str | None = None) -> list[dict[str, Any]]:
    """Platforms whose digest somebody gets, with what became of the letter about the last whole week."""
    letter, week = digest_letter, last_week(connection)
    latest = and_(letter.c.platform == digest_reader.c.platform, letter.c.monday == week)
    query = select(digest_reader, letter.c.state, letter.c.told_at, letter.c.error).outerjoin(letter, latest)
    query = query.order_by(digest_reader.c.platform)
    if code is not None:
        query = query.where(digest_reader.c.platform == code)
    rows = connection.execute(mine(connection, query, digest_reader.c.platform))
    return [{**plain(row), "recipients": row.recipients.split(), "week": week_name(week)} for row in rows]


def reader(connection: Connection, code: str) -> dict[str, Any]:
    """Who gets one platform's. Raises NotFound."""
    found = readers(connection, code)
    if not found:
        raise NotFound(f"nobody is sent a digest of {code}")
    return found[0]


def deliver(database: Database, courier: Courier, write: Write, going_on: Callable[[], bool] = lambda: True) -> int:
    """Sends what is due; how many letters were taken. One that was not is tried again with growing pauses."""
    if courier.mail is None:
        return 0
    with database.read() as connection:
        waiting = _unsent(connection)
    return sum(_one(database, courier, write, code) for code in waiting if going_on())


def _unsent(connection: Connection) -> list[str]:
    """Platforms whose letter about the last whole week is due. A reader who came after that week gets the next one."""
    at, week, letter = now(connection), last_week(connection), digest_letter
    if at < due_at(week):
        return []
    this = and_(letter.c.platform == digest_reader.c.platform, letter.c.monday == week)
    free = letter.c.state.is_(None) | ((letter.c.state == "pending") & (letter.c.due_at <= at))
    query = select(digest_reader.c.platform).outerjoin(letter, this)
    query = query.where(free, digest_reader.c.created_at < due_at(week)).order_by(digest_reader.c.platform)
    return list(connection.execute(query).scalars())


def _one(database: Database, courier: Courier, write: Write, code: str) -> bool:
    with database.write() as connection:
        week = last_week(connection)
        if not _take(connection, code, week):
            return False
    try:
        with database.read() as connection:
            who, content = reader(connection, code), digest(connection, code, week)
        courier.post(who["recipients"], write(content, who["lang"]))
    except (AlertUndelivered, NotFound) as failure:
        log.warning("digest.undelivered", platform=code, error=failure.detail)
        with database.write() as connection:
            _put_back(connection, code, week, failure.detail)
        return False
    with database.write() as connection:
        _mark(connection, code, week, state="told", told_at=now(connection), error=None)
    return True


def _take(connection: Connection, code: str, week: int) -> bool:
    """Whether the letter is this process's to send."""
    at = now(connection)
    row = {"platform": code, "monday": week, "state": "pending", "due_at": at, "attempts": 0}
    connection.execute(insert_missing(connection, digest_letter), row)
    letter = digest_letter
    ours = update(letter).where(letter.c.platform == code, letter.c.monday == week)
    ours = ours.where(letter.c.state == "pending", letter.c.due_at <= at)
    return connection.execute(ours.values(state="sending", attempts=letter.c.attempts + 1)).rowcount == 1


def _put_back(connection: Connection, code: str, week: int, why: str) -> None:
    key = (digest_letter.c.platform == code, digest_letter.c.monday == week)
    attempts = connection.execute(select(digest_letter.c.attempts).where(*key)).scalar_one()
    pause = min(PAUSE_S * 2 ** (attempts - 1), PAUSE_MOST_S)
    state = "failed" if attempts >= ATTEMPTS else "pending"
    _mark(connection, code, week, state=state, due_at=now(connection) + pause * 1_000_000, error=why[:500])


def _mark(connection: Connection, code: str, week: int, **values: Any) -> None:
    key = (digest_letter.c.platform == code, digest_letter.c.monday == week)
    connection.execute(update(digest_letter).where(*key).values(**values))


def send(database: Database, courier: Courier, write: Write, code: str, week: int) -> dict[str, Any]:
    """Sends one now, whatever was sent before. Raises NotFound, AlertUndelivered."""
    with database.read() as connection:
        who, content = reader(connection, code), digest(connection, code, week)
    courier.post(who["recipients"], write(content, who["lang"]))
    row = {"platform": code, "monday": week, "state": "told", "due_at": 0, "attempts": 1}
    with database.write() as connection:
        connection.execute(insert_missing(connection, digest_letter), row)
        _mark(connection, code, week, state="told", told_at=now(connection), error=None)
    return {"platform": code, "week": week_name(week), "recipients": who["recipients"], "told": True}
