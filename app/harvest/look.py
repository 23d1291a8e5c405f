"""Looking without storing: preview the first records, validate a thousand. Nothing is written."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection

from app.access import secrets
from app.feeds import service as feeds
from app.harvest.assess import Verdict, assessed, coverage, grouped, score
from app.harvest.discovery import configured, unmasked
from app.harvest.engine import Engine
from app.harvest.fetch import Fetched, Fetcher
from app.harvest.files import stored
from app.harvest.prepare import Source
from app.protocol.connector import Connector, Entry, Fault, Request
from app.protocol.files import UPLOADED
from app.protocol.record import restore

Uploads = Callable[[Request], Fetched]
"""The feed's newest uploaded file as an answer."""
SPARE: Final = 20
"""Requests beyond one a record: a sitemap gives one record a page, and some pages give none."""


@dataclass(slots=True)
class Sample:
    """Entries of a source that were read and not stored, each group with its page's context."""

    groups: list[tuple[bytes, list[Entry]]] = field(default_factory=list)
    requests: int = 0
    fetch_s: float = 0.0

    def __len__(self) -> int:
        return sum(len(entries) for _, entries in self.groups)


class Subject(NamedTuple):
    """What is looked at: the five names of a feed, and entries that are at hand already (a file)."""

    platform: str
    key: str
    connector: str
    config: dict[str, Any]
    mapping: dict[str, Any] | None
    at_hand: Sample | None = None
    secrets: Mapping[str, str] = {}  # of its configuration, by field: for asking only
    uploads: Uploads | None = None  # of a registered feed

    def source(self, rules: str) -> Source:
        """All that decides what its entries mean."""
        return Source.of(self._asdict(), rules)

    def asking(self) -> Connector:
        """The connector that asks the platform, with its secrets."""
        return unmasked(configured(self.connector, self.config), self.secrets)


def registered(
    engine: Engine, connection: Connection, reference: int | str, mapping: dict[str, Any] | None = None
) -> Subject:
    """A registered feed with its secrets and its files. Raises NotFound for one that is not among the caller's."""
    feed = feeds.by_id(connection, reference)
    known = secrets.opened(connection, engine.ring, feeds.owner(feed["id"])) if engine.ring else {}
    files = partial(stored, engine.database, engine.files, feed["id"])
    return of_feed(feed, mapping)._replace(secrets=known, uploads=files)


def of_feed(feed: Mapping[str, Any], mapping: dict[str, Any] | None = None) -> Subject:
    """A registered feed, with another mapping where one is given."""
    return Subject(feed["platform"], feed["key"], feed["connector"], feed["config"], mapping or feed["mapping"])


def unregistered(connector: str, config: dict[str, Any], mapping: dict[str, Any] | None) -> Subject:
    """A feed nobody has registered yet."""
    return Subject("N-000000-00", "look", connector, config, mapping)


def sampled(fetcher: Fetcher, connector: Connector, limit: int, uploads: Uploads | None = None) -> Sample:
    """The first entries that are not deletions, from the beginning of the source. Raises what the source raises."""
    sample, checkpoint, done = Sample(), connector.fresh({}), False
    while not done and len(sample) < limit and sample.requests < limit + SPARE:
        request = connector.request(checkpoint)
        fetched = uploads(request) if uploads and request.url == UPLOADED else fetcher.fetch(request)
        sample.requests += fetched.requests
        sample.fetch_s += fetched.seconds
        with fetched.response.body:
            for page in connector.read(checkpoint, fetched.response):
                take(sample, page.context, page.entries, limit)
                checkpoint, done = page.checkpoint, page.done
                if len(sample) >= limit:
                    break
    return sample


def take(sample: Sample, context: bytes, entries: Sequence[Entry], limit: int) -> None:
    """Adds the first entries of a page that are not deletions, up to `limit` in all."""
    puts = [entry for entry in entries if not entry.deleted][: limit - len(sample)]
    if puts:
        sample.groups.append((context, puts))


def preview(fetcher: Fetcher, subject: Subject, number: int, rules: str) -> dict[str, Any]:
    """The first mapped records with what the rules find, coverage by field, and a score."""
    verdicts, sample, own_s = _looked(fetcher, subject, number, rules)
    return {
        "connector": subject.connector, "config": subject.config, "mapping": subject.mapping, "seen": len(verdicts),
        "score": score(verdicts), "coverage": coverage(verdicts), "records": [_shown(verdict) for verdict in verdicts],
        "requests": sample.requests, "fetch_ms": round(sample.fetch_s * 1000), "own_ms": round(own_s * 1000),
    }  # fmt: skip


def validate(fetcher: Fetcher, subject: Subject, number: int, rules: str) -> tuple[dict[str, Any], list[Verdict]]:
    """A report grouped by rule with three examples each, and all verdicts for whoever wants the rest."""
    verdicts, sample, own_s = _looked(fetcher, subject, number, rules)
    refused = sum(1 for verdict in verdicts if isinstance(verdict.outcome, Fault))
    report = {
        "seen": len(verdicts), "accepted": len(verdicts) - refused, "refused": refused, "score": score(verdicts),
        "rules": grouped(verdicts), "coverage": coverage(verdicts), "requests": sample.requests,
        "own_ms": round(own_s * 1000),
    }  # fmt: skip
    return report, verdicts


def _looked(fetcher: Fetcher, subject: Subject, number: int, rules: str) -> tuple[list[Verdict], Sample, float]:
    began = time.perf_counter()
    sample = subject.at_hand or sampled(fetcher, subject.asking(), number, subject.uploads)
    source = subject.source(rules)
    verdicts = [verdict for context, entries in sample.groups for verdict in assessed(source, entries, context)]
    return verdicts[:number], sample, time.perf_counter() - began - sample.fetch_s


def _shown(verdict: Verdict) -> dict[str, Any]:
    record = None if isinstance(verdict.outcome, Fault) else restore(verdict.outcome.document)
    found = [finding._asdict() for finding in verdict.findings]
    return {"identifier": verdict.identifier, "record": record, "findings": found}
