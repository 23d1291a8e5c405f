"""The search index on both databases: words of titles, keywords and names, and facet terms as tokens.

SQLite: an FTS5 table whose rowid is record.pk. PostgreSQL: tsvector literals made here (its own parser keeps a
Chinese sentence as one word and differs by locale) under a GIN index. Newest first by row number, keyset.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Connection, text

from app.protocol.text import query_tokens
from app.statements import load

# So that the largest row stays below PostgreSQL's 1 MiB a vector, 16,383 places and 255 places a lexeme.
WORDS_LIMIT: Final = 3000
PLACES_LIMIT: Final = 255
TOKEN_LIMIT: Final = 500  # characters; no record has a longer one, and PostgreSQL refuses a lexeme above 2,046 bytes
Alternatives = Sequence[Sequence[Sequence[str]]]
"""Facet terms of which one whole alternative must hold: each is a list of groups, of each of which one term must."""
_SIGN: Final = re.compile(r"[^a-z0-9=._:/\-\x80-\ud7ff\ue000-\U0010ffff]")
_ESCAPE: Final = re.compile(r"\^([0-9a-f]+)\^")


def create(connection: Connection) -> None:
    """Makes the index; called by the migration."""
    if connection.dialect.name == "sqlite":
        connection.execute(
            text(
                # Tokens come ready-made (`index_tokens`, `facet_token`): FTS5 has only to cut at blanks, so its cheapest
                # reader does.
                "CREATE VIRTUAL TABLE search USING fts5(words, facets, columnsize=0, "
                "tokenize=\"ascii tokenchars '=._:/-^'\")"
            )
        )
        # A page is a segment: to merge eight of them at a time instead of four costs indexing a sixth less
        # (docs/performance.md); a search then looks into up to twice as many.
        connection.execute(text("INSERT INTO search (search, rank) VALUES ('automerge', 8)"))
        return
    connection.execute(text("CREATE TABLE search (pk bigint PRIMARY KEY, tsv tsvector NOT NULL, facets text NOT NULL)"))
    connection.execute(text("CREATE INDEX search_tsv ON search USING gin (tsv)"))


def drop(connection: Connection) -> None:
    """Drops the index."""
    connection.execute(text("DROP TABLE search"))


@lru_cache(maxsize=16_384)
def facet_token(term: str) -> str:
    """A facet term as it is indexed, the same for both databases: `grade=P3` -> `grade=^50^3`.

    No two terms share a token: FTS5 folds capitals and cuts at most signs, so these become their code in hexadecimal
    between two `^`. A term that is longer than any record's is told by its hash.
    """
    token = _SIGN.sub(lambda found: f"^{ord(found[0]):x}^", term)
    return token if len(token) <= TOKEN_LIMIT else "^^" + hashlib.sha256(token.encode()).hexdigest()


def _term(token: str) -> str:
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), token)


def put(connection: Connection, rows: Sequence[tuple[int, str, str]], replaced: Sequence[int]) -> None:
    """Indexes (row number, `index_tokens`, facet terms); `replaced` are the row numbers indexed before."""
    remove(connection, replaced)
    if not rows:
        return
    if connection.dialect.name == "sqlite":
        made = [(pk, _cut(words), _facets(terms)) for pk, words, terms in rows]
        load(connection, "search", ("rowid", "words", "facets"), made)
    else:
        vectors = [(pk, _vector(_cut(words).split(), _facets(terms)), _facets(terms)) for pk, words, terms in rows]
        load(connection, "search", ("pk", "tsv", "facets"), vectors)


def _cut(text: str) -> str:
    """The first WORDS_LIMIT tokens."""
    return text if text.count(" ") < WORDS_LIMIT else " ".join(text.split(None, WORDS_LIMIT)[:WORDS_LIMIT])


@lru_cache(maxsize=16_384)
def _facets(terms: str) -> str:
    return " ".join(map(facet_token, terms.split()))


def _vector(words: Sequence[str], facets: str) -> str:
    """A tsvector literal. Facets begin with `=`, which no word can hold; they need no places."""
    places: dict[str, list[str]] = {}
    for place, word in enumerate(words, 1):
        places.setdefault(word, []).append(str(place))
    found = [f"{_quoted(word)}:{','.join(where[:PLACES_LIMIT])}" for word, where in places.items()]
    return " ".join(found + [_quoted(f"={facet}") for facet in facets.split()])


def _quoted(word: str) -> str:
    """A lexeme between quotes, whatever it holds."""
    return "'" + word.replace("\\", "\\\\").replace("'", "''") + "'"


def remove(connection: Connection, pks: Sequence[int]) -> None:
    """Takes rows out of the index."""
    if pks:
        key = "rowid" if connection.dialect.name == "sqlite" else "pk"
        connection.execute(text(f"DELETE FROM search WHERE {key} = :pk"), [{"pk": pk} for pk in pks])


def find(
    connection: Connection,
    *,
    words: str,
    terms: Sequence[str],
    before: int | None,
    limit: int,
    either: Alternatives | None = None,
) -> list[int]:
    """Row numbers that hold every word, every facet term and one of the alternatives, the newest first."""
    return [row[0] for row in _hits(connection, words, terms, either, before, limit)]


def facets(
    connection: Connection, *, words: str, terms: Sequence[str], cap: int = 10_000, either: Alternatives | None = None
) -> tuple[dict[str, int], bool]:
    """Counts of facet terms over the newest `cap` hits, and whether those were all."""
    rows = _hits(connection, words, terms, either, None, cap + 1)
    counts: Counter[str] = Counter()
    for row in rows[:cap]:
        counts.update(row[1].split())
    return {_term(token): number for token, number in counts.items()}, len(rows) <= cap


def _hits(
    connection: Connection,
    words: str,
    terms: Sequence[str],
    either: Alternatives | None,
    before: int | None,
    limit: int,
) -> Sequence[Any]:
    phrases = query_tokens(words)
    if (not phrases and (words.strip() or not (terms or either))) or either == []:
        return []
    top = before if before is not None else 1 << 62
    if connection.dialect.name == "sqlite":
        query = "SELECT rowid, facets FROM search WHERE search MATCH :q AND rowid < :top ORDER BY rowid DESC LIMIT :n"
        sought = _fts5(phrases, terms, either or ())
    else:
        query = "SELECT pk, facets FROM search WHERE tsv @@ CAST(:q AS tsquery) AND pk < :top ORDER BY pk DESC LIMIT :n"
        sought = _tsquery(phrases, terms, either or ())
    return connection.execute(text(query), {"q": sought, "top": top, "n": limit}).all()


def _fts5(phrases: list[list[str]], terms: Sequence[str], either: Alternatives) -> str:
    parts = []
    for phrase in phrases:
        quoted = " ".join(word.rstrip("*") for word in phrase).replace('"', '""')
        parts.append(f'words : "{quoted}"' + ("*" if phrase[-1].endswith("*") else ""))
    parts += [_fts5_term(term) for term in terms]
    return " AND ".join(parts + _grouped(either, _fts5_term, " AND ", " OR "))


def _fts5_term(term: str) -> str:
    return f'facets : "{facet_token(term)}"'


def _tsquery(phrases: list[list[str]], terms: Sequence[str], either: Alternatives) -> str:
    parts = []
    for phrase in phrases:
        words = [_quoted(word.rstrip("*")) + (":*" if word.endswith("*") else "") for word in phrase]
        parts.append("(" + " <-> ".join(words) + ")")
    parts += [_tsquery_term(term) for term in terms]
    return " & ".join(parts + _grouped(either, _tsquery_term, " & ", " | "))


def _tsquery_term(term: str) -> str:
    return _quoted(f"={facet_token(term)}")


def _grouped(either: Alternatives, write: Callable[[str], str], both: str, one_of: str) -> list[str]:
    """The alternatives as one part of a query, none where there are none."""
    wholes = [both.join(f"({one_of.join(map(write, group))})" for group in groups) for groups in either]
    return [f"({one_of.join(f'({whole})' for whole in wholes)})"] if wholes else []
