"""Hostile records in a real browser: a collector receives what the pages' policy had to stop, which is nothing."""

import json
from typing import Any

import pytest

from tests.app.monitor.receivers import Receiver
from tests.console_hub import Served

PLANTED = "<script>window.harmed = 1</script><img src='https://evil.example/x.png'><style>body{}</style>"


@pytest.fixture
def collector() -> Any:
    """A real receiver of policy reports."""
    with Receiver().serving() as made:
        yield made


def _watched(browser: Any, hub: Served, collector: Receiver, planted: str = "") -> Any:
    """A browser context whose pages carry their own policy and, beside it, the address of the collector."""
    context = browser.new_context(viewport={"width": 1366, "height": 768})

    def reported(route: Any) -> None:
        answer = route.fetch()
        headers = dict(answer.headers)
        if policy := headers.get("content-security-policy"):
            headers["content-security-policy"] = f"{policy}; report-uri {collector.url}/csp"
        if planted and "text/html" in headers.get("content-type", ""):
            body = answer.text().replace("</main>", f"{planted}</main>")
            route.fulfill(status=answer.status, headers=headers, body=body)
        else:
            route.fulfill(response=answer, headers=headers)

    context.route(f"{hub.url}/**", reported)
    return context


def test_the_collector_hears_of_what_the_policy_stops(browser: Any, hub: Served, collector: Receiver) -> None:
    context = _watched(browser, hub, collector, PLANTED)
    page = context.new_page()
    page.goto(f"{hub.url}/search")
    page.wait_for_timeout(500)
    assert page.evaluate("window.harmed ?? 0") == 0
    context.close()
    stopped = {json.loads(one.body)["csp-report"]["effective-directive"] for one in collector.posted}
    assert {"script-src-elem", "img-src", "style-src-elem"} <= stopped


def test_no_page_sends_a_report_whatever_its_records_say(browser: Any, hub: Served, collector: Receiver) -> None:
    context = _watched(browser, hub, collector)
    page = context.new_page()
    for lang in ("zh-CN", "en"):
        for path in hub.pages.values():
            page.goto(f"{hub.url}{path}{'&' if '?' in path else '?'}lang={lang}")
            assert page.evaluate("window.harmed ?? 0") == 0, path
    page.wait_for_timeout(500)
    context.close()
    assert [json.loads(one.body) for one in collector.posted] == []


def test_every_page_is_whole_without_scripts(browser: Any, hub: Served) -> None:
    """With scripts off the same words stand on a page as with them on, times of the moment left out."""
    seen: dict[bool, dict[str, str]] = {}
    for scripts in (True, False):
        context = browser.new_context(java_script_enabled=scripts)
        page = context.new_page()
        seen[scripts] = {}
        for name, path in hub.pages.items():
            page.goto(f"{hub.url}{path}")
            seen[scripts][name] = "".join(c for c in page.locator("main").inner_text() if not c.isdigit())[:400]
        context.close()
    assert {name for name, text in seen[True].items() if _plain(text) != _plain(seen[False][name])} == set()


def _plain(text: str) -> str:
    """Without units of how long ago something was, which move on while the test looks."""
    for unit in ("秒", "分", "小时", " ", ".", "\n"):
        text = text.replace(unit, "")
    return text
