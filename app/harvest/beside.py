"""Parsing beside the writer: processes that prepare the next pages while this one stores.

Threads gain nothing here: parsing and storing both hold the interpreter (docs/performance.md). A question and its answer
lie in memory that both processes share; between them goes only where they lie and how long they are.
"""

import os
import pickle
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise, repeat
from mmap import mmap
from multiprocessing import get_context
from socket import MSG_WAITALL, SHUT_RDWR, recv_fds, send_fds, socket, socketpair
from struct import Struct
from tempfile import TemporaryFile
from threading import Lock
from typing import Any

import structlog

from app import heap
from app.catalogue.arrivals import Arrival
from app.catalogue.packs import Pack
from app.harvest.prepare import Batch, Source, prepared
from app.protocol.connector import Entry
from app.protocol.record import Prepared

log = structlog.get_logger()
_SPAWN = get_context("spawn")  # not fork: a worker has threads and open connections that must not be copied
_MESSAGE = Struct(">IQQ")  # the number of a room and the lengths of what lies in it; of an answer the first alone
AHEAD = 3  # pages that are prepared beforehand: as many as a parser that yields to others may fall behind
_AFTER = 10  # niceness: whoever works some pages ahead can yield to the writer, and to those who ask the hub
_KEPT = 16 << 20  # bytes: a larger room is given back after use
# What goes between processes are columns of plain values: to pickle an object of a class, or a tuple for each record,
# costs more than to make them again.
_Columns = list[tuple[Any, ...]]


class Parsers:
    """`number` processes; what they prepare is the same as in this process, and so are their errors."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._parsers: list[_Parser] = []
        self._lock = Lock()

    def __call__(self, source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]:
        """Begins to prepare; the call it gives back waits, and may be left out."""
        if not entries:
            return lambda: prepared(source, entries, context)
        try:
            asked = self._idlest().ask(source, entries, context)
        except OSError:  # no process to be had, or no memory
            return lambda: prepared(source, entries, context)
        # A parser that was killed costs its head start, not the page; what failed there fails here in its own way.
        return lambda: asked.answer() or prepared(source, entries, context)

    def _idlest(self) -> "_Parser":
        """A process that has nothing to do, if need be a new one; else the one with the fewest questions."""
        with self._lock:
            for lost in [parser for parser in self._parsers if parser.lost]:
                self._parsers.remove(lost)
                lost.close()
            if len(self._parsers) < self._number and all(parser.asked for parser in self._parsers):
                self._parsers.append(_Parser())
            if not self._parsers:
                raise OSError("closed")
            return min(self._parsers, key=lambda parser: len(parser.asked))

    def pids(self) -> list[int]:
        """The numbers of the processes that run now."""
        return [parser.process.pid for parser in self._parsers if parser.process.pid is not None]

    def close(self) -> None:
        """Ends the processes after what they are doing; what is asked afterwards is prepared here."""
        with self._lock:
            self._number = 0
            while self._parsers:
                self._parsers.pop().close()


class _Room:
    """Memory of two processes that holds a question and then its answer."""

    def __init__(self, number: int, file: int) -> None:
        self.number = number
        self.file = file  # closed with the room
        self.shared = False  # whether the other process knows it
        self._memory: mmap | None = None

    def memory(self, size: int) -> mmap:
        """At least so much of it. Raises OSError when there is none."""
        if self._memory is None or len(self._memory) < size:
            if os.fstat(self.file).st_size < size:
                os.ftruncate(self.file, size + size // 4)
            self._memory = mmap(self.file, 0)
        return self._memory

    @property
    def large(self) -> bool:
        """Whether it is not worth keeping."""
        return self._memory is not None and len(self._memory) > _KEPT

    def __del__(self) -> None:
        os.close(self.file)


def _file() -> int:
    """An empty file without a name, of memory where the system has such files. Raises OSError when there is none."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("parser")
    with TemporaryFile() as file:
        return os.dup(file.fileno())


class _Asked:
    """A question under way; when nobody waits for it any more its room can be used again."""

    def __init__(self, parser: "_Parser", room: _Room) -> None:
        self._parser, self._room = parser, room

    def answer(self) -> Batch | None:
        """Waits; None when the process has died or could not do it."""
        size = self._parser.told(self._room.number)
        return _unpacked(self._room.memory(size), size) if size else None

    def __del__(self) -> None:
        self._parser.left.append(self._room)


