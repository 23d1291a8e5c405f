"""Looking without storing: probe an address, preview the first records, validate a thousand. Nothing is written."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection

from app.access import secrets
from app.access.keyring import Keyring
from app.feeds import service as feeds
from app.harvest.assess import Verdict, assessed, coverage, grouped, score
from app.harvest.discovery import configured, kinds, unmasked
from app.harvest.fetch import Fetcher
from app.harvest.prepare import Source
from app.protocol import json
from app.protocol import mapping as crosswalk
from app.protocol.connector import Connector, Draft, Entry, Evidence, Fault, Request, Response
from app.protocol.errors import BadRequest, PeerError, PeerViolation
from app.protocol.record import Record, restore

SAMPLES: Final = 200
SPARE: Final = 20
"""Requests beyond one a record: a sitemap gives one record a page, and some pages give none."""
FILE_BYTES: Final = 256 << 20
_OWN: Final = frozenset(Record.__annotations__)


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

    def source(self, rules: str) -> Source:
        """All that decides what its entries mean."""
        return Source.of(self._asdict(), rules)

    def asking(self) -> Connector:
        """The connector that asks the platform, with its secrets."""
        return unmasked(configured(self.connector, self.config), self.secrets)


def registered(
    connection: Connection, ring: Keyring | None, reference: int | str, mapping: dict[str, Any] | None = None
) -> Subject:
    """A registered feed with its secrets. Raises NotFound for one that is not among the caller's."""
    feed = feeds.by_id(connection, reference)
    known = secrets.opened(connection, ring, feeds.owner(feed["id"])) if ring else {}
    return of_feed(feed, mapping)._replace(secrets=known)


def of_feed(feed: Mapping[str, Any], mapping: dict[str, Any] | None = None) -> Subject:
    """A registered feed, with another mapping where one is given."""
    return Subject(feed["platform"], feed["key"], feed["connector"], feed["config"], mapping or feed["mapping"])


def unregistered(connector: str, config: dict[str, Any], mapping: dict[str, Any] | None) -> Subject:
    """A feed nobody has registered yet."""
    return Subject("N-000000-00", "look", connector, config, mapping)


def sampled(fetcher: Fetcher, connector: Connector, limit: int) -> Sample:
    """The first entries that are not deletions, from the beginning of the source. Raises what the source raises."""
    sample, checkpoint, done = Sample(), connector.fresh({}), False
    while not done and len(sample) < limit and sample.requests < limit + SPARE:
        fetched = fetcher.fetch(connector.request(checkpoint))
        sample.requests += fetched.requests
        sample.fetch_s += fetched.seconds
        with fetched.response.body:
            for page in connector.read(checkpoint, fetched.response):
                _take(sample, page.context, page.entries, limit)
                checkpoint, done = page.checkpoint, page.done
                if len(sample) >= limit:
                    break
    return sample


def _take(sample: Sample, context: bytes, entries: Sequence[Entry], limit: int) -> None:
    puts = [entry for entry in entries if not entry.deleted][: limit - len(sample)]
    if puts:
        sample.groups.append((context, puts))


def file(path: Path, limit: int, mapping: dict[str, Any] | None) -> Subject:
    """A file: of any kind that recognises it, else a JSON array or JSON lines. Raises BadRequest."""
    if path.stat().st_size > FILE_BYTES:
        raise BadRequest(f"{path.name}: larger than {FILE_BYTES >> 20} MiB; cut a sample out of it")
    content = path.read_bytes()
    response = Response.of(content, url=f"http://file.invalid/{path.name}")
    for kind, evidence in _recognised(response):
        connector, sample = configured(kind, dict(evidence.config)), Sample()
        try:
            for page in connector.read(connector.fresh({}), response):
                _take(sample, page.context, page.entries, limit)
        except PeerError:
            continue
        if len(sample):
            return unregistered(kind, dict(evidence.config), mapping)._replace(at_hand=sample)
    return _objects(path, content, limit, mapping)


