"""The CSV files beside this module, read as text; everything that looks a code up keeps what it made of them."""

import csv
from collections.abc import Iterator
from hashlib import sha256
from importlib.resources import files
from typing import TypeVar

TABLES = (
    "schemes", "stage", "grade", "subject", "type", "edition", "volume", "language", "licence", "reason", "audit",
    "language_code", "region", "province",
)  # fmt: skip

T = TypeVar("T")
_MOST = 65_536


def remember(known: dict[str, T], question: str, answer: T, longest: int) -> T:
    """The answer, kept so that asking again costs one access of a plain dictionary.

    What is longer than `longest` characters is not kept, and a full dictionary is emptied: what a stranger sends must
    not fill the memory.
    """
    if len(question) <= longest:
        if len(known) >= _MOST:
            known.clear()
        known[question] = answer
    return answer


def rows(table: str) -> Iterator[dict[str, str]]:
    """The lines of a table by column; an empty cell is an empty string."""
    yield from csv.DictReader(files(__package__).joinpath(f"{table}.csv").read_text("utf-8").splitlines())


def several(cell: str) -> tuple[str, ...]:
    """The values of a cell that holds many, parted by `|`."""
    return tuple(part for part in cell.split("|") if part)


def digest() -> str:
    """Eight hex digits over all tables: a table that changed is another version, whether or not anybody said so."""
    summed = sha256()
    for table in TABLES:
        summed.update(files(__package__).joinpath(f"{table}.csv").read_bytes())
    return summed.hexdigest()[:8]
