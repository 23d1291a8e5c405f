"""A catalogue that is one file: asked for only when changed, read as a stream, gone on with after any page.

A file is known by the hash of its bytes. The same bytes as last time are not read again; a reading that was cut
off goes on where it stopped if the bytes are still the same, and begins again if not. What a reading needs from
the bytes alone (`Cut`) is a matter of the format: delimited text, a workbook, JSON.
"""

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Any, BinaryIO, Final, NamedTuple, TypeVar

from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Fault, Page, Request, Response
from app.protocol.errors import PeerViolation

_Item = TypeVar("_Item")
PAGE: Final = 500
BLOCK: Final = 1 << 20
UPLOADED: Final = "hutong-file:latest"
"""The address of a feed's uploaded file; the hub answers it itself."""
PLACE: Final = "line "
"""How an entry is named that has no usable identifier of its own: `line 17`."""
_PAGES: Final = (b"<!doctype", b"<html", b"<?xml")


class Cut(NamedTuple):
    """A stretch of a file: entries, what `parse` needs beside their bytes, and where the next stretch begins.

    `at` is None at the file's end. `lost` counts entries that are there but cannot be told apart: while there is
    one, what is missing from the file may be just that one, so that nothing is taken for deleted.
    """

    entries: list[Entry]
    context: bytes
    at: Mapping[str, Any] | None
    lost: int = 0


def place(line: int, part: str = "") -> str:
    """The name of an entry without an identifier; `part` where a file has several (the sheets of a workbook)."""
    return f"{PLACE}{line} ({part})" if part else f"{PLACE}{line}"


def misplaced(entry: Entry, fault: Fault) -> Fault:
    """The fault with the place in its words, where the entry has only that."""
    if not entry.identifier.startswith(PLACE):
        return fault
    return Fault(fault.rule, f"{entry.identifier}: {fault.detail}", fault.path, fault.value, fault.stage)


def settled(entry: Entry, found: str, draft: Draft) -> Draft | Fault:
    """The draft, if the bytes name the entry as it is named.

    An entry named by its place has bytes that name an earlier one, or was refused under another setting: stored
    under its place it would be a second record, so that the file must be read anew.
    """
    if found == entry.identifier:
        return draft
    if entry.identifier.startswith(PLACE):
        detail = (
            f"an earlier row is {found[:200]!r} already (after a change of settings: harvest the file again in full)"
        )
        return Fault("table.id_repeated", detail, value=found[:200] if found.isprintable() else "")
    return Fault("table.identifier", f"the bytes name {found[:200]!r}, the entry is {entry.identifier[:200]!r}")


class FileFeed(Connector):
    """The base of connectors whose source is one file; a format gives `cut` and `parse`."""

    def address(self) -> str:
        """Where the file is."""
        raise NotImplementedError

    def cut(self, body: BinaryIO, at: Mapping[str, Any], charset: str | None) -> Iterator[Cut]:
        """The file from `at` (`{}`: its beginning) in stretches of at most PAGE entries. Raises PeerViolation."""
        raise NotImplementedError

    def request(self, checkpoint: Checkpoint) -> Request:
        """The file, or 304 when it is the one that has been read to its end (RFC 9110 section 13)."""
        headers = {"if-none-match": checkpoint.get("etag"), "if-modified-since": checkpoint.get("modified")}
        return Request(self.address(), {name: value for name, value in headers.items() if value}, file=True)

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """The stretches of the file as pages; all of them together are everything the source holds."""
        if response.status == 304:
            yield Page((), checkpoint, True)
            return
        if response.status != 200:
            raise response.failure()
        name = self._name(response.body)
        done = {"file": name, "etag": response.headers.get("etag"), "modified": response.headers.get("last-modified")}
        if checkpoint.get("file") == name:
            yield Page((), done, True)
            return
        # A place counts only in the very bytes it was taken in.
        begun = checkpoint if checkpoint.get("reading") == name else {}
        seen, lost = begun.get("seen", 0), begun.get("lost", 0)
        for cut in self.cut(response.body, begun.get("at", {}), response.charset):
            seen, lost = seen + len(cut.entries), lost + cut.lost
            if cut.at is not None:
                after = {"reading": name, "at": dict(cut.at), "seen": seen, "lost": lost}
                yield Page(cut.entries, after, False, cut.context, name)
                continue
            # A file without a single record, or with one that has lost its name, never empties a catalogue.
            complete = frozenset({name}) if seen and not lost else None
            yield Page(cut.entries, done, True, cut.context, name, complete)

    def _name(self, body: BinaryIO) -> str:
        """Stands for the file's bytes and for how they are read. Raises PeerViolation `page.empty`, `page.html`."""
        digest = sha256(self.model_dump_json().encode())
        body.seek(0)
        head = body.read(BLOCK)
        if not head.strip(b"\xef\xbb\xbf \t\r\n"):
            raise PeerViolation("page.empty", "the file is empty")
        if head[:1000].lstrip(b"\xef\xbb\xbf \t\r\n").lower().startswith(_PAGES):
            raise PeerViolation("page.html", "the answer is an HTML or XML page, not a file of records")
        block = head
        while block:
            digest.update(block)
            block = body.read(BLOCK)
        body.seek(0)
        return f"file#{digest.hexdigest()[:24]}"


def batched(entries: Sequence[_Item]) -> Iterator[tuple[int, Sequence[_Item]]]:
    """Items at hand in stretches of PAGE, each with the number of items up to its end; an empty one if there are none."""
    for start in range(0, max(len(entries), 1), PAGE):
        yield min(start + PAGE, len(entries)), entries[start : start + PAGE]
