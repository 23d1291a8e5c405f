"""The status ladder: one word for a feed, from what is known of it and the period agreed with its platform. Pure.

The eight words are the same everywhere: on the wall, in tables, on run pages and in `/api/v1/status`.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Final, NamedTuple

# Periods since the last success. A run begins up to 1.1 periods after the last one ended and then takes its time,
# so that one period alone would call every second feed late.
LATE_AFTER: Final = 1.5
FAILING_AFTER: Final = 4.0
PATIENCE: Final = 3  # failures in a row before a feed that retries by itself needs a person


class State(StrEnum):
    """How a feed stands, the worst first: in a group the worst member speaks for all."""

    FAILING = "failing"
    HELD = "held"
    LATE = "late"
    CATCHING_UP = "catching up"
    NEVER_RUN = "never run"
    RUNNING = "running"
    HEALTHY = "healthy"
    PAUSED = "paused"


SEVERITY: Final = {state: place for place, state in enumerate(State)}
NEEDS_A_PERSON: Final = frozenset({State.FAILING, State.HELD, State.LATE})


class Observation(NamedTuple):
    """What is known of a feed now.

    `since_success_s` counts from the last success (None: there was none), `age_s` from the registration.
    `last_failed` is about the latest run, `failures` counts those in a row; `retries` says that the error of the
    latest run passes by itself. `running`: a worker holds the lease; `open_run`: a run waits for its continuation.
    """

    every_s: int
    age_s: int
    since_success_s: int | None = None
    active: bool = True
    pending: bool = False
    running: bool = False
    open_run: bool = False
    ever_ran: bool = True
    last_failed: bool = False
    retries: bool = False
    failures: int = 0


def state(seen: Observation) -> State:
    """The feed's word. A failure that the hub is still retrying is no failure yet, while the feed is in time."""
    if not seen.active:
        return State.PAUSED
    if seen.pending:
        return State.HELD
    lag = seen.age_s if seen.since_success_s is None else seen.since_success_s
    overdue = lag / max(seen.every_s, 1)
    if seen.running:
        return State.CATCHING_UP if overdue > LATE_AFTER or seen.since_success_s is None else State.RUNNING
    if seen.last_failed:
        return _failed(seen, overdue)
    if overdue > FAILING_AFTER:
        return State.FAILING
    if overdue > LATE_AFTER:
        return State.LATE
    if not seen.ever_ran:
        return State.NEVER_RUN
    return State.CATCHING_UP if seen.open_run else State.HEALTHY


def _failed(seen: Observation, overdue: float) -> State:
    hopeless = not seen.retries or seen.since_success_s is None or seen.failures >= PATIENCE
    if hopeless or overdue > FAILING_AFTER:
        return State.FAILING
    return State.LATE if overdue > LATE_AFTER else State.CATCHING_UP


def worst(states: Iterable[State]) -> State:
    """The word of a group. A paused member says nothing unless all are paused; of nothing, `never run`."""
    return min(set(states), key=SEVERITY.__getitem__, default=State.NEVER_RUN)


def counted(states: Iterable[State]) -> Mapping[State, int]:
    """How many stand how, the worst first; only those that occur."""
    counts = Counter(states)
    return {word: counts[word] for word in sorted(counts, key=SEVERITY.__getitem__)}
