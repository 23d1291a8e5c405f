"""Delimited text (RFC 4180 and what spreadsheets make of it): exact rows, each judged alone.

A line without a quotation mark is a row, and is cut at its delimiters. From a line with one on Python's reader takes
one line after the other, so that the lines it took for a row are that row's bytes. It runs strictly: a quotation mark
that goes wrong refuses the line it stands in, and reading goes on at the next one; nothing behind it is swallowed or
moved.
"""

import csv
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, Final, Literal, NamedTuple, NoReturn

import orjson
from pydantic import BaseModel, ConfigDict, Field, field_validator

from app.protocol.connector import Draft, Entry, Fault
from app.protocol.errors import PeerViolation
from app.protocol.files import PAGE, Cut, misplaced, place, settled
from app.protocol.seen import Seen
from app.protocol.tables.encoding import Encoding, allowed, detect
from app.protocol.tables.layout import HEAD_ROWS, Layout, column_name, column_names, find_header, stamped, trimmed
from app.protocol.tables.lines import LINE, LINE_LIMIT, decoded, lines

DELIMITERS: Final = (",", "\t", ";", "|")
ROW_LINES: Final = 1000
"""The lines one quoted row may have; a mark that is never closed costs no more than this."""
ROLLBACKS: Final = 100
_FIELD: Final = 131_072
"""Characters of a field that Python's reader takes."""
_BOOK: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


class Row(NamedTuple):
    """A row with its exact bytes, the line it begins in, and where the next one begins."""

    cells: list[str]
    raw: bytes
    line: int
    next_line: int
    next_offset: int
    fault: Fault | None = None


class _Runaway(Exception):
    """A quotation mark is not closed within any honest row."""


class _Feed:
    """Lines for Python's reader, and those it took for the row at hand; lines can be given back, also at the end."""

    def __init__(self, source: Iterator[bytes], codec: str) -> None:
        self._source, self._codec = source, codec
        self.returned: deque[bytes] = deque()
        self.taken: list[bytes] = []
        self._size = 0

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        line = self.returned.popleft() if self.returned else next(self._source)
        self.taken.append(line)
        self._size += len(line)
        if len(self.taken) > ROW_LINES or self._size > 2 * LINE_LIMIT:
            raise _Runaway("a quotation mark is opened and not closed")
        return decoded(line, self._codec)

    def row(self) -> None:
        """A new row begins."""
        self.taken, self._size = [], 0


class _Careful:
    """Rows as Python's reader cuts them, for lines that need it."""

    def __init__(self, source: Iterator[bytes], codec: str, delimiter: str) -> None:
        self._feed = _Feed(source, codec)
        self._reader = csv.reader(self._feed, delimiter=delimiter, strict=True)
        self._rollbacks = 0

    def rows(self, first: bytes, line: int) -> Iterator[tuple[list[str], list[bytes], Fault | None]]:
        """(cells, lines, fault) of the row that begins with this line, then of all that a bad row gave back.

        Raises PeerViolation `table.quote` when too many rows have swallowed others.
        """
        self._feed.returned.append(first)
        while self._feed.returned:
            self._feed.row()
            try:
                cells, fault = next(self._reader), None
            except (csv.Error, _Runaway) as error:
                cells, fault = [], Fault("table.quote", f"the row's quotation marks do not fit: {error}")
                self._give_back(line)
            yield cells, self._feed.taken, fault
            line += len(self._feed.taken)

    def _give_back(self, line: int) -> None:
        """The line in which the row began is refused; the others it took are read again as rows of their own."""
        taken = self._feed.taken
        self._rollbacks += len(taken) > 1
        if self._rollbacks > ROLLBACKS:
            raise PeerViolation("table.quote", f"line {line}: more than {ROLLBACKS} rows with a stray quotation mark")
        self._feed.returned.extendleft(reversed(taken[1:]))
        del taken[1:]


