"""Quarantine: refused entries with their exact bytes, and their replay through today's mapping."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, delete, func, select, update

from app.access.quotas import STANDARD
from app.admission import service as admission
from app.catalogue.arrivals import Origin
from app.db import Database, now
from app.harvest import owners, runs, trial
from app.harvest.prepare import Source, prepared, reading, stamp
from app.harvest.tables import rejection
from app.protocol.connector import Entry, Fault
from app.protocol.vocab import province_of
from app.protocol.words import Job
from app.statements import Fixed


def store(
    connection: Connection, feed_id: int, run_id: int, refused: Sequence[tuple[Entry, Fault]], context: bytes,
    quota: int = STANDARD.rejections,
) -> None:  # fmt: skip
    """Keeps each refused entry once: a later refusal of the same identifier replaces the earlier one.

    At most `quota` open ones of a feed are kept; what comes beyond is counted by the run alone.
    """
    if not refused:
        return
    cleared(connection, feed_id, [entry.identifier for entry, _ in refused])
    kept = select(func.count()).where(rejection.c.feed_id == feed_id, rejection.c.state == "open")
    refused = refused[: max(0, quota - connection.execute(kept).scalar_one())]
    if not refused:
        return
    at = now(connection)
    rows = [
        {
            "feed_id": feed_id, "run_id": run_id, "identifier": entry.identifier[:600], "stage": fault.stage,
            "rule": fault.rule, "path": fault.path[:200], "value": fault.value[:200], "detail": fault.detail,
            "raw": entry.raw, "context": context, "stamp": stamp(entry), "rejected_at": at, "state": "open",
        }
        for entry, fault in refused
    ]  # fmt: skip
    connection.execute(rejection.insert(), rows)


_OPEN = Fixed(
    select(rejection.c.id).where(rejection.c.feed_id == bindparam("feed"), rejection.c.state == "open").limit(1)
)


def any_open(connection: Connection, feed_id: int) -> bool:
    """Whether anything of a feed is in quarantine; one row by the index."""
    return _OPEN.scalar(connection, feed=feed_id) is not None


def cleared(connection: Connection, feed_id: int, identifiers: Sequence[str]) -> None:
    """Entries that came again and are good now leave the quarantine."""
    for start in range(0, len(identifiers), 500):
        chunk = [name[:600] for name in identifiers[start : start + 500]]
        connection.execute(
            delete(rejection).where(
                rejection.c.feed_id == feed_id, rejection.c.state == "open", rejection.c.identifier.in_(chunk)
            )
        )


def held_back(connection: Connection, feed_id: int, identifiers: Sequence[str]) -> set[str]:
    """Which of these have an open refusal already: those bytes are newer than what is live."""
    names = [name[:600] for name in identifiers]
    query = select(rejection.c.identifier).where(rejection.c.feed_id == feed_id, rejection.c.state == "open")
    return set(connection.execute(query.where(rejection.c.identifier.in_(names))).scalars())


def poison(connection: Connection, feed_id: int) -> set[bytes]:
    """Marks of the refused records that kill whoever parses them; from then on they are refused unread."""
    query = select(rejection.c.raw).where(rejection.c.state == "open", rejection.c.rule == trial.POISON)
    return {trial.mark(bytes(raw)) for raw in connection.execute(query.where(rejection.c.feed_id == feed_id)).scalars()}


def waiting(connection: Connection, feed_id: int, rule: str | None = None) -> list[Any]:
    """Open refusals of a feed with their bytes, in the order they came."""
    query = select(rejection).where(rejection.c.feed_id == feed_id, rejection.c.state == "open")
    # What kills its reader is parsed again only where somebody names its rule.
    query = query.where(rejection.c.rule == rule) if rule else query.where(rejection.c.rule != trial.POISON)
    return list(connection.execute(query.order_by(rejection.c.id)))


def replay(
    database: Database,
    feed: Mapping[str, Any],
    rule: str | None = None,
    rules: str = "",
    asked: runs.Asked = runs.NOBODY,
    level: str = "nation",
) -> dict[str, Any]:
    """Runs quarantined bytes through today's connector and mapping, without asking the source; a run's report."""
    source = Source.of(feed, rules)
    with database.write() as connection:
        run_id = runs.begin(connection, feed["id"], Job.REPLAY, asked)
        rows = waiting(connection, feed["id"], rule)
    groups: dict[bytes, list[Any]] = defaultdict(list)
    for row in rows:
        groups[bytes(row.context)].append(row)
    for context, group in groups.items():
        for start in range(0, len(group), 500):
            _replay(database, feed, source, run_id, context, group[start : start + 500], level)
    with database.write() as connection:
        runs.end(connection, run_id, None)
        return runs.by_id(connection, run_id)


def _replay(
    database: Database,
    feed: Mapping[str, Any],
    source: Source,
    run_id: int,
    context: bytes,
    rows: list[Any],
    level: str,
) -> None:
    again = reading(source).connector.again
    entries = [again(Entry(row.identifier, bytes(row.raw), row.stamp)) for row in rows]
    batch = prepared(source, entries, context)
    raws = partial(batch.raws, entries)
    native = reading(source).connector.native
    with database.write() as connection:
        origin = Origin(feed["id"], run_id, province_of(feed["platform"][2:8]), native)
        batch, passed = owners.screened(connection, feed, batch)
        kept = admission.Kept(raws, context, batch.packs)
        outcome = admission.receive(connection, batch.arrivals, origin, kept, level)
        refused = {place for place, _ in batch.refused}
        done = [row.id for place, row in enumerate(rows) if place not in refused]
        connection.execute(update(rejection).where(rejection.c.id.in_(done)).values(state="replayed"))
        counts = runs.figures(outcome)
        counts["unchanged"] += passed
        runs.count(connection, run_id, **counts, rejected=len(batch.refused), pages=1)
