"""Reads of the catalogue, all in change order: what OAI-PMH, IX/1 and REST are made of."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, desc, func, literal, select, union_all

from app.catalogue.tables import about, departure, history, moment, position, record, tally
from app.statements import among


def epoch(connection: Connection) -> str:
    """Identity of this numbering; a restore begins a new one."""
    return str(connection.execute(select(about.c.value).where(about.c.name == "epoch")).scalar_one())


def value(connection: Connection, name: str) -> str | None:
    """A fact about this hub kept in the database."""
    return connection.execute(select(about.c.value).where(about.c.name == name)).scalar()


def head(connection: Connection) -> int:
    """The last position given out."""
    return int(connection.execute(select(position.c.value).where(position.c.name == "seq")).scalar_one())


def by_id(connection: Connection, id: str) -> Any:
    """A record's row, live or tombstone, or None; by the unique index."""
    return connection.execute(select(record).where(record.c.id == id)).first()


def by_ids(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """Rows by id, live and tombstones; ids nobody knows are left out; by the unique index."""
    return {row.id: row for row in connection.execute(select(record).where(record.c.id.in_(ids)))}


def live_contents(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """`document` and `stamp` of those of these records that are live, by id."""
    query = select(record.c.id, record.c.document, record.c.stamp)
    query = query.where(among(connection, record.c.id, ids), record.c.live == 1)
    return {row.id: row for row in connection.execute(query)}


def live_of_feed(connection: Connection, feed_id: int, limit: int) -> list[str]:
    """Ids of at most `limit` live records of a feed, by the index of a feed's records."""
    query = select(record.c.id).where(record.c.feed_id == feed_id, record.c.live == 1).limit(limit)
    return list(connection.execute(query).scalars())


def live_rows(connection: Connection, ids: Sequence[str]) -> dict[str, Any]:
    """Whole rows of those of these records that are live, by id."""
    query = select(record).where(among(connection, record.c.id, ids), record.c.live == 1)
    return {row.id: row for row in connection.execute(query)}


def state_at(connection: Connection, pk: int, seq: int) -> Any:
    """The earlier state of a record that stood at this position, or None."""
    return connection.execute(select(history).where(history.c.pk == pk, history.c.seq == seq)).first()


def states(connection: Connection, row: Any) -> list[Any]:
    """A record's states, the newest (itself) first, then the earlier ones that are kept."""
    earlier = select(history).where(history.c.pk == row.pk).order_by(desc(history.c.seq))
    return [row, *connection.execute(earlier)]


def by_pks(connection: Connection, pks: Sequence[int]) -> list[Any]:
    """Rows in the order of `pks`."""
    rows = {row.pk: row for row in connection.execute(select(record).where(record.c.pk.in_(pks)))}
    return [rows[pk] for pk in pks if pk in rows]


def changes(
    connection: Connection, *, after: int, limit: int, platform: str | None = None, until: int | None = None
) -> list[Any]:
    """Rows with seq > after, rising, at most `limit`; by the seq index or (platform, seq)."""
    query = select(record).where(record.c.seq > after).order_by(record.c.seq).limit(limit)
    if platform is not None:
        query = query.where(record.c.platform == platform)
    if until is not None:
        query = query.where(record.c.seq <= until)
    return list(connection.execute(query))


def heads(connection: Connection, *, after: int, until: int, live_only: bool = True) -> list[Any]:
    """id, hash, version, live, seq, modified_at and the document's `bytes`, after < seq <= until, rising; no documents."""
    columns = (record.c.id, record.c.hash, record.c.version, record.c.live, record.c.seq, record.c.modified_at)
    query = select(*columns, func.length(record.c.document).label("bytes"))
    query = query.where(record.c.seq > after, record.c.seq <= until).order_by(record.c.seq)
    return list(connection.execute(query.where(record.c.live == 1) if live_only else query))


def listed(
    connection: Connection, *, after: int, until: int, limit: int, set_name: str = "", code: str = ""
) -> list[Any]:
    """Rows of an OAI set in change order with `left`: 1 where the record lives on but has left the set."""
    window = (record.c.seq > after, record.c.seq <= until)
    stays = select(record, literal(0).label("left")).where(*window)
    if set_name == "platform":
        stays = stays.where(record.c.platform == code)
    elif set_name == "region":
        stays = stays.where(record.c.province == code)
    elif set_name == "subject":
        stays = stays.where(record.c.subject == code)
        gone = (
            select(record, literal(1).label("left"))
            .join(departure, departure.c.pk == record.c.pk)
            .where(*window, departure.c.subject == code, departure.c.seq <= record.c.seq, record.c.subject != code)
        )
        both = union_all(stays.order_by(None), gone.order_by(None)).subquery()
        return list(connection.execute(select(both).order_by(both.c.seq).limit(limit)))
    return list(connection.execute(stays.order_by(record.c.seq).limit(limit)))


def position_before(connection: Connection, at: int) -> int:
    """The last position whose time is before `at`: the lower end of a time window."""
    found = connection.execute(select(func.max(moment.c.seq)).where(moment.c.at < at)).scalar()
    return int(found or 0)


def position_until(connection: Connection, at: int) -> int:
    """The last position whose time is not after `at`: the upper end of a time window."""
    found = connection.execute(select(func.max(moment.c.seq)).where(moment.c.at <= at)).scalar()
    return int(found or 0)


def size(connection: Connection, at: int) -> tuple[int, int, int]:
    """Live records, the last position, and the last position whose time is not after `at`."""
    live, top, until = connection.execute(_SIZE, {"at": at}).one()
    return int(live or 0), int(top), int(until or 0)


_SIZE = select(
    select(tally.c.n).where(tally.c.term == "live").scalar_subquery(),
    select(position.c.value).where(position.c.name == "seq").scalar_subquery(),
    select(func.max(moment.c.seq)).where(moment.c.at <= bindparam("at")).scalar_subquery(),
)


def moment_of(connection: Connection, seq: int) -> int | None:
    """When the change at a position was stored, microseconds; None before the first one."""
    found = connection.execute(select(func.min(moment.c.at)).where(moment.c.seq >= seq)).scalar()
    return int(found) if found is not None else None


def earliest(connection: Connection) -> int | None:
    """Time of the first change, microseconds; None while the catalogue is empty."""
    found = connection.execute(select(moment.c.at).order_by(moment.c.seq).limit(1)).scalar()
    return int(found) if found is not None else None


def newest(
    connection: Connection, *, before: int | None, limit: int, live: int | None = 1, after: int = 0
) -> list[Any]:
    """Rows by falling row number, for browsing without a query."""
    query = select(record).order_by(desc(record.c.pk)).limit(limit).where(record.c.seq > after)
    if live is not None:
        query = query.where(record.c.live == live)
    if before is not None:
        query = query.where(record.c.pk < before)
    return list(connection.execute(query))


def tallies(connection: Connection, terms: Sequence[str] | None = None) -> dict[str, int]:
    """Live records by facet term (all, or only these), exact, kept by the writer."""
    query = select(tally).where(tally.c.n > 0)
    if terms is not None:
        query = query.where(tally.c.term.in_(terms))
    return {row.term: row.n for row in connection.execute(query)}
