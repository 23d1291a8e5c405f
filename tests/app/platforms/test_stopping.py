"""Suspension holds within one page, one poll, one second; what is announced comes when it is due, not before."""

import time
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from app.access import keys
from app.access.principal import narrowed
from app.access.tables import api_key
from app.db import Database, now
from app.feeds import leases
from app.feeds import service as feeds
from app.feeds.tables import feed
from app.harvest.worker import harvest_now
from app.platforms import applications, duties, gradings, moves, notices, service
from app.platforms.schemas import Application
from app.platforms.stages import Stage
from app.platforms.tables import enrolment, grading, platform
from app.protocol.errors import Conflict, LeaseLost
from app.settings import Settings
from tests.app.access.desk import Desk, desk
from tests.app.platforms.office import application, decide
from tests.hub import Hub

DAY = 86_400_000_000


def _feed(database: Database, code: str = "P-440000-01") -> int:
    with database.write() as connection:
        service.register(connection, code, code)
        return feeds.register(
            connection, platform=code, name="f", connector="ix", config={"base_url": "http://127.0.0.1:9/"}
        )


def _state(database: Database, state: str) -> None:
    with database.write() as connection:
        connection.execute(update(platform).values(state=state))


@pytest.mark.parametrize("state", ["sandbox", "suspended", "retired"])
def test_only_an_active_platforms_feed_is_claimed_harvested_or_written(database: Database, state: str) -> None:
    number = _feed(database)
    with database.write() as connection:
        lease = leases.claim_due(connection, "w", 60)
    assert lease is not None
    assert lease.feed_id == number
    _state(database, state)
    with database.write() as connection, pytest.raises(LeaseLost, match="may not be harvested"):
        leases.hold(connection, lease)
    with database.write() as connection:
        connection.execute(update(feed).values(lease_until=0))
        assert leases.claim_due(connection, "w", 60) is None
    with Hub(database).engine() as engine, pytest.raises(Conflict, match="trial or online"):
        harvest_now(engine, number, "harvest")
    _state(database, "active")
    with database.write() as connection:
        assert leases.claim_due(connection, "w", 60) is not None


def test_a_suspended_platforms_key_token_and_people_are_stopped_within_a_second_in_every_process(
    database: Database, tmp_path: Path
) -> None:
    with desk(database, tmp_path) as one, desk(database, tmp_path) as two:
        key = one.platform("P-440000-01")
        token = one.token("P-440000-01", key).json()["access_token"]
        one.person("chen", "vendor", platforms=("P-440000-01",))
        people = [one.sign_in("chen"), two.sign_in("chen")]
        clients = [hub.key_client(what) for hub in (one, two) for what in (key, token)]
        assert [client.get("/api/v1/feeds").status_code for client in clients] == [200] * 4
        assert [len(person.get("/api/v1/platforms").json()["items"]) for person in people] == [1, 1]
        decide(one.person("wang", "operator"), "P-440000-01", "suspend", reason="事件处置")
        here = [client.get("/api/v1/feeds").status_code for client in clients[:2]]
        assert here == [401, 401], "in the same process at once"
        time.sleep(1)
        assert [client.get("/api/v1/feeds").status_code for client in clients] == [401] * 4
        assert [person.get("/api/v1/platforms").json()["items"] for person in people] == [[], []]
        decide(one.sign_in("wang"), "P-440000-01", "resume")
        assert clients[0].get("/api/v1/feeds").status_code == 200


def test_one_feed_and_one_key_can_be_stopped_alone(hub: Desk) -> None:
    key, wang = hub.platform("P-440000-01"), hub.person("wang", "operator")
    with hub.database.write() as connection:
        number = feeds.register(connection, platform="P-440000-01", name="f", connector="ix", config={"base_url": "http://e.example"})  # fmt: skip
    with hub.database.write() as connection:
        lease = leases.claim_due(connection, "w", 60)
    assert lease is not None
    wang.post(f"/api/v1/feeds/{number}/pause")
    with hub.database.write() as connection, pytest.raises(LeaseLost):
        leases.hold(connection, lease)
    client = hub.key_client(key)
    assert client.get("/api/v1/feeds").status_code == 200
    hub.person("sun", "security-administrator").post(f"/api/v1/keys/{key[:11]}/revoke", json={"reason": "x"})
    assert client.get("/api/v1/feeds").status_code == 401


