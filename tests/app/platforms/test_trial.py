"""From the trial to online: on what the hub itself has seen, or with a reason that stays beside what is missing."""

from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import update

from app.admission import entering, ramp
from app.admission.ramp import Terms
from app.db import Database
from app.feeds.tables import feed as feed_table
from app.harvest import readiness, runs
from app.harvest.tables import run
from tests.app.access.desk import Desk as Office
from tests.app.admission.desk import CODE, Desk, desk
from tests.app.platforms.office import FEED, admitted, decide, proved


def lacks(at: Desk) -> list[str]:
    """What is missing, by name."""
    with at.database.read() as connection:
        return [name for name, _ in readiness.ready(connection, CODE).lacks]


def test_each_thing_that_is_missing_is_named(database: Database) -> None:
    with desk(database, 30) as at:
        assert lacks(at) == ["run"], "never harvested"
        with database.write() as connection:
            ramp.begin(connection, at.feed_id, "", Terms(least=2))
        at.again()
        assert lacks(at) == ["ramp"]
        for _ in (10, 100):
            with database.write() as connection:
                ramp.up(connection, at.feed_id, "known")
        assert lacks(at) == ["ramp"], "raised, and still waiting to enter"
        at.harvest(at.feed_id, "ramp")
        assert lacks(at) == []
        for values in (
            {"rejected": run.c.rejected + 3, "seen": run.c.seen + 3},
            {"status": "failed"},
            {"ended_at": run.c.ended_at - 1_400_000_000},
        ):
            with database.write() as connection:
                connection.execute(update(run).where(run.c.job == "full").values(**values))
            assert lacks(at) == ["run"], values
            at.again()
            assert lacks(at) == []
        with database.write() as connection:
            connection.execute(update(feed_table).values(state="paused"))
        assert lacks(at) == ["feed"]


def test_the_report_tells_each_feed(sqlite: Database) -> None:
    with desk(sqlite, 30) as at:
        done = at.again()
        with sqlite.read() as connection:
            found = readiness.report(connection, CODE)
    (feed,) = found.told["feeds"]
    assert found.lacks == []
    assert (feed["feed"], feed["live"], feed["ramp"]) == (f"{CODE}/oai-pmh-1", 30, None)
    assert (feed["run"]["id"], feed["run"]["seen"], feed["run"]["rejected"]) == (done["run"], 30, 0)


@pytest.fixture
def trial(hub: Office) -> Any:
    """A vendor in its trial: (code, its history's reader, the operator)."""
    wang, li = hub.person("wang", "operator"), hub.person("li", "operator")
    with proved(hub) as vendor:
        code, client = admitted(hub, vendor, wang, li)
        assert client.post("/api/v1/feeds", json={"platform": code, **FEED}).status_code == 201
        yield code, vendor, wang


def test_a_trial_that_is_not_over_is_refused_with_what_is_missing_and_leaves_nothing(trial: Any) -> None:
    code, vendor, wang = trial
    before = vendor.shown()["documents"]
    refused = decide(wang, code, "approve", 409, reason="四周无故障")
    assert (refused["kind"], refused["errors"][0]["pointer"]) == ("enrol.not_ready", "trial")
    assert "was never harvested" in refused["errors"][-1]["detail"]
    assert (vendor.shown()["stage"], vendor.shown()["documents"]) == ("trial", before)


def test_what_is_missing_is_waived_with_a_reason_and_stays_on_record(trial: Any) -> None:
    code, vendor, wang = trial
    assert decide(wang, code, "approve", 422, waive=True)["kind"] == "enrol.reason_missing"
    assert decide(wang, code, "approve", reason="由部里指定上线", waive=True)["stage"] == "online"
    last, (report, *_) = vendor.shown()["steps"][-1], vendor.shown()["documents"]
    assert (last["to_stage"], last["reason"]) == ("online", "由部里指定上线")
    assert "was never harvested" in last["given"]["waived"][-1]
    assert report["sha256"] in last["rests_on"]
    kept = _document(wang, code, report["sha256"])
    assert (kept["platform"], kept["waived"], report["kind"], report["by"][:6]) == (
        code,
        last["given"]["waived"],
        "trial",
        "person",
    )


def test_a_trial_that_is_over_rests_on_the_hubs_own_report(hub: Office, trial: Any) -> None:
    code, vendor, wang = trial
    with hub.database.write() as connection:
        number = connection.execute(feed_table.select().where(feed_table.c.platform == code)).first()
        assert number is not None
        made = runs.begin(connection, number.id, "full")
        runs.count(connection, made, unchanged=40, pages=1)
        runs.end(connection, made, None)
        for _ in (10, 100):
            entering.take(connection, number.id, "raise", "seen", Terms())
    assert decide(wang, code, "approve")["stage"] == "online"
    last, report = vendor.shown()["steps"][-1], vendor.shown()["documents"][0]
    assert (last["given"], report["sha256"] in last["rests_on"]) == ({}, True)
    (feed,) = _document(wang, code, report["sha256"])["feeds"]
    assert (feed["ramp"]["state"], feed["run"]["id"]) == ("over", made)


def _document(client: httpx.Client, code: str, sha256: str) -> dict[str, Any]:
    answer = client.get(f"/api/v1/enrolments/{code}/file/{sha256}")
    assert answer.status_code == 200
    found: dict[str, Any] = orjson.loads(answer.content)
    return found
