"""A workbook's package opened with bounds: what the library reads are bytes that have been counted and looked at.

XLSX and ODS are ZIP archives. The needed parts are inflated here under limits and handed on in a fresh archive, so
that lying sizes, duplicate names, macros and pictures never reach the library; and no cell may stand so far out
that the library, which keeps a rectangle, would fill the memory with blanks (safety 1.6).
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import lru_cache
from io import BytesIO
from typing import Final

from app.protocol.errors import PeerViolation
from app.protocol.tables.binary import SPARSE, refuse_sparse

ROWS: Final = 200_000
COLUMNS: Final = 256
ENTRIES: Final = 1_000
RATIO: Final = 100
RATIO_FROM: Final = 1 << 20
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
"""ECMA-376 part 2 and ODF know no others; and of bzip2 and LZMA Python's reader inflates a block without a bound."""
_ATTRIBUTES: Final = rb"""((?:[^>"']|"[^"]*"|'[^']*')*)"""
_ROW_OR_CELL: Final = re.compile(
    rb"<(?:\w+:)?row(?=[\s>])" + _ATTRIBUTES + rb">|<(?:\w+:)?c(?=[\s>])" + _ATTRIBUTES + rb">"
)
_PLACE: Final = re.compile(rb"""(?:^|\s)r\s*=\s*["']([A-Za-z]*)([0-9]*)["']""")
_PREFIXED: Final = re.compile(rb":(?:c|row)[\s>/]")
_DIMENSION: Final = re.compile(rb'<dimension ref="[A-Z]{1,3}[0-9]{1,7}:([A-Z]{1,2})([0-9]{1,6})"')
_ODS: Final = re.compile(rb"<(/?)table:(table-row|table-cell|covered-table-cell|table)(?=[\s>/])" + _ATTRIBUTES + rb">")
_REPEATED: Final = re.compile(rb"""table:number-(?:rows|columns)-repeated\s*=\s*["']\s*([0-9]{1,18})""")


def opened(content: bytes, unpacked: int) -> BytesIO:
    """The package with only its counted parts. Raises PeerViolation: workbook.package, workbook.bomb, workbook.too_large."""
    made = BytesIO()
    try:
        with zipfile.ZipFile(BytesIO(content)) as package, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as fresh:
            for name, part in _parts(package, len(content), unpacked):
                _check(name, part)
                fresh.writestr(zipfile.ZipInfo(name), part)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise PeerViolation("workbook.package", f"the package cannot be opened: {str(error)[:200]}") from None
    made.seek(0)
    return made


def _parts(package: zipfile.ZipFile, packed: int, unpacked: int) -> Iterator[tuple[str, bytes]]:
    """The parts that hold data: no macros, pictures or embedded files."""
    infos = package.infolist()
    if len(infos) > ENTRIES:
        raise PeerViolation("workbook.package", f"{len(infos)} parts, at most {ENTRIES} are opened")
    names = [info.filename.casefold() for info in infos]
    if len(set(names)) != len(names):
        raise PeerViolation("workbook.package", "a part stands twice in the package")
    left = unpacked
    for info in infos:
        if not _needed(info.filename):
            continue
        if info.flag_bits & 1:
            raise PeerViolation("workbook.package", "the workbook is protected by a password")
        if info.compress_type not in _METHODS:
            raise PeerViolation("workbook.package", "a part is packed by another method than DEFLATE")
        part = _inflated(package, info, left, unpacked)
        left -= len(part)
        if unpacked - left > max(RATIO_FROM, RATIO * packed):
            raise PeerViolation("workbook.bomb", f"{packed} bytes unpack to more than {RATIO} times as much")
        yield info.filename, part


def _needed(name: str) -> bool:
    return name == "mimetype" or (
        name.endswith((".xml", ".rels")) and "/media/" not in name and "/embeddings/" not in name
    )


def _inflated(package: zipfile.ZipFile, info: zipfile.ZipInfo, left: int, unpacked: int) -> bytes:
    """The part's bytes, counted as they come: one more than the archive says, or than is left, is never inflated."""
    with package.open(info) as part:
        # The end is met only where one more byte is asked for, and only there the checksum is looked at.
        found = part.read(min(left, max(info.file_size, 0)) + 1)
    if len(found) > left:
        raise PeerViolation("workbook.too_large", f"the workbook unpacks to more than {unpacked >> 20} MiB")
    return found


