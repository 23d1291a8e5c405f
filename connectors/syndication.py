"""RSS, Atom, JSON Feed, OPDS and podcasts: the newest items, and older ones where the feed is paged (RFC 5005)."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urljoin

from pydantic import Field, HttpUrl

from app.protocol import syndication
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation


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
            kind = PeerUnavailable if response.status >= 500 else PeerRefused
            raise kind(f"HTTP {response.status} from {response.url}")
        content, url = response.content(), response.url or str(self.feed_url)
        feed = syndication.cut(content, url=url, charset=_charset(response))
        entries = [Entry(item.identifier, item.raw, item.stamp, item.deleted) for item in feed.items]
        kept = self._kept(checkpoint, response)
        if feed.next is None:
            return Page(entries, kept, True, feed.context)
        seen = [*checkpoint.get("seen", ()), sha256(content).hexdigest()[:16]]
        after = {**kept, "next": _absolute(url, feed.next), "seen": seen}
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


def _charset(response: Response) -> str | None:
    _, _, charset = response.headers.get("content-type", "").partition("charset=")
    return charset.split(";")[0].strip() or None


def _absolute(base: str, url: str) -> str:
    try:
        found = urljoin(base, url.strip())
    except ValueError:
        found = ""
    if not found.startswith(("http://", "https://")) or len(found) > 4000:
        raise PeerViolation("syndication.next", f"{url[:200]!r} is not the address of a page")
    return found
