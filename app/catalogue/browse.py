"""The catalogue as visitors browse it: by words and facets, the newest first, with counts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.catalogue import queries, search


class Hits(NamedTuple):
    """A page of live rows, where to go on (None at the end), counts by facet and whether they are complete."""

    rows: list[Any]
    before: int | None
    counts: Mapping[str, int]
    exact: bool


def browse(connection: Connection, *, words: str, terms: Sequence[str], before: int | None, limit: int) -> Hits:
    """Live records that hold every word and every facet term (`subject=14`); all of them without either."""
    if words.strip() or terms:
        found = search.find(connection, words=words, terms=terms, before=before, limit=limit + 1)
        rows = queries.by_pks(connection, found)
        counts, exact = search.facets(connection, words=words, terms=terms)
    else:
        rows = queries.newest(connection, before=before, limit=limit + 1)
        counts, exact = queries.tallies(connection), True
    return Hits(rows[:limit], rows[limit - 1].pk if len(rows) > limit else None, counts, exact)
