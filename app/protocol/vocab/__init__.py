"""Code lists as versioned data, and the resolution of raw terms to codes (docs/vocabularies.md).

Here live the tables (CSV, with ATTRIBUTION.md), their reading and the look-ups that every record passes through
(`lookup.py`): a look-up is one dictionary access. An unknown term is never an error: `resolve` answers None, the caller keeps the term
and flags it `unmapped`. A platform's own codes are not here: they are the mapping of its feed.
"""

from functools import cache, lru_cache
from typing import Final

from app.protocol.vocab.concepts import Concept, Scheme, concepts, fold, headings
from app.protocol.vocab.languages import language, language_codes
from app.protocol.vocab.lookup import resolve
from app.protocol.vocab.regions import (
    Former,
    Region,
    ancestors,
    hub_provinces,
    province_of,
    provinces,
    region,
    regions,
    six,
    under,
)
from app.protocol.vocab.tables import digest

__all__ = [
    "LANGUAGE_SCHEMES", "SCHEMES", "TITLES", "VERSION", "Concept", "Former", "Region", "Scheme", "ancestors",
    "current", "fold", "hub_provinces", "label", "language", "province_of", "provinces", "region", "resolve", "scheme", "under",
]  # fmt: skip

TITLES: Final = {name: (row["zh"], row["en"]) for name, row in headings().items()}
SCHEMES: Final = tuple(TITLES)
VERSION: Final = f"{max(row['version'] for row in headings().values())}-{digest()}"
LANGUAGE_SCHEMES: Final = language_codes()


@cache
def scheme(name: str) -> Scheme:
    """A code list. Raises KeyError for a name that is not in SCHEMES."""
    row = headings()[name]
    listed = _as_concepts() if name == "region" else concepts(name)
    return Scheme(name, row["version"], row["issued"], row["source"], row["zh"], row["en"], listed)


def _as_concepts() -> dict[str, Concept]:
    return {code: _as_concept(one) for code, one in regions().items()}


def _as_concept(one: Region) -> Concept:
    return Concept(
        one.code, one.name, one.en, (), None, one.kind, one.since, one.until, one.successors, one.parent, one.basis
    )


def label(name: str, code: str, lang: str = "zh") -> str:
    """A code's label; the code itself where the list does not know it."""
    concept = scheme(name).concepts.get(code)
    return code if concept is None else concept.zh if lang == "zh" else concept.en


@lru_cache(maxsize=16_384)
def current(name: str, code: str) -> tuple[str, ...]:
    """The live codes that a code leads to through its successors; itself when it is live or unknown."""
    listed, live, queue = scheme(name).concepts, dict[str, None](), [six(code) if name == "region" else code]
    seen: set[str] = set()
    while queue:
        at = queue.pop(0)
        concept = listed.get(at)
        if concept is not None and concept.until and concept.successors:
            queue += [code for code in concept.successors if code not in seen]
            seen.update(concept.successors)
        else:
            live[at] = None
    return tuple(live) or (code,)
