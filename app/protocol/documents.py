"""Records as JSON: the exact bytes of each in an array, an envelope or lines, and what identifies it."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

import orjson
from pydantic import BaseModel, ConfigDict, Field

from app.protocol import json
from app.protocol.connector import Draft, Entry, Fault
from app.protocol.errors import PeerViolation
from app.protocol.files import PAGE, Cut, batched, misplaced, place, settled
from app.protocol.seen import Seen
from app.protocol.tables.layout import identifier
from app.protocol.tables.lines import lines

LINE_LIMIT: Final = 4 << 20
WHOLE: Final = 64 << 20
_UNKEPT: Final = re.compile("[\0\ud800-\udfff]")
_BOM: Final = b"\xef\xbb\xbf"


def walk(value: Any, path: str) -> Any:
    """What stands at a dotted path, or None: `data.items`; the empty path is the value itself."""
    for name in filter(None, path.split(".")):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def slice_at(content: bytes, path: str) -> bytes | None:
    """The exact bytes of what stands at a dotted path of an object, or None. Raises PeerViolation: json.*, page.html."""
    found: bytes | None = content
    for name in filter(None, path.split(".")):
        if found is None or (found is not content and found[:1] != b"{"):
            return None
        found = json.members(found).get(name)
    return found


class Documents(BaseModel):
    """Records that are JSON objects: where their identifier and their stamp stand."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id_paths: list[str] = Field(
        default=["id"], min_length=1, max_length=8, description="dotted paths that identify together"
    )
    stamp_path: str | None = None

    def named(self, value: Any) -> str | Fault:
        """A record's identifier, or why it has none. Numbers become texts, however long they are."""
        if not isinstance(value, dict):
            return Fault("record.shape", "a record must be a JSON object")
        found: list[str] = []
        for path in self.id_paths:
            part = walk(value, path)
            text = str(part) if isinstance(part, int) and not isinstance(part, bool) else part
            if not isinstance(text, str) or not text.strip() or _UNKEPT.search(text):
                return Fault("record.id_missing", f"the record has no usable {path}", path)
            found.append(text)
        return identifier(found)

    def entry(self, value: Any, raw: bytes, number: int, seen: Seen | None) -> tuple[Entry, bool]:
        """The record with its exact bytes, and whether it has lost its name; `seen` tells what repeats."""
        name = self.named(value)
        lost = isinstance(name, Fault)
        if isinstance(name, Fault) or (seen is not None and not seen.add(name)):
            name = place(number)
        stamp = walk(value, self.stamp_path) if self.stamp_path else None
        text = stamp[:64] if isinstance(stamp, str) and stamp.isprintable() else None
        return Entry(name, raw, text or None), lost

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """The source's own object; the feed's mapping makes it a record."""
        for entry in entries:
            made = self._draft(entry)
            yield misplaced(entry, made) if isinstance(made, Fault) else made

    def _draft(self, entry: Entry) -> Draft | Fault:
        try:
            value = json.loads(entry.raw)
        except PeerViolation as error:
            return Fault(error.kind, error.detail)
        name = self.named(value)
        return name if isinstance(name, Fault) else settled(entry, name, value)


class Array(Documents):
    """An array of records, at the top of a document or inside an envelope."""

    items_path: str = Field(default="", description="dotted path of the array; empty when the document is the array")

    def values(self, content: bytes) -> list[tuple[Any, bytes]]:
        """Each record with its exact bytes. Raises PeerViolation: json.*, page.html, `file.items`."""
        inner = slice_at(content, self.items_path)
        if inner is None:
            top = _members(json.members(content))
            raise PeerViolation("file.items", f"there is nothing at {self.items_path!r}; {top}")
        if not self.items_path and inner.removeprefix(_BOM).lstrip()[:1] == b"{":
            raise PeerViolation(
                "file.items", f"an array was expected; {_members(json.members(inner))}: name its `items_path`"
            )
        return json.items(inner)

    def cut(self, body: BinaryIO, at: Mapping[str, Any], charset: str | None) -> Iterator[Cut]:
        """The records from `at` in stretches of PAGE. Raises PeerViolation."""
        body.seek(0)
        content = body.read(WHOLE + 1)
        if len(content) > WHOLE:
            raise PeerViolation("json.too_large", f"more than {WHOLE} bytes; larger files can be JSON lines (`ndjson`)")
        seen = Seen()
        made = [self.entry(value, raw, number, seen) for number, (value, raw) in enumerate(self.values(content), 1)]
        begin = at.get("record", 0)
        for end, stretch in batched(made[begin:]):
            after = {"record": begin + end} if begin + end < len(made) else None
            yield Cut([entry for entry, _ in stretch], b"", after, sum(lost for _, lost in stretch))


class Lines(Documents):
    """JSON lines: a record a line, UTF-8, read as a stream."""

    def cut(self, body: BinaryIO, at: Mapping[str, Any], charset: str | None) -> Iterator[Cut]:
        """The lines from `at` in stretches of PAGE. Raises PeerViolation `file.line_too_long`."""
        begin, entries, lost = at.get("line", 1), list[Entry](), 0
        for number, entry, unknown in self._entries(body):
            if number < begin:
                continue
            entries.append(entry)
            lost += unknown
            if len(entries) == PAGE:
                yield Cut(entries, b"", {"line": number + 1}, lost)
                entries, lost = [], 0
        yield Cut(entries, b"", None, lost)

    def _entries(self, body: BinaryIO) -> Iterator[tuple[int, Entry, bool]]:
        seen = Seen()
        for number, line in enumerate(lines(body, "utf-8", 0, 1, LINE_LIMIT), 1):
            raw = line.removeprefix(_BOM).strip() if number == 1 else line.strip()
            if raw:
                yield number, *self.entry(_value(raw), raw, number, seen)


def _value(raw: bytes) -> Any:
    """The line's value, or None where it has none: `parse` says why."""
    try:
        return json.loads(raw, max_bytes=LINE_LIMIT)
    except PeerViolation:
        return None


def _members(members: Mapping[str, bytes]) -> str:
    """What a person needs to name the path: the members that hold something to enter."""
    held = [name for name, value in members.items() if value[:1] in (b"[", b"{")]
    return f"the object has {orjson.dumps(held[:10]).decode()[:300]}"
