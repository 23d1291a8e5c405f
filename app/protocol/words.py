"""The words of the federation: codes, identifiers and the names of states (docs/architecture.md)."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from urllib.parse import quote

PLATFORM_CODE: Final = re.compile(r"[NPCDSE]-\d{6}-\d{2}\Z")
ENROLMENT_ID: Final = re.compile(r"A-\d{6}-[a-z2-7]{7}\Z")
LEVELS: Final = {
    "N": "national",
    "P": "provincial",
    "C": "city",
    "D": "county",
    "S": "school",
    "E": "enterprise",
}
ID_LIMIT: Final = 600


class RunStatus(StrEnum):
    """How a run ended; computed from its counts and its error, never set by hand."""

    RUNNING = "running"
    DONE = "done"
    PARTIAL = "partial"
    HELD = "held"
    FAILED = "failed"


class Job(StrEnum):
    """What a run was asked to do."""

    HARVEST = "harvest"
    FULL = "full"
    RECONCILE = "reconcile"
    COMPARE = "compare"
    REPLAY = "replay"
    UNDO = "undo"
    RAMP = "ramp"
    RETIRE = "retire"


def record_id(platform: str, feed_key: str, identifier: str) -> str:
    """The hub's identifier of a bridged record: `ix:{platform}:{feed key}/{the source's own identifier}`.

    Only printable ASCII survives unquoted, so that an identifier can stand in a URL, a header and a log line.
    """
    return record_ids(platform, feed_key, [identifier])[0]


def record_ids(platform: str, feed_key: str, identifiers: Sequence[str]) -> list[str]:
    """The same for many: one look at the characters of all is mostly enough."""
    if _UNQUOTED.fullmatch("".join(identifiers)) is None:
        identifiers = [quote(identifier, safe=_SAFE) for identifier in identifiers]
    start = f"ix:{platform}:{feed_key}/"
    return [start + identifier for identifier in identifiers]


_SAFE: Final = "!$&'()*+,-./:;=@_~?#[]"
_UNQUOTED: Final = re.compile(rf"[A-Za-z0-9{re.escape(_SAFE)}]*")


def platform_of(id: str) -> str:
    """The origin platform's code inside a record's identifier (IX/1 section 2)."""
    return id.split(":", 2)[1]
