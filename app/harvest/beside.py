"""Parsing beside the writer: processes that prepare the next pages while this one stores.

Threads gain nothing here: parsing and storing both hold the interpreter (docs/performance.md).
"""

import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any

from app import heap
from app.catalogue.arrivals import Arrival
from app.harvest.prepare import Batch, Source, prepared
from app.protocol.connector import Entry, Fault
from app.protocol.record import Prepared

# What goes between processes are plain tuples: to pickle an object of a class costs more than to make it again.
_Packed = tuple[list[tuple[Any, ...]], list[tuple[int, Fault]]]


class Parsers:
    """`number` processes; what they prepare is the same as in this process, and so are their errors."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._lock = threading.Lock()
        self._pool = self._made()

    def _made(self) -> ProcessPoolExecutor:
        # Not fork: a worker has threads and open connections that must not be copied.
        return ProcessPoolExecutor(self._number, get_context("spawn"), initializer=_begin)

    def __call__(self, source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]:
        """Begins to prepare; the call it gives back waits."""
        if not entries:
            return Batch
        work = (source, entries, context)
        try:
            return self._waiting(self._pool.submit(_prepared, source, _packed(entries), context), *work)
        except (BrokenProcessPool, RuntimeError):
            return lambda: self._here(*work)

    def _waiting(
        self, begun: Future[_Packed], source: Source, entries: Sequence[Entry], context: bytes
    ) -> Callable[[], Batch]:
        def wait() -> Batch:
            try:
                return _unpacked(begun.result())
            except BrokenProcessPool:
                return self._here(source, entries, context)

        return wait

    def _here(self, source: Source, entries: Sequence[Entry], context: bytes) -> Batch:
        """A parser that was killed costs its head start, not the page; the next pages get new parsers."""
        with self._lock:
            if getattr(self._pool, "_broken", False):
                self._pool = self._made()
        return prepared(source, entries, context)

    def close(self) -> None:
        """Ends the processes after what they are doing."""
        self._pool.shutdown(cancel_futures=True)


def _packed(entries: Sequence[Entry]) -> list[tuple[Any, ...]]:
    return [(e.identifier, e.raw, e.stamp, e.deleted, e.version, e.hash, e.path) for e in entries]


def _prepared(source: Source, packed: list[tuple[Any, ...]], context: bytes) -> _Packed:
    batch = prepared(source, [Entry(*fields) for fields in packed], context)
    # The text itself stays here: nothing needs it beside its tokens.
    return [(*record[:-1], *rest) for record, *rest in batch.arrivals], batch.refused


def _unpacked(packed: _Packed) -> Batch:
    size = len(Prepared._fields) - 1
    arrivals = [Arrival(Prepared._make((*fields[:size], "")), *fields[size:]) for fields in packed[0]]
    return Batch(arrivals, packed[1])


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker ends its parsers, not the terminal
    heap.settled()
