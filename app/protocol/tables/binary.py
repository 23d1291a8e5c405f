"""XLS, the workbooks of Excel 97 ([MS-XLS] 2.4, records of a BIFF stream), read by a library that cannot end the process.

calamine follows a compound file's chains of sectors in circles: 5,644 bytes took all memory there is, and a refused
allocation aborts the process. So the stream is taken out by olefile, looked through, and read by xlrd, both pure Python.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from io import BytesIO, TextIOBase
from struct import Struct, error
from typing import Any, Final

import olefile
import xlrd

from app.protocol.errors import PeerViolation

SPARSE: Final = 2_000_000
"""Places of a sheet's rectangle that are kept whatever the file's size; beyond them it must be filled for a fifth or so."""
_HEAD: Final = Struct("<HH")
_PLACE: Final = Struct("<HH")
_LAST: Final = Struct("<H")
_BEGIN: Final = 0x0809
_SEVERAL: Final = 0x00BD
_CELLS: Final = frozenset({0x0006, 0x00BD, 0x00D6, 0x00FD, 0x0203, 0x0204, 0x0205, 0x0207, 0x027E, 0x0406, 0x0206})


class _Silence(TextIOBase):
    """Where xlrd tells its doubts."""

    def write(self, text: str) -> int:
        """Nothing is kept."""
        return len(text)


def sheets(content: bytes) -> Iterator[tuple[str, Callable[[], Iterable[Sequence[Any]]]]]:
    """Each visible sheet with what gives its rows from the first. Raises PeerViolation: workbook.package, workbook.too_large."""
    stream = _stream(content)
    _check(stream)
    try:
        book = xlrd.open_workbook(file_contents=stream, logfile=_Silence(), on_demand=True, ragged_rows=True)
        for name in book.sheet_names():
            sheet = book.sheet_by_name(name)
            if sheet.visibility == 0:
                yield name, partial(_rows, sheet, book.datemode)
    except Exception as fault:  # whatever a file makes a reader in Python raise is the file's fault
        raise PeerViolation("workbook.package", f"the workbook cannot be read: {str(fault)[:200]}") from None


def _rows(sheet: Any, datemode: int) -> Iterator[Sequence[Any]]:
    for row in range(sheet.nrows):
        kinds = sheet.row_types(row)
        yield [_value(kind, cell, datemode) for kind, cell in zip(kinds, sheet.row_values(row), strict=True)]


def _value(kind: int, cell: Any, datemode: int) -> Any:
    """A cell as text, number, date, time or truth; an error is no value."""
    if kind == xlrd.XL_CELL_BOOLEAN:
        return bool(cell)
    if kind == xlrd.XL_CELL_DATE:
        try:
            at = xlrd.xldate_as_datetime(cell, datemode)
        except (ValueError, OverflowError):
            return cell
        return at.time() if 0 < cell < 1 else at
    return cell if kind in (xlrd.XL_CELL_TEXT, xlrd.XL_CELL_NUMBER) else ""


def _stream(content: bytes) -> bytes:
    """The stream that holds the workbook, as olefile finds it."""
    try:
        with olefile.OleFileIO(BytesIO(content)) as file:
            names = [name for name in file.listdir() if len(name) == 1 and name[0].casefold() in ("workbook", "book")]
            if names:
                return bytes(file.openstream(max(names, key=lambda name: len(name[0]))).read())
    except (OSError, ValueError, IndexError, TypeError, error, RecursionError, MemoryError) as fault:
        raise PeerViolation("workbook.package", f"the file cannot be opened: {str(fault)[:200]}") from None
    raise PeerViolation("workbook.package", "the file holds no workbook of Excel 97 or later")


def _check(stream: bytes) -> None:
    """Raises PeerViolation `workbook.too_large` for a cell that stands far out with nearly nothing between."""
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
