"""The vendor's day: from the form to a feed that is harvested, in the browser alone, with people who decide."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.access import people
from app.access.scopes import Role
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from tests.app.platforms.office import credit_code
from tests.console_hub import Served, served
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

PASSWORD = "rice-lantern-velvet-41"  # noqa: S105 (of accounts that live for one test)
RECORDS = 30


class Site:
    """A vendor's server: an OAI-PMH catalogue, and the file that proves the domain once it has been put there."""

    def __init__(self) -> None:
        self.challenge = ""
        self.feed = face(DemoPlatform("E-110000-01", "备课助手", "oai-pmh", None, RECORDS))

    def __call__(self, path: str) -> Answer:
        """The file, or the catalogue."""
        if path == "/.well-known/hutong-challenge":
            return (200, {}, self.challenge.encode()) if self.challenge else (404, {}, b"")
        return self.feed(path)


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_the_vendors_day(browser: Any, tmp_path: Path, pictures: Path | None, scripts: bool) -> None:
    site, shots = Site(), pictures or tmp_path
    shots.mkdir(parents=True, exist_ok=True)
    with served(tmp_path, filled=False, fetch_allow="127.0.0.0/8") as made, ReplayServer(site) as url:
        _operators(made)
        vendor = _page(browser, made, scripts)
        seen = _faultless(vendor, scripts)
        _applies(vendor, made, url, site, shots, seen)
        _proves_the_domain(vendor, site, seen)
        wang, li = (_signed(browser, made, scripts, name) for name in ("wang.min", "li.na"))
        _decides(wang, made, "approve", "材料齐全", _faultless(wang, scripts), shots)
        _adds_a_feed(vendor, url, shots, seen)
        _submits_with_a_report(vendor)
        _decides(wang, made, "refuse", "请补充联系电话")
        _is_sent_back_and_submits_again(vendor)
        _decides(wang, made, "approve", "报告无拒收")
        _decides(li, made, "approve", "同意试运行")
        _is_harvested(vendor, made, shots, seen)
        for page in (vendor, wang, li):
            page.context.close()


def _operators(made: Served) -> None:
    with made.database.write() as connection:
        for name in ("wang.min", "li.na"):
            people.add(connection, name, PASSWORD, [Role.OPERATOR], initial=False)


def _page(browser: Any, made: Served, scripts: bool) -> Any:
    context = browser.new_context(viewport={"width": 1366, "height": 768}, java_script_enabled=scripts)
    context.add_cookies([{"name": "lang", "value": "zh-CN", "url": made.url}])
    return context.new_page()


def _signed(browser: Any, made: Served, scripts: bool, name: str) -> Any:
    page = _page(browser, made, scripts)
    page.goto(f"{made.url}/login")
    _signs_in(page, name)
    page.wait_for_url(f"{made.url}/")
    return page


def _signs_in(page: Any, name: str) -> None:
    page.locator("input[name=name]").fill(name)
    page.locator("input[name=password]").fill(PASSWORD)
    page.locator("form.sign button").click()


def _faultless(page: Any, scripts: bool) -> Callable[[], None]:
    """Looks at the page as it stands: no serious fault of accessibility, not wider than a phone or an office screen."""

    def look() -> None:
        if not scripts:
            return
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-core")
        found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        serious = {
            v["id"]: [n["html"][:200] for n in v["nodes"]] for v in found if v["impact"] in ("serious", "critical")
        }
        assert serious == {}, page.url
        for width, height in ((390, 844), (1366, 768)):
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url

    return look


def _applies(page: Any, made: Served, url: str, site: Site, shots: Path, seen: Callable[[], None]) -> None:
    page.goto(f"{made.url}/join")
    seen()
    said = {
        "name": "备课助手", "organisation": "示例教育科技有限公司", "region": "110000", "credit_code": "911100006000373410",
        "domain": url.removeprefix("http://"), "contact-0-name": "陈工", "contact-0-email": "chen@example.com",
        "password": PASSWORD, "again": PASSWORD,
    }  # fmt: skip
    for name, value in said.items():
        page.locator(f"input[name={name}]").fill(value)
    page.locator("input[name=agreement]").check()
    page.screenshot(path=shots / "join.png", full_page=True)
    page.locator("form.ask button").click()
    assert "校验位不符" in page.locator("#e-credit_code").inner_text()
    assert page.locator("input[name=organisation]").input_value() == said["organisation"]
    seen()
    page.locator("input[name=credit_code]").fill(credit_code())
    for name in ("password", "again"):
        assert page.locator(f"input[name={name}]").input_value() == ""
        page.locator(f"input[name={name}]").fill(PASSWORD)
    page.locator("form.ask button").click()
    number = page.locator("#number").inner_text()
    assert re.fullmatch(r"A-110000-[a-z2-7]{7}", number)
    assert page.locator("#key").inner_text().startswith("hk_")
    seen()
    page.locator("a.btn.primary").click()
    _signs_in(page, number)
    page.wait_for_url(f"{made.url}/vendor/{number}")


def _proves_the_domain(page: Any, site: Site, seen: Callable[[], None]) -> None:
    assert "填写申请" in page.locator(".way [aria-current=step]").inner_text()
    seen()
    challenge = page.locator(".next dd code").nth(1).inner_text()
    page.locator("button[value=file]").click()
    assert "域名没有证明" in page.locator("p.note.fail").inner_text()
    site.challenge = challenge
    page.locator("button[value=file]").click()
    page.locator("form[action$='/key'] button").click()
    assert page.locator("#key").inner_text().startswith("hk_")
    page.locator("form[action$='/submit'] button").click()
    assert "等枢纽审核" in page.locator("main").inner_text()


