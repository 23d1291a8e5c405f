"""Coverage: how many live records there are for each subject and grade, by edition; kept by the writer.

What a catalogue lacks cannot be searched for, so the gaps are counted: a matrix is one read of a small table.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from sqlalchemy import Connection, func, select

from app.catalogue.tables import coverage
from app.protocol import vocab
from app.statements import accumulate

Cell = tuple[str, str, str]
KNOWN = ("edition", "subject", "grade")


def change(connection: Connection, moved: Mapping[str, int]) -> None:
    """Adds and takes away records by their facet terms (`subject=14 grade=P3 ...` to how many more or fewer)."""
    cells: Counter[Cell] = Counter()
    for terms, by in moved.items():
        for cell in _cells(terms):
            cells[cell] += by
    rows = [{**dict(zip(KNOWN, cell, strict=True)), "n": by} for cell, by in sorted(cells.items()) if by]
    accumulate(connection, coverage, KNOWN, ("n",), rows)


@lru_cache(maxsize=16_384)
def _cells(terms: str) -> tuple[Cell, ...]:
    """The cells a record counts in: one for each of its grades; none without a subject and a grade our lists know."""
    found: dict[str, list[str]] = {name: [] for name in KNOWN}
    for term in terms.split():
        name, _, code = term.partition("=")
        if name in found and code in vocab.scheme(name).concepts:
            found[name].append(code)
    edition = (found["edition"] or [""])[0]
    return tuple((edition, subject, grade) for subject in found["subject"] for grade in found["grade"])


def matrix(connection: Connection, edition: str = "") -> dict[tuple[str, str], int]:
    """(subject, grade) to live records: of one edition, or of all together."""
    query = select(coverage.c.subject, coverage.c.grade, func.sum(coverage.c.n))
    if edition:
        query = query.where(coverage.c.edition == edition)
    rows = connection.execute(query.group_by(coverage.c.subject, coverage.c.grade))
    return {(subject, grade): int(n) for subject, grade, n in rows if n}


def by_edition(connection: Connection, subject: str) -> dict[tuple[str, str], int]:
    """(edition, grade) to live records of one subject; '' for records that name no edition we know."""
    query = select(coverage.c.edition, coverage.c.grade, coverage.c.n).where(coverage.c.subject == subject)
    return {(edition, grade): n for edition, grade, n in connection.execute(query) if n}


def subjects(connection: Connection) -> dict[str, int]:
    """Subjects with live records and how many cells' worth they have."""
    query = select(coverage.c.subject, func.sum(coverage.c.n)).group_by(coverage.c.subject)
    return {subject: int(n) for subject, n in connection.execute(query) if n}


def editions(connection: Connection) -> dict[str, int]:
    """Editions with live records and how many cells' worth they have."""
    query = select(coverage.c.edition, func.sum(coverage.c.n)).group_by(coverage.c.edition)
    return {edition: int(n) for edition, n in connection.execute(query) if n and edition}


def cells(found: Iterable[str]) -> Counter[Cell]:
    """The cells of many records' terms, counted from nothing: what the table must hold."""
    return Counter(cell for terms in found for cell in _cells(terms))
