"""What a harvester takes from an answer: the entries of a list, and who the repository says it is."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.protocol.connector import Entry


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of ListRecords or ListIdentifiers, or a GetRecord; `token` None ends the list (3.5).

    An entry's bytes are empty where a header stands alone. `context` is the start tag inside which the bytes of a
    record can be parsed again.
    """

    response_date: str
    context: bytes
    entries: Sequence[Entry]
    token: str | None
    total: int | None
    error: tuple[str, str] | None
    verb: str | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """What an Identify answer says that a harvester must know (4.2)."""

    granularity: str
    deleted_record: str
    name: str
    base_url: str = ""
    earliest: str = ""
