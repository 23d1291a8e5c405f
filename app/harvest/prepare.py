"""From entries to arrivals: parse, map, validate, hash, tokenise. Pure, so that it can run beside the writer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple

import orjson
from xxhash import xxh3_64_intdigest, xxh3_128_digest

from app.catalogue.arrivals import Arrival, first_version
from app.catalogue.packs import Pack, packs
from app.harvest.discovery import configured
from app.protocol import mapping as crosswalk
from app.protocol import rules, vocab
from app.protocol.canonical import element
from app.protocol.connector import Connector, Draft, Entry, Fault
from app.protocol.record import Prepared, prepare
from app.protocol.rules.engine import Live
from app.protocol.text import tokens_of
from app.protocol.words import ID_LIMIT, platform_of, record_ids

_TOGETHER: Final = 32


class Source(NamedTuple):
    """All that decides what an entry's bytes mean, and which rules are judged beside it; picklable."""

    platform: str
    key: str
    connector: str
    config: str
    mapping: str | None
    rules: str = ""

    @classmethod
    def of(cls, feed: Mapping[str, Any], rules: str = "") -> "Source":
        """The source behind a feed's row, or behind anything with the same five names."""
        mapping = orjson.dumps(feed["mapping"]).decode() if feed["mapping"] else None
        config = orjson.dumps(feed["config"]).decode()
        return cls(feed["platform"], feed["key"], feed["connector"], config, mapping, rules)


@dataclass(slots=True)
class Batch:
    """Entries after preparation; the refused ones by their place, so that their bytes need not travel back.

    `packs` hold the bytes of all arrivals in order, ready to be kept; `platforms` are those whose records they are.
    """

    arrivals: list[Arrival]
    refused: list[tuple[int, Fault]]
    packs: list[Pack]
    platforms: frozenset[str]

    def raws(self, entries: Sequence[Entry]) -> dict[bytes, bytes]:
        """The bytes behind each arrival by its source hash; `entries` are those that were prepared."""
        refused = {place for place, _ in self.refused}
        accepted = (entry for place, entry in enumerate(entries) if place not in refused)
        return {arrival.source_hash: entry.raw for arrival, entry in zip(self.arrivals, accepted, strict=True)}


class _Reading(NamedTuple):
    connector: Connector
    map: Callable[[Draft], tuple[Draft, list[str]]] | None
    tables: dict[str, dict[str, str]]
    live: Live | None


@lru_cache(maxsize=256)
def reading(source: Source) -> _Reading:
    """The feed's connector and compiled mapping, made once."""
    connector = configured(source.connector, orjson.loads(source.config))
    live = rules.live(source.rules)
    if not source.mapping:
        return _Reading(connector, None, {}, live)
    document = orjson.loads(source.mapping)
    return _Reading(connector, crosswalk.compile(document), document.get("terms", {}), live)


@lru_cache(maxsize=256)
def source_key(source: Source, context: bytes) -> int:
    """Stands for all that gives an entry's bytes their meaning: context, configuration, mapping, code lists and rules."""
    meaning = orjson.dumps([source.connector, source.config, source.mapping, vocab.VERSION, source.rules])
    return xxh3_64_intdigest(meaning + context)


def source_hash(raw: bytes, key: int) -> bytes:
    """16 bytes that stand for an entry as it came and as it was understood: a repeat needs no parsing.

    Not against forgery: who makes two contents of one record that share a hash hides his own change from himself.
    """
    return xxh3_128_digest(raw, key)


def stamp(entry: Entry) -> str | None:
    """The source's stamp, cut to its column: a hint must not stop a page."""
    return entry.stamp[:64] if entry.stamp else None


def identity(source: Source, entry: Entry, native: bool) -> str:
    """The hub's id of an entry."""
    return identities(source, [entry], native)[0]


def identities(source: Source, entries: Sequence[Entry], native: bool) -> list[str]:
    """The hub's ids of entries, in order."""
    identifiers = [entry.identifier for entry in entries]
    return identifiers if native else record_ids(source.platform, source.key, identifiers)


def prepared(source: Source, entries: Sequence[Entry], context: bytes) -> Batch:
    """Arrivals and refusals of entries that are not deletions, in order."""
    made, key = reading(source), source_key(source, context)
    refused, accepted = list[tuple[int, Fault]](), list[tuple[Entry, Prepared]]()
    ids, drafts = identities(source, entries, made.connector.native), _parsed(made.connector, entries, context)
    for place, (entry, id, draft) in enumerate(zip(entries, ids, drafts, strict=True)):
        outcome = _one(made, id, draft)
        if isinstance(outcome, Fault):
            refused.append((place, outcome))
        else:
            accepted.append((entry, outcome))
    words = tokens_of([record.text for _, record in accepted])
    arrivals = [
        Arrival(
            record, source_hash(entry.raw, key), stamp(entry), entry.version, entry.path, tokens,
            element(record.id, first_version(entry.version), record.hash),
        )
        for (entry, record), tokens in zip(accepted, words, strict=True)
    ]  # fmt: skip
    # Identifiers of a native source name their platforms; all others are made with its own.
    platforms = {platform_of(record.id) for _, record in accepted} if made.connector.native else {source.platform}
    packed = packs([arrival.source_hash for arrival in arrivals], [entry.raw for entry, _ in accepted])
    return Batch(arrivals, refused, packed, frozenset(platforms))


def _parsed(connector: Connector, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
    """What the connector makes of each entry, some entries at a time.

    A processor is quicker when the same code runs for a while before other code does; all at once would not stay in
    its cache.
    """
    for start in range(0, len(entries), _TOGETHER):
        yield from list(connector.parse(entries[start : start + _TOGETHER], context))


def _one(made: _Reading, id: str, draft: Draft | Fault) -> Prepared | Fault:
    if isinstance(draft, Fault):
        return draft
    if len(id) > ID_LIMIT:
        return Fault("record.id_too_long", f"longer than {ID_LIMIT} characters", "id", id[:200], "validate")
    flags: list[str] = []
    if made.map is not None:
        try:
            draft, flags = made.map(draft)
        except (TypeError, ValueError, KeyError) as error:
            return Fault("mapping.shape", f"the mapping does not fit: {error}", stage="map")
    record = prepare(draft, id, tables=made.tables, native=made.connector.native, flagged=flags)
    if made.live is not None and isinstance(record, Prepared):
        return made.live(record)
    return record