def rows(body: BinaryIO, codec: str, delimiter: str, offset: int = 0, line: int = 1) -> Iterator[Row]:
    """The rows of a text from an offset: `Row` after `Row`, never an exception for a bad one.

    Raises PeerViolation: `file.line_too_long`; `table.quote` when too many rows have swallowed others.
    """
    source = lines(body, codec, offset, line)
    careful = _Careful(source, codec, delimiter)
    for raw in source:
        cells = plain(decoded(raw, codec), delimiter)
        if cells is not None:
            offset += len(raw)
            yield Row(cells, raw, line, line + 1, offset)
            line += 1
            continue
        for found, taken, fault in careful.rows(raw, line):
            whole = b"".join(taken)
            offset += len(whole)
            yield Row(found, whole, line, line + len(taken), offset, fault)
            line += len(taken)


def plain(line: str, delimiter: str) -> list[str] | None:
    """The cells of a line without a quotation mark, as Python's reader cuts them; None where it must be asked."""
    text = line.rstrip("\r\n")
    if '"' in text or "\n" in text or "\r" in text or len(text) > _FIELD:
        return None
    return text.split(delimiter)


@dataclass(frozen=True)
class Found:
    """What has been found out about a file before its first record."""

    encoding: Encoding
    delimiter: str
    layout: Layout
    offset: int
    line: int

    def context(self) -> bytes:
        """What a row's bytes need to be read again."""
        return orjson.dumps(
            {"encoding": self.encoding.codec, "delimiter": self.delimiter, "columns": self.layout.columns}
        )


