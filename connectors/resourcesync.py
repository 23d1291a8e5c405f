"""ResourceSync (ANSI/NISO Z39.99): a baseline from a resource list or dump, then change lists or change dumps."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlsplit

from pydantic import HttpUrl

from app.protocol import jsonld, resourcesync, sitemaps, walk
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerUnavailable, PeerViolation
from app.protocol.sitemaps import Document, Item

OVERLAP: Final = timedelta(hours=1)
COARSE: Final = timedelta(hours=48)
"""For `lastmod` of a list: it may be a bare day."""
PAGE: Final = 500
_ALL: Final = {"list": ("resourcelist", "resourcedump"), "dump": ("resourcedump", "resourcelist")}
_NEWS: Final = {"list": ("changelist", "changedump"), "dump": ("changedump", "changelist")}
_UPPER: Final = ("description", "capabilitylist")
_LEAVES: Final = ("resourcelist", "resourcedump", "changelist", "changedump")


class ResourceSync(Connector):
    """A source's description, capability list or a list itself; the root of a site stands for its description.

    Checkpoint: between runs `since`, up to which changes are known; within a run the walk's `stack`, `files`,
    `whole`, and `run`, `started`, `at` and `datetime` (the moments the lists speak of), `failed`, `bad`, `gap` (the
    change lists no longer reach back to `since`, so that everything is read again).
    """

    name: ClassVar[str] = "resourcesync"
    title_zh: ClassVar[str] = "ResourceSync 资源同步框架"
    title_en: ClassVar[str] = "ResourceSync framework"
    base_url: HttpUrl
    prefer: Literal["list", "dump"] = "list"
    hosts: tuple[str, ...] = ()
    mapped: bool = False
    profile: jsonld.Profile = None

    @classmethod
    def doors(cls, url: str) -> tuple[str, ...]:
        """The well-known address of a host (6.3.1)."""
        return ("/".join(url.split("/")[:3]) + resourcesync.WELL_KNOWN,)

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """A document that names its capability; the nearer to the source's description, the surer."""
        capability = sitemaps.parse(response.content()).capability if response.status == 200 else ""
        if capability not in (*_UPPER, *_LEAVES):
            return None
        above = capability in _UPPER
        reason = f"a sitemap with the ResourceSync capability {capability}"
        return Evidence({"base_url": response.url}, 97 + (capability == "description") if above else 92, (reason,))

    def request(self, checkpoint: Checkpoint) -> Request:
        """The document, dump or resource on top of the walk."""
        if not (stack := checkpoint.get("stack")):
            return Request(self._root())
        return Request(next(stack[0][kind] for kind in ("list", "dump", "page") if kind in stack[0]))

    def _root(self) -> str:
        parts = urlsplit(str(self.base_url))
        return (
            str(self.base_url) if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}{resourcesync.WELL_KNOWN}"
        )

    def _ours(self) -> tuple[str, ...]:
        """The hosts that may be asked: a redirect may have led away from the one that was registered."""
        return (*self.hosts, urlsplit(str(self.base_url)).netloc)

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """A list gives the steps to take and the deletions it names; a dump gives pages of 500; a resource one entry."""
        state = dict(checkpoint) if checkpoint.get("stack") else {**checkpoint, **walk.begin(self._root())}
        here = state["stack"][0]
        if "page" in here:
            yield from self._resource(state, response)
            return
        try:
            if response.status >= 400:
                raise response.failure()
            yield from self._dump(state, response) if "dump" in here else self._list(state, response)
        except PeerError as error:
            if here.get("part"):
                reason = f"{error.kind} {error.detail}".encode()
                yield self._moved(walk.lost(state), [Entry(here.get("list") or here["dump"], b"")], reason)
                return
            # A walk outlives the documents it came from: the next run begins with the description again.
            yield Page((), {"since": state["since"]} if "since" in state else {}, False)
            raise

    def _list(self, state: dict[str, Any], response: Response) -> Iterator[Page]:
        here, content = state["stack"][0], response.content()
        document = sitemaps.parse(content)
        if "run" not in state:
            state |= {"run": walk.run_name(response.headers, content), "started": walk.date(response.headers)}
        base, kind = response.url or here["list"], document.capability or here.get("kind") or "resourcelist"
        if kind in _UPPER:
            yield self._upper(state, document, kind, base)
        elif kind not in _LEAVES:
            raise PeerViolation(
                "resourcesync.capability", f"a document of capability {kind[:100]!r} is no list to read"
            )
        elif self._gap(state, document, kind):
            yield Page((), {**walk.begin(self._root()), "gap": True}, False)
        else:
            yield self._leaf(self._heard(state, document.md), document, kind, base)

    def _upper(self, state: dict[str, Any], document: Document, kind: str, base: str) -> Page:
        """A description leads to all its sets of resources, a capability list to one list of each set (8, 9)."""
        here, items = state["stack"][0], list(document.items)
        if kind == "capabilitylist":
            offered = {item.md.get("capability", "") for item in items}
            order = (
                (*_NEWS[self.prefer], *_ALL[self.prefer])
                if "since" in state
                else (*_ALL[self.prefer], *_NEWS[self.prefer])
            )
            chosen = next((name for name in order if name in offered), None)
            items = [item for item in items if item.md.get("capability") == chosen]
        urls = [(walk.address(base, item.loc, self._ours()), item.md.get("capability", "")) for item in items]
        if not urls or any(url is None for url, _ in urls):
            raise PeerViolation(
                "resourcesync.capability", f"the {kind} names no list that can be read, or a foreign one"
            )
        steps = [walk.below(here, url, kind=name, top=True) for url, name in urls if url]
        after = walk.opened(state, [url for url, _ in urls if url], steps.__getitem__, index=True)
        return self._moved(after, [], b"")

    def _gap(self, state: Mapping[str, Any], document: Document, kind: str) -> bool:
        """Whether the changes since the last run are no longer all there (12.1)."""
        start, since = sitemaps.moment(document.md.get("from")), sitemaps.moment(state.get("since"))
        top = state["stack"][0].get("top") and not state.get("gap") and kind in ("changelist", "changedump")
        return bool(top and start and since and start > since)

    def _heard(self, state: dict[str, Any], md: Mapping[str, str]) -> dict[str, Any]:
        """The state with the first moment a baseline speaks of (`at`) and the latest of a change (`datetime`)."""
        for name, choose in (("at", min), ("datetime", max)):
            said = [text for text in (state.get(name), md.get(name)) if sitemaps.moment(text)]
            if said:
                state = {**state, name: choose(said, key=lambda text: str(sitemaps.moment(text)))}
        return state

    def _leaf(self, state: dict[str, Any], document: Document, kind: str, base: str) -> Page:
        here, items = state["stack"][0], list(document.items)
        last = {item.loc: item for item in items}
        gone: list[Entry] = []
        foreign: list[Entry] = []
        heard = [state]
        left: list[str] = []

        def step(place: int) -> walk.Step | None:
            item = items[place]
            if document.index or kind.endswith("dump"):
                return self._part(here, item, document.index, kind, base, foreign)
            heard[0] = self._heard(heard[0], {"datetime": item.md.get("datetime", "")})
            if last[item.loc] is not item:
                return None  # only the latest change of a resource counts (12.1)
            if _known(item, kind, state.get("since")):
                left.append(item.loc)
                return None
            if item.md.get("change") == "deleted":
                gone.append(Entry(item.loc, b"", item.md.get("datetime"), deleted=True))
                return None
            return self._asked(item, base, foreign)

        after = walk.opened(state, [item.loc for item in items], step, index=document.index)
        whole = after["whole"] and not left and kind in _ALL["list"]
        entries = gone + foreign
        return self._moved({**after, "whole": whole, **_news(heard[0])}, entries, b"foreign" if foreign else b"")

    def _part(
        self, here: walk.Step, item: Item, index: bool, kind: str, base: str, foreign: list[Entry]
    ) -> walk.Step | None:
        """A list of an index, or a ZIP of a dump."""
        if (url := walk.address(base, item.loc, self._ours())) is None:
            foreign.append(Entry(item.loc[:300], b""))
            return None
        if index:
            return walk.below(here, url, kind=kind, part=True)
        return {"dump": url, "at": 0, "kind": kind, "part": True}

    def _asked(self, item: Item, base: str, foreign: list[Entry]) -> walk.Step | None:
        """The resource itself, or the metadata it links to (9, `describedby`), under the resource's own address."""
        links = {link.rel: link for link in item.links if link.rel in ("describedby", "describes")}
        about, metadata = links.get("describes"), links.get("describedby")
        fixity = metadata.more if metadata else item.md
        url = walk.address(base, metadata.href if metadata else item.loc, self._ours())
        identifier = about.href if about else item.loc
        stamp = item.md.get("datetime") or item.lastmod
        if url is None:
            foreign.append(Entry(identifier[:300], b"", stamp))
            return None
        promised = {name: fixity[name][:300] for name in ("hash", "length") if name in fixity}
        return {"page": url, "id": identifier, "stamp": stamp, "md": promised}

    def _resource(self, state: dict[str, Any], response: Response) -> Iterator[Page]:
        here = state["stack"][0]
        if response.status in (404, 410):
            yield self._moved(walk.taken(state), [], b"")
        elif response.status >= 400:
            after, stop = walk.failed(state)
            yield self._moved(after, [Entry(here["id"], b"", here["stamp"])], b"HTTP %d" % response.status)
            if stop and after["stack"]:
                raise PeerUnavailable(
                    f"{walk.FAILURES} resources in a row failed, the last with HTTP {response.status}"
                )
        else:
            raw = response.content()
            reason = resourcesync.broken(raw, here["md"])
            after = walk.taken(state) if reason is None else {**walk.taken(state), "bad": True}
            context = f"resourcesync.fixity {reason}".encode() if reason else b""
            yield self._moved(after, [Entry(here["id"], raw, here["stamp"])], context)

    def _dump(self, state: dict[str, Any], response: Response) -> Iterator[Page]:
        """Pages of at most 500 entries; a fault of some of them is the context of a page of its own."""
        here, dump = state["stack"][0], resourcesync.Dump(response.body)
        items = list(dump.manifest.items)
        last = {item.loc: item for item in items}
        digest = resourcesync.fixed("\n".join(item.loc for item in items).encode(errors="replace"))[8:24]
        state = {
            **state,
            "whole": state["whole"] and here["kind"] == "resourcedump" and here.get("digest") in (None, digest),
        }
        at = here["at"]
        while at < len(items):
            window = [item for item in items[at : at + PAGE] if last[item.loc] is item]
            for item in window:
                state = self._heard(state, {"datetime": item.md.get("datetime", "")})
            at += PAGE
            packed = [self._packed(dump, item) for item in window]
            runs = [
                (context, [entry for _, entry in group]) for context, group in groupby(packed, key=lambda pair: pair[0])
            ]
            if any(context for context, _ in runs):
                state = {**state, "bad": True}
            for context, entries in runs[:-1]:
                yield Page(entries, state, False, context, state["run"])
            if at < len(items):
                context, entries = runs[-1] if runs else (b"", [])
                state = {**state, "stack": [{**here, "at": at, "digest": digest}, *state["stack"][1:]]}
                yield Page(entries, state, False, context, state["run"])
            else:
                yield self._moved(walk.taken(state), runs[-1][1] if runs else [], runs[-1][0] if runs else b"")
        if not items:
            yield self._moved(walk.taken(state), [], b"")

    def _packed(self, dump: resourcesync.Dump, item: Item) -> tuple[bytes, Entry]:
        stamp = item.md.get("datetime") or item.lastmod
        if item.md.get("change") == "deleted":
            return b"", Entry(item.loc, b"", stamp, deleted=True)
        try:
            raw = dump.read(item.md.get("path", ""))
        except PeerViolation as error:
            if error.kind == "body.bomb":
                raise
            return f"{error.kind} {error.detail}".encode(), Entry(item.loc, b"", stamp)
        reason = resourcesync.broken(raw, item.md)
        return (f"resourcesync.fixity {reason}".encode() if reason else b""), Entry(item.loc, raw, stamp)

    def _moved(self, state: dict[str, Any], entries: Sequence[Entry], context: bytes) -> Page:
        """The page of a step; behind the last one a walk that left nothing out is a complete listing."""
        if state["stack"]:
            return Page(entries, state, False, context, state["run"])
        complete = frozenset({state["run"]}) if state["whole"] else None
        since = state.get("since") if state.get("bad") else self._since(state)
        return Page(entries, {"since": since} if since else {}, True, context, state["run"], complete)

    def _since(self, state: Mapping[str, Any]) -> str | None:
        """What the lists speak of, never beyond the server's own clock: a date of 2999 moves nothing."""
        since: str | None = state.get("since")
        if state["started"] is None:
            return since
        started: str = state["started"]
        said: str = state.get("at") or state.get("datetime") or since or started
        return min(said, started, key=lambda text: str(sitemaps.moment(text)))

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """What each resource says of itself; `context` names why the entries of a page have no usable bytes."""
        reason = context.decode(errors="replace")
        for entry in entries:
            yield (
                _refused(reason) if reason else resourcesync.draft(entry.raw, mapped=self.mapped, profile=self.profile)
            )


def _known(item: Item, kind: str, since: str | None) -> bool:
    """Whether the last run has certainly seen this state of a resource."""
    if kind == "changelist":
        return sitemaps.before(item.md.get("datetime"), since, OVERLAP)
    return sitemaps.before(item.lastmod, since, COARSE)


def _news(state: Mapping[str, Any]) -> dict[str, Any]:
    return {"datetime": state["datetime"]} if "datetime" in state else {}


def _refused(reason: str) -> Fault:
    if reason == "foreign":
        return Fault("resourcesync.foreign", "the address is on another host than the list, or no http address", "loc")
    if reason.startswith("HTTP"):
        return Fault("resourcesync.resource_failed", f"the resource answers {reason}")
    rule, _, detail = reason.partition(" ")
    return Fault(rule, detail)
