"""What the rows of one table mean: names of the columns, which of them identify, and which rows are no records.

Shared by text files and workbooks, so that a row is judged by the same rules wherever it came from.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from app.protocol.connector import Draft, Fault
from app.protocol.errors import PeerViolation

HEAD_ROWS: Final = 50
"""The header stands among the first rows: what is above are title rows."""
COLUMNS: Final = 256
# Blanks, what a path is made of, and what no database and no JSON can hold.
_UNSAID: Final = re.compile("[\\s.\\[\\]=\ufeff\0-\x1f\x7f-\x9f\ud800-\udfff]+")
_UNKEPT: Final = re.compile("[\0\ud800-\udfff]")
_ROUNDED: Final = re.compile(r"\d(\.\d+)?[Ee]\+\d{2,}")


def column_name(text: str) -> str:
    """A header's text as a name that a mapping's path can hold: `edX Subject 1` -> `edX_Subject_1`."""
    return _UNSAID.sub("_", text.strip()).strip("_")


def column_names(header: Sequence[str]) -> tuple[str, ...]:
    """A name for each column: an empty header becomes `column_16`, a second `name` becomes `name_2`."""
    names: list[str] = []
    for place, text in enumerate(header, 1):
        name = column_name(text) or f"column_{place}"
        number, chosen = 1, name
        while chosen in names:
            number += 1
            chosen = f"{name}_{number}"
        names.append(chosen)
    return tuple(names)


def trimmed(cells: Sequence[str]) -> Sequence[str]:
    """The cells without the empty ones at the end, which spreadsheets add as they like."""
    size = len(cells)
    while size and not cells[size - 1].strip():
        size -= 1
    return cells if size == len(cells) else cells[:size]


@dataclass(frozen=True)
class Layout:
    """The columns of a table and how its rows are told apart."""

    columns: tuple[str, ...]
    id_columns: tuple[str, ...]
    fill: bool = False

    @cached_property
    def _ids(self) -> tuple[int, ...]:
        return tuple(self.columns.index(name) for name in self.id_columns)

    def identify(self, cells: Sequence[str]) -> str | Fault | None:
        """A row's identifier; None for rows that are no records: blank, subtitles, the header once more.

        A fault, with the rule that is broken, where the row cannot be told apart from others.
        """
        place = self.key
        if place is not None and place < len(cells) and self._fits(cells):
            value = cells[place].strip()
            # What every question below would let pass, and is no subtitle whatever stands beside it.
            if value.isascii() and value.isprintable() and value and value[0] != self._letter:
                if " " not in value and "+" not in value:
                    return value
        return self._judged(cells)

    @cached_property
    def key(self) -> int | None:
        """The place of the identifying column, where it is one alone."""
        return self._ids[0] if len(self._ids) == 1 else None

    @cached_property
    def _letter(self) -> str:
        return self.id_columns[0][0]

    @cached_property
    def _width(self) -> int:
        return len(self.columns)

    @cached_property
    def _blank(self) -> Draft:
        """A row of empty cells; a copy of it is filled faster than a dictionary grows."""
        return dict.fromkeys(self.columns, "")

    def _fits(self, cells: Sequence[str]) -> bool:
        return len(cells) == self._width or (self.fill and len(cells) < self._width)

    def _judged(self, cells: Sequence[str]) -> str | Fault | None:
        filled = sum(1 for cell in cells if cell.strip())
        if not filled or (filled == 1 and self._subtitle(cells)):
            return None
        size = min(len(cells), max(self._width, len(trimmed(cells))))
        if size > self._width or (size < self._width and not self.fill):
            return Fault("table.ragged", f"the row has {size} cells, the header has {self._width}")
        return self._named(cells)

    def _subtitle(self, cells: Sequence[str]) -> bool:
        """A lone text in a table of three columns or more; a lone identifier (ASCII, no blank) is a poor record."""
        lone = next(cell for cell in cells if cell.strip()).strip()
        in_ids = any(place < len(cells) and cells[place].strip() for place in self._ids)
        return self._width > 2 and not (in_ids and lone.isascii() and " " not in lone)

    def _named(self, cells: Sequence[str]) -> str | Fault | None:
        values = [cells[place].strip() if place < len(cells) else "" for place in self._ids]
        for name, value in zip(self.id_columns, values, strict=True):
            if not value:
                # Rows of a longer table print their header again on each page, and totals have no identifier.
                return Fault("record.id_missing", f"the row has nothing in the column {name}", name)
            if not value.isprintable() and _UNKEPT.search(value):
                return Fault("table.identifier", "the identifier holds bytes that are no text", name)
            if "+" in value and _ROUNDED.fullmatch(value):
                return Fault("table.id_rounded", "a spreadsheet has rounded this number", name, value[:200])
        if values[0][0] == self._letter and column_name(values[0]) == self.id_columns[0] and self._again(cells):
            return None
        return identifier(values)

    def _again(self, cells: Sequence[str]) -> bool:
        """Whether this is the header once more."""
        return column_names(trimmed(cells))[: self._width] == self.columns[: len(trimmed(cells))]

    def names(self, cells: Sequence[str], name: str) -> bool:
        """Whether a row that was identified before is still the one of this name, and needs no more questions."""
        place = self.key
        return place is not None and place < len(cells) and cells[place] == name and self._fits(cells)

    def place(self, name: str | None) -> int | None:
        """The place of a column, named as a mapping does or as the header does; None for one that is not there."""
        wanted = column_name(name or "")
        return self.columns.index(wanted) if wanted in self.columns else None

    def draft(self, cells: Sequence[str]) -> Draft:
        """The row as the mapping reads it: every column with its text, the missing ones empty."""
        draft = self._blank.copy()
        draft.update(zip(self.columns, cells, strict=False))
        return draft


def identifier(values: Sequence[str]) -> str:
    """One value as it is; several joined by `|`, which is escaped inside them, so that no two rows can meet."""
    if len(values) == 1:
        return values[0]
    return "|".join(value.replace("%", "%25").replace("|", "%7C") for value in values)


def stamped(cells: Sequence[str], place: int | None) -> str | None:
    """The text of the stamp's column, as far as it may be one."""
    at = cells[place].strip()[:64] if place is not None and place < len(cells) else ""
    return at if at and at.isprintable() else None


def find_header(rows: Iterable[Sequence[str]], id_columns: Sequence[str]) -> tuple[int, tuple[str, ...]] | None:
    """The place (from 0) and the column names of the first row that names all identifying columns.

    Raises PeerViolation `table.header` when it has more than COLUMNS columns.
    """
    wanted = set(id_columns)
    for place, cells in enumerate(rows):
        cells = trimmed(cells)
        if wanted <= {column_name(cell) for cell in cells}:
            if len(cells) > COLUMNS:
                raise PeerViolation("table.header", f"the header has {len(cells)} columns, at most {COLUMNS} are read")
            return place, column_names(cells)
    return None
