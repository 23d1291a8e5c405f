"""A quarantined entry looked at again: what it was understood as, where its bytes break, the last good version."""

import re
from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, desc, select

from app.catalogue import originals, queries
from app.feeds.service import mine
from app.harvest.prepare import Source, identity, prepared, reading
from app.harvest.tables import rejection
from app.protocol.connector import Entry, Fault
from app.protocol.errors import PeerViolation
from app.protocol.record import restore

PLACES: Final = 80
SHOWN: Final = 120
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\\u00(?:0[0-8bcef]|1[0-9a-f])")


class Inspection(NamedTuple):
    """`understood`: the entry in our field names as far as it got, None when it could not be parsed; `fault`: what
    today's mapping and rules say of it, None when it is good now; `earlier`: the stored version, None without one."""

    understood: dict[str, Any] | None
    fault: Fault | None
    earlier: dict[str, Any] | None
    id: str


def source_of(feed: Mapping[str, Any]) -> Source:
    """All that decides what this feed's bytes mean."""
    mapping = orjson.dumps(feed["mapping"]).decode() if feed["mapping"] else None
    return Source(feed["platform"], feed["key"], feed["connector"], orjson.dumps(feed["config"]).decode(), mapping)


def inspect(connection: Connection, feed: Mapping[str, Any], row: Mapping[str, Any]) -> Inspection:
    """Parses and maps the kept bytes as a replay would, stores nothing."""
    source = source_of(feed)
    made = reading(source)
    try:
        entry = made.connector.again(Entry(row["identifier"], bytes(row["raw"]), row["stamp"]))
    except PeerViolation as error:  # bytes that today's connector cannot even take up again
        return Inspection(None, Fault(error.kind, error.detail), None, row["identifier"])
    id = identity(source, entry, made.connector.native)
    (draft,) = made.connector.parse([entry], bytes(row["context"]))
    understood = None if isinstance(draft, Fault) else dict(draft)
    if understood is not None and made.map is not None:
        with suppress(TypeError, ValueError, KeyError):  # `fault` says so; then the draft itself is shown
            understood = dict(made.map(understood)[0])
    refused = prepared(source, [entry], bytes(row["context"])).refused
    stored = queries.by_id(connection, id)
    earlier = restore(bytes(stored.document)) if stored is not None else None
    return Inspection(understood, refused[0][1] if refused else None, earlier, id)


def broken_at(raw: bytes, rule: str, path: str, value: str) -> tuple[int, int] | None:
    """Where the bytes break, as a range; None when the fault is that something is missing.

    Looked for in this order: a forbidden character (text rules), the refused value, the element or key that the
    path names.
    """
    if rule.startswith(("text.", "xml.", "json.")) and (found := _CONTROL.search(raw)):
        return found.span()
    if len(value) > 1 and value not in ("None", "null", "True", "False"):
        at = raw.find(value.encode())
        if at >= 0:
            return at, at + len(value.encode())
    name = re.sub(r"[\[\]0-9.]+\Z", "", path).rsplit(".", 1)[-1]
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name):
        return None
    key = re.escape(name.encode())
    found = re.search(rb'"%s"\s*:\s*[^,}\]]{0,200}' % key, raw) or re.search(rb"<(?:\w+:)?%s\b[^>]*>" % key, raw)
    return found.span() if found else None


def texts(connection: Connection, feed: Mapping[str, Any], number: int | None = None) -> list[tuple[str, str]]:
    """The paths of an entry with what stands there, in its order: of a quarantined one, else of a live record.

    `number` is a quarantined entry; without one the latest is taken. Empty where no bytes are kept or nothing is read.
    """
    found = _looked_at(connection, feed["id"], number)
    if found is None:
        return []
    raw, context, identifier = found
    try:
        places = reading(source_of(feed)).connector.places(Entry(identifier, raw), context)
        return [(path, text[:SHOWN]) for path, text in islice(places, PLACES)]
    except PeerViolation:
        return []


def _looked_at(connection: Connection, feed_id: int, number: int | None) -> tuple[bytes, bytes, str] | None:
    """(bytes, context, identifier) of an entry to look at."""
    query = select(rejection).where(rejection.c.feed_id == feed_id, rejection.c.state == "open")
    if number is not None:
        query = query.where(rejection.c.id == number)
    query = mine(connection, query.order_by(desc(rejection.c.id)).limit(1), rejection.c.feed_id)
    row = connection.execute(query).first()
    if row is not None:
        return bytes(row.raw), bytes(row.context), row.identifier
    kept = originals.of_feed(connection, feed_id, limit=1)
    return (bytes(kept[0].raw), bytes(kept[0].context or b""), kept[0].id) if kept else None
