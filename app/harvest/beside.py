"""Parsing beside the writer: processes that prepare the next pages while this one stores.

Threads gain nothing here: parsing and storing both hold the interpreter (docs/performance.md). Only what carries bytes
to a process and back is a thread of its own; pickling stays with whoever stores, because two threads that both need the
interpreter wait for each other longer than either works.
"""

import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import accumulate, pairwise, repeat
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, BinaryIO

import structlog

from app import heap
from app.catalogue.arrivals import Arrival
from app.catalogue.packs import Pack
from app.harvest.prepare import Batch, Source, prepared
from app.protocol.connector import Entry
from app.protocol.record import Prepared

if sys.platform == "linux":
    from fcntl import F_SETPIPE_SZ, fcntl

log = structlog.get_logger()
_SPAWN = get_context("spawn")  # not fork: a worker has threads and open connections that must not be copied
_PIPE = 1 << 20  # bytes: a page in one piece or two
_LENGTH = 8  # bytes of a number, big-endian, before each part of a message
# What goes between processes are columns of plain values: to pickle an object of a class, or a tuple for each record,
# costs more than to make them again. The bytes of records go in one piece beside them.
_Columns = list[tuple[Any, ...]]


class Parsers:
    """`number` processes; what they prepare is the same as in this process, and so are their errors."""

    def __init__(self, number: int) -> None:
        self._threads = ThreadPoolExecutor(number, "parser")
        self._all = [_Parser() for _ in range(number)]
        self._free = deque(self._all)

    def __call__(self, source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]:
        """Begins to prepare; the call it gives back waits."""
        if not entries:
            return Batch
        question = _asked(source, entries, context)
        try:
            begun = self._threads.submit(self._ask, question)
        except RuntimeError:  # no thread to be had
            return lambda: prepared(source, entries, context)

        def wait() -> Batch:
            # A parser that was killed costs its head start, not the page; what failed there fails here in its own way.
            answer = begun.result()
            return _unpacked(answer) if answer else prepared(source, entries, context)

        return wait

    def _ask(self, question: Sequence[bytes]) -> bytes:
        parser = self._free.pop()  # there are as many as threads
        try:
            return parser.ask(question)
        finally:
            self._free.append(parser)

    def pids(self) -> list[int]:
        """The numbers of the processes that run now."""
        running = [parser.process for parser in self._all]
        return [process.pid for process in running if process is not None and process.pid is not None]

    def close(self) -> None:
        """Ends the processes after what they are doing."""
        self._threads.shutdown(cancel_futures=True)
        for parser in self._all:
            parser.close()


class _Parser:
    """One process, which begins when it is first asked, and again after it has died; asked by one thread at a time."""

    _questions: BinaryIO
    _answers: BinaryIO

    def __init__(self) -> None:
        self.process: BaseProcess | None = None

    def ask(self, question: Sequence[bytes]) -> bytes:
        """The answer; an empty one if the process has none or has died over it."""
        try:
            if self.process is None:
                self._begin()
            _send(self._questions, question)
            return _received(self._answers, 1)[0]
        except (EOFError, OSError) as error:
            log.warning("parser.lost", pid=self.process and self.process.pid, error=str(error) or type(error).__name__)
            self.close()
            return b""

    def _begin(self) -> None:
        questions, asking = _wide_pipe()
        answering, answers = _wide_pipe()
        process = _SPAWN.Process(target=_serve, args=(questions, answers), daemon=True)
        with questions, answers:
            process.start()
        self._questions, self._answers = _stream(asking, "wb"), _stream(answering, "rb")
        self.process = process

    def close(self) -> None:
        """Ends the process: it has no more questions to wait for."""
        if self.process is not None:
            self._questions.close()
            self._answers.close()
            self.process.join()
            self.process = None


def _wide_pipe() -> tuple[Connection, Connection]:
    """(to read from, to write to). A narrow one moves a page in twenty pieces, each of which needs the interpreter."""
    reader, writer = _SPAWN.Pipe(duplex=False)
    if sys.platform == "linux":
        with suppress(OSError):  # more than an unprivileged process may have (fs.pipe-max-size)
            fcntl(writer.fileno(), F_SETPIPE_SZ, _PIPE)
    return reader, writer


def _stream(end: Connection, mode: str) -> Any:
    """An end of a pipe as a file: what is read comes into one piece of memory without the interpreter."""
    with end:
        return os.fdopen(os.dup(end.fileno()), mode, buffering=-1 if mode == "rb" else 0)


def _send(stream: BinaryIO, parts: Sequence[bytes]) -> None:
    for part in parts:
        for piece in (len(part).to_bytes(_LENGTH, "big"), part):
            rest = memoryview(piece)
            while rest:
                rest = rest[stream.write(rest) :]


def _received(stream: BinaryIO, number: int) -> list[bytes]:
    """As many parts. Raises EOFError when the other end has gone."""
    return [_read(stream, int.from_bytes(_read(stream, _LENGTH), "big")) for _ in range(number)]


def _read(stream: BinaryIO, size: int) -> bytes:
    found = stream.read(size)
    if len(found) < size:
        raise EOFError
    return found


def _asked(source: Source, entries: Sequence[Entry], context: bytes) -> tuple[bytes, bytes]:
    identifiers, raws, *others = zip(*entries, strict=True)
    columns = [identifiers, tuple(map(len, raws)), *others]
    return pickle.dumps((source, context, columns), pickle.HIGHEST_PROTOCOL), b"".join(raws)


def _entries(columns: _Columns, whole: bytes) -> list[Entry]:
    identifiers, lengths, *others = columns
    raws = [whole[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]
    return list(map(Entry, identifiers, raws, *others))


def _unpacked(answer: bytes) -> Batch:
    columns, refused, packs = pickle.loads(answer)  # noqa: S301 - of a process of our own
    size = len(Prepared._fields) - 1
    records = map(Prepared, *columns[:size], repeat(""))
    arrivals = list(map(Arrival, records, *columns[size:])) if columns else []
    return Batch(arrivals, refused, [Pack(*fields) for fields in packs])


def _serve(questions: Connection, answers: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker ends its parsers, not the terminal
    heap.settled()
    asked, told = _stream(questions, "rb"), _stream(answers, "wb")
    with suppress(EOFError, OSError):  # whoever asked has gone
        while True:
            _send(told, [_answer(*_received(asked, 2))])


def _answer(question: bytes, whole: bytes) -> bytes:
    source, context, columns = pickle.loads(question)  # noqa: S301 - of the process that began this one
    try:
        batch = prepared(source, _entries(columns, whole), context)
    except Exception:
        return b""  # whoever asked tries it and tells it
    # The text itself stays here: nothing needs it beside its tokens.
    columns = list(zip(*((*record[:-1], *rest) for record, *rest in batch.arrivals), strict=True))
    made = columns, batch.refused, [(*pack,) for pack in batch.packs]
    return pickle.dumps(made, pickle.HIGHEST_PROTOCOL)
