"""What a person meets in a real browser: nothing harmful runs, nothing is out of reach, nothing needs scripts."""

from pathlib import Path
from typing import Any

import pytest

from app.console.catalogue import LANGUAGES
from tests.console_hub import Served, served

WATCH = "document.addEventListener('securitypolicyviolation', e => (window.reports ??= []).push(e.violatedDirective + ' ' + e.blockedURI))"


# What axe looks at. Another scheme changes colours and nothing else, and colours are most of axe's work.
EVERYTHING = "{resultTypes: ['violations']}"
COLOURS = "{runOnly: ['color-contrast', 'link-in-text-block'], resultTypes: ['violations']}"
LOOKS = {"zh-CN": {"light": EVERYTHING, "dark": COLOURS}, "en": {"light": EVERYTHING}}


def _context(browser: Any, hub: Served, lang: str = "zh-CN", **options: Any) -> Any:
    context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, **options})
    context.add_cookies([{"name": "lang", "value": lang, "url": hub.url}])
    return context


@pytest.mark.parametrize("lang", list(LANGUAGES))
def test_no_page_has_a_serious_fault_of_accessibility(browser: Any, hub: Served, lang: str) -> None:
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="no axe-core: the e2e group is not installed"
    )
    context, faults, script = _context(browser, hub, lang), {}, axe.Axe().axe_script
    page = context.new_page()
    for name, path in hub.pages.items():
        page.goto(f"{hub.url}{path}")
        page.evaluate(script)  # once a page, for both schemes
        for scheme, look in LOOKS[lang].items():
            page.emulate_media(color_scheme=scheme)
            found = page.evaluate(f"axe.run({look}).then(found => found.violations)")
            serious = [v for v in found if v["impact"] in ("serious", "critical")]
            faults |= {f"{name} {scheme} {v['id']}": [n["html"][:160] for n in v["nodes"]][:2] for v in serious}
    context.close()
    assert faults == {}


def test_hostile_records_run_nothing_and_load_nothing_from_elsewhere(browser: Any, hub: Served) -> None:
    context = _context(browser, hub)
    context.add_init_script(WATCH)
    page = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: problems.append(dialog.message))
    page.on("pageerror", lambda error: problems.append(str(error)))
    for name, path in hub.pages.items():
        page.goto(f"{hub.url}{path}")
        page.wait_for_timeout(30)
        assert page.evaluate("[window.harmed ?? 0, window.reports ?? []]") == [0, []], name
    context.close()
    assert problems == []
    assert [url for url in asked if not url.startswith(hub.url)] == []
    assert len([url for url in asked if "/static/" in url]) > 3


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844)])
@pytest.mark.parametrize("lang", list(LANGUAGES))
def test_no_page_is_wider_than_its_screen(browser: Any, hub: Served, lang: str, width: int, height: int) -> None:
    context, wide = _context(browser, hub, lang, viewport={"width": width, "height": height}), {}
    page = context.new_page()
    for name, path in hub.pages.items():
        page.goto(f"{hub.url}{path}")
        if (found := page.evaluate("document.documentElement.scrollWidth")) > width:
            wide[name] = found
    context.close()
    assert wide == {}


def test_figures_map_and_cases_fit_an_office_screen(browser: Any, hub: Served) -> None:
    context = _context(browser, hub)
    page = context.new_page()
    page.goto(hub.url)
    for selector in (".figs", ".map", ".cases"):
        box = page.locator(selector).bounding_box()
        assert box["y"] + box["height"] <= 768, selector
    context.close()


def test_the_operators_way_without_scripts(browser: Any, hub: Served) -> None:
    context = _context(browser, hub, java_script_enabled=False)
    page = context.new_page()
    page.goto(hub.url)
    page.locator("ul.cases a.btn").first.click()
    assert "/runs/" in page.url
    page.locator("nav >> text=隔离区").click()
    page.locator("a.btn").first.click()
    assert page.locator("pre.raw mark").count() == 1
    page.locator("nav >> text=目录检索").click()
    page.locator("#q").fill("数学")
    page.locator("#finder button").click()
    assert page.locator("article.hit").count() > 0
    page.locator(".who a").click()
    assert page.locator("html").get_attribute("lang") == "en"
    context.close()


def test_the_console_is_used_with_the_keyboard_alone(browser: Any, hub: Served) -> None:
    context = _context(browser, hub)
    page = context.new_page()
    page.goto(hub.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.getAttribute('href')"))
    assert {"/platforms", "/platforms/P-650000-01", "/held", "/held/1"} <= reached
    context.close()


def test_search_answers_as_one_types_and_keeps_its_address(browser: Any, hub: Served) -> None:
    context = _context(browser, hub)
    page = context.new_page()
    page.goto(f"{hub.url}/search")
    before = page.locator("#results section h2").inner_text()
    page.locator("#q").press_sequentially("勾股定理", delay=20)
    page.wait_for_url("**q=%E5%8B%BE*")
    heading = page.locator("#results section h2", has_text=before)
    heading.wait_for(state="detached")
    assert page.locator("article.hit").count() > 0
    page.go_back()
    heading.wait_for()
    context.close()


def test_the_wall_changes_while_it_is_looked_at(browser: Any, tmp_path: Path) -> None:
    from app.feeds import service as feeds

    with served(tmp_path) as hub:
        context = _context(browser, hub)
        page = context.new_page()
        page.goto(hub.url)
        assert page.locator(".tile.off").count() == 1
        page.wait_for_timeout(1500)
        with hub.database.write() as connection:
            feeds.transition(connection, 1, "paused")
        page.locator(".tile.off").nth(1).wait_for(timeout=60_000)
        context.close()


def test_pictures_of_the_main_pages(browser: Any, hub: Served, pictures: Path | None, tmp_path: Path) -> None:
    """Writes docs/pictures with `--pictures` (from a demonstration's hub when HUTONG_PICTURES_URL is set)."""
    import os

    folder, base = pictures or tmp_path, os.environ.get("HUTONG_PICTURES_URL", hub.url)
    folder.mkdir(parents=True, exist_ok=True)
    shown = {
        "wall": "/",
        "platforms": "/platforms",
        "run": "/runs/2",
        "refusal": "/quarantine/1",
        "search": "/search?q=%E6%95%B0%E5%AD%A6",
    }
    for lang, width, name in (("zh-CN", 1366, ""), ("en", 1366, "-en"), ("zh-CN", 390, "-phone")):
        height = 844 if width == 390 else 768
        context = _context(
            browser, Served(base, hub.database, {}, ""), lang, viewport={"width": width, "height": height}
        )
        page = context.new_page()
        for key, path in shown.items() if name == "" else (("wall", "/"),):
            page.goto(f"{base}{path}")
            page.screenshot(path=folder / f"{key}{name}.png")
            assert (folder / f"{key}{name}.png").stat().st_size < 300_000
        context.close()
