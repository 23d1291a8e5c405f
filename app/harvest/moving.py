"""Whether another address brings the same catalogue: what must be so before a feed goes on from there."""

from typing import Any, Final, NamedTuple

from app.catalogue import service
from app.db import Database
from app.harvest.fetch import Fetcher
from app.harvest.look import Subject, sampled
from app.harvest.prepare import identities
from app.protocol.errors import Conflict

LOOKED: Final = 20
LEAST: Final = 0.5


class Kin(NamedTuple):
    """Of `seen` records at the new address, so many are `known`: live records of the feed."""

    known: int
    seen: int


def kin(database: Database, fetcher: Fetcher, subject: Subject, feed: dict[str, Any], rules: str) -> Kin:
    """Looks at the first records of the new address; stores nothing. Raises what the source raises."""
    connector, source = subject.asking(), subject.source(rules)
    entries = [entry for _, group in sampled(fetcher, connector, LOOKED).groups for entry in group]
    ids = identities(source, entries, connector.native)
    with database.read() as connection:
        rows = service.known(connection, ids).values() if ids else ()
    return Kin(sum(bool(row.live) and row.feed_id == feed["id"] for row in rows), len(ids))


def same(found: Kin, records: int) -> None:
    """Raises Conflict (`enrol.another_catalogue`) where a feed with records would go on with others."""
    if records and (not found.seen or found.known < LEAST * found.seen):
        error = Conflict(
            f"of {found.seen} records at the new address {found.known} are this feed's: register a new feed instead"
        )
        error.kind = "enrol.another_catalogue"
        raise error