def _check(name: str, part: bytes) -> None:
    """No entities, and no cell far out."""
    if b"<!DOCTYPE" in part[:4096] or b"<!ENTITY" in part[:4096]:
        raise PeerViolation("workbook.package", f"{name[:100]} declares a DOCTYPE")
    if name.startswith("xl/worksheets/"):
        _check_sheet(part)
    elif name == "content.xml":
        _check_spreadsheet(part)


def _check_sheet(part: bytes) -> None:
    """No cell with a value beyond the limits, and no rectangle of blanks between a few of them."""
    said = _DIMENSION.search(part, 0, 4096)
    columns, rows = (_number(said[1]), int(said[2])) if said else (COLUMNS, ROWS)
    # The dimension is a claim; one pass shows that every cell stands within it, which nearly every sheet's does.
    if columns <= COLUMNS and 0 < rows < ROWS and 2 * rows * columns <= max(SPARSE, len(part) // 4):
        if not _PREFIXED.search(part) and not _outside(columns, str(rows)).search(part):
            return
    _check_places(part)


@lru_cache(maxsize=256)
def _outside(columns: int, rows: str) -> re.Pattern[bytes]:
    """Finds a cell that does not say at once that it stands within so many columns and rows, these rounded up to their
    first digit. Where each cell says so itself, what its row says of its number places nothing."""
    first, last = divmod(columns - 1, 26)
    letter = chr(65 + last)
    letters = f"[A-Z]|[A-{chr(63 + first)}][A-Z]|{chr(64 + first)}[A-{letter}]" if first > 1 else (
        f"[A-Z]|A[A-{letter}]" if first else f"[A-{letter}]"
    )  # fmt: skip
    number = f"[1-{rows[0]}]?[0-9]{{1,{len(rows) - 1}}}" if len(rows) > 1 else "[0-9]"
    return re.compile(f'<c(?! r="(?:{letters}){number}")[\\s>/]'.encode())


def _check_places(part: bytes) -> None:
    row, column, rows, columns = 0, 0, 0, 0
    for found in _ROW_OR_CELL.finditer(part):
        if found[1] is not None:
            row, column = row + 1, 0
            if place := _PLACE.search(found[1]):
                row = int(place[2] or b"0")
            continue
        column += 1
        if place := _PLACE.search(found[2]):
            column, row = _number(place[1]) or column, int(place[2] or b"0") or row
        # A closed cell has a style and no value; whole rows of them are common and cost nothing.
        if not found[2].endswith(b"/"):
            _refuse_far(row, column)
            rows, columns = max(rows, row), max(columns, column)
    refuse_sparse(rows, columns, len(part))


def _number(letters: bytes) -> int:
    number = 0
    for letter in letters.upper()[:7]:
        number = number * 26 + letter - 64
    return number


def _refuse_far(row: int, column: int) -> None:
    if row > ROWS or column > COLUMNS:
        raise PeerViolation(
            "workbook.too_large",
            f"a cell at row {row}, column {column}; at most {ROWS} rows of {COLUMNS} columns are read",
        )


def _check_spreadsheet(part: bytes) -> None:
    """No value beyond the limits in an OpenDocument sheet, where a blank or a row may stand for a million."""
    row = column = repeat = last = rows = columns = 0
    for found in _ODS.finditer(part):
        closing, name, attributes = found.groups()
        number = int(times[1]) if (times := _REPEATED.search(attributes)) else 1
        if name == b"table":
            row = rows = columns = 0
        elif name == b"table-row" and not closing:
            row, column, repeat, last = row, 0, number, 0
            row += repeat if attributes.endswith(b"/") else 0
        elif name == b"table-row":
            row += repeat
            if last:
                _refuse_far(row, last)
                rows, columns = max(rows, row), max(columns, last)
                refuse_sparse(rows, columns, len(part))
        elif not closing:
            column += number
            # A closed cell without a value is a blank; only what has a value takes the rectangle so far.
            if not attributes.endswith(b"/") or b"value" in attributes or b"formula" in attributes:
                last = column
                _refuse_far(row + 1, last)
