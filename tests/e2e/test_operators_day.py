"""The operator's day: a failing province on the wall, its run, a broken record, the mapping mended, healthy again."""

from pathlib import Path
from typing import Any

import pytest

from app.access import people
from app.access.scopes import Role
from app.feeds import service as feeds
from app.harvest import runs
from tests.broken_feed import MAPPING, BrokenFeed
from tests.console_hub import Served, served
from tests.hub import Hub
from tests.peers.replay import ReplayServer

NAME, PASSWORD = "wang.min", "rice-lantern-velvet-41"


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_operators_day(browser: Any, tmp_path: Path, pictures: Path | None, scripts: bool) -> None:
    peer, shots = BrokenFeed(), pictures or tmp_path
    shots.mkdir(parents=True, exist_ok=True)
    with served(tmp_path, filled=False) as made, ReplayServer(peer) as url:
        hub = Hub(made.database)
        feed = hub.feed("static-parts", {"manifest_url": f"{url}/m"}, platform="P-530000-01", mapping=MAPPING)
        assert hub.harvest(feed)["created"] == 30
        peer.breaks()
        assert hub.harvest(feed)["error"]["kind"] == "run.schema_changed"
        page = _page(browser, made, scripts)
        _finds_the_broken_record(page, made)
        _mends_the_mapping(page, shots)
        _runs_it_again(page, hub, feed, shots)
        page.goto(made.url)
        assert page.locator(".tile .word").inner_text() == "正常"
        page.context.close()
        assert hub.live() == 70
        with made.database.read() as connection:
            assert feeds.by_id(connection, feed)["mapping"]["fields"]["title"] == [{"path": "title"}, {"path": "name"}]
            asked = [run["asked"] for run in runs.runs(connection, feed)]
        assert asked[0] == {"by": NAME, "why": "映射已改"}
        assert asked[1] == asked[2] == {"by": NAME, "why": "来源把 title 改名为 name"}


def _page(browser: Any, made: Served, scripts: bool) -> Any:
    with made.database.write() as connection:
        people.add(connection, NAME, PASSWORD, [Role.OPERATOR], initial=False)
    context = browser.new_context(viewport={"width": 1366, "height": 768}, java_script_enabled=scripts)
    context.add_cookies([{"name": "lang", "value": "zh-CN", "url": made.url}])
    page = context.new_page()
    page.goto(f"{made.url}/login")
    page.locator("input[name=name]").fill(NAME)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("form.sign button").click()
    page.wait_for_url(f"{made.url}/")
    return page


def _finds_the_broken_record(page: Any, made: Served) -> None:
    page.goto(made.url)
    tile = page.locator(".tile.fail")
    assert tile.locator(".word").inner_text() == "失败"
    tile.click()
    page.locator("table tr:has(.st.fail) td a[href^='/runs/']").first.click()
    assert "run.schema_changed" in page.locator("p.note.fail").inner_text()
    page.locator("p.note.fail >> text=看出错的记录").click()
    assert "record.title_missing" in page.locator("p.note.fail").inner_text()
    assert '"name"' in page.locator("pre.raw").inner_text()
    page.locator("a.btn >> text=修改映射").click()


def _mends_the_mapping(page: Any, shots: Path) -> None:
    assert page.locator("th:text-is('name')").count() == 1  # what the source calls it now stands beside the form
    worst = page.locator("table.terms tbody tr").first
    assert "初级中学段" in worst.inner_text()
    worst.locator("input[name$=-to]").fill("普通初中")
    spare = page.locator(".rules li").nth(len(MAPPING["fields"]))
    spare.locator("select").first.select_option("title")
    spare.locator("input[name$=-value]").fill("name")
    page.locator("button[value=try]").click()
    found = page.locator("#trial").inner_text()
    assert "隔离区 20 条中放行 20 条" in found
    assert "15 条在用记录会变" in found
    assert "会被拒" not in found
    assert page.locator("#trial tbody tr").count() == 10
    page.screenshot(path=shots / "mapping.png")
    page.locator("#trial input[name=why]").fill("来源把 title 改名为 name")
    page.locator("button[value=apply]").click()
    assert "放行 20 条" in page.locator("main").inner_text()


def _runs_it_again(page: Any, hub: Hub, feed: int, shots: Path) -> None:
    page.locator("a.btn >> text=立即运行").click()
    assert "从上次的断点接着汇聚" in page.locator("main").inner_text()
    page.locator("input[name=why]").fill("映射已改")
    page.screenshot(path=shots / "action.png")
    page.locator("form.apply button").click()
    assert f"{NAME} 要求增量汇聚" in page.locator("p.note.run").inner_text()
    with hub.worker():
        for _ in range(300):
            page.wait_for_timeout(100)
            page.goto(page.url)
            if page.locator(".head .st.ok").count():
                break
    assert page.locator(".head .word").inner_text() == "正常"
