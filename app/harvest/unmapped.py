"""The terms of a feed that no code list knows: which, how often, and what our lists offer for them."""

from collections import Counter
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from app.catalogue.tables import record
from app.protocol import vocab
from app.protocol.record import FACET_NAMES, TABLED, restore

LOOKED: Final = 5000  # flagged records that are read; the most frequent terms show long before
_PRIVATE: Final = "und-x-"


class Unmapped(NamedTuple):
    """A term as its source writes it, the field it stands in, and in how many of the records looked at."""

    field: str
    term: str
    records: int


def unmapped(connection: Connection, feed_id: int) -> list[Unmapped]:
    """Terms of live records that have no code, the most frequent first; by (feed_id, live), at most LOOKED documents."""
    flagged = record.c.flags.contains("unmapped:")
    query = select(record.c.document, record.c.flags).where(record.c.feed_id == feed_id, record.c.live == 1, flagged)
    found: Counter[tuple[str, str]] = Counter()
    for row in connection.execute(query.limit(LOOKED)):
        fields = {flag.removeprefix("unmapped:") for flag in row.flags.split() if flag.startswith("unmapped:")}
        content = restore(bytes(row.document))
        found.update({(name, term) for name in fields for term in _unknown(name, content.get(name))})
    return [Unmapped(name, term, n) for (name, term), n in sorted(found.items(), key=lambda pair: (-pair[1], pair[0]))]


def _unknown(name: str, value: Any) -> set[str]:
    terms = [value] if isinstance(value, str) else value or []
    return {_written(term) for term in terms if isinstance(term, str) and code_of(name, term) is None}


def _written(term: str) -> str:
    """A language of a scheme of its own is kept as a private tag; its source writes what stands in it."""
    return term.removeprefix(_PRIVATE)


def code_of(field: str, term: str) -> str | None:
    """The code of a term by our lists alone, None where they do not know it."""
    if field == "languages":
        return None if term.startswith(_PRIVATE) else vocab.language(term)
    return vocab.resolve(field, term)


def offered(lang: str) -> dict[str, list[tuple[str, str]]]:
    """Our codes with their labels for each field that has a code list, in the lists' order."""
    return {
        field: [(c.code, c.zh if lang == "zh" else c.en) for c in _list(field).concepts.values() if not c.until]
        for field in TABLED
    }


def _list(field: str) -> vocab.Scheme:
    return vocab.scheme(FACET_NAMES.get(field, field))
