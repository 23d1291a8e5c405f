"""Parsing beside the writer: processes that prepare the next pages while this one stores.

Threads gain nothing here: parsing and storing both hold the interpreter (docs/performance.md).
"""

import gc
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from app.harvest.prepare import Batch, Source, prepared
from app.protocol.connector import Entry


class Parsers:
    """`number` processes; what they prepare is the same as in this process, and so are their errors."""

    def __init__(self, number: int) -> None:
        # Not fork: a worker has threads and open connections that must not be copied.
        self._pool = ProcessPoolExecutor(number, get_context("spawn"), initializer=_begin)

    def __call__(self, source: Source, entries: Sequence[Entry], context: bytes) -> Callable[[], Batch]:
        """Begins to prepare; the call it gives back waits."""
        if not entries:
            return Batch
        return self._pool.submit(prepared, source, entries, context).result

    def close(self) -> None:
        """Ends the processes after what they are doing."""
        self._pool.shutdown(cancel_futures=True)


def _begin() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the worker ends its parsers, not the terminal
    gc.freeze()
