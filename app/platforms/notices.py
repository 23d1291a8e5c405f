"""通报: a notice to chosen platforms with a deadline, and who has acknowledged it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, desc, func, select, update

from app.access.audit import Act, note
from app.access.principal import acting, narrowed
from app.db import now
from app.platforms.queries import enrolment_of, mine
from app.platforms.stages import DAY_US, named
from app.platforms.tables import addressee, notice, platform
from app.protocol import vocab
from app.protocol.errors import BadRequest, Conflict, NotFound
from app.statements import among, plain


def send(
    connection: Connection, title: str, body: str, codes: Sequence[str], deadline_at: int | None = None, cause: str | None = None
) -> int:  # fmt: skip
    """A notice to these platforms; its number. Raises NotFound for one that the sender does not look after."""
    query = mine(connection, select(platform.c.code).where(among(connection, platform.c.code, sorted(set(codes)))))
    if missing := set(codes) - set(connection.execute(query).scalars()):
        raise NotFound(f"there is no platform {', '.join(sorted(missing)[:5])}")
    row = {"title": title, "body": body, "deadline_at": deadline_at, "cause": cause, "by": acting(connection).name}
    number = int(
        connection.execute(notice.insert().returning(notice.c.id), {**row, "at": now(connection)}).scalar_one()
    )
    connection.execute(addressee.insert(), [{"notice": number, "platform": code} for code in sorted(set(codes))])
    note(connection, Act.NOTICE, f"notice:{number}", title=title, platforms=len(set(codes)), cause=cause)
    return number


def send_to(
    connection: Connection, *, title: str, body: str, platforms: Sequence[str], region: str | None, days: int | None
) -> dict[str, Any]:
    """A notice to platforms by code, and to all harvested ones of a region. Raises BadRequest when that is nobody."""
    codes = set(platforms) | (_of_region(connection, region) if region else set())
    if not codes:
        raise BadRequest("a notice goes to somebody: `platforms`, or a `region` with platforms in it")
    deadline = None if days is None else now(connection) + days * DAY_US
    return {"id": send(connection, title, body, sorted(codes), deadline), "platforms": len(codes)}


def _of_region(connection: Connection, region: str) -> set[str]:
    query = mine(connection, select(platform.c.code, platform.c.region).where(platform.c.state == "active"))
    return {row.code for row in connection.execute(query) if vocab.under(row.region, region)}


def sent(connection: Connection, cause: str) -> bool:
    """Whether the hub has given notice of this already."""
    return connection.execute(select(notice.c.id).where(notice.c.cause == cause)).first() is not None


def notices(connection: Connection, before: int | None = None, limit: int = 100) -> list[dict[str, Any]]:
    """Notices to the reader's platforms, the latest first, with how many acknowledged and how many are late."""
    query = select(
        addressee.c.notice, func.count().label("platforms"), func.count(addressee.c.acknowledged_at).label("acknowledged")
    ).group_by(addressee.c.notice).order_by(desc(addressee.c.notice)).limit(limit)  # fmt: skip
    if before is not None:
        query = query.where(addressee.c.notice < before)
    counts = {row.notice: row for row in connection.execute(mine(connection, query, addressee.c.platform))}
    rows = connection.execute(select(notice).where(among(connection, notice.c.id, list(counts))))
    found, at = {row.id: row for row in rows}, now(connection)
    return [_counted(found[number], of, at) for number, of in counts.items()]


def _counted(row: Any, of: Any, at: int) -> dict[str, Any]:
    open_ones = of.platforms - of.acknowledged
    late = open_ones if row.deadline_at is not None and row.deadline_at < at else 0
    return {**plain(row), "platforms": of.platforms, "acknowledged": of.acknowledged, "late": late}


def by_id(connection: Connection, number: int) -> dict[str, Any]:
    """One notice with its addressees among the reader's platforms. Raises NotFound."""
    query = select(addressee).where(addressee.c.notice == number).order_by(addressee.c.platform)
    rows = [plain(row) for row in connection.execute(mine(connection, query, addressee.c.platform))]
    if not rows:
        raise NotFound(f"there is no notice {number}")
    told = plain(connection.execute(select(notice).where(notice.c.id == number)).one())
    return {**told, "addressees": rows}


def to_enrolment(connection: Connection, reference: str) -> list[dict[str, Any]]:
    """Notices to the platform of an enrolment, the latest first: readable with the enrolment key while suspended too."""
    row = enrolment_of(connection, reference)
    query = select(notice, addressee.c.acknowledged_at, addressee.c.answer).join(addressee)
    query = narrowed(query.where(addressee.c.platform == row.code).order_by(desc(notice.c.id)))
    return [plain(found) for found in connection.execute(query)]


def acknowledge(connection: Connection, number: int, code: str, answer: str) -> None:
    """A platform's own word, with its key or its enrolment's. Raises NotFound, Conflict when it was given before."""
    to = _to(connection, number, code)
    if to is None:
        raise NotFound(f"there is no notice {number} to {code}")
    if to.acknowledged_at is not None:
        raise named(Conflict(f"{code} has acknowledged this notice already"), "enrol.acknowledged")
    values = {"acknowledged_at": now(connection), "acknowledged_by": acting(connection).name, "answer": answer}
    mine = update(addressee).where(addressee.c.notice == number, addressee.c.platform == code).values(values)
    connection.execute(narrowed(mine))
    note(connection, Act.ACKNOWLEDGED, f"notice:{number}", platform=code, answer=answer)


def _to(connection: Connection, number: int, code: str) -> Any:
    """The addressee's row where the platform itself asks, None for anybody else's."""
    rows = acting(connection).rows
    try:
        known = {code, enrolment_of(connection, code).id} & rows.platforms
    except NotFound:
        return None
    query = narrowed(select(addressee).where(addressee.c.notice == number, addressee.c.platform == code))
    return connection.execute(query).first() if rows.everything or known else None
