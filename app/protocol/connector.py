"""The contract of a connector: three pure functions, no network, database or clock inside.

`request` says what to ask next, `read` cuts an answer into entries and says where to go on, `parse` turns
entries into drafts of native records. Cutting and parsing are apart for two reasons: an entry whose bytes the
hub has seen before need not be parsed again, and a quarantined entry can be parsed again without its source.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, BinaryIO, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict

from app.protocol import json
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable
from app.protocol.places import Place, in_json

Checkpoint = Mapping[str, Any]
"""Where to go on: JSON that the hub stores and never opens; `{}` is the beginning."""

Draft = dict[str, Any]
"""A record as its source means it, in the native record's field names unless the feed has a mapping."""


class Fine(Draft):
    """A draft whose texts all keep the text rule, as its reader knows: nobody need look at each of them again."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One GET (or POST) the hub is asked to make.

    `file`: the answer is a whole file that is read as a stream; the hub's larger limits of files hold for it.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: bytes | None = None
    file: bool = False


@dataclass(slots=True)
class Response:
    """What came back: the final URL, the status, headers in lower case, the decoded body bounded by the hub."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: BinaryIO

    def content(self) -> bytes:
        """The whole body; its size has been bounded by the hub."""
        self.body.seek(0)
        return self.body.read()

    @property
    def charset(self) -> str | None:
        """The charset that the answer declares, if any (RFC 9110 section 8.3.2)."""
        _, _, found = self.headers.get("content-type", "").lower().partition("charset=")
        return found.split(";")[0].strip().strip('"') or None

    def failure(self, more: str = "") -> PeerError:
        """What to raise of a status that brings no answer: PeerUnavailable (5xx), else PeerRefused."""
        kind = PeerUnavailable if self.status >= 500 else PeerRefused
        return kind(f"HTTP {self.status} from {self.url}{more}")

    @classmethod
    def of(cls, content: bytes, *, url: str = "", status: int = 200, **headers: str) -> "Response":
        """A response from bytes at hand; header names with `_` for `-`."""
        names = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        return cls(url, status, names, BytesIO(content))


class Entry(NamedTuple):
    """One record of a page, not yet parsed.

    `identifier` is the source's own (for a native connector the full `ix:` id), `raw` its exact bytes,
    `stamp` the source's datestamp as text (a hint), `version` and `hash` only from native sources.
    """

    identifier: str
    raw: bytes
    stamp: str | None = None
    deleted: bool = False
    version: int | None = None
    hash: str | None = None
    path: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one entry cannot become a record: a rule id, where, the value (shortened), in words."""

    rule: str
    detail: str
    path: str = ""
    value: str = ""
    stage: str = "parse"


@dataclass(frozen=True, slots=True)
class Page:
    """A stored step of a run: everything here commits together with `checkpoint`.

    `context` is what `parse` needs beside an entry's bytes. `listing` names the part of a full listing this
    page belongs to; `complete`, on the last page only, names the parts that together are everything the
    source holds: records in none of them are gone. `begins` is true on the first page of a listing that is read
    anew: what was noted under the same name before does not count. `total` is the source's own count, for progress
    only.
    """

    entries: Sequence[Entry]
    checkpoint: Checkpoint
    done: bool
    context: bytes = b""
    listing: str | None = None
    complete: frozenset[str] | None = None
    total: int | None = None
    begins: bool = False


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why an answer belongs to a kind: a configuration to begin with, how sure (1 to 100), and the reasons in words.

    `doors`: addresses that this answer names and whose own answers would say more.
    """

    config: Mapping[str, Any]
    certainty: int
    reasons: tuple[str, ...]
    doors: tuple[str, ...] = ()


class Connector(BaseModel):
    """A way of being connected. The class is its own configuration schema; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    name: ClassVar[str]
    title_zh: ClassVar[str]
    title_en: ClassVar[str]
    native: ClassVar[bool] = False
    """True where entries carry their own `ix:` ids and versions (IX/1)."""
    needs_mapping: ClassVar[bool] = False

    def request(self, checkpoint: Checkpoint) -> Request:
        """What to ask at this checkpoint."""
        raise NotImplementedError

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """The answer as pages, in order. Raises PeerViolation, PeerThrottled, PeerUnavailable or PeerRefused."""
        raise NotImplementedError

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """One draft or fault for each entry, in order; never raises for a bad entry."""
        raise NotImplementedError

    def sweep(self) -> "Connector | None":
        """The connector that lists what the source holds, for a reconciliation: entries need no bytes.

        None where nothing less than the full listing tells: then a full harvest is the reconciliation.
        """
        return None

    def pick(self, identifiers: Sequence[str]) -> "Connector":
        """The connector that reads these records and no others; needed where `sweep` is not None."""
        raise NotImplementedError

    @classmethod
    def doors(cls, url: str) -> tuple[str, ...]:
        """Addresses to ask beside `url` itself when somebody looks for this kind there. Default: none."""
        return ()

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """Whether an answer is of this kind; PeerViolation counts as no. Default: no."""
        return None

    def places(self, entry: Entry, context: bytes) -> Iterator[Place]:
        """Every text of an entry with its path. Default: of JSON bytes. Raises PeerViolation."""
        return in_json(json.loads(entry.raw))

    def again(self, entry: Entry) -> Entry:
        """A quarantined entry as its bytes say: a native one finds its version and path again. Default: itself."""
        return entry

    def fresh(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint of a full run: what must be kept when everything is read again. Default: nothing."""
        return {}
