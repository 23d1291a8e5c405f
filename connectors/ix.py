"""IX/1 changes and snapshots of a platform that speaks our protocol (docs/connectors/ix.md)."""

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlencode, urljoin, urlsplit

from pydantic import Field, HttpUrl, SecretStr

from app.protocol import json
from app.protocol.canonical import canonical, content_hash
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerUnavailable, PeerViolation
from app.protocol.places import Place, in_json
from app.protocol.words import PLATFORM_CODE

UNPACKED = 256 << 20
FLOOR = 1 << 20
RATIO = 200
_ID = re.compile("ix:[!-9;-~]+:[!-~]+")


class Ix(Connector):
    """A platform that speaks IX/1; one at level L0 has only a snapshot, which is then read in every run."""

    name: ClassVar[str] = "ix"
    title_zh: ClassVar[str] = "IX/1 互联互通协议"
    title_en: ClassVar[str] = "IX/1 interconnection protocol"
    native: ClassVar[bool] = True
    base_url: HttpUrl
    scope: str = Field(default="all", max_length=64)
    limit: int = Field(default=500, ge=1, le=1000)
    level: Literal["L0", "L1"] = "L1"
    api_key: SecretStr | None = None

    def sweep(self) -> "IxHeads":
        """The same changes without their records, from the beginning."""
        return IxHeads.model_validate({**self.model_dump(), "level": "L1"})  # L0 has no changes: refused by name

    def pick(self, identifiers: Sequence[str]) -> "IxRecords":
        """The connector that asks for these records one by one."""
        return IxRecords.model_validate({**self.model_dump(), "level": "L1", "identifiers": tuple(identifiers)})

    @classmethod
    def doors(cls, url: str) -> tuple[str, ...]:
        """The well-known address of the host, and of the address itself."""
        host = "/".join(url.split("/")[:3])
        bases = dict.fromkeys((_base(url.split("?")[0]), host))
        return tuple(f"{base}/.well-known/ix" for base in bases)

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """What a platform says of itself (IX/1 3.1), or a page of changes (3.2)."""
        body = json.loads(response.content())
        if not isinstance(body, dict):
            return None
        base = {"base_url": _base(response.url.split("?")[0])}
        if body.get("protocol") == "IX/1" and isinstance(body.get("scopes"), list):
            return Evidence(
                base, 100, (f"speaks IX/1 as {str(body.get('platform'))[:40]}, {len(body['scopes'])} scopes",)
            )
        if {"epoch", "items", "next", "more"} <= set(body):
            return Evidence(base, 90, ("a page of IX/1 changes: epoch, items, next, more",))
        return None

    def places(self, entry: Entry, context: bytes) -> Iterator[Place]:
        """The record inside the item."""
        return in_json(json.loads(entry.raw)["record"], "record")

    def request(self, checkpoint: Checkpoint) -> Request:
        """Changes after the cursor; after a lost cursor, and at L0, the snapshot's manifest and parts."""
        if checkpoint.get("parts"):
            return self._asked(checkpoint["parts"][0]["href"])
        if checkpoint.get("lost") or self.level == "L0":
            return self._asked(self._address("snapshots/latest"))
        query = urlencode({"cursor": checkpoint.get("cursor", ""), "limit": self.limit})
        return self._asked(f"{self._address('changes')}?{query}")

    def _asked(self, url: str) -> Request:
        """With the key, but only to the registered origin: the platform names the addresses of its parts itself."""
        if self.api_key is None or urlsplit(url)[:2] != urlsplit(str(self.base_url))[:2]:
            return Request(url)
        return Request(url, {"Authorization": f"Bearer {self.api_key.get_secret_value()}"})

    def _address(self, path: str) -> str:
        return f"{str(self.base_url).rstrip('/')}/ix/v1/{quote(self.scope, safe=':')}/{path}"

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer."""
        status, snapshot = response.status, self.level == "L0" or bool(checkpoint.get("lost"))
        if status >= 500:
            raise response.failure()
        if checkpoint.get("parts"):
            yield from self._snapshot(checkpoint, response)
        elif status == 410 and not snapshot:
            yield Page((), {"lost": True}, False)
            if checkpoint.get("rebuilt"):
                raise PeerViolation("page.loop", "the cursor of the snapshot itself is refused as too old")
        elif status >= 400:
            raise response.failure()
        elif snapshot:
            yield self._manifest(checkpoint, response)
        else:
            yield self._changes(checkpoint, response.content())

    def _changes(self, checkpoint: Checkpoint, content: bytes) -> Page:
        body = json.members(content)
        if lacking := {"items", "next", "more"} - set(body):
            raise PeerViolation("ix.shape", f"a page of changes lacks {', '.join(sorted(lacking))}")
        following, more = json.loads(body["next"]), json.loads(body["more"])
        if not isinstance(following, str) or not isinstance(more, bool):
            raise PeerViolation("ix.shape", "`next` must be a text and `more` true or false")
        entries = [_entry(item, raw) for item, raw in json.items(body["items"])]
        if not more or following != checkpoint.get("cursor", ""):
            return Page(entries, {"cursor": following}, not more)
        # Once may be an accident of the other side (a page emptied while it was read); twice is a loop.
        if checkpoint.get("stuck"):
            raise PeerViolation("page.loop", "`more` is true but the cursor does not move")
        return Page(entries, {"cursor": following, "stuck": True}, False)

    def _manifest(self, checkpoint: Checkpoint, response: Response) -> Page:
        content, base = response.content(), response.url or self._address("snapshots/latest")
        body: Any = json.loads(content, strict=True)
        try:
            parts = [_part(part, base) for part in body["parts"]]
            after: dict[str, Any] = {"cursor": str(body["cursor"]), "lost": True, "parts": parts}
            promised = body["count"]
        except (KeyError, TypeError, ValueError) as error:
            raise PeerViolation("ix.shape", f"a snapshot's manifest is wrong at {error}") from None
        # A manifest that names fewer records than it counts would let the rest look deleted.
        if promised != sum(part["records"] for part in parts):
            raise PeerViolation("ix.shape", f"the snapshot counts {promised} records, its parts hold others")
        if self.level == "L0":
            # No changes follow: what tells one snapshot from the next is its manifest, whatever it calls its cursor.
            after["cursor"] = sha256(content).hexdigest()
            if after["cursor"] == checkpoint.get("cursor"):
                return Page((), checkpoint, True)
        if not parts:
            return self._rebuilt(after, ())
        return Page((), after, False, listing=_listing(after), begins=True)

    def _snapshot(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        try:
            if response.status in (404, 410):
                raise PeerUnavailable(f"the snapshot's part is gone: HTTP {response.status} from {response.url}")
            if response.status >= 400:
                raise response.failure()
            entries = _records(checkpoint["parts"][0], response.content())
        except PeerError:
            # A snapshot does not live for ever: the next run asks for the latest one, not for this part again.
            yield Page((), {"lost": True}, False)
            raise
        if rest := checkpoint["parts"][1:]:
            yield Page(entries, {**checkpoint, "parts": rest}, False, listing=_listing(checkpoint))
        else:
            yield self._rebuilt(checkpoint, entries)

    def _rebuilt(self, checkpoint: Checkpoint, entries: Sequence[Entry]) -> Page:
        """The snapshot's end: what it lacks is gone; the changes since its cursor follow in the same run (V4)."""
        listing = _listing(checkpoint)
        done = self.level == "L0"
        after = {"cursor": checkpoint["cursor"]} if done else {"cursor": checkpoint["cursor"], "rebuilt": True}
        return Page(entries, after, done, listing=listing, complete=frozenset({listing}))

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """The record, if its identifier and its hash are right."""
        for entry in entries:
            try:
                yield _checked(json.loads(entry.raw, strict=True))
            except PeerViolation as error:
                yield Fault(error.kind, error.detail)

    def again(self, entry: Entry) -> Entry:
        """Version and path stand in the item's bytes."""
        return _entry(json.loads(entry.raw), entry.raw)


