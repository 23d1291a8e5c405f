"""The doors of the ramp: REST, the feed's own page and the operator's in both languages, the wall, the alert, the command."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from lxml import html

from app.db import Database
from app.disk import Disk
from app.monitor import alerts
from app.platforms.queries import enrolment_of
from tests.app.access.desk import desk as hub_desk
from tests.app.admission.desk import CODE, Desk, desk
from tests.app.admission.test_ramp import spoil
from tests.commands import hutong

COUNT = 200
PAGE = {"Accept": "text/html"}


class Doors(NamedTuple):
    """A desk whose feed is on the first step, its own page, and who comes in."""

    at: Desk
    ramp: str
    page: str
    manager: httpx.Client
    operator: httpx.Client
    stranger: httpx.Client
    folder: Path


@pytest.fixture
def doors(database: Database, tmp_path: Path) -> Iterator[Doors]:
    """The feed's manager, an operator, and somebody from elsewhere."""
    with desk(database, COUNT) as at, hub_desk(database, tmp_path) as hub:
        operator = hub.person("wang", "operator")
        hub.platform("P-650000-01")
        ramp = f"/api/v1/feeds/{at.feed_id}/ramp"
        begun = operator.post(ramp, json={"act": "begin", "reason": "a new interface"}).json()
        assert (begun["ramp"]["percent"], begun["ramp"]["state"]) == (1, "on")
        with database.read() as connection:
            number = enrolment_of(connection, CODE).id
        yield Doors(
            at, ramp, f"/vendor/{number}/feeds/{at.feed_id}", hub.person("chen", "platform-manager", platforms=(CODE,)),
            operator, hub.person("he", "platform-manager", platforms=("P-650000-01",)), tmp_path,
        )  # fmt: skip


def _said(client: httpx.Client, path: str, lang: str = "zh-CN") -> Any:
    answer = client.get(path, headers={**PAGE, "Cookie": f"{client.headers.get('Cookie', '')}; lang={lang}"})
    assert answer.status_code == 200, answer.text
    return html.fromstring(answer.content)


def _ramp(client: httpx.Client, path: str, lang: str = "zh-CN") -> str:
    return " ".join(_said(client, path, lang).xpath("string(//section[@id='ramp'])").split())


def test_the_feeds_manager_raises_it_and_nobody_elses(doors: Doors) -> None:
    at, manager = doors.at, doors.manager
    refused = manager.post(doors.ramp, json={"act": "raise"})
    assert (refused.status_code, refused.json()["kind"]) == (409, "ramp.no_good_run")
    at.again()
    found = manager.get(doors.ramp).json()["ramp"]
    assert (found["percent"], found["waiting"], found["good_run"]) == (1, COUNT - at.live(), 1)
    assert "salt" not in found
    assert found["inside"] == {**found["inside"], "100": found["waiting"]}
    for verb in ("get", "post"):
        body = {} if verb == "get" else {"json": {"act": "raise"}}
        assert getattr(doors.stranger, verb)(doors.ramp, **body).status_code == 404
    assert manager.post(doors.ramp, json={"act": "begin", "reason": "x"}).status_code == 403
    assert manager.post(doors.ramp, json={"act": "stop"}).status_code == 422
    assert manager.post(doors.ramp, json={"act": "explode"}).status_code == 422
    assert manager.post(doors.ramp, json={"act": "raise"}).json()["ramp"]["percent"] == 10
    assert manager.post("/api/v1/feeds/999/ramp", json={"act": "raise"}).status_code == 404


def test_the_own_page_shows_three_steps_and_works_by_forms(doors: Doors) -> None:
    at, manager = doors.at, doors.manager
    assert "这一档还没有成功的运行" in _ramp(manager, doors.page)
    at.again()
    shown = _ramp(manager, doors.page)
    assert f"1 % · 当前 {at.live()} 条" in shown
    assert "全部 · 未到 200 条" in shown
    assert "10 % · later" in _ramp(manager, doors.page, "en")
    answer = manager.post(f"{doors.page}/ramp", data={"do": "raise"})
    assert (answer.status_code, answer.headers["Location"]) == (303, f"{doors.page}#ramp")
    assert "10 % · 当前" in _ramp(manager, doors.page)
    back = manager.post(f"{doors.page}/ramp", data={"do": "lower"}, headers=PAGE)
    assert back.status_code == 422
    assert manager.post(f"{doors.page}/ramp", data={"do": "lower", "why": "慢一点"}).status_code == 303
    assert doors.operator.post(f"/feeds/{at.feed_id}/ramp", data={"do": "raise", "why": "可以"}).status_code == 303
    assert "10 % · 当前" in _ramp(doors.operator, f"/feeds/{at.feed_id}")
    assert doors.stranger.post(f"{doors.page}/ramp", data={"do": "raise"}).status_code == 404


def test_a_stopped_ramp_says_why_and_what_to_do_on_page_wall_notice_and_alert(doors: Doors, tmp_path: Path) -> None:
    at = doors.at
    spoil(at, 15)
    at.again()
    for lang, words in (
        ("zh-CN", ("200 条中 15 条被规则拒收", "写明理由恢复", "1 % · 已停止")),
        ("en", ("The rules refused 15 of 200 records", "resume with a reason", "1 % · stopped")),
    ):
        shown = _ramp(doors.manager, doors.page, lang)
        assert [word for word in words if word not in shown] == []
        case = " ".join(_said(doors.operator, "/", lang).xpath("string(//ul[@class='cases'])").split())
        assert words[0] in case
    assert "放量已自动停止" in doors.manager.get("/api/v1/notices").json()["items"][0]["title"]
    with at.database.read() as connection:
        found = [one for one in alerts.current(connection, Disk(tmp_path, (0, 0))) if one.rule == "ramp"]
    assert [(one.key, one.severity, one.feeds) for one in found] == [(f"ramp:{at.feed_id}", "decision", (at.feed_id,))]
    assert "15 of 200 records refused" in found[0].detail
    (state,) = [one["state"] for one in doors.operator.get("/api/v1/status").json()["items"]]
    assert state == "held"
    assert doors.manager.post(doors.ramp, json={"act": "raise"}).json()["kind"] == "ramp.stopped"
    assert doors.manager.post(doors.ramp, json={"act": "resume", "reason": "已更正"}).status_code == 200
    with at.database.read() as connection:
        assert "ramp" not in {one.rule for one in alerts.current(connection, Disk(tmp_path, (0, 0)))}


def test_the_command_raises_and_lets_in_at_once(doors: Doors) -> None:
    at = doors.at
    at.again()
    for percent, state in ((10, "on"), (100, "over")):
        said = _run(at, doors.folder, str(at.feed_id), "raise", "--reason", "known", "--json")
        assert (said["percent"], said["state"]) == (percent, state)
    assert (at.live(), said["waiting"]) == (COUNT, 0)
    assert _run(at, doors.folder, str(at.feed_id), "--json")["state"] == "over"


def _run(at: Desk, folder: Path, *words: str) -> dict[str, Any]:
    url = at.database.url.render_as_string(hide_password=False)
    done = hutong("feed", "ramp", *words, HUTONG_DATA_DIR=str(folder), HUTONG_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = orjson.loads(done.stdout)
    return found
