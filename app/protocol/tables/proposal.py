"""A table nobody has described yet: where its header stands and which columns identify its rows, with evidence."""

import re
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import islice
from statistics import median
from typing import BinaryIO, Final, NamedTuple

from app.protocol import keys
from app.protocol.errors import PeerViolation
from app.protocol.tables import encoding
from app.protocol.tables.delimited import DELIMITERS, rows
from app.protocol.tables.layout import COLUMNS, HEAD_ROWS, column_names, trimmed

_VALUE: Final = re.compile(r"[-+]?[\d.,:/%\s-]+|\w+://.*", re.ASCII)
_MARKED: Final = re.compile(rb"[\xef\xbb\xbf\s]*[<{\[%]")
SAMPLE: Final = 1 << 20
"""Bytes of a text that are looked at."""


class Table(NamedTuple):
    """What a table was found to be: its column names, the identifying ones, and the reasons in words."""

    columns: tuple[str, ...]
    key: keys.Key
    reasons: tuple[str, ...]


def of_text(body: BinaryIO, charset: str | None = None) -> Table | None:
    """Delimited text, by the delimiter that gives the widest header with rows that fit below it; None for other text."""
    body.seek(0)
    sample = body.read(SAMPLE)
    if not sample.strip() or _MARKED.match(sample):
        return None
    whole = len(sample) < SAMPLE
    found = encoding.detect(body, charset)
    tables = [_delimited(sample, found, delimiter, whole) for delimiter in DELIMITERS]
    best = max((table for table in tables if table), key=lambda table: len(table.columns), default=None)
    if best is None:
        return None
    return best._replace(reasons=(f"text in {found.codec}", *best.reasons))


def _delimited(sample: bytes, found: encoding.Encoding, delimiter: str, whole: bool) -> Table | None:
    cut: list[Sequence[str]] = []
    try:
        for row in islice(rows(BytesIO(sample), found.codec, delimiter, found.mark), keys.SAMPLES + HEAD_ROWS):
            cut += [] if row.fault else [row.cells]
    except PeerViolation:
        return None
    # The sample may end inside its last row.
    table = of_rows(cut if whole else cut[:-1])
    named = {"\t": "tab"}.get(delimiter, delimiter)
    return table and table._replace(reasons=(f"columns are separated by {named}", *table.reasons))


def of_rows(rows: Sequence[Sequence[str]]) -> Table | None:
    """The header is the first row as wide as the rows below it whose cells are names and no values."""
    rows = [trimmed(row) for row in rows]
    widths = [len(row) for row in rows if len(row) > 1]
    if not widths:
        return None
    usual = median(widths)
    for place, header in enumerate(rows[:HEAD_ROWS]):
        below = [row for row in rows[place + 1 :] if 1 < len(row) <= len(header)]
        if len(header) < 0.8 * usual or not _names(header) or len(below) * 2 < len(rows) - place - 1 or not below:
            continue
        columns = column_names(header)
        # A column with a gap in its header is no key that a person would name.
        named = {name: n for n, name in enumerate(columns) if header[n].strip()}
        values = {
            name: [row[n].strip() if n < len(row) else "" for row in below[: keys.SAMPLES]] for name, n in named.items()
        }
        key = keys.proposed(values)
        said = f"row {place + 1} is a header of {len(columns)} columns: {', '.join(columns[:8])[:200]}"
        return Table(columns, key, (said, *key.reasons)) if key else None
    return None


def _names(header: Sequence[str]) -> bool:
    """Whether cells are names: filled for the most part, all different, neither numbers nor addresses."""
    filled = [cell.strip() for cell in header if cell.strip()]
    words = [cell for cell in filled if not _VALUE.fullmatch(cell) and len(cell) <= 100]
    fit = 1 < len(filled) <= COLUMNS and len(filled) * 2 >= len(header) and len(words) * 10 >= len(filled) * 9
    return fit and len(set(filled)) == len(filled)


def of_sheets(sheets: Iterator[tuple[str, Sequence[Sequence[str]]]]) -> Table | None:
    """The sheet with most rows decides; its key must stand in every sheet that is to be read."""
    tables = [(len(rows), name, table) for name, rows in sheets if (table := of_rows(rows))]
    if not tables:
        return None
    _, name, best = max(tables, key=lambda found: found[0])
    return best._replace(reasons=(f"sheet {name!r}", *best.reasons))
