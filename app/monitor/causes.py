"""From how everything stands to what is wrong: one cause for each thing that a person would mend. Pure.

A host that is down with twenty feeds on it is one cause; half of all hosts unreachable at once is our own network;
feeds that wait for workers are late through one missing worker.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from app.access.keys import Ending
from app.harvest.totals import HUB, NETWORK, SOURCE, blame
from app.monitor.states import State


class Rule(StrEnum):
    """What is watched."""

    FAILING = "failing"
    LATE = "late"
    HELD = "held"
    REFUSED = "refused"
    BUDGET = "budget"
    NETWORK = "network"
    BACKLOG = "backlog"
    WORKER = "worker"
    DISK = "disk"
    EXPIRY = "expiry"
    RAMP = "ramp"


class Severity(StrEnum):
    """How soon a person must look: now, today, or when there is a decision to take."""

    CRITICAL = "critical"
    WARNING = "warning"
    DECISION = "decision"


SEVERITY: Final = {
    Rule.FAILING: Severity.CRITICAL, Rule.NETWORK: Severity.CRITICAL, Rule.WORKER: Severity.CRITICAL,
    Rule.DISK: Severity.CRITICAL, Rule.LATE: Severity.WARNING, Rule.REFUSED: Severity.WARNING,
    Rule.BUDGET: Severity.WARNING, Rule.BACKLOG: Severity.WARNING, Rule.HELD: Severity.DECISION,
    Rule.EXPIRY: Severity.WARNING, Rule.RAMP: Severity.DECISION,
}  # fmt: skip
WORKER_MISSING_S: Final = 300
BACKLOG_S: Final = 900
DISK_SHARE: Final = 0.1  # of a disk is little, unless it is more than
DISK_PLENTY: Final = 20 << 30
DISK_LEAST: Final = 1 << 30
REFUSED_SHARE: Final = 0.1
REFUSED_LEAST: Final = 20
EXPIRY_DAYS: Final = (1, 7, 30)  # before its end a key is told of three times
NETWORK_KEY: Final = "hub:network"
HOSTS_LEAST: Final = 4  # unreachable hosts, and at least half of all: that is our network, not theirs
_BEHIND: Final = frozenset({State.LATE, State.FAILING})
_CONNECTION: Final = frozenset({"peer.unavailable", "peer.throttled", "net.unreachable"})


class Seen(NamedTuple):
    """A feed as the rules see it: where it is, its word, why it stands so, what it refused lately, why its ramp is
    stopped."""

    feed: int
    name: str
    platform: str
    host: str
    state: State
    error_kind: str | None = None
    error: str = ""
    held: str = ""
    seen: int = 0
    rejected: int = 0
    burnt: str = ""
    halt: str = ""


class Hub(NamedTuple):
    """The hub itself: due feeds that nobody took for how long, feeds being run, the disk and its reserve in bytes."""

    queue: int
    queue_age_s: int
    running: int
    disk_free: int
    disk_total: int
    disk_reserve: int = 0


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong: `key` stays the same as long as it is."""

    key: str
    rule: Rule
    blame: str
    detail: str
    feeds: Sequence[int] = field(default_factory=tuple)

    @property
    def severity(self) -> Severity:
        """How soon a person must look."""
        return SEVERITY[self.rule]


def causes(
    feeds: Sequence[Seen], hub: Hub, open_members: Mapping[int, str] | None = None, ending: Sequence[Ending] = ()
) -> list[Cause]:
    """Everything that is wrong now. `open_members`: feeds of open connection incidents with their keys; while such a
    feed is only being tried again, it is still part of what is wrong."""
    found = _of_hub(hub)
    broken, keys = _connections(feeds, open_members or {})
    found += _network(broken, {one.host for one in feeds if one.state is not State.PAUSED}) or _hosts(broken, keys)
    late = [one for one in feeds if one.state in _BEHIND and not one.error_kind]
    if late and not any(cause.rule is Rule.WORKER for cause in found):
        found = [cause for cause in found if cause.rule is not Rule.BACKLOG]
        found.append(_backlog(hub, late))
    covered = {number for cause in found for number in cause.feeds}
    found += [_of_key(key) for key in ending]
    return found + [cause for one in feeds for cause in _of_feed(one, covered)]


def _of_key(key: Ending) -> Cause:
    """Each of the three times is a cause of its own, so that each is told."""
    stage = next(days for days in EXPIRY_DAYS if key.days <= days)
    detail = f"key {key.prefix} ({key.label}) of {key.platform or 'the hub'} ends in {key.days} d: hutong key rotate {key.prefix}"
    return Cause(f"key:{key.prefix}:{stage}", Rule.EXPIRY, SOURCE if key.platform else HUB, detail)


