"""Workbooks: XLSX, XLS and ODS as rows of texts, judged by the same rules as rows of a text file."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO
from itertools import islice
from typing import Any, BinaryIO, Final, NamedTuple

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator
from python_calamine import CalamineError, CalamineSheet, CalamineWorkbook, SheetTypeEnum, SheetVisibleEnum

from app.protocol.connector import Draft, Entry, Fault
from app.protocol.errors import PeerViolation
from app.protocol.files import PAGE, Cut, misplaced, place, settled
from app.protocol.keys import SAMPLES
from app.protocol.seen import Seen
from app.protocol.tables import binary
from app.protocol.tables.layout import HEAD_ROWS, Layout, column_name, find_header, stamped, trimmed
from app.protocol.tables.package import COLUMNS, ROWS, opened

SHEET: Final = "_sheet"
"""The key under which a row's draft holds the name of its sheet: often the stage or the subject of all its rows."""
_ZIP: Final = b"PK\x03\x04"
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_EXACT: Final = 1e15
"""A spreadsheet keeps 15 digits of a number; a longer one has been rounded when it was typed."""


Rows = Callable[[], Iterable[Sequence[Any]]]


class Sheet(NamedTuple):
    """A sheet with records: its rows, the row its first record stands in (from 1), what its columns mean."""

    name: str
    rows: Iterable[Sequence[Any]]
    first: int
    layout: Layout

    def context(self) -> bytes:
        """What a row's values need to be read again."""
        return orjson.dumps({"sheet": self.name, "columns": self.layout.columns})


class Workbook(BaseModel):
    """XLSX, XLS or ODS: what its owner says of it; every sheet whose first rows name the identifying columns is read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id_columns: list[str] = Field(
        min_length=1, max_length=8, description="the column, or columns together, that identify a row"
    )
    sheet: str | None = Field(default=None, max_length=100, description="only this sheet")
    stamp_column: str | None = None
    unpacked_mib: int = Field(default=50, ge=1, le=512, description="the largest workbook, unpacked")

    @field_validator("id_columns")
    @classmethod
    def _as_columns(cls, names: list[str]) -> list[str]:
        found = [column_name(name) for name in names]
        if not all(found) or len(set(found)) != len(found):
            raise ValueError("each identifying column needs a name of its own")
        return found

    def cut(self, body: BinaryIO, at: Mapping[str, Any], charset: str | None) -> Iterator[Cut]:
        """The rows from `at` in stretches of PAGE, none of them across two sheets. Raises PeerViolation: workbook.*, table.header."""
        begin, seen, context = (at.get("sheet", 0), at.get("row", 1)), Seen(), b""
        held: Cut | None = None
        for number, sheet in enumerate(self.sheets(body)):
            if held is not None:
                yield held._replace(at={"sheet": number, "row": 1})
            held, context = None, sheet.context()
            first = begin[1] if number == begin[0] else 1 if number > begin[0] else ROWS + 1
            for entries, lost, following in self._stretches(sheet, seen, number, first):
                made = Cut(entries, context, {"sheet": number, "row": following} if following else None, lost)
                if following:
                    yield made
                else:
                    held = made
        yield held or Cut([], context, None)

    def _stretches(self, sheet: Sheet, seen: Seen, number: int, first: int) -> Iterator[tuple[list[Entry], int, int]]:
        """(entries, how many of them have lost their names, the next row) from a row on; the last has no next row."""
        layout, part = sheet.layout, sheet.name if number else ""
        stamp = layout.place(self.stamp_column)
        entries: list[Entry] = []
        lost = 0
        for row, values in enumerate(islice(sheet.rows, sheet.first - 1, None), sheet.first):
            cells, raw = written(values)
            name = layout.identify(cells)
            if name is None:
                continue
            unknown = isinstance(name, Fault)
            if isinstance(name, Fault) or not seen.add(name):
                name = place(row, part)
            if row < first:  # read before; what repeats must be known
                continue
            entries.append(Entry(name, raw, stamped(cells, stamp) if stamp is not None else None))
            lost += unknown
            if len(entries) == PAGE:
                yield entries, lost, row + 1
                entries, lost = [], 0
        if entries:
            yield entries, lost, 0

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """Each row as `{"column": "value", "_sheet": "..."}`."""
        told = orjson.loads(context) if context else {}
        columns, sheet = tuple(told.get("columns", self.id_columns)), told.get("sheet", "")
        layout = Layout(columns, tuple(self.id_columns), fill=True)
        lacking = [name for name in self.id_columns if name not in columns]
        for entry in entries:
            made = (
                Fault("table.header", f"there is no column {lacking[0]}") if lacking else _draft(entry, layout, sheet)
            )
            yield misplaced(entry, made) if isinstance(made, Fault) else made

    def sheets(self, body: BinaryIO) -> list[Sheet]:
        """The sheets that have records. Raises PeerViolation: workbook.*, `table.header`, `file.format`."""
        found: list[Sheet] = []
        skipped: list[str] = []
        for name, rows in _tables(body, self.unpacked_mib << 20, self.sheet):
            head = [[text(value) for value in row] for row in islice(rows(), HEAD_ROWS)]
            if header := find_header(head, self.id_columns):
                layout = Layout(header[1], tuple(self.id_columns), fill=True)
                found.append(Sheet(name, rows(), header[0] + 2, layout))
            else:
                skipped.append(name)
        if not found:
            wanted, sheets = ", ".join(self.id_columns), ", ".join(map(repr, skipped[:10])) or "none that can be read"
            raise PeerViolation(
                "table.header", f"no sheet names {wanted} in its first {HEAD_ROWS} rows; sheets: {sheets}"
            )
        return found


def samples(body: BinaryIO, unpacked: int = 50 << 20) -> Iterator[tuple[str, list[list[str]]]]:
    """Each visible sheet with its first rows as texts. Raises PeerViolation: workbook.*, `file.format`."""
    for name, rows in _tables(body, unpacked, None):
        yield name, [[text(value) for value in row] for row in islice(rows(), HEAD_ROWS + SAMPLES)]


def text(value: Any) -> str:
    """A cell's value as text: whole numbers without a point, dates as ISO 8601, rounded numbers as such."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if abs(value) >= _EXACT:
            return f"{value:.14E}"
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime):
        return value.isoformat() if value.time() != time() else value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value.total_seconds() if isinstance(value, timedelta) else value)


