"""What a harvester takes from an answer: slices of a list, and who the repository says it is."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Slice:
    """One record or header as it came; `raw` is empty for a header."""

    identifier: str
    datestamp: str
    deleted: bool
    raw: bytes


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of ListRecords or ListIdentifiers, or a GetRecord; `token` None ends the list (3.5).

    `context` is the start tag inside which a slice's bytes can be parsed again.
    """

    response_date: str
    context: bytes
    slices: Sequence[Slice]
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
