"""A site read through its sitemap: pages that describe their resource in JSON-LD (schema.org, LRMI, AMB)."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import orjson
from pydantic import HttpUrl

from app.protocol import json, jsonld, pages, sitemaps, walk
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerUnavailable, PeerViolation

OVERLAP: Final = timedelta(hours=48)
"""A `lastmod` may be a bare day, and a page may show up later than it says."""


class Sitemap(Connector):
    """A sitemap or an index of sitemaps, and one request for each page.

    Checkpoint: between runs `since` (the server's clock when the last run began); within a run the walk's `stack`,
    `files`, `whole`, and `run`, `started`, `failed` (failures in a row), `bad` (a page failed in this run).
    """

    name: ClassVar[str] = "sitemap"
    title_zh: ClassVar[str] = "站点地图与网页中的 JSON-LD"
    title_en: ClassVar[str] = "Sitemap and JSON-LD in pages"
    sitemap_url: HttpUrl
    include: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    mapped: bool = False
    profile: jsonld.Profile = None

    @classmethod
    def doors(cls, url: str) -> tuple[str, ...]:
        """What a host says to crawlers, and the usual place of its sitemap."""
        host = "/".join(url.split("/")[:3])
        return f"{host}/robots.txt", f"{host}/sitemap.xml"

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """A sitemap or an index of them, or the file that names one (sitemaps.org, "Informing search engines")."""
        if response.status != 200:
            return None
        if urlsplit(response.url).path == "/robots.txt":
            named = tuple(sitemaps.named(response.content()))[:3]
            reason = "robots.txt names this sitemap"
            return Evidence({"sitemap_url": named[0]}, 75, (reason,), named) if named else None
        document = sitemaps.parse(response.content())
        if document.capability or not document.items:
            return None
        said = f"a sitemap{' index' if document.index else ''} of {len(document.items)} entries"
        return Evidence({"sitemap_url": response.url}, 90, (said,))

    def request(self, checkpoint: Checkpoint) -> Request:
        """The file or page on top of the walk."""
        if not (stack := checkpoint.get("stack")):
            return Request(str(self.sitemap_url))
        return Request(stack[0].get("list") or stack[0]["page"])

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """A file of the sitemap gives the pages to ask next; a page gives at most one entry."""
        state = dict(checkpoint) if checkpoint.get("stack") else {**checkpoint, **walk.begin(str(self.sitemap_url))}
        here = state["stack"][0]
        if "page" in here:
            yield from self._page(state, response)
            return
        try:
            page = self._file(state, response)
        except PeerError as error:
            if here["depth"] == 0:
                # A walk outlives the files it came from: the next run begins with the sitemap again.
                yield Page((), {"since": state["since"]} if "since" in state else {}, False)
                raise
            page = self._lost(state, error)
        yield page

    def _file(self, state: dict[str, Any], response: Response) -> Page:
        if response.status >= 400:
            raise response.failure()
        here, content = state["stack"][0], response.content()
        document = sitemaps.parse(content)
        if "run" not in state:
            state |= {"run": walk.run_name(response.headers, content), "started": walk.date(response.headers)}
        base, foreign, old = response.url or here["list"], [], []
        ours = (*self.hosts, urlsplit(str(self.sitemap_url)).netloc)  # a redirect may have led elsewhere

        def step(place: int) -> walk.Step | None:
            item = document.items[place]
            if (url := walk.address(base, item.loc, ours)) is None:
                foreign.append(Entry(item.loc[:300], b"", item.lastmod))
                return None
            if document.index:
                return walk.below(here, url)
            if not self._wanted(url):
                return None
            if sitemaps.before(item.lastmod, state.get("since"), OVERLAP):
                old.append(url)
                return None
            # The identifier is the address as the site writes it: percent signs would be escaped once more.
            return {"page": url, "id": item.loc if "://" in item.loc else url, "stamp": item.lastmod}

        after = walk.opened(state, [item.loc for item in document.items], step, index=document.index)
        return self._moved({**after, "whole": after["whole"] and not old}, foreign, b"foreign")

    def _lost(self, state: dict[str, Any], error: PeerError) -> Page:
        """One file of an index that cannot be read: the others are, but nothing is concluded from its absence."""
        raw = f"{error.kind} {error.detail}".encode()
        return self._moved(walk.lost(state), [Entry(state["stack"][0]["list"], b"")], raw)

    def _wanted(self, url: str) -> bool:
        return not self.include or any(fnmatchcase(url, pattern) for pattern in self.include)

    def _page(self, state: dict[str, Any], response: Response) -> Iterator[Page]:
        """The resource of one page. A page that is gone has no entry; a failing one is refused and stays as it was."""
        here = state["stack"][0]
        if response.status in (404, 410):
            yield self._moved(walk.taken(state), [], b"")
        elif response.status >= 400:
            after, stop = walk.failed(state)
            yield self._moved(after, [Entry(here["id"], b"", here["stamp"])], b"HTTP %d" % response.status)
            if stop and after["stack"]:
                detail = f"{walk.FAILURES} pages in a row failed, the last with HTTP {response.status}"
                raise PeerUnavailable(detail)
        else:
            raw, reason = self._described(response)
            yield self._moved(walk.taken(state), [Entry(here["id"], raw, here["stamp"])], reason)

    def _described(self, response: Response) -> tuple[bytes, bytes]:
        """The resource's object as JSON, and why there is none."""
        try:
            blocks = pages.blocks(response.content(), response.charset)
        except PeerViolation as error:
            return b"", f"{error.kind} {error.detail}".encode()
        chosen, broken = pages.resource(blocks)
        if chosen is None and broken:
            return broken, b""  # `parse` names what is wrong with it
        return (orjson.dumps(chosen), b"") if chosen is not None else (b"", b"none")

    def _moved(self, state: dict[str, Any], entries: list[Entry], context: bytes) -> Page:
        """The page of a step; behind the last one a walk that left nothing out is a complete listing."""
        if state["stack"]:
            return Page(entries, state, False, context, state["run"])
        # A failed page is asked again next time: the clock stays where it was.
        since = state.get("since") if state.get("bad") else state["started"] or state.get("since")
        complete = frozenset({state["run"]}) if state["whole"] else None
        return Page(entries, {"since": since} if since else {}, True, context, state["run"], complete)

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """The draft of each page's resource; `context` says why a page without bytes has none."""
        for entry in entries:
            yield self._draft(entry) if entry.raw else _refused(context.decode(errors="replace"))

    def _draft(self, entry: Entry) -> Draft | Fault:
        try:
            node = json.loads(entry.raw)
        except PeerViolation as error:
            return Fault(error.kind, error.detail)
        if not isinstance(node, dict):
            return Fault("record.shape", "the JSON-LD of the page is not an object")
        if self.mapped:
            return node
        draft = jsonld.read(node, profile=self.profile)
        return draft if isinstance(draft, Fault) else {"location": [entry.identifier], **draft}


def _refused(reason: str) -> Fault:
    if reason == "foreign":
        return Fault("sitemap.foreign", "the address is on another host than the sitemap, or no http address", "loc")
    if reason == "none":
        return Fault("sitemap.no_resource", "the page has no JSON-LD that describes a resource")
    if reason.startswith("HTTP"):
        return Fault("sitemap.page_failed", f"the page answers {reason}")
    rule, _, detail = reason.partition(" ")
    return Fault(rule or "sitemap.no_resource", detail)
