"""RSS, Atom, JSON Feed, OPDS and podcasts: the newest items, and older ones where the feed is paged (RFC 5005)."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, ClassVar

from pydantic import Field, HttpUrl

from app.protocol import pages, syndication
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerViolation
from app.protocol.paging import absolute


class Syndication(Connector):
    """A feed of news. It shows only its newest items: one that is gone from it is not gone from the platform.

    Checkpoint: `etag` and `modified` of the first page for a conditional request (RFC 9110 13.1); while pages are
    followed also `next` and `seen`, the digests of the pages of this run.
    """

    name: ClassVar[str] = "syndication"
    title_zh: ClassVar[str] = "RSS、Atom、JSON Feed、OPDS、播客"
    title_en: ClassVar[str] = "RSS, Atom, JSON Feed, OPDS, podcast"
    feed_url: HttpUrl
    max_pages: int = Field(default=100, ge=1, le=1000)

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """A feed, or a page that names its feeds (HTML, link types `alternate`)."""
        if response.status != 200:
            return None
        content = response.content()
        try:
            feed = syndication.cut(content, url=response.url, charset=response.charset)
        except PeerViolation as error:
            if error.kind != "page.html":
                raise
            return _announced(pages.alternates(content, response.charset), response.url)
        said = f"a feed of {len(feed.items)} items{', paged (RFC 5005)' if feed.next else ''}"
        return Evidence({"feed_url": response.url}, 90, (said,)) if feed.items or feed.next else None

    def request(self, checkpoint: Checkpoint) -> Request:
        """The feed if it has changed, or the next of its pages."""
        if url := checkpoint.get("next"):
            return Request(url)
        known = {"if-none-match": checkpoint.get("etag"), "if-modified-since": checkpoint.get("modified")}
        return Request(str(self.feed_url), {name: value for name, value in known.items() if value})

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer. Items are never taken for a complete listing."""
        try:
            yield self._page(checkpoint, response)
        except PeerError:
            if "next" in checkpoint:
                # The next run must begin with the feed: the address of an older page may be dead for good.
                yield Page((), {}, False)
            raise

    def _page(self, checkpoint: Checkpoint, response: Response) -> Page:
        if response.status == 304:
            return Page((), checkpoint, True)
        if response.status >= 400:
            raise response.failure()
        content, url = response.content(), response.url or str(self.feed_url)
        feed = syndication.cut(content, url=url, charset=response.charset)
        entries = [Entry(item.identifier, item.raw, item.stamp, item.deleted) for item in feed.items]
        kept = self._kept(checkpoint, response)
        if feed.next is None:
            return Page(entries, kept, True, feed.context)
        seen = [*checkpoint.get("seen", ()), sha256(content).hexdigest()[:16]]
        after = {**kept, "next": absolute(url, feed.next, "syndication.next"), "seen": seen}
        if seen[-1] in seen[:-1] or not feed.items:
            raise PeerViolation("page.loop", "a page of the feed came again, or was empty and named another one")
        if len(seen) >= self.max_pages:
            raise PeerViolation("page.limit", f"the feed has more than {self.max_pages} pages")
        return Page(entries, after, False, feed.context)

    def _kept(self, checkpoint: Checkpoint, response: Response) -> dict[str, Any]:
        """The validators of the first page. They count only at the end of a run: a page in between was not stored."""
        if "next" in checkpoint:
            return {name: checkpoint[name] for name in ("etag", "modified") if name in checkpoint}
        found = {"etag": response.headers.get("etag"), "modified": response.headers.get("last-modified")}
        return {name: value[:500] for name, value in found.items() if value and value.isprintable()}

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """One draft or fault for each item."""
        return syndication.read([entry.raw for entry in entries], context)


def _announced(found: Sequence[tuple[str, str]], base: str) -> Evidence | None:
    urls = [(absolute(base, href, "syndication.next"), kind) for href, kind in found[:3]]
    reasons = tuple(f"the page names a feed: {kind} at {url[:200]}" for url, kind in urls)
    return Evidence({"feed_url": urls[0][0]}, 70, reasons, tuple(url for url, _ in urls)) if urls else None
