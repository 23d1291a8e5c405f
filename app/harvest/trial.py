"""A page that workers died of is tried in a process of its own first: what kills it is a record, or the page itself.

Three workers lost at one page (`deaths` of its feed) may be bad luck; whether the page is to blame is seen when one more
reader of it dies, and that one is expendable.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from hashlib import blake2b
from multiprocessing import get_context
from multiprocessing.connection import Connection as Pipe
from tempfile import NamedTemporaryFile
from typing import Any, Final

from app.harvest.prepare import Source, prepared
from app.protocol.connector import Checkpoint, Connector, Entry, Fault, Response
from app.protocol.errors import HutongError, PeerViolation

SUSPECT: Final = 3  # workers lost at one page
POISON: Final = "record.poison"
_MOST: Final = 20  # such records in one answer; of more, the whole answer is refused
_LONGEST_S: Final = 120


def mark(raw: bytes) -> bytes:
    """Stands for an entry's bytes."""
    return blake2b(raw, digest_size=16).digest()


def poisoned(source: Source, connector: Connector, checkpoint: Checkpoint, response: Response) -> set[bytes]:
    """Marks of the records of an answer that kill whoever parses them; the answer is read from its start again.

    Raises PeerViolation `page.poison`: already cutting the answer kills.
    """
    found: set[bytes] = set()
    with NamedTemporaryFile(prefix="hutong-trial-") as file:
        response.body.seek(0)
        for piece in iter(lambda: response.body.read(1 << 20), b""):
            file.write(piece)
        file.flush()
        while (culprit := _tried(source, connector, checkpoint, response, file.name, found)) is not None:
            found.add(culprit)
            if culprit == b"" or len(found) > _MOST:
                raise PeerViolation("page.poison", f"readers of the answer of {response.url[:300]} die of it")
    response.body.seek(0)
    return found


def refused(entries: Sequence[Entry], marks: Iterable[bytes]) -> tuple[list[Entry], dict[int, Fault]]:
    """The entries that may be parsed, and a fault by place for each that may not."""
    known = set(marks)
    bad = {place for place, entry in enumerate(entries) if mark(entry.raw) in known}
    fault = Fault(POISON, "parsing this record ends the process that does it", stage="parse")
    return [entry for place, entry in enumerate(entries) if place not in bad], dict.fromkeys(sorted(bad), fault)


def _tried(
    source: Source, connector: Connector, checkpoint: Checkpoint, response: Response, file: str, known: set[bytes]
) -> bytes | None:
    """None when a process came to the end; else the mark of the record that it died at, empty when at none."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    answer = (response.url, response.status, dict(response.headers), file)
    process = context.Process(target=_try, args=(theirs, source, connector, checkpoint, answer, known), daemon=True)
    process.start()
    theirs.close()
    last, ended = b"", False
    with suppress(EOFError):
        while ours.poll(_LONGEST_S):
            told = ours.recv_bytes()
            ended, last = told == b"end", told
    process.kill()
    process.join()
    ours.close()
    return None if ended else last


def _try(
    pipe: Pipe, source: Source, connector: Connector, checkpoint: Checkpoint, answer: tuple[Any, ...], known: set[bytes]
) -> None:
    url, status, headers, file = answer
    with suppress(HutongError), open(file, "rb") as body:  # what it raises by name is no death
        for page in connector.read(checkpoint, Response(url, status, headers, body)):
            for entry in page.entries:
                if not entry.deleted and mark(entry.raw) not in known:
                    pipe.send_bytes(mark(entry.raw))
                    prepared(source, [entry], page.context)
    pipe.send_bytes(b"end")
