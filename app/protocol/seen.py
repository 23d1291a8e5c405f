"""Which identifiers of a file have been met: 64-bit marks in an open table, 12 to 24 bytes each instead of a hundred.

Two of ten million different identifiers share a mark once in 400,000 files; that row would be refused by name.
"""

from array import array
from typing import Final

_SMALLEST: Final = 1 << 12
_FULL: Final = 2 / 3


class Seen:
    """A set of identifiers that can only grow."""

    def __init__(self) -> None:
        self._table = array("Q", bytes(8 * _SMALLEST))
        self._count = 0

    def add(self, identifier: str) -> bool:
        """Whether it is new."""
        new = _put(self._table, _mark(identifier))
        self._count += new
        if self._count > _FULL * len(self._table):
            self._grow()
        return new

    def __len__(self) -> int:
        return self._count

    def __contains__(self, identifier: str) -> bool:
        return _holds(self._table, _mark(identifier))

    def _grow(self) -> None:
        table = array("Q", bytes(16 * len(self._table)))
        for mark in filter(None, self._table):
            _put(table, mark)
        self._table = table


def _mark(identifier: str) -> int:
    return (hash(identifier) & 0xFFFF_FFFF_FFFF_FFFF) or 1


def _holds(table: "array[int]", mark: int) -> bool:
    last = len(table) - 1
    slot = mark & last
    while found := table[slot]:
        if found == mark:
            return True
        slot = (slot + 1) & last
    return False


def _put(table: "array[int]", mark: int) -> bool:
    last = len(table) - 1
    slot = mark & last
    while found := table[slot]:
        if found == mark:
            return False
        slot = (slot + 1) & last
    table[slot] = mark
    return True
