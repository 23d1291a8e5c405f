"""Which identifiers of a file have been met: 64-bit marks in an open table, 12 to 24 bytes each instead of a hundred.

Two of ten million different identifiers share a mark once in 400,000 files; that row would be refused by name.
"""

from array import array
from collections.abc import Iterable
from typing import Final

_SMALLEST: Final = 1 << 12
_FULL: Final = 2 / 3


class Seen:
    """A set of identifiers that can only grow."""

    def __init__(self) -> None:
        self._table, self._count = array("q", bytes(8 * _SMALLEST)), 0

    def add(self, identifier: str) -> bool:
        """Whether it is new."""
        return not self.add_all([identifier])

    def add_all(self, identifiers: Iterable[str]) -> list[str]:
        """Those of them that are not new."""
        known: list[str] = []
        table = self._table
        last = len(table) - 1
        for identifier in identifiers:
            mark = hash(identifier) or 1
            slot = mark & last
            while (found := table[slot]) and found != mark:
                slot = (slot + 1) & last
            if found:
                known.append(identifier)
                continue
            table[slot] = mark
            self._count += 1
            if self._count > _FULL * len(table):
                self._grow()
                table, last = self._table, len(self._table) - 1
        return known

    def __len__(self) -> int:
        return self._count

    def __contains__(self, identifier: str) -> bool:
        return self._table[_slot(self._table, hash(identifier) or 1)] != 0

    def _grow(self) -> None:
        table = array("q", bytes(16 * len(self._table)))
        for mark in filter(None, self._table):
            table[_slot(table, mark)] = mark
        self._table = table


def _slot(table: "array[int]", mark: int) -> int:
    """Where the mark stands, or the free place where it would."""
    last = len(table) - 1
    slot = mark & last
    while (found := table[slot]) and found != mark:
        slot = (slot + 1) & last
    return slot
