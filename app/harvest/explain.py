"""Where each field of a stored record came from, computed from the kept bytes when somebody asks."""

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import unquote

from sqlalchemy import Connection

from app.catalogue import originals, queries
from app.feeds import service as feeds
from app.harvest.prepare import Source, identity, reading
from app.protocol.connector import Connector, Draft, Entry, Fault
from app.protocol.errors import NotFound, PeerViolation
from app.protocol.mapping import Crosswalk
from app.protocol.record import restore
from app.protocol.rules.declare import texts

SHOWN: Final = 200
BY_TEXT: Final = "read by the connector; places by equal text"
LOST: Final = "not found: the source or the mapping has changed since"


def explain(connection: Connection, id: str) -> dict[str, Any]:
    """Each field of a live record with its value, the places of the source it came from, and how.

    By the mapping where the feed has one, else by where the same text stands in the bytes. Raises NotFound where the
    record is unknown or gone, or where none of its bytes were kept.
    """
    row = queries.by_id(connection, id)
    if row is None or not row.live:
        raise NotFound(f"there is no live record {id}")
    kept = originals.of_record(connection, row.pk)
    if kept is None:
        raise NotFound(f"no bytes were kept of {id}: it was stored before bytes were; a full harvest keeps them")
    feed, (raw, context) = feeds.by_id(connection, row.feed_id), kept
    source = Source.of(feed)
    connector = reading(source).connector
    entry = Entry(id if connector.native else unquote(id.split("/", 1)[1]), raw, row.stamp)
    assert identity(source, entry, connector.native) == id
    draft = next(iter(connector.parse([entry], context)))
    told = {} if isinstance(draft, Fault) else _told(connector, feed["mapping"], draft, entry, context)
    record = restore(bytes(row.document))
    fields = [
        {"field": name, "value": value, **told.get(name, _UNKNOWN)} for name, value in record.items() if name != "id"
    ]
    return {"id": id, "feed": feed["id"], "connector": feed["connector"], "bytes": len(raw), "fields": fields}


_UNKNOWN: Final[Mapping[str, Any]] = {"from": [], "how": LOST}


def _told(connector: Connector, mapping: Any, draft: Draft, entry: Entry, context: bytes) -> dict[str, dict[str, Any]]:
    """Field to places and way. What a connector has read by itself is looked for in the bytes by its text."""
    try:
        known: dict[str, list[str]] = {}
        for path, text in connector.places(entry, context):
            known.setdefault(" ".join(text.split()), []).append(path)
    except PeerViolation:
        known = {}
    if not mapping:
        return {name: _read(name, value, known) for name, value in draft.items()}
    traces = Crosswalk(mapping).explain(draft)
    return {t.field: {"from": [_place(path, value) for path, value in t.places], "how": t.how} for t in traces}


def _read(name: str, value: Any, known: Mapping[str, list[str]]) -> dict[str, Any]:
    return {"from": list(_found(name, value, known)), "how": BY_TEXT}


def _found(name: str, value: Any, known: Mapping[str, list[str]]) -> Iterator[dict[str, Any]]:
    whole = list(texts(value, name)) or [(name, str(value))]
    for _, text in whole:
        # A connector may join or shorten what it reads, so each line is looked for, and then what holds it.
        for line in filter(None, (" ".join(part.split()) for part in text.split("\n"))):
            paths = known.get(line) or [p for stands, at in known.items() if line in stands for p in at][:1]
            yield from (_place(path, line) for path in paths[:3])


def _place(path: str, value: Any) -> dict[str, Any]:
    return {"path": path, "value": str(value)[:SHOWN]}