class IxHeads(Ix):
    """Every change of a scope as id, version and hash (`fields=head`): what a reconciliation compares.

    The changes hold each record once, so a walk from the beginning to the end is a complete listing (V2).
    """

    def request(self, checkpoint: Checkpoint) -> Request:
        """Changes after the cursor, heads only."""
        query = urlencode({"cursor": checkpoint.get("cursor", ""), "limit": self.limit, "fields": "head"})
        return Request(f"{self._address('changes')}?{query}")

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer; a cursor that is refused on the way means: begin again another time."""
        if response.status == 410:
            raise PeerUnavailable("the cursor was refused in the middle of the listing")
        for page in super().read(checkpoint, response):
            complete = frozenset({"heads"}) if page.done else None
            yield replace(page, listing="heads", complete=complete, begins="cursor" not in checkpoint)


class IxRecords(Ix):
    """The records of `identifiers`, one request each; one that is unknown brings nothing. Checkpoint: `at`."""

    identifiers: tuple[str, ...]

    def request(self, checkpoint: Checkpoint) -> Request:
        """The next record."""
        wanted = self.identifiers[checkpoint.get("at", 0)]
        return Request(f"{str(self.base_url).rstrip('/')}/ix/v1/records/{quote(wanted, safe='')}")

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page of one record, or of none; a tombstone comes with status 410 and its body."""
        if response.status >= 400 and response.status not in (404, 410):
            raise response.failure()
        content, at = response.content(), checkpoint.get("at", 0) + 1
        entries = [] if response.status == 404 else [_entry(json.loads(content), content)]
        yield Page(entries, {"at": at}, at >= len(self.identifiers))