def test_a_feed_that_the_hub_suspended_is_let_go_on_by_the_hub_alone(hub: Desk) -> None:
    key, wang = hub.platform("P-440000-01"), hub.person("wang", "operator")
    with hub.database.write() as connection:
        number = feeds.register(connection, platform="P-440000-01", name="f", connector="ix", config={"base_url": "http://e.example"})  # fmt: skip
    client, path = hub.key_client(key), f"/api/v1/feeds/{number}"
    assert client.post(f"{path}/suspend").json()["kind"] == "enrol.feed_suspended"
    with hub.database.write() as connection:
        lease = leases.claim_due(connection, "w", 60)
    assert lease is not None
    assert wang.post(f"{path}/suspend", json={"reason": "元数据含个人信息"}).json()["state"] == "suspended"
    with hub.database.write() as connection, pytest.raises(LeaseLost):
        leases.hold(connection, lease)
    for act in ("resume", "pause", "retire"):
        answer = client.post(f"{path}/{act}")
        assert (answer.status_code, answer.json()["kind"]) == (403, "enrol.feed_suspended")
    assert client.get(path).json()["state"] == "suspended"
    assert client.get("/api/v1/notices").json()["items"][0]["body"] == "元数据含个人信息"
    with hub.database.write() as connection:
        assert leases.claim_due(connection, "w", 60) is None
    assert wang.post(f"{path}/resume").json()["state"] == "active"
    with hub.database.write() as connection:
        assert leases.claim_due(connection, "w", 60) is not None


def test_a_key_that_ends_is_told_of_once_at_each_mark(database: Database) -> None:
    settings = Settings()
    with database.write() as connection:
        service.register(connection, "P-440000-01", "广东")
        old = keys.issue(connection, "P-440000-01")
        keys.issue(connection, None, label="hub", days=3)
        keys.rotate(connection, old.prefix, 7 * 86_400 - 60)
    for left, noticed in ((6, 1), (6, 0), (0, 1), (0, 0), (-1, 0)):
        with database.write() as connection:
            at = now(connection) + left * DAY + DAY // 2
            connection.execute(narrowed(update(api_key).where(api_key.c.prefix == old.prefix).values(expires_at=at)))
            assert duties.carry_out(connection, settings)["noticed"] == noticed, left
    with database.read() as connection:
        told = notices.notices(connection)
    assert [(one["platforms"], old.prefix in one["body"]) for one in told] == [(1, True), (1, True)]


def test_a_retirement_is_announced_with_the_grace_period(hub: Desk) -> None:
    key, wang = hub.platform("P-440000-01"), hub.person("wang", "operator")
    assert decide(wang, "P-440000-01", "retire", 422, reason="x", days=29)["kind"] == "enrol.grace"
    assert decide(wang, "P-440000-01", "retire", 422)["kind"] == "enrol.reason_missing"
    told = decide(wang, "P-440000-01", "retire", reason="合并到省平台")
    assert (told["stage"], told["due_at"] > 0) == ("online", True)
    notice = hub.key_client(key).get("/api/v1/notices").json()["items"][0]
    assert "合并到省平台" in notice["body"]
    assert notice["deadline_at"] == told["due_at"]
    with hub.database.write() as connection:
        assert duties.carry_out(connection, hub.settings)["moved"] == 0
        connection.execute(update(enrolment).values(due_at=now(connection)))
    with hub.database.write() as connection:
        assert duties.carry_out(connection, hub.settings)["moved"] == 1
    found = wang.get("/api/v1/enrolments/P-440000-01/file").json()
    assert (found["stage"], found["steps"][-1]["by"], found["due_at"]) == ("retired", "system", None)
    assert decide(wang, "P-440000-01", "suspend", 409, reason="x")["kind"] == "enrol.stage"
    assert decide(wang, "P-440000-01", "resume", 409)["kind"] == "enrol.stage"