def _objects(path: Path, content: bytes, limit: int, mapping: dict[str, Any] | None) -> Subject:
    text = content.lstrip()
    if text[:1] == b"{":
        content = b"[%b]" % b",".join(line for line in text.splitlines() if line.strip())
    try:
        values = json.items(content, max_bytes=FILE_BYTES)[:limit]
    except PeerViolation as error:
        raise BadRequest(
            f"{path.name}: no kind knows this file, and it is no JSON array or JSON lines: {error}"
        ) from None
    entries = [Entry(_name(value, number), raw) for number, (value, raw) in enumerate(values)]
    config = {"manifest_url": "http://file.invalid/"}
    return unregistered("static-parts", config, mapping)._replace(at_hand=Sample([(b"", entries)]))


def _name(value: Any, number: int) -> str:
    found = value.get("id") if isinstance(value, dict) else None
    return str(found) if isinstance(found, str | int) else f"line {number + 1}"


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
    sample = subject.at_hand or sampled(fetcher, subject.asking(), number)
    source = subject.source(rules)
    verdicts = [verdict for context, entries in sample.groups for verdict in assessed(source, entries, context)]
    return verdicts[:number], sample, time.perf_counter() - began - sample.fetch_s


def _shown(verdict: Verdict) -> dict[str, Any]:
    record = None if isinstance(verdict.outcome, Fault) else restore(verdict.outcome.document)
    found = [finding._asdict() for finding in verdict.findings]
    return {"identifier": verdict.identifier, "record": record, "findings": found}


def probe(fetcher: Fetcher, url: str) -> dict[str, Any]:
    """Which kinds an address speaks, the best first, and for the best one a mapping with its evidence."""
    doors = dict.fromkeys([url, *(door for kind in kinds().values() for door in kind.doors(url))])
    found, failed = _asked(fetcher, list(doors))
    found.sort(key=lambda pair: -pair[1].certainty)
    best: dict[str, tuple[str, Evidence]] = {}
    for kind, evidence in found:
        best.setdefault(kind, (kind, evidence))
    report: dict[str, Any] = {
        "url": url, "asked": list(doors), "failed": failed,
        "kinds": [{"connector": k, "certainty": e.certainty, "config": e.config, "reasons": e.reasons} for k, e in best.values()],
    }  # fmt: skip
    return (
        {**report, **_proposal(fetcher, *found[0])}
        if found
        else {**report, "mapping": None, "evidence": [], "open": []}
    )


def _asked(fetcher: Fetcher, doors: list[str]) -> tuple[list[tuple[str, Evidence]], list[dict[str, str]]]:
    found: list[tuple[str, Evidence]] = []
    failed = []
    for door in doors:
        try:
            answer = fetcher.fetch(Request(door)).response
        except PeerError as error:
            failed.append({"url": door, "kind": error.kind, "detail": error.detail})
            continue
        with answer.body:
            found += _recognised(answer)
    return found, failed


def _recognised(answer: Response) -> Iterator[tuple[str, Evidence]]:
    for name, kind in kinds().items():
        try:
            if (evidence := kind.recognise(answer)) is not None:
                yield name, evidence
        except PeerViolation:
            continue


def _proposal(fetcher: Fetcher, kind: str, evidence: Evidence) -> dict[str, Any]:
    """A mapping from the first records; none where the connector reads them into our fields by itself."""
    connector = configured(kind, dict(evidence.config))
    try:
        drafts = list(_drafts(connector, sampled(fetcher, connector, SAMPLES)))
    except PeerError as error:
        return {"mapping": None, "evidence": [], "open": [], "error": {"kind": error.kind, "detail": error.detail}}
    if not drafts or all(set(draft) <= _OWN for draft in drafts):
        return {"mapping": None, "evidence": [], "open": []}
    document, guesses, missing = crosswalk.propose(drafts)
    return {"mapping": document, "evidence": [guess._asdict() for guess in guesses], "open": missing}


def _drafts(connector: Connector, sample: Sample) -> Iterator[Draft]:
    for context, entries in sample.groups:
        yield from (draft for draft in connector.parse(entries, context) if not isinstance(draft, Fault))


def proposed(fetcher: Fetcher, url: str) -> Subject:
    """What a probe of an address found, ready for a look. Raises BadRequest when no kind knows it."""
    found = probe(fetcher, url)
    if not found["kinds"]:
        tried = "; ".join(f"{item['url']}: {item['detail']}" for item in found["failed"][:3])
        raise BadRequest(f"no kind of connector recognises {url}. {tried}".strip())
    best = found["kinds"][0]
    return unregistered(best["connector"], orjson.loads(orjson.dumps(best["config"])), found["mapping"])
