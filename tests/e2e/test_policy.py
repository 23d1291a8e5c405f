"""Hostile records in a real browser: a collector receives what the pages' policy had to stop, which is nothing."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.console_hub import Served
from tests.e2e.collector import Collector

PLANTED = "<script>window.harmed = 1</script><img src='https://evil.example/x.png'><style>body{}</style>"


@pytest.fixture
def collector(hub: Served) -> Iterator[Collector]:
    """The hub's door with a collector of reports."""
    with Collector(hub.url).serving() as made:
        yield made


def test_the_collector_hears_of_what_the_policy_stops(browser: Any, collector: Collector) -> None:
    collector.planted = PLANTED
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{collector.url}/search")
    page.wait_for_timeout(1000)
    assert page.evaluate("window.harmed ?? 0") == 0
    context.close()
    stopped = {report["effective-directive"] for report in collector.reports}
    assert {"script-src-elem", "img-src", "style-src-elem"} <= stopped


def test_no_page_sends_a_report_whatever_its_records_say(browser: Any, hub: Served, collector: Collector) -> None:
    context = browser.new_context(viewport={"width": 1366, "height": 768})
    page = context.new_page()
    for lang in ("zh-CN", "en"):
        context.add_cookies([{"name": "lang", "value": lang, "url": collector.url}])
        for path in hub.pages.values():
            page.goto(f"{collector.url}{path}")
            assert page.evaluate("window.harmed ?? 0") == 0, path
    page.wait_for_timeout(1000)
    context.close()
    assert collector.reports == []


def test_every_page_is_whole_without_scripts(browser: Any, hub: Served) -> None:
    """With scripts off the same words stand on a page as with them on, times of the moment left out.

    A state may pass from fresh to late between the two looks: words that differ are looked at again.
    """
    contexts = [browser.new_context(java_script_enabled=scripts) for scripts in (True, False)]
    pages = [context.new_page() for context in contexts]
    different = set()
    for name, path in hub.pages.items():
        for _ in range(3):
            texts = {_lasting(_words(page, f"{hub.url}{path}")) for page in pages}
            if len(texts) == 1:
                break
        else:
            different.add(name)
    for context in contexts:
        context.close()
    assert different == set()


def _words(page: Any, url: str) -> str:
    page.goto(url, wait_until="domcontentloaded")
    return str(page.locator("main").inner_text())


def _lasting(text: str) -> str:
    """Words without numbers and the units of how long ago something was, which move on while the test looks."""
    for unit in ("秒", "分", "小时", " ", ".", "\n"):
        text = text.replace(unit, "")
    return "".join(character for character in text if not character.isdigit())
