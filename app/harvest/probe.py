"""Which kind an address speaks or a file is, and a configuration and a mapping to begin with, each with its evidence."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import orjson

from app.harvest.discovery import configured, kinds
from app.harvest.fetch import Fetcher
from app.harvest.look import Sample, Subject, sampled, unregistered
from app.protocol import mapping as crosswalk
from app.protocol.connector import Connector, Draft, Evidence, Fault, Request, Response
from app.protocol.errors import BadRequest, PeerError, PeerViolation
from app.protocol.files import FileFeed
from app.protocol.record import Record

SAMPLES: Final = 200
FURTHER: Final = 6
"""Addresses named by the answers that are asked as well, in one more round."""
SURE: Final = 80
UNSURE: Final = 70
PAGE_BYTES: Final = 64 << 20
"""A larger answer is a file; only kinds that read files as streams look at it."""
_OWN: Final = frozenset(Record.__annotations__)
_LARGE: Final = ("body.too_large", "body.bomb")
Found = tuple[str, Evidence]


def probe(fetcher: Fetcher, url: str) -> dict[str, Any]:
    """Which kinds an address speaks, the best first, and for the best one a mapping with its evidence."""
    doors = dict.fromkeys([url, *(door for kind in kinds().values() for door in kind.doors(url))])
    found, failed = _asked(fetcher, doors, url)
    further = [door for _, evidence in found for door in evidence.doors if door not in doors][:FURTHER]
    more, lost = _asked(fetcher, dict.fromkeys(further), url)
    best = _best([*found, *more])
    report: dict[str, Any] = {
        "url": url, "asked": [*doors, *further], "failed": [*failed, *lost],
        "kinds": [{"connector": k, "certainty": e.certainty, "config": e.config, "reasons": e.reasons} for k, e in best],
    }  # fmt: skip
    return report | (proposal(fetcher, *best[0]) if best else _NOTHING)


def _best(found: list[Found]) -> list[Found]:
    """The surest evidence for each kind, the surest kind first."""
    best: dict[str, Found] = {}
    for kind, evidence in sorted(found, key=lambda pair: -pair[1].certainty):
        best.setdefault(kind, (kind, evidence))
    return list(best.values())


def _asked(fetcher: Fetcher, doors: Iterable[str], url: str) -> tuple[list[Found], list[dict[str, str]]]:
    found: list[Found] = []
    failed = []
    for door in doors:
        try:
            answer = _answer(fetcher, door, whole=door == url)
        except PeerError as error:
            failed.append({"url": door, "kind": error.kind, "detail": error.detail})
            continue
        with answer.body:
            found += recognised(answer)
    return found, failed


def _answer(fetcher: Fetcher, door: str, *, whole: bool) -> Response:
    """What stands at an address; the one that was asked for may be a file, larger than any page."""
    try:
        return fetcher.fetch(Request(door)).response
    except PeerViolation as error:
        if not whole or error.kind not in _LARGE:
            raise
        return fetcher.fetch(Request(door, file=True)).response


def recognised(answer: Response) -> list[Found]:
    """The kinds that know an answer; where one is sure, those that would only take it for rows or objects are left out."""
    large = answer.body.seek(0, 2) > PAGE_BYTES
    answer.body.seek(0)
    asked = {name: kind for name, kind in kinds().items() if not large or issubclass(kind, FileFeed)}
    found = list(_known(answer, asked))
    sure = any(evidence.certainty >= SURE for _, evidence in found)
    return [(name, evidence) for name, evidence in found if not sure or evidence.certainty >= UNSURE]


def _known(answer: Response, asked: dict[str, type[Connector]]) -> Iterator[Found]:
    for name, kind in asked.items():
        try:
            if (evidence := kind.recognise(answer)) is not None:
                yield name, evidence
        except PeerViolation:
            continue


_NOTHING: Final[dict[str, Any]] = {"mapping": None, "evidence": [], "open": []}


def proposal(fetcher: Fetcher, kind: str, evidence: Evidence) -> dict[str, Any]:
    """A mapping from the first records; none where the connector reads them into our fields by itself."""
    connector = configured(kind, dict(evidence.config))
    try:
        sample = sampled(fetcher, connector, SAMPLES)
    except PeerError as error:
        return {**_NOTHING, "error": {"kind": error.kind, "detail": error.detail}}
    return mapped(connector, sample)


def mapped(connector: Connector, sample: Sample) -> dict[str, Any]:
    """`mapping`, `evidence` and `open` for records at hand."""
    drafts = list(_drafts(connector, sample))
    own = getattr(connector, "profile", None) is not None or not connector.needs_mapping
    if not drafts or (own and all(set(draft) <= _OWN for draft in drafts)):
        return _NOTHING
    document, guesses, missing = crosswalk.propose(drafts[:SAMPLES])
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
