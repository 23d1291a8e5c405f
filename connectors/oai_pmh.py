"""OAI-PMH 2.0 ListRecords since the last run began (sections 3.5, 4.2 and 4.5)."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import Field, HttpUrl

from app.protocol import oaipmh
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Fault, Page, Request, Response
from app.protocol.errors import PeerRefused, PeerUnavailable, PeerViolation
from app.protocol.formats import READERS

TOKEN_LIMIT = 65_536
STALE_PAGES = 10


class OaiPmh(Connector):
    """A repository that speaks OAI-PMH 2.0."""

    name: ClassVar[str] = "oai-pmh"
    title_zh: ClassVar[str] = "OAI-PMH 2.0 数据提供方"
    title_en: ClassVar[str] = "OAI-PMH 2.0 data provider"
    verb: ClassVar[str] = "ListRecords"
    base_url: HttpUrl
    prefix: Literal["oai_dc", "nsdl_dc", "mods"] = "oai_dc"
    set: str | None = None
    overlap_s: int | None = Field(default=None, ge=0)

    def request(self, checkpoint: Checkpoint) -> Request:
        """Identify first in every run, then the list, then its tokens."""
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

    def _ask(self, arguments: dict[str, str]) -> Request:
        base = str(self.base_url)
        return Request(f"{base}{'&' if '?' in base else '?'}{urlencode(arguments)}")

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer; the OAI error in the body counts, whatever the HTTP status."""
        content = response.content()
        if response.status >= 400 and b"OAI-PMH" not in content[:2000]:
            kind = PeerUnavailable if response.status >= 500 else PeerRefused
            raise kind(f"HTTP {response.status} from {response.url}")
        if "identity" not in checkpoint:
            found = oaipmh.identity(content)
            identity = {"days": len(found.granularity) == 10, "deletes": found.deleted_record == "persistent"}
            yield Page((), {**checkpoint, "identity": identity}, done=False)
            return
        yield self._listed(dict(checkpoint), oaipmh.cut(content))

    def _listed(self, checkpoint: dict[str, Any], page: oaipmh.Listing) -> Page:
        if page.error is not None and not page.slices:
            return self._error(checkpoint, *page.error)
        if page.token and len(page.token) > TOKEN_LIMIT:
            raise PeerViolation("page.limit", f"a resumptionToken of {len(page.token)} characters")
        entries = [Entry(s.identifier, s.raw, s.datestamp, s.deleted) for s in page.slices]
        started = checkpoint.get("started") or page.response_date
        whole = "from" not in checkpoint and not checkpoint["identity"]["deletes"] and self.set is None
        listing = f"full-{started}" if whole else None
        going_on = self._progress(checkpoint, page)
        if page.token:
            after = {**checkpoint, "started": started, "token": page.token, **going_on}
            return Page(entries, after, False, page.context, listing, None, page.total)
        complete = frozenset({listing}) if listing else None
        return Page(entries, self._next(started, checkpoint), True, page.context, listing, complete, page.total)

    def _progress(self, checkpoint: dict[str, Any], page: oaipmh.Listing) -> dict[str, Any]:
        """Loop guard: the same token with the same identifiers twice, or ten pages with nothing new."""
        names = sha256("\n".join(s.identifier for s in page.slices).encode()).hexdigest()[:16]
        same = names == checkpoint.get("names") or not page.slices
        stale = checkpoint.get("stale", 0) + 1 if same else 0
        if same and page.slices and page.token is not None and page.token == checkpoint.get("token"):
            raise PeerViolation("page.loop", "the same resumptionToken brought the same records again")
        if stale >= STALE_PAGES:
            raise PeerViolation("page.loop", f"{STALE_PAGES} pages in a row brought nothing new")
        return {"names": names, "stale": stale}

    def _error(self, checkpoint: dict[str, Any], code: str, text: str) -> Page:
        if code == "noRecordsMatch":
            return Page((), self._next(checkpoint.get("started"), checkpoint), True)
        if code == "badResumptionToken" and checkpoint.get("token") and not checkpoint.get("restarted"):
            kept: dict[str, Any] = {name: checkpoint[name] for name in ("identity", "from") if name in checkpoint}
            return Page((), {**kept, "restarted": True}, False)
        kind = "oai.token_dead" if code == "badResumptionToken" else f"oai.{code or 'error'}"
        raise PeerViolation(kind, f"the repository answers {code}: {text}")

    def _next(self, started: str | None, checkpoint: Checkpoint) -> Checkpoint:
        """Next `from`: the responseDate of this run's first page less an overlap (protocol.md section 9)."""
        if not started:
            return {"from": checkpoint["from"]} if "from" in checkpoint else {}
        days = checkpoint["identity"]["days"]
        overlap = self.overlap_s if self.overlap_s is not None else 86_400 if days else 3_600
        try:
            at = datetime.strptime(started, "%Y-%m-%dT%H:%M:%SZ") - timedelta(seconds=overlap)
        except ValueError:
            return {}
        return {"from": at.strftime("%Y-%m-%dT%H:%M:%SZ")}

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """All entries in one parse; one by one when a bad one is among them."""
        try:
            nodes = list(oaipmh.metadata([entry.raw for entry in entries], context)) if entries else []
        except PeerViolation:
            nodes = []
        if len(nodes) != len(entries):
            for entry in entries:
                yield self._alone(entry, context)
            return
        for node in nodes:
            yield self._draft(node)

    def _alone(self, entry: Entry, context: bytes) -> Draft | Fault:
        try:
            return self._draft(next(iter(oaipmh.metadata([entry.raw], context)), None))
        except PeerViolation as error:
            return Fault("record.xml", error.detail)

    def _draft(self, node: Any) -> Draft | Fault:
        if node is None:
            return Fault("oai.no_metadata", "the record has no metadata and is not marked deleted", "metadata")
        return READERS[self.prefix](node)
