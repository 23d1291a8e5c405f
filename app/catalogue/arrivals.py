"""What comes to the catalogue and how it is judged against what is stored. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from app.protocol.record import Prepared


class Arrival(NamedTuple):
    """A prepared record with what its feed says of it; `tokens` and `element` may be made ahead, beside the writer.

    `element` is that of its first version in the hub.
    """

    record: Prepared
    source_hash: bytes
    stamp: str | None = None
    version: int | None = None
    path: tuple[str, ...] = ()
    tokens: str | None = None
    element: bytes | None = None


def first_version(told: int | None) -> int:
    """The version of a record that is new; `told` is its origin's, if that has versions."""
    return told or 1


@dataclass(frozen=True, slots=True)
class Origin:
    """Where arrivals come from: a feed, in one of its runs; `again` are ids that came in this run before.

    `standing` are ids whose live records came with other bytes now; a harvest names them, and the host brake watches.
    """

    feed_id: int
    run_id: int
    province: str
    native: bool = False
    again: frozenset[str] = frozenset()
    standing: frozenset[str] = frozenset()


@dataclass(slots=True)
class Outcome:
    """What became of a page's arrivals; `conflicts` are same version with another hash (IX/1 V3).

    `repeated` are the ids behind `duplicate`. `held` is counted, and `declined` named, by whoever lets only a part of them in (`app.admission`).
    `written` are the created and changed records: row number to source hash, which names the bytes that won.
    """

    created: int = 0
    changed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    held: int = 0
    conflicts: list[str] = field(default_factory=list)
    declined: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    written: dict[int, bytes] = field(default_factory=dict)


def newest(arrivals: Sequence[Arrival]) -> tuple[dict[str, Arrival], list[str]]:
    """Of each id the arrival with the newest stamp, else the first; and the ids that came again, once for each time."""
    latest = {arrival.record.id: arrival for arrival in arrivals}
    if len(latest) == len(arrivals):
        return latest, []
    latest = {}
    twice: list[str] = []
    for arrival in arrivals:
        if (earlier := latest.get(arrival.record.id)) is not None:
            twice.append(arrival.record.id)
            if not _supersedes(arrival, earlier.stamp, earlier.version):
                continue
        latest[arrival.record.id] = arrival
    return latest, twice


def _supersedes(arrival: Arrival, stamp: str | None, version: int | None) -> bool:
    if arrival.version is not None and version is not None:
        return arrival.version >= version
    return _newer(arrival.stamp, stamp)


def _newer(stamp: str | None, other: str | None) -> bool:
    return stamp is not None and (other is None or other < stamp)


def older(stamp: str | None, other: str | None) -> bool:
    return stamp is not None and other is not None and stamp < other


def judge(arrival: Arrival, old: Any, origin: Origin) -> str:
    """created, changed, unchanged, duplicate or conflict (IX/1 V3)."""
    if old is None:
        return "created"
    if origin.native and arrival.version is not None:
        if arrival.version != old.version:
            return "changed" if arrival.version > old.version else "unchanged"
        if arrival.record.hash != old.hash:
            return "conflict"
        return "unchanged" if old.live else "changed"  # it had left, and comes back as it was
    if old.live and old.hash == arrival.record.hash:
        return "unchanged"
    # Stamps are hints, but inside one run they tell which of two versions of a moving page is the later one. Without a
    # newer stamp the first counts: a source that lists one id with two contents would change it at every run.
    again = old.run_id == origin.run_id or arrival.record.id in origin.again
    if again and old.live and not _newer(arrival.stamp, old.stamp):
        return "duplicate"
    return "changed"