class Delimited(BaseModel):
    """CSV or TSV: what its owner says of it, and what is found out otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    id_columns: list[str] = Field(
        min_length=1, max_length=8, description="the column, or columns together, that identify a row"
    )
    encoding: Literal["auto", "utf-8", "utf-16", "utf-16-be", "gb18030", "gbk", "gb2312", "big5"] = "auto"
    delimiter: Literal["auto", ",", "\t", ";", "|"] = "auto"
    columns: list[str] | None = Field(
        default=None, min_length=1, max_length=256, description="names, for a file without a header"
    )
    fill: bool = Field(default=False, description="short rows lack empty cells at their end, and are not damaged")
    stamp_column: str | None = None

    @field_validator("id_columns")
    @classmethod
    def _as_columns(cls, names: list[str]) -> list[str]:
        found = [column_name(name) for name in names]
        if not all(found) or len(set(found)) != len(found):
            raise ValueError("each identifying column needs a name of its own")
        return found

    def cut(self, body: BinaryIO, at: Mapping[str, Any], charset: str | None) -> Iterator[Cut]:
        """The rows from `at` in stretches of PAGE. Raises PeerViolation: table.*, file.*."""
        found = self.found(body, charset)
        context, begin = found.context(), at.get("line", 1)
        entries: list[Entry] = []
        lost = 0
        for row, entry, unknown in self._entries(body, found):
            if row.line < begin:
                continue
            entries.append(entry)
            lost += unknown
            if len(entries) == PAGE:
                yield Cut(entries, context, {"line": row.next_line}, lost)
                entries, lost = [], 0
        yield Cut(entries, context, None, lost)

    def _entries(self, body: BinaryIO, found: Found) -> Iterator[tuple[Row, Entry, bool]]:
        """(row, entry, whether it has lost its name); always from the beginning, to know what repeats."""
        seen, layout = Seen(), found.layout
        stamp = layout.place(self.stamp_column)
        for row in rows(body, found.encoding.codec, found.delimiter, found.offset, found.line):
            name = row.fault or layout.identify(row.cells)
            if name is None:
                continue
            unknown = isinstance(name, Fault)
            if isinstance(name, Fault) or not seen.add(name):
                name = place(row.line)
            yield row, Entry(name, row.raw, stamped(row.cells, stamp)), unknown

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """Each row as `{"column": "value"}`."""
        told = orjson.loads(context) if context else {}
        codec, delimiter = told.get("encoding", "utf-8"), told.get("delimiter", ",")
        try:
            layout = self._layout(told.get("columns", self.id_columns))
        except PeerViolation as error:
            yield from (misplaced(entry, Fault(error.kind, error.detail)) for entry in entries)
            return
        for entry in entries:
            made = _draft(entry, layout, codec, delimiter)
            yield misplaced(entry, made) if isinstance(made, Fault) else made

    def found(self, body: BinaryIO, charset: str | None = None) -> Found:
        """Encoding, delimiter and header of a file. Raises PeerViolation `table.encoding`, `table.header`, `file.format`."""
        body.seek(0)
        if body.read(4) in _BOOK:
            raise PeerViolation("file.format", "this is a workbook and no text; register it with the connector `excel`")
        encoding = detect(body, charset) if self.encoding == "auto" else self._said(body)
        tried = [_tried(body, encoding, delimiter) for delimiter in self._delimiters()]
        if self.columns is not None:
            named = list(column_names(self.columns))
            _, delimiter = max(tried, key=lambda found: sum(1 for row in found[0] if len(row.cells) == len(named)))
            return Found(encoding, delimiter, self._layout(named), encoding.mark, 1)
        best: Found | None = None
        for head, delimiter in tried:
            header = find_header((row.cells for row in head), self.id_columns)
            if header and (best is None or len(header[1]) > len(best.layout.columns)):
                row = head[header[0]]
                best = Found(encoding, delimiter, self._layout(header[1]), row.next_offset, row.next_line)
        return best or _no_header(tried, self.id_columns)

    def _delimiters(self) -> tuple[str, ...]:
        return DELIMITERS if self.delimiter == "auto" else (self.delimiter,)

    def _said(self, body: BinaryIO) -> Encoding:
        """The encoding that the configuration names; only the mark is looked at."""
        codec = allowed(self.encoding)
        body.seek(0)
        head = body.read(3)
        marks = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
        return Encoding(codec, len(marks[codec]) if codec in marks and head.startswith(marks[codec]) else 0)

    def _layout(self, columns: Sequence[str]) -> Layout:
        if lacking := [name for name in self.id_columns if name not in columns]:
            raise PeerViolation("table.header", f"there is no column {', '.join(lacking)[:200]}")
        return Layout(tuple(columns), tuple(self.id_columns), self.fill)


def _draft(entry: Entry, layout: Layout, codec: str, delimiter: str) -> Draft | Fault:
    try:
        text = entry.raw.decode(codec)
        # What nearly every entry is: one line, no quotation mark.
        cells = plain(text, delimiter) or _only_row(text, delimiter)
    except UnicodeDecodeError as error:
        return Fault("table.encoding", f"byte {error.start} of the row is not {codec}")
    except (csv.Error, ValueError) as error:
        return Fault("table.quote", f"the row's quotation marks do not fit: {error}")
    if layout.names(cells, entry.identifier):
        return layout.draft(cells)
    name = layout.identify(cells)
    return name if isinstance(name, Fault) else settled(entry, name or "", layout.draft(cells))


def _only_row(text: str, delimiter: str) -> list[str]:
    """Raises csv.Error or ValueError where the text is not one row."""
    cells, *more = csv.reader(LINE.findall(text), delimiter=delimiter, strict=True)
    if more:
        raise ValueError("the bytes are more than one row")
    return cells


def _tried(body: BinaryIO, encoding: Encoding, delimiter: str) -> tuple[list[Row], str]:
    """The first rows as this delimiter cuts them."""
    return list(islice(rows(body, encoding.codec, delimiter, encoding.mark), HEAD_ROWS)), delimiter


def _no_header(tried: Sequence[tuple[list[Row], str]], id_columns: Sequence[str]) -> NoReturn:
    head, _ = max(tried, key=lambda found: max((len(row.cells) for row in found[0]), default=0))
    widest = max((row.cells for row in head), key=len, default=[])
    seen = ", ".join(column_names(trimmed(widest)[:20]))[:300]
    raise PeerViolation(
        "table.header", f"none of the first {HEAD_ROWS} rows names {', '.join(id_columns)}; the widest row is: {seen}"
    )