def written(values: Sequence[Any]) -> tuple[Sequence[str], bytes]:
    """A row's cells as texts, and its bytes: the texts separated by tabs, or a JSON array where that would not do."""
    try:
        line = "\t".join(values)
    except TypeError:  # numbers, dates and the like
        values = [text(value) for value in values]
        line = "\t".join(values)
    cells: Sequence[str] = values
    if not values or not values[-1].strip():
        cells = trimmed(values)
        line = "\t".join(cells)
    if line[:1] == "[" or line.count("\t") >= len(cells):
        return cells, orjson.dumps(cells)
    return cells, line.encode()


def cells_of(raw: bytes) -> list[str] | None:
    """The texts behind a row's bytes; None where they are no row's."""
    try:
        if raw[:1] != b"[":
            return raw.decode().split("\t")
        cells: list[str] = orjson.loads(raw)
        return cells if all(isinstance(cell, str) for cell in cells) else None
    except (orjson.JSONDecodeError, UnicodeDecodeError):
        return None


def _draft(entry: Entry, layout: Layout, sheet: str) -> Draft | Fault:
    cells = cells_of(entry.raw)
    if cells is None:
        return Fault("table.identifier", "the bytes are no row of a workbook")
    named = layout.names(cells, entry.identifier)
    name = entry.identifier if named else layout.identify(cells)
    if isinstance(name, Fault):
        return name
    draft = layout.draft(cells)
    draft[SHEET] = sheet
    return draft if named else settled(entry, name or "", draft)


def _tables(body: BinaryIO, unpacked: int, only: str | None) -> Iterator[tuple[str, Rows]]:
    """Each visible sheet, or the one of this name, with what gives its rows from the first."""
    body.seek(0)
    content = body.read(unpacked + 1)
    if len(content) > unpacked:
        raise PeerViolation("workbook.too_large", f"the file has more than {unpacked >> 20} MiB")
    if content.startswith(_COMPOUND):
        yield from ((name, rows) for name, rows in binary.sheets(content) if only in (None, name))
        return
    if not content.startswith(_ZIP):
        raise PeerViolation("file.format", "this is no workbook (XLSX, XLS, ODS); for text register it with `csv`")
    book = _book(opened(content, unpacked))
    for meta in book.sheets_metadata:
        if only in (None, meta.name) and _shown(meta.typ, meta.visible):
            yield meta.name, _rows(book, meta.name).iter_rows


def _book(package: BytesIO) -> CalamineWorkbook:
    try:
        return CalamineWorkbook.from_filelike(package)
    except CalamineError as error:
        raise PeerViolation("workbook.package", f"the workbook cannot be opened: {str(error)[:200]}") from None
    # A panic of the library (Rust) is no Exception; whatever a file makes it do is the file's fault.
    except BaseException as error:
        raise _panicked(error) from None


def _rows(book: CalamineWorkbook, name: str) -> CalamineSheet:
    try:
        sheet = book.get_sheet_by_name(name)
        if sheet.total_height > ROWS or sheet.total_width > COLUMNS:
            raise PeerViolation(
                "workbook.too_large", f"sheet {name[:100]!r} has more than {ROWS} rows of {COLUMNS} columns"
            )
        return sheet
    except CalamineError as error:
        raise PeerViolation("workbook.package", f"sheet {name[:100]!r} cannot be read: {str(error)[:200]}") from None
    except PeerViolation:
        raise
    except BaseException as error:
        raise _panicked(error) from None


def _panicked(error: BaseException) -> BaseException:
    if type(error).__name__ == "PanicException":
        return PeerViolation("workbook.package", f"the workbook cannot be read: {str(error)[:200]}")
    return error


def _shown(kind: SheetTypeEnum, visible: SheetVisibleEnum) -> bool:
    return kind == SheetTypeEnum.WorkSheet and visible == SheetVisibleEnum.Visible
