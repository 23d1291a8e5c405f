"""What is wrong is told once for each thing that a person would mend."""

from app.monitor.causes import Cause, Hub, Rule, Seen, Severity, causes, scarce
from app.monitor.states import State

GOOD = Hub(queue=0, queue_age_s=0, running=3, disk_free=80 << 30, disk_total=100 << 30)


def _feed(number: int, state: State = State.FAILING, kind: str | None = "peer.unavailable", host: str = "a.cn") -> Seen:
    return Seen(number, f"feed {number}", "P-440000-01", host, state, kind, "said so")


def _found(feeds: list[Seen], hub: Hub = GOOD, members: dict[int, str] | None = None) -> dict[str, Cause]:
    return {cause.key: cause for cause in causes(feeds, hub, members)}


def test_a_hub_in_order_has_no_cause() -> None:
    quiet = [
        _feed(n, state, None) for n, state in enumerate((State.HEALTHY, State.RUNNING, State.PAUSED, State.NEVER_RUN))
    ]
    assert causes(quiet, GOOD) == []


def test_a_host_that_is_down_with_twenty_feeds_is_one_cause() -> None:
    feeds = [_feed(n, State.FAILING if n % 2 else State.LATE) for n in range(20)] + [
        _feed(99, State.HEALTHY, None, "b.cn")
    ]
    (cause,) = causes(feeds, GOOD)
    assert (cause.key, cause.rule, cause.blame, len(cause.feeds)) == ("host:a.cn", Rule.FAILING, "source", 20)
    assert cause.severity is Severity.CRITICAL


def test_different_faults_of_one_host_are_different_causes() -> None:
    feeds = [_feed(1), _feed(2, kind="peer.refused"), _feed(3, kind="xml.malformed"), _feed(4, kind="peer.refused")]
    found = _found(feeds)
    assert {key: len(one.feeds) for key, one in found.items()} == {
        "host:a.cn": 1, "host:a.cn:peer.refused": 2, "host:a.cn:xml.malformed": 1,
    }  # fmt: skip


def test_feeds_without_a_host_are_causes_of_their_own() -> None:
    assert set(_found([_feed(1, kind="csv.column", host=""), _feed(2, kind="csv.column", host="")])) == {
        "feed:1:csv.column", "feed:2:csv.column",
    }  # fmt: skip


def test_half_of_all_hosts_unreachable_is_our_own_network() -> None:
    feeds = [_feed(n, kind="net.unreachable", host=f"h{n}.cn") for n in range(6)]
    feeds += [_feed(n, State.HEALTHY, None, f"h{n}.cn") for n in range(6, 11)] + [_feed(20, kind="peer.refused")]
    found = _found(feeds)
    assert set(found) == {"hub:network", "host:a.cn:peer.refused"}
    assert (found["hub:network"].blame, len(found["hub:network"].feeds)) == ("network", 6)


def test_a_few_unreachable_hosts_are_theirs() -> None:
    feeds = [_feed(n, kind="net.unreachable", host=f"h{n}.cn") for n in range(3)]
    assert set(_found(feeds)) == {"host:h0.cn", "host:h1.cn", "host:h2.cn"}
    assert {one.blame for one in _found(feeds).values()} == {"network"}


def test_feeds_that_wait_for_workers_are_late_through_one_cause_of_ours() -> None:
    late = [_feed(n, State.LATE, None, f"h{n}.cn") for n in range(30)]
    (behind,) = causes(late, GOOD._replace(queue=30, queue_age_s=400))
    assert (behind.key, behind.rule, behind.blame, len(behind.feeds)) == ("hub:backlog", Rule.BACKLOG, "hub", 30)
    (missing,) = causes(late, GOOD._replace(queue=30, queue_age_s=400, running=0))
    assert (missing.key, missing.rule) == ("hub:worker", Rule.WORKER)


def test_a_feed_that_is_only_being_tried_again_is_still_part_of_what_is_wrong() -> None:
    again = [_feed(1, State.CATCHING_UP, None), _feed(2, State.CATCHING_UP, None, "b.cn")]
    assert set(_found(again, members={1: "host:a.cn"})) == {"host:a.cn"}
    (rest,) = causes([_feed(1, State.CATCHING_UP)], GOOD, {1: "hub:network"})
    assert (rest.key, rest.rule) == ("hub:network", Rule.NETWORK)
    assert causes([_feed(1, State.HEALTHY, None)], GOOD, {1: "host:a.cn"}) == []


def test_held_refused_and_budget_concern_one_feed_and_a_budget_is_not_told_twice() -> None:
    calm = _feed(1, State.HELD, None)._replace(
        held="would remove 9 of 10", seen=200, rejected=60, burnt="source: 9 of 90"
    )
    assert set(_found([calm])) == {"held:1", "refused:1", "budget:1"}
    assert set(_found([_feed(1)._replace(burnt="source: 9 of 90")])) == {"host:a.cn"}
    assert causes([calm._replace(held="", rejected=19, burnt="")], GOOD) == []
    assert causes([calm._replace(held="", rejected=20, seen=400, burnt="")], GOOD) == []


def test_a_disk_is_scarce_by_share_unless_much_is_left() -> None:
    assert scarce(500 << 20, 1 << 30)
    assert scarce(5 << 30, 100 << 30)
    assert not scarce(50 << 30, 4000 << 30)
    assert set(_found([], GOOD._replace(disk_free=1 << 29))) == {"hub:disk"}