def _decides(
    page: Any, made: Served, verb: str, why: str, seen: Callable[[], None] | None = None, shots: Path | None = None
) -> None:
    page.goto(f"{made.url}/enrolments")
    page.locator("tbody th a").click()
    if verb == "refuse":
        page.locator("button.danger").click()
        assert "理由" in page.locator("main").inner_text()
        assert page.locator("p.note.fail").count() == 1
    if seen and shots:
        seen()
        page.screenshot(path=shots / "enrolment.png")
    page.locator("form.apply input[name=why]").fill(why)
    page.locator(f"button[formaction$='/{verb}']").click()
    assert why in page.locator("main").inner_text()


def _adds_a_feed(page: Any, url: str, shots: Path, seen: Callable[[], None]) -> None:
    page.goto(page.url)
    assert "沙箱" in page.locator(".way [aria-current=step]").inner_text()
    page.locator(".next a.btn").click()
    page.locator("input[name=url]").fill(f"{url}/oai")
    page.locator("button[value=probe]").click()
    assert page.locator("input[name=c-base_url]").input_value() == f"{url}/oai"
    seen()
    page.locator("button[value=sample]").click()
    assert page.locator("article.hit").count() == 20
    assert "学科" in page.locator("article.hit").first.inner_text()
    seen()
    page.locator("article.hit").nth(3).scroll_into_view_if_needed()
    page.screenshot(path=shots / "sample.png")
    page.locator("button[value=register]").click()
    assert "备课助手" in page.locator(".cases").first.inner_text()


def _submits_with_a_report(page: Any) -> None:
    page.locator(".next form[action$='/validate'] button").click()
    assert page.locator("main >> text=validation.json").count() == 1
    page.locator("form[action$='/submit'] button").click()
    assert "符合性测试" in page.locator(".way [aria-current=step]").inner_text()


def _is_sent_back_and_submits_again(page: Any) -> None:
    page.goto(page.url)
    assert "请补充联系电话" in page.locator("p.note.late").inner_text()
    page.locator(".next form[action$='/validate'] button").click()
    page.locator("input[name=why]").first.fill("已补充")
    page.locator("form[action$='/submit'] button").click()
    assert "等枢纽审核" in page.locator("main").inner_text()


def _goes_live_by_steps(page: Any, made: Served, shots: Path, seen: Callable[[], None]) -> None:
    """Harvested by 1 %, raised to 10 % and to all, each once it has seen a good run."""
    feed = page.url
    number = feed.rsplit("/", 1)[1]
    step = page.locator("#ramp [aria-current=step]")
    _until(page, None)
    assert re.search(r"[23]\d 条在目录外等待", page.locator("#ramp").inner_text()), "1 % of thirty is next to none"
    seen()
    page.locator("#ramp").screenshot(path=shots / "ramp.png")
    page.locator("#ramp button[value=raise]").click()
    assert "10 % · 当前" in step.inner_text()
    _asks_for_a_run(page, f"{made.url}/feeds/{number}/do/harvest")
    page.goto(feed)
    _until(page, None)
    page.locator("#ramp button[value=raise]").click()
    assert "全部记录都已放行" in page.locator("#ramp").inner_text()
    _until(page, "\n0 条在目录外等待")
    seen()


def _asks_for_a_run(page: Any, url: str) -> None:
    """Once the one that is under way has ended."""
    button = page.locator("form.apply button")
    for _ in range(600):
        page.goto(url)
        if button.is_enabled():
            button.click()
            return
        page.wait_for_timeout(100)
    raise AssertionError(page.locator("main").inner_text())


def _until(page: Any, words: str | None) -> None:
    """Looks again until the ramp says these words; None: until its step may be raised."""
    for _ in range(600):
        page.goto(page.url.partition("#")[0])
        ramp = page.locator("#ramp")
        if ramp.locator("button[value=raise]").count() == 1 if words is None else words in ramp.inner_text():
            return
        page.wait_for_timeout(100)
    raise AssertionError(page.locator("#ramp").inner_text())


def _is_harvested(page: Any, made: Served, shots: Path, seen: Callable[[], None]) -> None:
    home = page.url.partition("?")[0]
    page.locator(".cases .what b a").first.click()
    assert "1 % · 当前" in page.locator("#ramp [aria-current=step]").inner_text()
    assert page.locator("#ramp button[value=raise]").count() == 0
    with Hub(made.database).worker():
        _goes_live_by_steps(page, made, shots, seen)
    page.goto(home)
    assert f"{RECORDS} 条在用" in page.locator("main").inner_text()
    assert page.locator(".cases .st.s:text-is('正常')").count() == 1
    seen()
    page.goto(f"{page.url}?lang=en")
    assert "Trial" in page.locator(".way [aria-current=step]").inner_text()
    seen()
    page.goto(f"{page.url.partition('?')[0]}?lang=zh-CN")
    page.goto(page.url.partition("?")[0])
    page.screenshot(path=shots / "vendor.png")
    page.locator(".cases .what b a").first.click()
    assert "title" in page.locator("tbody th").first.inner_text()
    assert "100 %" in page.locator("tbody td").first.inner_text()
    seen()
    page.go_back()
    page.locator(".next a.btn").click()
    seen()
