"""A workbook's package opened with bounds: what the library reads are bytes that have been counted and looked at.

XLSX and ODS are ZIP archives. The needed parts are inflated here under limits and handed on in a fresh archive, so
that lying sizes, duplicate names, macros and pictures never reach the library; and no cell may stand so far out
that the library, which keeps a rectangle, would fill the memory with blanks (safety 1.6).
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Final

from app.protocol.errors import PeerViolation

ROWS: Final = 200_000
COLUMNS: Final = 256
ENTRIES: Final = 1_000
RATIO: Final = 100
RATIO_FROM: Final = 1 << 20
BLOCK: Final = 1 << 18
_ATTRIBUTES: Final = rb"""((?:[^>"']|"[^"]*"|'[^']*')*)"""
_ROW_OR_CELL: Final = re.compile(
    rb"<(?:\w+:)?row(?=[\s>])" + _ATTRIBUTES + rb">|<(?:\w+:)?c(?=[\s>])" + _ATTRIBUTES + rb">"
)
_PLACE: Final = re.compile(rb"""(?:^|\s)r\s*=\s*["']([A-Za-z]*)([0-9]*)["']""")
# A place beyond column IV or row 199,999: no sheet of an honest size has one, so the exact look is seldom needed.
_FAR: Final = re.compile(
    rb' r="(?:(?:[A-Za-z]{3,}|[Ii][W-Zw-z]|[J-Zj-z][A-Za-z])[0-9]|[A-Za-z]*(?:[0-9]{7}|[2-9][0-9]{5}))'
)
_ODS: Final = re.compile(rb"<(/?)table:(table-row|table-cell|covered-table-cell|table)(?=[\s>/])" + _ATTRIBUTES + rb">")
_REPEATED: Final = re.compile(rb"""table:number-(?:rows|columns)-repeated\s*=\s*["']\s*([0-9]{1,18})""")


def opened(content: bytes, unpacked: int) -> BytesIO:
    """The package with only its counted parts. Raises PeerViolation: workbook.package, workbook.bomb, workbook.too_large."""
    try:
        with zipfile.ZipFile(BytesIO(content)) as package:
            parts = dict(_parts(package, len(content), unpacked))
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise PeerViolation("workbook.package", f"the package cannot be opened: {str(error)[:200]}") from None
    for name, part in parts.items():
        if b"<!DOCTYPE" in part[:4096] or b"<!ENTITY" in part[:4096]:
            raise PeerViolation("workbook.package", f"{name[:100]} declares a DOCTYPE")
        if name.startswith("xl/worksheets/"):
            _check_sheet(part)
        elif name == "content.xml":
            _check_spreadsheet(part)
    made = BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as fresh:
        for name, part in parts.items():
            fresh.writestr(zipfile.ZipInfo(name), part)
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
    """The part's bytes, counted as they come: what the archive says of their number is not believed."""
    blocks: list[bytes] = []
    with package.open(info) as part:
        while block := part.read(BLOCK):
            left -= len(block)
            if left < 0:
                raise PeerViolation("workbook.too_large", f"the workbook unpacks to more than {unpacked >> 20} MiB")
            blocks.append(block)
    return b"".join(blocks)


def _check_sheet(part: bytes) -> None:
    """No cell with a value beyond the limits, wherever `dimension` says the sheet ends."""
    if _placed(part) and not _FAR.search(part):
        return
    row, column = 0, 0
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


def _placed(part: bytes) -> bool:
    """Whether every row and cell begins with where it stands, as all known writers do: then none is further out."""
    if b":c" in part or b":row" in part:
        return False
    others = sum(part.count(name) for name in (b"<col", b"<conditionalFormatting", b"<cfRule", b"<cfvo"))
    rows = part.count(b"<row") == part.count(b'<row r="') + part.count(b"<rowBreaks")
    return rows and part.count(b"<c") == part.count(b'<c r="') + others


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
    row = column = repeat = last = 0
    for found in _ODS.finditer(part):
        closing, name, attributes = found.groups()
        number = int(times[1]) if (times := _REPEATED.search(attributes)) else 1
        if name == b"table":
            row = 0
        elif name == b"table-row" and not closing:
            row, column, repeat, last = row, 0, number, 0
            row += repeat if attributes.endswith(b"/") else 0
        elif name == b"table-row":
            row += repeat
            if last:
                _refuse_far(row, last)
        elif not closing:
            column += number
            # A closed cell without a value is a blank; only what has a value takes the rectangle so far.
            if not attributes.endswith(b"/") or b"value" in attributes or b"formula" in attributes:
                last = column
                _refuse_far(row + 1, last)
