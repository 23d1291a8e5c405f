"""The page of alerts, the auditor's search, and what is done with a platform as a whole: by whom, and what is left."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from lxml import html

from app.db import Database
from app.monitor import alert_routes, incidents
from app.monitor.causes import Cause, Rule
from tests.app.access.desk import Desk, Signed, desk


@pytest.fixture
def hub(database: Database, tmp_path: Path) -> Iterator[Desk]:
    """A hub on each database, with a platform and one thing that is wrong."""
    with desk(database, tmp_path) as running:
        running.platform("P-440000-01")
        with database.write() as connection:
            incidents.reconcile(connection, [Cause("disk", Rule.DISK, "hub", "3 % of the disk is left\x1b[31m")])
        yield running


def _page(client: httpx.Client, path: str) -> html.HtmlElement:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text[:500]
    return html.fromstring(answer.content)


def test_who_acknowledges_stands_on_the_page_and_in_the_audit_chain(hub: Desk) -> None:
    staff = hub.person("wang", "operator")
    assert "磁盘空间不足" in _page(staff, "/alerts").text_content()
    assert staff.post("/alerts/1/ack", data={"why": "已订购"}).status_code == 303
    shown = _page(staff, "/alerts").text_content()
    assert "wang 在处理" in shown
    assert "已订购" in shown
    assert "\x1b" not in shown
    found = _page(hub.person("zhou", "auditor"), "/audit?act=incident.taken").xpath("//main//tbody/tr")
    assert [found[0].xpath(f"td[{place}]/a/text()")[0] for place in (3, 5)] == ["person:wang", "incident:1"]
    assert staff.post("/alerts/99/ack").status_code == 404


def test_the_key_of_a_webhook_is_shown_once_and_its_route_paused_and_removed(hub: Desk) -> None:
    staff = hub.person("wang", "operator")
    form = {
        "name": "工单",
        "kind": "webhook",
        "url": "https://tickets.example.edu.cn/hook?token=s3cret",
        "rule": ["disk"],
    }
    made = staff.post("/alerts/routes", data=form)
    assert made.status_code == 201
    assert html.fromstring(made.content).xpath("string(//p[@role='status']/code)").startswith("whsec_")
    again = staff.get("/alerts").text
    assert "whsec_" not in again
    assert "s3cret" not in made.text + again
    for deed, state in (("pause", "paused"), ("resume", "active")):
        assert staff.post(f"/alerts/routes/1/{deed}").status_code == 303
        assert _routes(hub)[0]["state"] == state
    assert staff.post("/alerts/routes/1/remove").status_code == 303
    assert _routes(hub) == []
    assert staff.post("/alerts/routes/1/remove").status_code == 404


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": "a", "kind": "pigeon"}, "pigeon"), ({"name": "a", "kind": "mail", "to": "nobody"}, "nobody"),
        ({"name": "a", "kind": "wecom", "url": "ftp://x"}, "url"), ({"name": "", "kind": "mail"}, "name"),
        ({"name": "a", "kind": "mail", "to": "a@b.cn", "quiet": "25:00"}, "25:00"), ({"name": "a", "kind": "mail", "to": "a@b.cn", "rule": "x"}, "rule"),
    ],
)  # fmt: skip
def test_a_wrong_route_comes_back_as_it_was_typed_with_what_is_wrong(
    hub: Desk, form: dict[str, str], says: str
) -> None:
    staff = hub.person("wang", "operator")
    answer = staff.post("/alerts/routes", data=form)
    assert answer.status_code == 422
    tree = html.fromstring(answer.content)
    assert says in tree.xpath("string(//p[@role='alert'])")
    assert tree.xpath("string(//input[@name='name']/@value)") == form["name"]
    assert _routes(hub) == []


def test_a_test_that_nobody_took_says_so(hub: Desk) -> None:
    staff = hub.person("wang", "operator")
    staff.post("/alerts/routes", data={"name": "值班", "kind": "mail", "to": "duty@example.edu.cn"})
    answer = staff.post("/alerts/routes/1/test")
    assert answer.status_code >= 400
    assert "HUTONG_SMTP_URL" in html.fromstring(answer.content).xpath("string(//p[@role='alert'])")


def test_whoever_looks_after_a_part_neither_sees_alerts_nor_is_led_to_them(hub: Desk) -> None:
    vendor = hub.person("li", "platform-manager", platforms=("P-440000-01",))
    assert vendor.get("/alerts").status_code == 403
    assert "/alerts" not in _page(vendor, "/platforms").xpath("//nav//a/@href")
    auditor = hub.person("zhou", "auditor")
    assert auditor.post("/alerts/1/ack").status_code == 403
    assert _page(auditor, "/alerts").xpath("//form[@action='/alerts/1/ack']//button/@disabled")


def test_the_audit_search_keeps_its_filters_in_the_address(hub: Desk) -> None:
    auditor = hub.person("zhou", "auditor")
    everything = _page(auditor, "/audit").xpath("//main//tbody/tr")
    people = _page(auditor, "/audit?act=person.added").xpath("//main//tbody/tr")
    assert len(everything) > len(people) == 1
    assert _page(auditor, "/audit?since=2099-01-01").xpath("//main//tbody/tr") == []
    assert len(_page(auditor, "/audit?object=P-440000-01&until=2099-01-01").xpath("//main//tbody/tr")) == 1
    assert auditor.get("/audit?act=dance").status_code == 422
    assert hub.person("wang", "operator").get("/audit").status_code == 403


def test_a_platform_is_suspended_with_a_reason_and_its_keys_with_it(hub: Desk) -> None:
    staff = hub.person("wang", "operator")
    path = "/platforms/P-440000-01/do"
    assert "立即失效" in _page(staff, f"{path}/suspend").text_content()
    assert staff.post(f"{path}/suspend").status_code == 422
    assert staff.post(f"{path}/suspend", data={"why": "机房搬迁"}).headers["location"] == "/platforms/P-440000-01"
    shown = _page(staff, "/platforms/P-440000-01").text_content()
    assert "机房搬迁" in shown
    assert "平台暂停" in shown
    assert staff.post(f"{path}/suspend", data={"why": "x"}).status_code == 409
    assert staff.post(f"{path}/readmit", data={"why": "搬完"}).status_code == 303
    assert "有效" in _keys(staff)
    assert staff.get(f"{path}/dance").status_code == 404
    vendor = hub.person("li", "platform-manager", platforms=("P-440000-01",))
    assert vendor.post(f"{path}/suspend", data={"why": "x"}).status_code == 403


def test_the_keys_of_a_platform_stand_with_age_use_and_end(hub: Desk) -> None:
    words = _keys(hub.person("li", "platform-manager", platforms=("P-440000-01",)))
    assert all(word in words for word in ("hk_", "main", "从未", "不到期"))
    assert _keys(hub.person("chen", "platform-manager", platforms=("P-110000-01",)), status=404) == ""


def _keys(client: Signed, status: int = 200) -> str:
    answer = client.get("/platforms/P-440000-01")
    assert answer.status_code == status
    tables = html.fromstring(answer.content).xpath("//section[h2[starts-with(., '密钥')]]")
    return str(tables[0].text_content()) if tables else ""


def _routes(hub: Desk) -> list[dict[str, object]]:
    with hub.database.read() as connection:
        return alert_routes.routes(connection)
