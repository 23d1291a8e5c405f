"""IX/1 changes and snapshots of a platform that speaks our protocol (docs/connectors/ix.md)."""

import zlib
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urlencode, urljoin

import orjson
from pydantic import Field, HttpUrl

from app.protocol import json
from app.protocol.canonical import canonical, content_hash
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Fault, Page, Request, Response
from app.protocol.errors import PeerRefused, PeerUnavailable, PeerViolation
from app.protocol.words import PLATFORM_CODE

UNPACKED = 256 << 20


class Ix(Connector):
    """A platform that speaks IX/1."""

    name: ClassVar[str] = "ix"
    title_zh: ClassVar[str] = "IX/1 互联互通协议"
    title_en: ClassVar[str] = "IX/1 interconnection protocol"
    native: ClassVar[bool] = True
    base_url: HttpUrl
    scope: str = Field(default="all", max_length=64)
    limit: int = Field(default=500, ge=1, le=1000)

    def request(self, checkpoint: Checkpoint) -> Request:
        """Changes after the cursor; after a lost cursor the snapshot's manifest and parts."""
        base = str(self.base_url).rstrip("/") + f"/ix/v1/{self.scope}"
        if checkpoint.get("parts"):
            return Request(urljoin(base, checkpoint["parts"][0]["href"]))
        if checkpoint.get("lost"):
            return Request(f"{base}/snapshots/latest")
        query = {"cursor": checkpoint.get("cursor", ""), "limit": self.limit}
        return Request(f"{base}/changes?{urlencode(query)}")

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer."""
        if response.status == 410 and not checkpoint.get("lost"):
            yield Page((), {"lost": True}, False)
            return
        if response.status >= 400:
            raise (PeerUnavailable if response.status >= 500 else PeerRefused)(
                f"HTTP {response.status} from {response.url}"
            )
        content = response.content()
        if checkpoint.get("parts"):
            yield self._part(dict(checkpoint), content)
        elif checkpoint.get("lost"):
            yield self._manifest(json.loads(content, strict=True))
        else:
            yield self._changes(dict(checkpoint), json.loads(content))

    def _changes(self, checkpoint: dict[str, Any], body: Any) -> Page:
        try:
            items, following, more = body["items"], body["next"], body["more"]
            entries = [_entry(item) for item in items]
        except (KeyError, TypeError) as error:
            raise PeerViolation("ix.shape", f"a page of changes lacks {error}") from None
        if more and following == checkpoint.get("cursor"):
            raise PeerViolation("page.loop", "`more` is true but the cursor does not move")
        return Page(entries, {"cursor": following}, not more)

    def _manifest(self, body: Any) -> Page:
        try:
            parts = [{"href": part["href"], "sha256": part["sha256"]} for part in body["parts"]]
            after: dict[str, Any] = {"cursor": body["cursor"], "lost": True, "parts": parts}
        except (KeyError, TypeError) as error:
            raise PeerViolation("ix.shape", f"a snapshot's manifest lacks {error}") from None
        if parts:
            return Page((), after, False)
        listing = _listing(after)
        return Page((), {"cursor": body["cursor"]}, True, listing=listing, complete=frozenset({listing}))

    def _part(self, checkpoint: dict[str, Any], content: bytes) -> Page:
        part, *rest = checkpoint["parts"]
        if sha256(content).hexdigest() != part["sha256"]:
            raise PeerViolation("ix.part_hash", f"part {part['href']} does not have the bytes its manifest promises")
        entries = [_entry(json.loads(line)) for line in _unpacked(content).splitlines() if line]
        listing = _listing(checkpoint)
        if rest:
            return Page(entries, {**checkpoint, "parts": rest}, False, listing=listing)
        return Page(entries, {"cursor": checkpoint["cursor"]}, False, listing=listing, complete=frozenset({listing}))

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """The record, if its identifier and its hash are right."""
        for entry in entries:
            yield _checked(entry)


def _listing(checkpoint: Checkpoint) -> str:
    return f"snapshot-{sha256(checkpoint['cursor'].encode()).hexdigest()[:16]}"


def _entry(item: Any) -> Entry:
    deleted = item["op"] in ("delete", "leave")
    raw = b"" if deleted else orjson.dumps(item.get("record"))
    path = tuple(code for code in item.get("path", ()) if isinstance(code, str))
    version = item["version"] if isinstance(item["version"], int) else None
    return Entry(str(item["id"]), raw, None, deleted, version, str(item.get("hash", "")), path)


def _checked(entry: Entry) -> Draft | Fault:
    parts = entry.identifier.split(":", 2)
    if len(parts) != 3 or parts[0] != "ix" or not PLATFORM_CODE.match(parts[1]) or not entry.identifier.isascii():
        return Fault("ix.id", "an identifier has the form ix:{platform}:{local}", "id", entry.identifier[:200])
    record = json.loads(entry.raw)
    if not isinstance(record, dict):
        return Fault("record.shape", "`record` must be an object", "record")
    if entry.hash and content_hash(canonical(record)) != entry.hash:
        return Fault("ix.hash", "the record does not have the hash that its platform states", "hash", entry.hash)
    return record


def _unpacked(content: bytes) -> bytes:
    """One gzip layer, bounded. Raises PeerViolation."""
    if content[:2] != b"\x1f\x8b":
        return content
    unpack = zlib.decompressobj(31)
    try:
        out = unpack.decompress(content, UNPACKED)
    except zlib.error as error:
        raise PeerViolation("ix.part_gzip", f"a part is not gzip: {error}") from None
    if unpack.unconsumed_tail or not unpack.eof:
        raise PeerViolation("body.bomb", f"a part unpacks to more than {UNPACKED} bytes or is cut short")
    return out
