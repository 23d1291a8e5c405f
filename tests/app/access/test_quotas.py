"""Quotas: a tenant is one tenant whatever it spreads over; addresses are believed from listed proxies only."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from app.access import audit, keys
from app.access.clerk import told
from app.access.principal import Principal, Rows
from app.access.quotas import Buckets, Rate, address_of, bucket_of, networks
from app.access.tally import Tally
from app.db import Database
from app.protocol.errors import QuotaExceeded
from app.settings import Settings
from tests.app.access.desk import PATIENCE_S, desk


def test_a_bucket_gives_its_burst_then_its_rate() -> None:
    buckets = Buckets(Rate.of("10/s"))
    assert [buckets.take("a", 0.0).remaining for _ in range(10)] == list(range(9, -1, -1))
    with pytest.raises(QuotaExceeded) as refusal:
        buckets.take("a", 0.05)
    assert refusal.value.wait_s == pytest.approx(0.05)
    assert buckets.take("a", 0.1).remaining == 0
    assert buckets.take("b", 0.1).remaining == 9
    with pytest.raises(QuotaExceeded):
        Buckets(Rate.of("0/s")).take("a", 0.0)


@given(st.lists(st.floats(0, 3), min_size=1, max_size=200))
def test_no_pattern_of_requests_gets_more_than_burst_and_rate(pauses: list[float]) -> None:
    buckets, at, given_ = Buckets(Rate.of("5/s")), 0.0, 0
    for pause in pauses:
        at += pause
        try:
            buckets.take("a", at)
            given_ += 1
        except QuotaExceeded:
            pass
    assert given_ <= 5 + 5 * at + 1e-6


def test_memory_is_bounded_and_the_busy_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.access.quotas.BUCKETS", 100)
    buckets = Buckets(Rate.of("2/h"))
    for number in range(1000):
        buckets.take(f"other-{number}", 0.0)
        if number < 2:
            buckets.take("busy", 0.0)
        else:
            with pytest.raises(QuotaExceeded):
                buckets.take("busy", 0.0)
    assert len(buckets._held) == 100


@pytest.mark.parametrize("text", ["", "10", "10/x", "-1/s", "1.5/s", "10/s ", "９/s9"])
def test_a_rate_that_is_none_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError):
        Rate.of(text)
    with pytest.raises(ValueError):
        Settings(quota_tenant=text)


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "address"),
    [
        ("203.0.113.9", ["198.51.100.1"], "", "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "10.0.0.0/8", "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1, 10.0.0.2"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "10.0.0.0/8", "198.51.100.1"),
        ("10.0.0.1", [], "10.0.0.0/8", "10.0.0.1"),
        ("::ffff:10.0.0.1", ["2001:db8::1"], "10.0.0.0/8", "2001:db8::1"),
        ("10.0.0.1", ["nonsense"], "10.0.0.0/8", "nonsense"),
        ("", ["198.51.100.1"], "10.0.0.0/8", ""),
    ],
)
def test_forwarded_addresses_are_believed_from_listed_proxies_only(
    peer: str, forwarded: list[str], proxies: str, address: str
) -> None:
    assert address_of(peer, forwarded, networks(proxies)) == address


def test_an_address_counts_as_ipv4_or_as_the_64_of_ipv6() -> None:
    assert bucket_of("203.0.113.9") == "203.0.113.9" == bucket_of("::ffff:203.0.113.9")
    assert bucket_of("2001:db8:1:2::1") == bucket_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert bucket_of("2001:db8:1:3::1") != bucket_of("2001:db8:1:2::1")
    assert bucket_of("127.0.0.1") is bucket_of("::1") is None
    assert bucket_of("nonsense") == "nonsense"


def test_one_tenant_with_many_keys_and_addresses_is_one_tenant(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, quota_tenant="20/h", trusted_proxies="127.0.0.1/32") as hub:
        key, other = hub.platform("P-440000-01"), hub.platform("P-110000-01")
        with sqlite.write() as connection:
            credentials = [key, *(keys.issue(connection, "P-440000-01", label=f"k{n}").key for n in range(4))]
        credentials.append(hub.token("P-440000-01", key).json()["access_token"])
        clients = [hub.key_client(one) for one in credentials]
        answers = [
            clients[n % len(clients)].get("/api/v1/feeds", headers={"X-Forwarded-For": f"198.51.100.{n}"})
            for n in range(30)
        ]
        assert [answer.status_code for answer in answers] == [200] * 20 + [429] * 10
        assert answers[0].headers["ratelimit-limit"] == "20"
        assert [answer.headers["ratelimit-remaining"] for answer in answers[:2]] == ["19", "18"]
        refused = answers[-1]
        assert (refused.json()["kind"], refused.headers["ratelimit-remaining"]) == ("quota.exceeded", "0")
        assert 100 < int(refused.headers["retry-after"]) <= 180
        assert hub.key_client(other).get("/api/v1/feeds").status_code == 200


def test_a_request_over_the_rate_asks_no_database_and_is_told_when_the_clerk_comes(
    database: Database, tmp_path: Path
) -> None:
    with desk(database, tmp_path, quota_tenant="3/h") as hub:
        client = hub.key_client(hub.platform("P-440000-01"))
        assert [client.get("/api/v1/feeds").status_code for _ in range(3)] == [200] * 3
        asked: list[str] = []
        engine = hub.app.state.database.engine
        event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
        hub.app.state.gate.forget()
        refused = [client.get("/api/v1/feeds") for _ in range(40)]
        assert {answer.status_code for answer in refused} == {429}
        assert not asked
        assert {answer.json()["kind"] for answer in refused} == {"quota.exceeded"}
        assert len({answer.headers["x-request-id"] for answer in refused}) == 40
        told(database, hub.app.state.gate.tally)
        with database.read() as connection:
            last = audit.search(connection, act="refused")
        assert [(row["actor"], row["detail"]) for row in last] == [
            ("P-440000-01", {"count": 40, "why": "quota.exceeded"})
        ]


def test_a_revoked_key_that_was_over_its_rate_is_refused_as_no_key_and_counts_no_more(
    sqlite: Database, tmp_path: Path
) -> None:
    with desk(sqlite, tmp_path, quota_tenant="4/h") as hub:
        key, other = hub.platform("P-440000-01"), ""
        with sqlite.write() as connection:
            other = keys.issue(connection, "P-440000-01", label="other").key
        assert hub.key_client(key).get("/api/v1/feeds").status_code == 200
        with sqlite.write() as connection:
            keys.revoke(connection, key[:11], "lost")
        hub.app.state.gate.forget()
        with hub.key_client(key) as client:
            assert [client.get("/api/v1/feeds").status_code for _ in range(8)] == [401] * 8
        with hub.key_client(other) as client:
            assert [client.get("/api/v1/feeds").status_code for _ in range(3)] == [200, 200, 429]


def test_refusals_over_the_rate_do_not_hide_other_refusals_from_the_chain() -> None:
    tally = Tally()
    for _ in range(1000):
        tally.throttled("P-440000-01")
    assert tally.refused(Principal("key:hk_1", frozenset(), Rows(), "P-440000-01")) == 1
    for number in range(1000):
        tally.throttled("", f"198.51.{number // 250}.{number % 250}")
    assert len(found := tally.throttles()) <= 503
    assert sum(count for *_, count in found) == 2000
    assert not tally.throttles()


def test_anonymous_callers_behind_a_proxy_are_counted_one_by_one(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, quota_anonymous="5/h", trusted_proxies="127.0.0.1") as hub:

        def ask(address: str, **more: str) -> int:
            headers = {"X-Forwarded-For": address, **more}
            return httpx.get(f"{hub.url}/api/v1/records", headers=headers).status_code

        assert [ask("198.51.100.1") for _ in range(6)] == [200] * 5 + [429]
        assert ask("198.51.100.2") == 200
        assert [ask(f"2001:db8::{n}") for n in range(6)] == [200] * 5 + [429]
        assert [ask(f"9.9.9.{n}, 198.51.100.3") for n in range(6)] == [200] * 5 + [429], (
            "what the caller adds counts not"
        )
        guesses = [ask("198.51.100.4", Authorization=f"Bearer hk_{n}") for n in range(7)]
        assert guesses == [401] * 5 + [429] * 2, "guessing at keys is an anonymous request each"
    with desk(sqlite, tmp_path, quota_anonymous="5/h") as hub:
        direct = [httpx.get(f"{hub.url}/api/v1/records", headers={"X-Forwarded-For": "198.51.100.1"}) for _ in range(8)]
        assert {answer.status_code for answer in direct} == {200}, "loopback is the machine itself"


def test_more_requests_at_once_than_connections_are_all_answered(database: Database, tmp_path: Path) -> None:
    """Those that hold a connection need a thread to go on; threads that waited for a connection stopped the hub."""
    with desk(database, tmp_path) as hub:
        headers = {"Authorization": f"Bearer {hub.platform('P-440000-01')}"}

        async def all_at_once() -> list[int]:
            limits = httpx.Limits(max_connections=None)
            async with httpx.AsyncClient(
                base_url=hub.url, headers=headers, limits=limits, timeout=PATIENCE_S
            ) as client:
                answers = await asyncio.gather(*(client.get("/api/v1/feeds") for _ in range(300)))
            return [answer.status_code for answer in answers]

        # In a thread: a browser of another test may have a loop that runs in this one.
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(lambda: asyncio.run(all_at_once())).result() == [200] * 300
