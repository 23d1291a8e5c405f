"""Incidents and who hears of them, on both databases."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from app.access import keys, secrets
from app.access.keyring import Keyring
from app.db import Database, metadata, now
from app.disk import Disk
from app.feeds.tables import feed
from app.harvest import runs
from app.monitor import alert_routes, alerts, incidents, notices
from app.monitor.causes import Cause, Rule
from app.monitor.notices import checked_quiet, loud_at
from app.monitor.tables import incident, notice
from app.protocol.errors import BadRequest, Conflict, NotFound, PeerRefused, PeerUnavailable, SecretLost
from tests.hub import Hub

RING = Keyring([b"test"])
HOUR = 3_600_000_000
DOWN = Cause("host:a.cn", Rule.LATE, "source", "a.cn: nobody there", (1, 2))
WORSE = Cause("host:a.cn", Rule.FAILING, "source", "a.cn: nobody there", (1, 2, 3))
HELD = Cause("held:7", Rule.HELD, "source", "would remove 9 of 10", (7,))


def _seen(database: Database, *causes: Cause, patience_s: int = 0) -> None:
    with database.write() as connection:
        incidents.reconcile(connection, causes, patience_s)


def _route(database: Database, **more: object) -> int:
    with database.write() as connection:
        made = alert_routes.add(
            connection,
            RING,
            **{"name": "duty", "kind": "wecom", "url": "https://qyapi.example/send?key=hush-hush", **more},
        )  # type: ignore[arg-type]
    return int(made["id"])


def _queued(database: Database) -> list[tuple[int, str, str]]:
    with database.read() as connection:
        query = select(notice.c.incident_id, notice.c.event, notice.c.state).order_by(notice.c.id)
        return [tuple(row) for row in connection.execute(query)]


def _tell(database: Database) -> None:
    with database.write() as connection:
        for batch in notices.due(connection, now(connection) + HOUR):
            notices.told(connection, batch, now(connection))


def test_a_cause_is_one_incident_while_it_lasts_and_another_when_it_comes_back(database: Database) -> None:
    for causes in ((DOWN,), (DOWN, HELD), (DOWN,), (), (DOWN,)):
        _seen(database, *causes)
    with database.read() as connection:
        every = [(one["cause"], one["state"]) for one in incidents.incidents(connection, "all")]
        still = [one["cause"] for one in incidents.incidents(connection)]
    assert every == [("host:a.cn", "open"), ("held:7", "resolved"), ("host:a.cn", "resolved")]
    assert still == ["host:a.cn"]


def test_what_goes_on_and_off_stays_one_incident(database: Database) -> None:
    for causes in ((DOWN,), (), (DOWN,), ()):
        _seen(database, *causes, patience_s=600)
    with database.read() as connection:
        assert [one["state"] for one in incidents.incidents(connection, "all")] == ["open"]


def test_an_end_is_told_only_to_who_heard_the_beginning(database: Database) -> None:
    _route(database)
    _seen(database, DOWN)
    _tell(database)
    _seen(database, DOWN, HELD)
    _seen(database)
    assert _queued(database) == [(1, "opened", "told"), (2, "opened", "dropped"), (1, "resolved", "pending")]


def test_worse_is_told_again_and_more_of_the_same_is_not(database: Database) -> None:
    _route(database)
    for cause in (DOWN, DOWN, WORSE, WORSE, DOWN, WORSE):
        _seen(database, cause)
    assert [event for _, event, _ in _queued(database)] == ["opened", "worsened"]
    with database.read() as connection:
        assert incidents.by_id(connection, 1)["feed_count"] == 3


def test_a_route_hears_only_the_rules_it_asked_for_and_nothing_while_paused(database: Database) -> None:
    _route(database, rules=["held"])
    _seen(database, DOWN)
    assert _queued(database) == []
    _seen(database, DOWN, HELD)
    assert _queued(database) == [(2, "opened", "pending")]
    with database.write() as connection:
        alert_routes.move(connection, 1, "paused")
    with database.read() as connection:
        assert notices.due(connection, now(connection)) == []


def test_acknowledged_is_told_no_more_and_says_who_has_it(database: Database) -> None:
    _route(database)
    _seen(database, DOWN)
    with database.write() as connection:
        found = incidents.acknowledge(connection, 1, "王敏", "电话已打")
    assert (found["state"], found["acknowledged_by"], found["note"]) == ("acknowledged", "王敏", "电话已打")
    _seen(database, DOWN)
    assert _queued(database) == [(1, "opened", "dropped")]
    _seen(database)
    with database.write() as connection:
        with pytest.raises(Conflict):
            incidents.acknowledge(connection, 1, "王敏")
        with pytest.raises(NotFound):
            incidents.acknowledge(connection, 404, "王敏")
        with pytest.raises(BadRequest):
            incidents.acknowledge(connection, 1, "  ")


@pytest.mark.parametrize(
    ("quiet", "hour", "loud"),
    [("", 3, 3), ("22:00-07:00", 23, 31), ("22:00-07:00", 3, 7), ("22:00-07:00", 7, 7), ("22:00-07:00", 12, 12),
     ("12:00-14:00", 13, 14), ("12:00-14:00", 14, 14), ("12:00-14:00", 11, 11)],
)  # fmt: skip
def test_quiet_hours_put_off_until_they_end_in_the_operators_day(quiet: str, hour: int, loud: int) -> None:
    midnight = 1_790_000_000_000_000 // 86_400_000_000 * 86_400_000_000 - 8 * HOUR
    assert loud_at(checked_quiet(quiet), midnight + hour * HOUR) == midnight + loud * HOUR


@pytest.mark.parametrize("quiet", ["22-7", "25:00-07:00", "22:00-22:00", "22:00–07:00", "22:00-07:00 "])
def test_quiet_hours_that_cannot_be_read_are_refused(quiet: str) -> None:
    with pytest.raises(BadRequest):
        checked_quiet(quiet)


def test_what_is_over_before_the_quiet_hours_end_is_never_told(database: Database) -> None:
    _route(database, quiet="00:00-23:59")
    _seen(database, DOWN)
    with database.read() as connection:
        late = connection.execute(select(notice.c.due_at)).scalar_one() - now(connection)
    _seen(database)
    assert _queued(database) == [(1, "opened", "dropped")]
    assert late >= 0


def test_a_route_that_does_not_answer_is_asked_later_and_given_up_in_the_end(database: Database) -> None:
    _route(database)
    _seen(database, DOWN)
    pauses = []
    for _ in range(notices.ATTEMPTS):
        with database.write() as connection:
            (batch,) = notices.due(connection, 1 << 62)
            notices.untold(connection, batch, 0, "answered 500")
            pauses.append(connection.execute(select(notice.c.due_at)).scalar_one() // 1_000_000)
    assert pauses[:3] == [60, 120, 240]
    assert max(pauses) == 3600
    assert _queued(database) == [(1, "opened", "failed")]
    with database.read() as connection:
        (route,) = alert_routes.routes(connection)
    assert (route["failed"], route["error"]) == (1, "answered 500")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "pager"}, {"kind": "mail", "to": []}, {"kind": "mail", "to": ["a@b.cn\nBcc: x@y.cn"]},
        {"kind": "mail", "to": ["王 <a@b.cn>"]}, {"kind": "mail", "to": ["nobody"]}, {"url": "file:///etc/passwd"},
        {"url": "https://user:pass@bot.example/"}, {"url": ""}, {"kind": "webhook", "key": "whsec_c2hvcnQ="},
        {"kind": "webhook", "key": "not base64"}, {"rules": ["no such"]}, {"quiet": "night"}, {"name": " "},
    ],
)  # fmt: skip
def test_a_route_that_cannot_work_is_refused_by_name_without_its_secret(
    sqlite: Database, wrong: dict[str, object]
) -> None:
    with pytest.raises(BadRequest) as refused:
        _route(sqlite, **wrong)
    assert "hush" not in refused.value.detail
    assert "pass@" not in refused.value.detail
    with sqlite.read() as connection:
        assert alert_routes.routes(connection) == []


def test_secrets_of_routes_are_never_read_back(database: Database) -> None:
    number = _route(database)
    with database.read() as connection:
        shown = repr((alert_routes.routes(connection), alert_routes.by_id(connection, number)))
    assert "hush" not in shown
    assert "https://qyapi.example/…" in shown
    with pytest.raises(Conflict):
        _route(database)
    with database.read() as connection:
        stored = [cell for table in metadata.sorted_tables for row in connection.execute(select(table)) for cell in row]
        assert not any(b"hush" in (bytes(c) if isinstance(c, bytes | memoryview) else str(c).encode()) for c in stored)
        assert alert_routes.opened(connection, RING, number) == (
            "wecom", {"url": "https://qyapi.example/send?key=hush-hush", "key": ""},
        )  # fmt: skip
        with pytest.raises(SecretLost):
            alert_routes.opened(connection, Keyring([b"another"]), number)
    with database.write() as connection:
        alert_routes.remove(connection, number)
        assert secrets.opened(connection, RING, alert_routes.owner(number)) == {}
        with pytest.raises(NotFound):
            alert_routes.opened(connection, RING, number)


def test_a_change_of_the_hubs_key_keeps_the_routes(database: Database) -> None:
    number, both = _route(database), Keyring([b"new", b"test"])
    with database.write() as connection:
        assert secrets.reseal(connection, both) == 1
        assert alert_routes.opened(connection, Keyring([b"new"]), number)[0] == "wecom"


def test_one_of_many_evaluators_looks_and_only_when_it_is_time(database: Database) -> None:
    def claim(number: int) -> bool:
        with database.write() as connection:
            return alerts.claim(connection, f"worker {number}", 60)

    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(claim, range(8)))
    assert got.count(True) == 1
    winner = f"worker {got.index(True)}"
    with database.write() as connection:
        assert alerts.renew(connection, winner)
        assert not alerts.renew(connection, "somebody else")
        assert alerts.renew(connection, winner, done=True)
        assert not alerts.claim(connection, "worker 9", 60), "the last look is fresh"
        assert alerts.claim(connection, "worker 9", 0.000001)
        assert alerts.last_look(connection) is not None


def test_a_dead_host_opens_one_incident_and_its_return_resolves_it(database: Database, tmp_path: Path) -> None:
    hub = Hub(database)
    dead = [hub.feed("ix", {"base_url": "http://127.0.0.1:9"}, f"C-4401{n:02d}-01") for n in range(5)]
    refusing = hub.feed("ix", {"base_url": "http://127.0.0.1:10"}, "E-110000-01")
    with database.write() as connection:
        for number in dead:
            runs.end(connection, runs.begin(connection, number, "harvest"), PeerUnavailable("nobody there"))
        runs.end(connection, runs.begin(connection, refusing, "harvest"), PeerRefused("403"))
    alerts.evaluate(database, Disk(tmp_path, (0, 0)), 0)
    with database.read() as connection:
        found = {one["cause"]: one["feed_count"] for one in incidents.incidents(connection)}
    assert found == {"host:127.0.0.1:9": 5, "host:127.0.0.1:10:peer.refused": 1}
    with database.write() as connection:  # a worker tries one of them again: that is no recovery
        connection.execute(update(feed).where(feed.c.id == dead[0]).values(lease_until=now(connection) + HOUR))
    alerts.evaluate(database, Disk(tmp_path, (0, 0)), 0)
    with database.write() as connection:
        assert incidents.by_id(connection, 1)["feed_count"] + incidents.by_id(connection, 2)["feed_count"] == 6
        connection.execute(
            update(feed).values(succeeded_at=now(connection), lease_until=0, next_at=now(connection) + HOUR)
        )
        for number in (*dead, refusing):
            runs.end(connection, runs.begin(connection, number, "harvest"), None)
    alerts.evaluate(database, Disk(tmp_path, (0, 0)), 0)
    with database.read() as connection:
        assert incidents.incidents(connection) == []
        assert connection.execute(select(func.count()).select_from(incident)).scalar_one() == 2


def test_a_key_that_ends_is_told_of_thirty_seven_and_one_days_before(database: Database, tmp_path: Path) -> None:
    Hub(database).feed("upload", {"file": {"format": "csv", "id_columns": ["id"]}})
    with database.write() as connection:
        made = keys.issue(connection, "P-440000-01", days=90)
        keys.issue(connection, "P-440000-01", label="for-ever")

    def told(days: float) -> list[tuple[str, str]]:
        with database.write() as connection:
            ends = now(connection) + int(days * 24 * HOUR)
            connection.execute(update(keys.api_key).where(keys.api_key.c.prefix == made.prefix).values(expires_at=ends))
        with database.read() as connection:
            return [
                (c.key, c.detail) for c in alerts.current(connection, Disk(tmp_path, (0, 0))) if c.rule is Rule.EXPIRY
            ]

    assert told(31) == []
    stages = [(told(days)[0][0].rpartition(":")[2], told(days)[0][1]) for days in (29.5, 8, 6.5, 2, 0.5)]
    assert [stage for stage, _ in stages] == ["30", "30", "7", "7", "1"]
    assert f"key {made.prefix} (main) of P-440000-01 ends in 7 d" in stages[2][1]
    assert made.key not in repr(stages)
    assert told(-1) == [], "what has ended is not ending"
    told(20)
    with database.write() as connection:
        successor = keys.rotate(connection, made.prefix)
    assert told(6) == [], "its successor is there"
    with database.write() as connection:
        keys.revoke(connection, successor.prefix)
    assert len(told(6)) == 1
