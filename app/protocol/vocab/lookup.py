"""The code of a raw term. Every record asks several times, so this is one of the modules that can be compiled."""

from collections.abc import Mapping
from typing import Final

from app.protocol.vocab.concepts import fold, headings, terms
from app.protocol.vocab.regions import region
from app.protocol.vocab.tables import remember

_LONGEST: Final = 200  # characters; no list has such a term
_KNOWN: Final[dict[str, dict[str, str | None]]] = {name: {} for name in headings()}


def resolve(name: str, term: str, table: Mapping[str, str] | None = None) -> str | None:
    """The code of a raw term: the platform's own table first, then code, label, alias; None when unmapped.

    Regions are found by code alone; a term of more than 200 characters is in no list. Raises KeyError for a list that
    is not in SCHEMES.
    """
    if table and (code := table.get(term)) is not None:
        return code
    known = _KNOWN[name]
    try:
        return known[term]
    except KeyError:
        return remember(known, term, _resolved(name, term), _LONGEST)


def _resolved(name: str, term: str) -> str | None:
    if len(term) > _LONGEST:
        return None
    if name == "region":
        found = region(term.strip())
        return found.code if found else None
    return terms(name).get(fold(term))