class _Parser:
    """One process, which answers in the order in which it is asked."""

    def __init__(self) -> None:
        """Raises OSError when no process is to be had."""
        self._socket, asked = socketpair()
        self.process = _SPAWN.Process(target=_serve, args=(asked,), daemon=True)
        with asked:
            self.process.start()
        self.lost = False
        self.asked: set[int] = set()  # rooms whose answers have not come
        self.left = deque[_Room]()  # added to without a lock: a collector's turn may come while one is held
        self._told: dict[int, int] = {}  # lengths of answers that have come, by room
        self._free: list[_Room] = []
        self._rooms = 0
        self._lock, self._reading = Lock(), Lock()

    def ask(self, source: Source, entries: Sequence[Entry], context: bytes) -> _Asked:
        """Raises OSError when the process has gone or there is no memory."""
        identifiers, raws, *others = zip(*entries, strict=True)
        lengths = tuple(map(len, raws))
        question = pickle.dumps((source, context, [identifiers, lengths, *others]), pickle.HIGHEST_PROTOCOL)
        room = self._room()
        asked = _Asked(self, room)
        memory = room.memory(sum(lengths) + len(question))
        memory.seek(0)
        for raw in raws:
            memory.write(raw)
        memory.write(question)
        with self._lock:
            try:
                self._send(room, sum(lengths), len(question))
            except OSError as error:
                self._lose(str(error))
                raise
        return asked

    def _send(self, room: _Room, *lengths: int) -> None:
        message = _MESSAGE.pack(room.number, *lengths)
        self.asked.add(room.number)  # first: another thread may read the answer before this one goes on
        if room.shared:
            self._socket.sendall(message)
        else:
            send_fds(self._socket, [message], [room.file])
        room.shared = True

    def _room(self) -> _Room:
        with self._lock:
            for _ in range(len(self.left)):
                room = self.left.popleft()
                if room.number in self.asked:
                    self.left.append(room)
                    continue
                self._told.pop(room.number, None)
                self._free.append(_Room(room.number, _file()) if room.large else room)
            if not self._free:
                self._free.append(_Room(self._rooms, _file()))
                self._rooms += 1
            return self._free.pop()

    def told(self, number: int) -> int:
        """The length of the answer in a room, once it is there; 0 when none can come."""
        while True:
            with self._reading:
                if self.lost or number not in self.asked:
                    return self._told.pop(number, 0)
                self._read()

    def _read(self) -> None:
        """The next answer, whoever waits for it."""
        try:
            message = self._socket.recv(_MESSAGE.size, MSG_WAITALL)
        except OSError as error:
            return self._lose(str(error))
        if len(message) < _MESSAGE.size:
            return self._lose("the process has ended")
        number, self._told[number], _ = _MESSAGE.unpack(message)
        self.asked.discard(number)

    def _lose(self, why: str) -> None:
        if not self.lost:
            log.warning("parser.lost", pid=self.process.pid, error=why)
        self.lost = True

    def close(self) -> None:
        """Ends the process: it has no more questions to wait for."""
        self.lost = True
        with suppress(OSError):  # it has gone already
            self._socket.shutdown(SHUT_RDWR)
        self.process.join()
        self._socket.close()


def _unpacked(memory: mmap, size: int) -> Batch:
    with memoryview(memory) as whole, whole[:size] as answer:
        columns, refused, packs, platforms = pickle.loads(answer)  # noqa: S301 - of a process of our own
    fields = len(Prepared._fields) - 1
    records = _made(Prepared, *columns[:fields], repeat(""))
    arrivals = list(_made(Arrival, records, *columns[fields:])) if columns else []
    return Batch(arrivals, refused, [Pack(*pack) for pack in packs], platforms)


def _serve(asked: socket) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker ends its parsers, not the terminal
    os.nice(_AFTER)
    heap.settled()
    rooms: dict[int, _Room] = {}
    with suppress(OSError):  # whoever asked has gone
        while True:
            message, files, _, _ = recv_fds(asked, _MESSAGE.size, 1, MSG_WAITALL)
            if len(message) < _MESSAGE.size:
                return
            number, *lengths = _MESSAGE.unpack(message)
            if files:
                rooms[number] = _Room(number, files[0])
            asked.sendall(_MESSAGE.pack(number, _answered(rooms[number], *lengths), 0))


def _answered(room: _Room, length: int, more: int) -> int:
    """Puts the answer in the place of the question; how long it is, 0 where whoever asked must try it himself."""
    try:
        memory = room.memory(length + more)
        source, context, columns = pickle.loads(memory[length : length + more])  # noqa: S301 - of whoever began this process
        answer = _answer(prepared(source, _entries(columns, memory), context))
        room.memory(len(answer))[: len(answer)] = answer
    except Exception:
        return 0
    return len(answer)


def _entries(columns: _Columns, raws: mmap) -> list[Entry]:
    identifiers, lengths, *others = columns
    cut = [raws[start:end] for start, end in pairwise(accumulate(lengths, initial=0))]
    return list(_made(Entry, identifiers, cut, *others))


def _made(kind: type[Any], *columns: Iterable[Any]) -> Iterator[Any]:
    """Named tuples, past the function of Python that stands before each of their constructors."""
    return map(tuple.__new__, repeat(kind), zip(*columns, strict=False))


def _answer(batch: Batch) -> bytes:
    # The text itself stays here: nothing needs it beside its tokens.
    records, *others = zip(*batch.arrivals, strict=True) if batch.arrivals else [()]
    columns = [*list(zip(*records, strict=True))[:-1], *others]
    answer = columns, batch.refused, [(*pack,) for pack in batch.packs], batch.platforms
    return pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