def _of_hub(hub: Hub) -> list[Cause]:
    found = []
    if scarce(hub.disk_free, hub.disk_total) or hub.disk_free < hub.disk_reserve:
        share = hub.disk_free / max(hub.disk_total, 1)
        detail = f"{hub.disk_free >> 20} MiB free ({share:.0%})"
        if hub.disk_free < hub.disk_reserve:
            detail += f", less than the reserve of {hub.disk_reserve >> 20} MiB: nothing is taken in"
        found.append(Cause("hub:disk", Rule.DISK, HUB, detail))
    if hub.queue and hub.queue_age_s > WORKER_MISSING_S and not hub.running:
        detail = f"{hub.queue} feeds are due, the first for {hub.queue_age_s} s, and no worker takes them"
        found.append(Cause("hub:worker", Rule.WORKER, HUB, detail))
    elif hub.queue_age_s > BACKLOG_S:
        found.append(_backlog(hub, ()))
    return found


def scarce(free: int, total: int) -> bool:
    """Whether so many free bytes of a disk are too few."""
    return free < DISK_LEAST or (free < DISK_SHARE * total and free < DISK_PLENTY)


def _backlog(hub: Hub, late: Iterable[Seen]) -> Cause:
    feeds = tuple(one.feed for one in late)
    detail = f"{hub.queue} feeds are due, the first for {hub.queue_age_s} s; {hub.running} are being run"
    return Cause("hub:backlog", Rule.BACKLOG, HUB, detail, feeds)


def _connections(feeds: Sequence[Seen], members: Mapping[int, str]) -> tuple[list[Seen], dict[int, str]]:
    """Feeds that are behind by an error, and the keys of those that are only being tried again."""
    broken, keys = [], {}
    for one in feeds:
        if one.state in _BEHIND and one.error_kind:
            broken.append(one)
        elif one.state is State.CATCHING_UP and one.feed in members:
            broken.append(one)
            keys[one.feed] = members[one.feed]
    return broken, keys


def _network(broken: Sequence[Seen], hosts: set[str]) -> list[Cause]:
    """One cause where at least half of all hosts cannot be reached, beside what else is broken; else none."""
    unreachable = [one for one in broken if one.error_kind == "net.unreachable"]
    gone = {one.host for one in unreachable}
    if len(gone) < max(HOSTS_LEAST, len(hosts) / 2):
        return []
    detail = f"{len(gone)} of {len(hosts)} hosts cannot be reached; first {min(gone)}: {unreachable[0].error}"
    ours = Cause(NETWORK_KEY, Rule.NETWORK, NETWORK, detail, tuple(one.feed for one in unreachable))
    return [ours, *_hosts([one for one in broken if one.error_kind != "net.unreachable"], {})]


def _hosts(broken: Sequence[Seen], keys: Mapping[int, str]) -> list[Cause]:
    groups: dict[str, list[Seen]] = defaultdict(list)
    for one in broken:
        groups[keys.get(one.feed) or _key(one)].append(one)
    return [_of_group(key, group) for key, group in groups.items()]


def _key(one: Seen) -> str:
    """What is broken: the host where no usable answer comes, the host's answers of one kind, or one feed's own file."""
    place = f"host:{one.host}" if one.host else f"feed:{one.feed}"
    return place if one.error_kind in _CONNECTION else f"{place}:{one.error_kind}"


def _of_group(key: str, group: Sequence[Seen]) -> Cause:
    rule = Rule.FAILING if any(one.state is not State.LATE for one in group) else Rule.LATE
    told = next((one for one in group if one.error_kind), group[0])
    place = (told.host if len(group) > 1 else "") or told.name
    reason = f"{told.error_kind}: {told.error}" if told.error_kind else "being tried again"
    feeds = tuple(one.feed for one in group)
    if key == NETWORK_KEY:  # what is left of it while the last feeds are tried again
        return Cause(key, Rule.NETWORK, NETWORK, f"{place}: {reason}", feeds)
    return Cause(key, rule, blame(told.error_kind) if told.error_kind else SOURCE, f"{place}: {reason}", feeds)


def _of_feed(one: Seen, covered: set[int]) -> Iterable[Cause]:
    """What concerns one feed alone. A budget that goes because of what is told already is not told again."""
    if one.held:
        yield Cause(f"held:{one.feed}", Rule.HELD, SOURCE, f"{one.name}: {one.held}", (one.feed,))
    if one.halt:
        yield Cause(f"ramp:{one.feed}", Rule.RAMP, SOURCE, f"{one.name}: {one.halt}", (one.feed,))
    if one.rejected >= REFUSED_LEAST and one.rejected > REFUSED_SHARE * one.seen:
        detail = f"{one.name}: {one.rejected} of {one.seen} records refused since yesterday"
        yield Cause(f"refused:{one.feed}", Rule.REFUSED, SOURCE, detail, (one.feed,))
    if one.burnt and one.feed not in covered:
        yield Cause(
            f"budget:{one.feed}", Rule.BUDGET, one.burnt.split(":", 1)[0], f"{one.name}: {one.burnt}", (one.feed,)
        )
