"""The reviewers' queue: what waits, claimed for a quarter of an hour, so that two people do not read the same record."""

from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, Select, func, or_, select, tuple_, update

from app.access.principal import narrowed, within
from app.admission.states import EACH_BY_ITSELF, PUBLIC, WAITING
from app.admission.tables import candidate, verdict
from app.db import now
from app.protocol import vocab
from app.protocol.errors import NotFound
from app.statements import plain

CLAIM_S: Final = 900
_SHOWN = tuple(c for c in candidate.c if c.name not in ("raw", "context", "source_hash", "matter", "province"))


class Sought(NamedTuple):
    """What of the queue is asked for; `rule` is that of a cause, `second` what waits for another person's word."""

    state: str = WAITING
    platform: str = ""
    feed: int | None = None
    rule: str = ""
    second: bool = False
    claimed_by: str = ""


ALL: Final = Sought()


def waiting(
    connection: Connection, sought: Sought = ALL, *, after: tuple[int, str] = (0, ""), limit: int = 100
) -> list[dict[str, Any]]:
    """What is kept back in a state, the longest-waiting first, after the given (came_at, id)."""
    query = _chosen(connection, select(*_SHOWN), sought.platform, sought.feed).where(candidate.c.state == sought.state)
    if sought.rule:
        query = query.where(candidate.c.causes.contains(f'"{sought.rule}', autoescape=True))
    if sought.second:
        query = query.where(candidate.c.first_by.is_not(None))
    if sought.claimed_by:
        query = query.where(candidate.c.claimed_by == sought.claimed_by, candidate.c.claimed_until > now(connection))
    query = query.where(tuple_(candidate.c.came_at, candidate.c.id) > tuple_(*after))
    return [_told(row) for row in connection.execute(query.order_by(candidate.c.came_at, candidate.c.id).limit(limit))]


def kept(connection: Connection, id: str) -> dict[str, Any]:
    """One record that is kept back. Raises NotFound."""
    query = select(*_SHOWN).where(candidate.c.id == id, candidate.c.state != PUBLIC)
    row = connection.execute(within(connection, query, candidate.c.platform)).first()
    if row is None:
        raise NotFound(f"no content of {id[:200]!r} is kept back; it was decided on, or its source has taken it back")
    return _told(row)


def claim(
    connection: Connection, by: str, *, number: int = 20, platform: str = "", feed: int | None = None
) -> list[dict[str, Any]]:
    """Gives the longest-waiting records that nobody else has claimed and that still need this person."""
    at = now(connection)
    free = or_(candidate.c.claimed_until <= at, candidate.c.claimed_by == by)
    mine = or_(candidate.c.first_by.is_(None), candidate.c.first_by != by)
    query = _chosen(connection, select(candidate.c.id), platform, feed).where(candidate.c.state == WAITING, free, mine)
    query = query.order_by(candidate.c.came_at, candidate.c.id).limit(number)
    ids = connection.execute(query.with_for_update(skip_locked=True)).scalars().all()
    until = at + CLAIM_S * 1_000_000
    taken = update(candidate).where(candidate.c.id.in_(ids)).values(claimed_by=by, claimed_until=until)
    connection.execute(narrowed(taken))
    rows = select(*_SHOWN).where(candidate.c.id.in_(ids)).order_by(candidate.c.came_at, candidate.c.id)
    return [_told(row) for row in connection.execute(narrowed(rows))]


def release(connection: Connection, by: str) -> int:
    """Gives back whatever this person has claimed; how many."""
    mine = update(candidate).where(candidate.c.claimed_by == by, candidate.c.state == WAITING)
    return connection.execute(narrowed(mine.values(claimed_by=None, claimed_until=0))).rowcount


def counts(connection: Connection) -> dict[str, int]:
    """How many records are kept back, by state."""
    query = (
        select(candidate.c.state, func.count()).where(candidate.c.state.in_(EACH_BY_ITSELF)).group_by(candidate.c.state)
    )
    found = connection.execute(within(connection, query, candidate.c.platform))
    return {state: number for state, number in found}


def origins(connection: Connection) -> list[str]:
    """Platforms of which something is kept back, by code."""
    query = (
        select(candidate.c.platform)
        .where(candidate.c.state.in_(EACH_BY_ITSELF))
        .distinct()
        .order_by(candidate.c.platform)
    )
    return list(connection.execute(within(connection, query, candidate.c.platform)).scalars())


def verdicts(
    connection: Connection, record: str = "", before: int | None = None, limit: int = 100
) -> list[dict[str, Any]]:
    """What was decided, the latest first; of one record, or of all."""
    query = select(*(c for c in verdict.c if c.name != "was")).order_by(verdict.c.id.desc()).limit(limit)
    if record:
        query = query.where(verdict.c.record == record)
    if before is not None:
        query = query.where(verdict.c.id < before)
    return [_labelled(plain(row)) for row in connection.execute(within(connection, query, verdict.c.platform))]


def _chosen(connection: Connection, query: Select[Any], platform: str, feed: int | None) -> Select[Any]:
    if platform:
        query = query.where(candidate.c.platform == platform)
    if feed is not None:
        query = query.where(candidate.c.feed_id == feed)
    return within(connection, query, candidate.c.platform)


def _told(row: Any) -> dict[str, Any]:
    found = plain(row)
    document = orjson.loads(found.pop("document"))
    texts = {"causes": orjson.loads(found["causes"]), "flags": found["flags"].split(), "path": found["path"].split()}
    return {**found, **texts, "native": bool(found["native"]), "audits": found["audits"].split(), "record": document}


def _labelled(found: dict[str, Any]) -> dict[str, Any]:
    reasons = [{"code": code, "zh": vocab.label("reason", code), "en": vocab.label("reason", code, "en")}
               for code in found["reasons"].split()]  # fmt: skip
    return {**found, "reasons": reasons, "audits": found["audits"].split()}
