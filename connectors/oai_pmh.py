"""OAI-PMH 2.0 ListRecords since the last run began (sections 3.5, 4.2 and 4.5), and its twin that lists identifiers."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self
from urllib.parse import urlencode

from lxml.etree import _Element
from pydantic import Field, HttpUrl, model_validator

from app.protocol import oaipmh, walk
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerViolation
from app.protocol.formats import FLAT, READERS, RICHEST, known_as
from app.protocol.places import Place, in_xml
from app.protocol.progress import progress

TOKEN_LIMIT = 65_536
_ROOT = re.compile(rb"<(?:[\w.-]+:)?OAI-PMH[\s>]")


class OaiPmh(Connector):
    """A repository that speaks OAI-PMH 2.0.

    Checkpoint: `identity` (what Identify said in this run), `from`, `started` (responseDate of the first page),
    `token`, `restarted` (the window was begun again once) and the loop guard's `recent`, `mark`, `step`, `stale`.
    """

    name: ClassVar[str] = "oai-pmh"
    title_zh: ClassVar[str] = "OAI-PMH 2.0 数据提供方"
    title_en: ClassVar[str] = "OAI-PMH 2.0 data provider"
    verb: ClassVar[str] = "ListRecords"
    base_url: HttpUrl
    prefix: str = Field(default="oai_dc", pattern=r"^[A-Za-z0-9_.!~*'()-]{1,100}$")
    format: str | None = Field(default=None, json_schema_extra={"enum": [None, *READERS]})
    """How to read the metadata, where the repository's own prefix does not say it."""
    set: str | None = None
    overlap_s: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        if (named := self.format or self.prefix) not in READERS:
            raise ValueError(f"no reader for {named}: set `format` to one of {', '.join(READERS)}")
        return self

    def sweep(self) -> "OaiIdentifiers":
        """The connector that lists every identifier of the same repository, for a reconciliation from `{}`."""
        return OaiIdentifiers.model_validate(self.model_dump())

    def pick(self, identifiers: Sequence[str]) -> "OaiRecords":
        """The connector that asks for these records one by one (4.1)."""
        return OaiRecords.model_validate({**self.model_dump(), "identifiers": tuple(identifiers)})

    @classmethod
    def doors(cls, url: str) -> tuple[str, ...]:
        """Identify at the address itself and at the two usual ones of its host."""
        bare, host = url.split("?")[0].split("#")[0], "/".join(url.split("/")[:3])
        return tuple(f"{base}?verb=Identify" for base in dict.fromkeys((bare, f"{host}/oai", f"{host}/oai/request")))

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """An answer in the namespace of OAI-PMH 2.0, of whatever verb."""
        content = response.content()
        if not _speaks(content):
            return None
        base = response.url.split("?")[0]
        if (offered := oaipmh.formats(content, charset=response.charset)) is not None:
            return _richest(base, offered)
        found = oaipmh.identity(content, charset=response.charset)
        if found is None:
            return Evidence({"base_url": base}, 80, ("an OAI-PMH error in the namespace of OAI-PMH 2.0",))
        said = f"Identify: deletions {found.deleted_record}, stamps as {found.granularity}"
        return Evidence({"base_url": base}, 99, (said,), (f"{base}?verb=ListMetadataFormats",))

    def places(self, entry: Entry, context: bytes) -> Iterator[Place]:
        """The elements of the metadata."""
        node = next(oaipmh.metadata([entry.raw], context))
        return in_xml(node) if node is not None else iter(())

    def request(self, checkpoint: Checkpoint) -> Request:
        """Identify first in every run, then the list, then its tokens, which stand alone (3.5)."""
        if "identity" not in checkpoint:
            return self._ask({"verb": "Identify"})
        if token := checkpoint.get("token"):
            return self._ask({"verb": self.verb, "resumptionToken": token})
        arguments = {"verb": self.verb, "metadataPrefix": self.prefix}
        if self.set:
            arguments["set"] = self.set
        if since := checkpoint.get("from"):
            arguments["from"] = since[:10] if checkpoint["identity"]["days"] else since
        return self._ask(arguments)

    def _ask(self, arguments: Mapping[str, str]) -> Request:
        base = str(self.base_url)
        return Request(f"{base}{'&' if '?' in base else '?'}{urlencode(arguments)}")

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer; the OAI error in the body counts, whatever the HTTP status (3.6)."""
        content, charset = response.content(), response.charset
        if response.status >= 400 and not _speaks(content):
            raise response.failure()
        if "identity" not in checkpoint:
            identity = _identity(oaipmh.identity(content, charset=charset))
            yield Page((), {**checkpoint, "identity": identity}, done=False)
            return
        page = oaipmh.cut(content, charset=charset)
        yield self._listed(checkpoint, page, _begun(page.response_date, walk.date(response.headers)))

    def _listed(self, checkpoint: Checkpoint, page: oaipmh.Listing, begun: str) -> Page:
        if page.error is not None and not page.entries:
            return self._error(checkpoint, begun, *page.error)
        if page.verb != self.verb:
            raise PeerViolation("oai.verb", f"the answer to {self.verb} holds {page.verb or 'no list'}")
        if page.token and len(page.token) > TOKEN_LIMIT:
            raise PeerViolation("page.limit", f"a resumptionToken of {len(page.token)} characters")
        begins, started = "started" not in checkpoint, checkpoint.get("started") or begun
        listing = f"full-{started}" if started and self._whole(checkpoint) else None
        if page.token:
            guard = progress(checkpoint, [entry.identifier for entry in page.entries], page.token)
            after = {**checkpoint, "started": started, "token": page.token, **guard}
            return Page(page.entries, after, False, page.context, listing, None, page.total, begins)
        complete = frozenset({listing}) if listing else None
        following = self._next(started, checkpoint)
        return Page(page.entries, following, True, page.context, listing, complete, page.total, begins)

    def _whole(self, checkpoint: Checkpoint) -> bool:
        """Whether this run lists everything and its gaps are the only news of deletions (2.5.1)."""
        return "from" not in checkpoint and not checkpoint["identity"]["deletes"]

    def _error(self, checkpoint: Checkpoint, begun: str, code: str, text: str) -> Page:
        if code == "noRecordsMatch":
            # Never a complete listing: a repository that is empty by mistake must not empty the catalogue.
            return Page((), self._next(checkpoint.get("started") or begun, checkpoint), True)
        if code == "badResumptionToken" and checkpoint.get("token") and not checkpoint.get("restarted"):
            kept: dict[str, Any] = {name: checkpoint[name] for name in ("identity", "from") if name in checkpoint}
            return Page((), {**kept, "restarted": True}, False)
        kind = "oai.token_dead" if code == "badResumptionToken" else f"oai.{code or 'error'}"
        raise PeerViolation(kind, f"the repository answers {code}: {text}")

    def _next(self, started: str, checkpoint: Checkpoint) -> Checkpoint:
        """Next `from`: the responseDate of this run's first page less an overlap (protocol.md section 9)."""
        days = checkpoint["identity"]["days"]
        overlap = self.overlap_s if self.overlap_s is not None else 86_400 if days else 3_600
        try:
            at = datetime.fromisoformat(started)
            at = at.astimezone(UTC) if at.tzinfo else at
            return {"from": (at - timedelta(seconds=overlap)).strftime("%Y-%m-%dT%H:%M:%SZ")}
        except (ValueError, OverflowError):
            # A date nobody can read moves nothing: the same window is asked again.
            return {"from": checkpoint["from"]} if "from" in checkpoint else {}

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """Flat records one by one from their bytes; other formats in one parse, alone when a bad one is among them."""
        flat = FLAT.get(self.format or self.prefix)
        first = oaipmh.elements(entries[0].raw, context) if flat is not None and entries else None
        if flat is None or first is None:
            yield from self._together(entries, context)
            return
        yield flat(*first)
        for entry in entries[1:]:
            found = oaipmh.elements(entry.raw, context)
            yield flat(*found) if found is not None else self._alone(entry, context)

    def _together(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        try:
            nodes = list(oaipmh.metadata([entry.raw for entry in entries], context))
        except PeerViolation:
            yield from (self._alone(entry, context) for entry in entries)
            return
        yield from map(self._draft, nodes)

    def _alone(self, entry: Entry, context: bytes) -> Draft | Fault:
        try:
            return self._draft(next(oaipmh.metadata([entry.raw], context)))
        except PeerViolation as error:
            return Fault("record.xml", error.detail)

    def _draft(self, node: _Element | None) -> Draft | Fault:
        if node is None:
            return Fault("oai.no_metadata", "the record has no metadata and is not marked deleted", "metadata")
        return READERS[self.format or self.prefix](node)


class OaiIdentifiers(OaiPmh):
    """ListIdentifiers of the whole repository: entries without bytes, to find what is missing on either side.

    Not a kind of its own (it has no `name`): feeds are OaiPmh, a reconciliation asks them for their `sweep`.
    """

    verb: ClassVar[str] = "ListIdentifiers"

    def _whole(self, checkpoint: Checkpoint) -> bool:
        """A listing of identifiers is complete whatever the repository says of deletions."""
        return "from" not in checkpoint


class OaiRecords(OaiPmh):
    """GetRecord for each of `identifiers`; one that the repository does not know (any more) brings nothing.

    Checkpoint: `at`, the place of the next identifier. Not a kind of its own: a reconciliation asks for it.
    """

    verb: ClassVar[str] = "GetRecord"
    identifiers: tuple[str, ...]

    def request(self, checkpoint: Checkpoint) -> Request:
        """The next record."""
        wanted = self.identifiers[checkpoint.get("at", 0)]
        return self._ask({"verb": self.verb, "identifier": wanted, "metadataPrefix": self.prefix})

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page of one record, or of none."""
        content = response.content()
        if response.status >= 400 and not _speaks(content):
            raise response.failure()
        page = oaipmh.cut(content, charset=response.charset)
        if page.error is not None and page.error[0] not in ("idDoesNotExist", "cannotDisseminateFormat"):
            raise PeerViolation(f"oai.{page.error[0] or 'error'}", f"the repository answers {': '.join(page.error)}")
        at = checkpoint.get("at", 0) + 1
        yield Page(page.entries, {"at": at}, at >= len(self.identifiers), page.context)


def _richest(base: str, offered: Sequence[tuple[str, str]]) -> Evidence:
    """The format that says most of those that are read, by its prefix or its namespace (3.4)."""
    named = [(prefix, known_as(prefix, namespace)) for prefix, namespace in offered]
    readable = [(RICHEST.index(name), prefix, name) for prefix, name in named if name is not None]
    listed = f"ListMetadataFormats: {', '.join(prefix for prefix, _ in offered)[:300]}"
    if not readable:
        return Evidence({"base_url": base}, 100, (listed, "none of these is read; oai_dc is asked for"))
    _, prefix, name = min(readable)
    format = {} if prefix in READERS else {"format": name}
    return Evidence(
        {"base_url": base, "prefix": prefix, **format}, 100, (listed, f"{prefix} says most of those that are read")
    )


def _begun(stated: str, date: str | None) -> str:
    """The responseDate, or the answer's Date where that is earlier: a clock that ran ahead must not hide changes."""
    try:
        ahead = date is not None and datetime.fromisoformat(stated) > datetime.fromisoformat(date)
    except (ValueError, TypeError):
        return stated
    return str(date) if ahead else stated


def _speaks(content: bytes) -> bool:
    """Whether an error page may be an OAI answer, in any of the encodings."""
    return _ROOT.search(content[:4000].replace(b"\0", b"")) is not None


def _identity(found: oaipmh.Identity | None) -> dict[str, bool]:
    """Days are understood by every repository (3.3.2); of one that will not say, no absence is taken for deletion."""
    if found is None:
        return {"days": True, "deletes": True}
    return {"days": len(found.granularity) <= 10, "deletes": found.deleted_record not in ("no", "transient")}
