"""Platforms without sockets: what they hold is a model that a test changes; their answers go to the real engine."""

from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from app.clock import iso
from app.harvest.fetch import Fetched
from app.protocol import oaipmh
from app.protocol.connector import Request, Response

START = 1_793_000_000_000_000  # some day in 2026, microseconds
PAGE = 3
Answer = tuple[int, bytes]
MAPPING = {"version": 1, "fields": {"title": {"path": "title"}, "location": {"path": "url"}}}


class Source:
    """A platform: records with the number of their last change, tombstones, and its own clock."""

    def __init__(self, name: str) -> None:
        self.name, self.at = name, START
        self.live: dict[str, int] = {}
        self.changed_at: dict[str, int] = {}
        self.gone: dict[str, int] = {}
        self.count = 0

    def put(self, key: str) -> None:
        """Adds a record, or gives it another content."""
        self.count += 1
        self.at += 1_000_000
        self.live[key], self.changed_at[key] = self.count, self.at
        self.gone.pop(key, None)

    def drop(self, key: str) -> None:
        """Removes a record."""
        if self.live.pop(key, None) is not None:
            self.at += 1_000_000
            self.gone[key] = self.at

    def title(self, key: str) -> str:
        """What its record is called now; tells one content from another."""
        return f"{self.name} {key} 第{self.live[key]}版"

    def answer(self, url: str) -> Answer:
        """Status and body."""
        raise NotImplementedError


class Listing(Source):
    """A JSON API that lists everything in pages that name the next one, with its own count."""

    connector = "json"

    def config(self) -> dict[str, Any]:
        return {
            "url": f"http://{self.name}.example/list", "items_path": "items", "stamp_path": "at",
            "paging": {"by": "next", "path": "next"}, "total_path": "total",
        }  # fmt: skip

    def answer(self, url: str) -> Answer:
        after = parse_qs(urlsplit(url).query).get("cursor", [""])[0]
        keys = sorted(self.live)
        rest = [key for key in keys if key > after]
        items = [{"id": k, "title": self.title(k), "at": iso(self.changed_at[k])} for k in rest[:PAGE]]
        following = f"{self.config()['url']}?cursor={rest[PAGE - 1]}" if len(rest) > PAGE else None
        return 200, orjson.dumps({"items": items, "next": following, "total": len(keys)})


class Repository(Source):
    """OAI-PMH 2.0 with persistent deletions; the token is the place in the changes."""

    connector = "oai-pmh"

    def config(self) -> dict[str, Any]:
        return {"base_url": f"http://{self.name}.example/oai", "overlap_s": 0}

    def answer(self, url: str) -> Answer:
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        if asked["verb"] == "Identify":
            who = oaipmh.Identity("YYYY-MM-DDThh:mm:ssZ", "persistent", self.name, url, iso(START))
            body = f"<Identify>{oaipmh.identify(who, 'ops@demo.example')}</Identify>"
        else:
            since, at, key = asked.get("resumptionToken", f"{asked.get('from', '')}|0|").split("|")
            body = self._list(since, (int(at), key))
        return 200, oaipmh.envelope(iso(self.at), url, {}, body)

    def _list(self, since: str, after: tuple[int, str]) -> str:
        stamps = {key: self.gone.get(key) or self.changed_at[key] for key in {*self.live, *self.gone}}
        rows = sorted((at, key) for key, at in stamps.items() if iso(at) >= since and (at, key) > after)
        if not rows:
            return oaipmh.error("noRecordsMatch", "nothing")
        shown = "".join(self._record(key) for _, key in rows[:PAGE])
        token = f"{since}|{rows[PAGE - 1][0]}|{rows[PAGE - 1][1]}" if len(rows) > PAGE else ""
        return f"<ListRecords>{shown}{oaipmh.resumption(token, cursor=0)}</ListRecords>"

    def _record(self, key: str) -> str:
        if key in self.gone:
            return oaipmh.record(oaipmh.header(key, iso(self.gone[key]), [], deleted=True), None)
        metadata = (
            '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{self.title(key)}</dc:title></oai_dc:dc>'
        )
        return oaipmh.record(oaipmh.header(key, iso(self.changed_at[key]), [], deleted=False), metadata)


class Wire:
    """What the engine fetches with: asks a source, then lets a fault do its work on the answer; `others` fetches what
    lies at no source."""

    def __init__(self, *sources: Source, others: Any = None) -> None:
        self.others = others
        self.sources = {f"{source.name}.example": source for source in sources}
        self.fault: Callable[[Request, Answer], Answer] | None = None
        self.asked = 0

    def fetch(self, request: Request) -> Fetched:
        """As Fetcher.fetch."""
        self.asked += 1
        if urlsplit(request.url).netloc not in self.sources and self.others is not None:
            fetched: Fetched = self.others.fetch(request)
            return fetched
        found = self.sources[urlsplit(request.url).netloc].answer(request.url)
        status, body = self.fault(request, found) if self.fault else found
        return Fetched(Response.of(body, url=request.url, status=status), len(body), 0.0, 1)

    def close(self) -> None:
        """Nothing is open."""