def _base(url: str) -> str:
    return re.split(r"/\.well-known/|/ix/v1", url)[0].rstrip("/")


def _listing(checkpoint: Checkpoint) -> str:
    return f"snapshot-{sha256(checkpoint['cursor'].encode()).hexdigest()[:16]}"


def _part(part: Any, base: str) -> dict[str, Any]:
    """One part of a manifest. Raises KeyError, TypeError or ValueError."""
    href, digest, records = urljoin(base, part["href"]), part["sha256"], part["records"]
    if not href.startswith(("http://", "https://")) or not isinstance(digest, str) or type(records) is not int:
        raise ValueError(f"the part {str(part['href'])[:200]!r}")
    return {"href": href, "sha256": digest, "records": records}


def _records(part: dict[str, Any], content: bytes) -> list[Entry]:
    """The items of a part, once its bytes are the promised ones."""
    if sha256(content).hexdigest() != part["sha256"]:
        raise PeerViolation("ix.part_hash", f"part {part['href']} does not have the bytes its manifest promises")
    lines = [line for line in _unpacked(content).split(b"\n") if line.strip()]
    if len(lines) != part["records"]:
        raise PeerViolation("ix.shape", f"part {part['href']} holds {len(lines)} records, not {part['records']}")
    # Cut leniently, as a page of changes is: a record that breaks the rules is refused alone, under its own id.
    return [_entry(item, raw) for item, raw in json.items(b"[%b]" % b",".join(lines), max_bytes=2 * UNPACKED)]


def _entry(item: Any, raw: bytes) -> Entry:
    """The entry of an item, whatever it is; `raw` is the whole item, so that a new version is never a repeat."""
    nameless = f"item-{sha256(raw).hexdigest()[:16]}"
    if not isinstance(item, dict):
        return Entry(nameless, raw)
    id, version, stated, path = (item.get(name) for name in ("id", "version", "hash", "path"))
    known = isinstance(id, str) and _ID.fullmatch(id)
    codes = tuple(code for code in path if isinstance(code, str)) if isinstance(path, list) else ()
    return Entry(
        str(id) if known else nameless,
        raw,
        deleted=bool(known) and item.get("op") in ("delete", "leave"),
        version=version if type(version) is int else None,
        hash=stated if isinstance(stated, str) else None,
        path=codes,
    )


def _checked(item: Any) -> Draft | Fault:
    if not isinstance(item, dict):
        return Fault("record.shape", "an item must be a JSON object")
    id, record, version = item.get("id"), item.get("record"), item.get("version")
    if not isinstance(id, str) or not _ID.fullmatch(id) or not PLATFORM_CODE.match(id.split(":", 2)[1]):
        return Fault("ix.id", "an identifier has the form ix:{platform}:{local}", "id", str(id)[:200])
    if item.get("op") != "put" or not isinstance(record, dict):
        return Fault("record.shape", "an item that is no deletion must be a `put` with an object as `record`", "record")
    if type(version) is not int or version < 1:
        return Fault("ix.shape", "`version` must be a whole number from 1", "version", str(version)[:200])
    if record.get("id", id) != id:
        return Fault("ix.id", "the record names another identifier than its item", "id", str(record["id"])[:200])
    if content_hash(canonical(record)) != item.get("hash"):
        return Fault("ix.hash", "the record does not have the hash that its platform states", "hash")
    return record


def _unpacked(content: bytes) -> bytes:
    """One gzip layer of any number of members, bounded in size and ratio. Raises PeerViolation."""
    if content[:2] != b"\x1f\x8b":
        return content
    room = min(UNPACKED, max(FLOOR, RATIO * len(content)))
    found = bytearray()
    while content:
        unpack = zlib.decompressobj(31)
        try:
            found += unpack.decompress(content, room - len(found) + 1)
        except zlib.error as error:
            raise PeerViolation("ix.part_gzip", f"a part is not gzip: {error}") from None
        if len(found) > room:
            raise PeerViolation("body.bomb", f"a part of {len(content)} bytes unpacks to more than {room}")
        if not unpack.eof:
            raise PeerViolation("ix.part_gzip", "a part is cut short")
        content = unpack.unused_data
    return bytes(found)