def test_an_announcement_can_be_taken_back_and_a_suspension_returns_to_its_stage(hub: Desk) -> None:
    hub.platform("P-440000-01")
    wang = hub.person("wang", "operator")
    assert decide(wang, "P-440000-01", "keep", 409, reason="x")["kind"] == "enrol.stage"
    decide(wang, "P-440000-01", "suspend", reason="x", days=3)
    assert decide(wang, "P-440000-01", "keep", reason="已整改")["due_at"] is None
    with hub.database.write() as connection:
        connection.execute(update(enrolment).values(stage=Stage.TRIAL))
    decide(wang, "P-440000-01", "suspend", reason="x")
    assert decide(wang, "P-440000-01", "resume")["stage"] == "trial"


def test_who_forgets_an_application_is_forgotten(database: Database) -> None:
    settings = Settings()
    with database.write() as connection:
        made = applications.apply(connection, Application.model_validate(application()), settings)
        assert duties.carry_out(connection, settings)["forgotten"] == 0
        connection.execute(update(enrolment).values(moved_at=now(connection) - 31 * DAY))
        assert duties.carry_out(connection, settings)["forgotten"] == 1
        assert service.moves.enrolment_of(connection, made.id).stage == "retired"


def _graded(database: Database, days: float) -> None:
    """A platform whose grading ends in so many days."""
    with database.write() as connection:
        service.register(connection, "P-440000-01", "广东")
        gradings.file(connection, "P-440000-01", 3, "44010043001-23001", "2099-01-01")
        connection.execute(update(grading).values(expires_at=now(connection) + int(days * DAY)))


def test_a_grading_is_warned_of_once_at_each_mark(database: Database) -> None:
    _graded(database, 80)
    settings = Settings()
    for days, noticed in ((80, 1), (79, 0), (29, 1), (6, 1), (6, 0), (-1, 1), (-2, 0)):
        with database.write() as connection:
            connection.execute(update(grading).values(expires_at=now(connection) + days * DAY + DAY // 2))
            assert duties.carry_out(connection, settings)["noticed"] == noticed, days
    with database.read() as connection:
        assert service.moves.enrolment_of(connection, "P-440000-01").due_at is None, "the default rule only warns"


def test_after_the_expiry_the_rule_suspends_with_grace_and_a_new_filing_saves(database: Database) -> None:
    _graded(database, -1)
    settings = Settings(grading_expired="suspend", grading_grace_days=10)
    with database.write() as connection:
        assert duties.carry_out(connection, settings) == {"moved": 0, "forgotten": 0, "noticed": 1}
        row = service.moves.enrolment_of(connection, "P-440000-01")
        assert (row.due_stage, 9 * DAY < row.due_at - now(connection) <= 10 * DAY) == ("suspended", True)
        gradings.file(connection, "P-440000-01", 3, "44010043001-26001", "2099-01-01")
        assert service.moves.enrolment_of(connection, "P-440000-01").due_at is None


def test_an_expired_grading_suspends_when_its_grace_is_over(database: Database) -> None:
    _graded(database, -1)
    settings = Settings(grading_expired="suspend", grading_grace_days=10)
    with database.write() as connection:
        duties.carry_out(connection, settings)
        connection.execute(narrowed(update(enrolment).values(due_at=now(connection))))
        duties.carry_out(connection, settings)
        assert service.by_code(connection, "P-440000-01")["state"] == "suspended"
        assert moves.resume(connection, "P-440000-01") == "online"


def test_the_hub_does_what_is_due_when_it_stops_at_the_latest(sqlite: Database, tmp_path: Path) -> None:
    _graded(sqlite, 5)
    with desk(sqlite, tmp_path):
        pass
    with sqlite.read() as connection:
        from app.platforms import notices

        assert [one["title"] for one in notices.notices(connection)] == ["等级保护 security grading"]


def test_applicants_cannot_stop_anybody(hub: Desk) -> None:
    client: httpx.Client = hub.key_client(hub.platform("P-440000-01"))
    for verb in ("suspend", "resume", "retire", "keep", "approve", "refuse"):
        assert client.post(f"/api/v1/enrolments/P-440000-01/{verb}", json={"reason": "x"}).status_code == 403
