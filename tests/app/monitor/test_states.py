"""The status ladder is a pure function of what is known and of the agreed period."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.monitor import status
from app.monitor.days import Outcome, outcome
from app.monitor.states import FAILING_AFTER, LATE_AFTER, PATIENCE, SEVERITY, Observation, State, counted, state, worst

HOUR = 3600
FRESH = Observation(every_s=HOUR, age_s=HOUR * 100, since_success_s=60)


def but(**changes: object) -> Observation:
    return FRESH._replace(**changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        (FRESH, State.HEALTHY),
        (but(active=False, pending=True, last_failed=True), State.PAUSED),
        (but(pending=True, running=True), State.HELD),
        (but(running=True), State.RUNNING),
        (but(running=True, since_success_s=2 * HOUR), State.CATCHING_UP),
        (but(running=True, since_success_s=None), State.CATCHING_UP),
        (but(open_run=True), State.CATCHING_UP),
        (but(since_success_s=int(1.4 * HOUR)), State.HEALTHY),
        (but(since_success_s=int(1.6 * HOUR)), State.LATE),
        (but(since_success_s=5 * HOUR), State.FAILING),
        (but(ever_ran=False, since_success_s=None, age_s=10), State.NEVER_RUN),
        (but(ever_ran=False, since_success_s=None, age_s=2 * HOUR), State.LATE),
        (but(ever_ran=False, since_success_s=None, age_s=9 * HOUR), State.FAILING),
        (but(last_failed=True, retries=True, failures=1), State.CATCHING_UP),
        (but(last_failed=True, retries=True, failures=1, since_success_s=2 * HOUR), State.LATE),
        (but(last_failed=True, retries=True, failures=PATIENCE), State.FAILING),
        (but(last_failed=True, retries=True, failures=1, since_success_s=5 * HOUR), State.FAILING),
        (but(last_failed=True, retries=False, failures=1), State.FAILING),
        (but(last_failed=True, retries=True, failures=1, since_success_s=None), State.FAILING),
    ],
)
def test_each_situation_has_one_word(seen: Observation, word: State) -> None:
    assert state(seen) is word


observations = st.builds(
    Observation,
    every_s=st.integers(1, 10**7), age_s=st.integers(0, 10**9), since_success_s=st.none() | st.integers(0, 10**9),
    active=st.booleans(), pending=st.booleans(), running=st.booleans(), open_run=st.booleans(),
    ever_ran=st.booleans(), last_failed=st.booleans(), retries=st.booleans(), failures=st.integers(0, 20),
)  # fmt: skip


@given(observations)
def test_a_longer_silence_never_looks_better(seen: Observation) -> None:
    if seen.since_success_s is not None and not seen.running:
        longer = seen._replace(since_success_s=seen.since_success_s * 2 + seen.every_s)
        assert SEVERITY[state(longer)] <= SEVERITY[state(seen)]


@given(observations)
def test_the_word_depends_on_periods_not_on_seconds(seen: Observation) -> None:
    since = None if seen.since_success_s is None else seen.since_success_s * 60
    assert state(seen._replace(every_s=seen.every_s * 60, age_s=seen.age_s * 60, since_success_s=since)) is state(seen)


def test_the_worst_member_speaks_for_a_group() -> None:
    assert worst([State.HEALTHY, State.PAUSED]) is State.HEALTHY
    assert worst([State.HEALTHY, State.LATE, State.HELD]) is State.HELD
    assert worst([State.PAUSED, State.PAUSED]) is State.PAUSED
    assert worst([]) is State.NEVER_RUN
    assert counted([State.HEALTHY, State.LATE, State.HEALTHY]) == {State.LATE: 1, State.HEALTHY: 2}
    assert list(counted([State.HEALTHY, State.FAILING])) == [State.FAILING, State.HEALTHY]
    assert 1.1 < LATE_AFTER < FAILING_AFTER


@pytest.mark.parametrize(
    ("runs", "failed", "held", "rejected", "word"),
    [(0, 0, 0, 0, Outcome.NONE), (3, 3, 0, 0, Outcome.FAILED), (3, 1, 0, 0, Outcome.MIXED), (3, 1, 9, 0, Outcome.HELD),
     (3, 0, 0, 7, Outcome.REFUSED), (3, 0, 0, 0, Outcome.GOOD)],
)  # fmt: skip
def test_a_day_has_one_word(runs: int, failed: int, held: int, rejected: int, word: Outcome) -> None:
    assert outcome(runs, failed, held, rejected) is word


NOW = 10**16


def _standing(word: State, ago: int | None, level: str = "P", feed: int = 1) -> status.Standing:
    """A feed whose last success is `ago` microseconds old."""
    lag = {"succeeded_at": NOW - ago, "lag_s": ago // 10**6} if ago is not None else {}
    empty = dict.fromkeys(status.Standing._fields)
    return status.Standing(**{**empty, "state": word, "level": level, "feed": feed, **lag})  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 10**7), min_size=2, unique=True), st.integers(0, 10**6))
def test_rows_keep_their_order_while_seconds_go_by(ages: list[int], later: int) -> None:
    """Two lags of one second, rounded, once changed places from one look at a list to the next."""

    def order(passed: int) -> list[int]:
        found = [
            _standing(State.HEALTHY, age + passed, feed=n)._replace(succeeded_at=NOW - age)
            for n, age in enumerate(ages)
        ]
        return [one.feed for one in sorted(found, key=lambda one: (*status.worst_first(one), one.feed))]

    assert order(0) == order(later) == sorted(range(len(ages)), key=lambda n: -ages[n])


def test_what_never_succeeded_comes_after_its_like() -> None:
    found = [_standing(State.FAILING, None), _standing(State.FAILING, 5), _standing(State.HEALTHY, 9 * 10**9)]
    assert sorted(found[::-1], key=status.worst_first) == [found[1], found[0], found[2]]


@given(
    st.lists(st.builds(_standing, st.sampled_from(State), st.none() | st.integers(0, 9**15), st.sampled_from("PCE")))
)
def test_groups_together_are_their_members_together(members: list[status.Standing]) -> None:
    together = status.together("all", status.grouped(members, "level"))
    assert together == status.group("all", members)
    assert list(together.states) == list(status.group("all", members).states)
