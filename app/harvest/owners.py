"""Whose records a feed may bring: its platform's own, and as a relay those of platforms below it. Nobody else's.

The nation's platform relays everybody. A province, city or county relays what belongs under it by its line (by
agreement, else by region code; `app/platforms/lines.py`), and platforms that are not enrolled here, which nobody else
speaks for. Enterprises and schools relay nobody. What an origin's own feed
brings stays the origin's: a relay neither changes nor takes it over (IX/1 section 5: prefer the origin's own feed).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, select

from app.access.principal import unbound
from app.catalogue.tables import record
from app.feeds.tables import feed
from app.harvest.prepare import Batch
from app.platforms.tables import platform
from app.protocol import vocab
from app.protocol.connector import Fault
from app.protocol.words import platform_of
from app.statements import among

_RELAYS, _LEVELS = "NPCD", "NPCDS"


def screened(connection: Connection, source: Mapping[str, Any], batch: Batch) -> tuple[Batch, int]:
    """The batch of a feed (`id`, `platform`) without what belongs to others.

    Records that its platform does not speak for are refused (`record.foreign`); those that their origin's own feed
    holds are passed over, the number says how many.
    """
    mine = source["platform"]
    origins = batch.platforms - {mine}
    if not origins:
        return batch, 0
    foreign = {origin for origin in origins if not _speaks_for(connection, mine, origin)}
    held = _held_by_origin(connection, [a.record.id for a in batch.arrivals if platform_of(a.record.id) in origins])
    refused = {place for place, _ in batch.refused}
    accepted = (place for place in range(len(batch.arrivals) + len(refused)) if place not in refused)
    left, more, passed = [], [], 0
    for place, arrival in zip(accepted, batch.arrivals, strict=True):
        if (origin := platform_of(arrival.record.id)) in foreign:
            detail = f"{mine} may not speak for {origin}"
            more.append((place, Fault("record.foreign", detail, "id", arrival.record.id[:200], "store")))
        elif arrival.record.id in held:
            passed += 1
        else:
            left.append(arrival)
    return replace(batch, arrivals=left, refused=[*batch.refused, *more]), passed


def _speaks_for(connection: Connection, mine: str, origin: str) -> bool:
    if mine[0] == "N":
        return True
    if mine[0] not in _RELAYS:
        return False
    return _belongs_under(connection, mine, origin)


def _belongs_under(connection: Connection, mine: str, origin: str) -> bool:
    """Step by step upwards by agreement; from where there is none on, by the region code. Over all rows."""
    at = origin
    for _ in _LEVELS:
        row = connection.execute(unbound(select(platform.c.parent).where(platform.c.code == at))).first()
        if row is None or row.parent is None:
            return vocab.under(at[2:8], mine[2:8]) or (row is None and at == origin)
        at = row.parent
        if at == mine:
            return True
    return False


def _held_by_origin(connection: Connection, ids: list[str]) -> set[str]:
    """Which of these records come from a feed of the platform whose code they carry."""
    query = select(record.c.id).join(feed, feed.c.id == record.c.feed_id)
    query = query.where(among(connection, record.c.id, ids), feed.c.platform == record.c.platform)
    return set(connection.execute(unbound(query.where(feed.c.state != "retired"))).scalars())
