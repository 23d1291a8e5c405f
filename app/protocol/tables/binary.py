"""XLS before the library reads it: how far out its cells stand ([MS-XLS] 2.4, records of a BIFF stream).

The library keeps a rectangle for each sheet; a file of 6 KB with one cell in the last corner cost 900 MB of blanks.
"""

from collections.abc import Iterator
from io import BytesIO
from struct import Struct, error
from typing import Final

import olefile

from app.protocol.errors import PeerViolation

SPARSE: Final = 2_000_000
"""Places of a sheet's rectangle that are kept whatever the file's size; beyond them it must be filled for a fifth or so."""
_HEAD: Final = Struct("<HH")
_PLACE: Final = Struct("<HH")
_LAST: Final = Struct("<H")
_BEGIN: Final = 0x0809
_SEVERAL: Final = 0x00BD
_CELLS: Final = frozenset({0x0006, 0x00BD, 0x00D6, 0x00FD, 0x0203, 0x0204, 0x0205, 0x0207, 0x027E, 0x0406, 0x0206})


def check(content: bytes) -> None:
    """Raises PeerViolation: workbook.package, workbook.too_large."""
    try:
        with olefile.OleFileIO(BytesIO(content)) as file:
            names = [name for name in file.listdir() if name[-1].casefold() in ("workbook", "book")]
            streams = [file.openstream(name).read() for name in names]
    except (OSError, ValueError, IndexError, TypeError, error, RecursionError, MemoryError) as fault:
        raise PeerViolation("workbook.package", f"the file cannot be opened: {str(fault)[:200]}") from None
    for stream in streams:
        rows = columns = 0
        for row, column in _cells(stream):
            rows, columns = (max(rows, row), max(columns, column)) if row else (0, 0)
            refuse_sparse(rows, columns, len(stream))


def _cells(stream: bytes) -> Iterator[tuple[int, int]]:
    """The place (from 1) of each cell with a value; (0, 0) where another sheet begins."""
    at, end = 0, len(stream)
    while at + 8 <= end:
        kind, size = _HEAD.unpack_from(stream, at)
        if kind == _BEGIN:
            yield 0, 0
        elif kind in _CELLS:
            row, column = _PLACE.unpack_from(stream, at + 4)
            if kind == _SEVERAL and 6 <= size <= end - at - 4:
                column = _LAST.unpack_from(stream, at + 2 + size)[0]
            yield row + 1, column + 1
        at += 4 + size


def refuse_sparse(rows: int, columns: int, size: int) -> None:
    """Raises PeerViolation `workbook.too_large` for a rectangle that `size` bytes cannot fill."""
    if rows * columns > max(SPARSE, size // 4):
        raise PeerViolation(
            "workbook.too_large",
            f"cells as far out as row {rows}, column {columns}, and nearly nothing between: remove the stray ones",
        )
