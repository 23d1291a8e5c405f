"""The crosswalk of a feed as data: what of a source fills which field of a record (docs/mapping.md).

`compile` makes a function of a document once for each feed; `Crosswalk.explain` tells where each field came from.
"""

from app.protocol.mapping.model import Mapping, Match, Rule, checked, schema
from app.protocol.mapping.paths import places
from app.protocol.mapping.plan import Crosswalk, Trace, compile, normaliser
from app.protocol.mapping.propose import Guess, propose

__all__ = [
    "Crosswalk",
    "Guess",
    "Mapping",
    "Match",
    "Rule",
    "Trace",
    "checked",
    "compile",
    "normaliser",
    "places",
    "propose",
    "schema",
]
