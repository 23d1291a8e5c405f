"""What the console changes: mappings, feeds, held removals; who and why are kept, mistakes change nothing."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import html

from app.console import crosswalk
from app.console.form import parsed
from app.feeds import service as feeds
from app.harvest import queries, runs
from app.protocol.errors import BadRequest
from app.protocol.text import rule
from tests.broken_feed import MAPPING, BrokenFeed
from tests.console_hub import Served, served
from tests.faults.processes import until
from tests.hub import Hub
from tests.peers.replay import ReplayServer

EXAMPLES = sorted((Path(__file__).parents[3] / "docs" / "examples" / "mappings").glob("*.json"))


class Desk:
    """A served hub with one broken feed, and an administrator's browser."""

    def __init__(self, made: Served, url: str) -> None:
        self.made, self.hub = made, Hub(made.database)
        self.by = made.by
        self.feed = self.hub.feed("static-parts", {"manifest_url": f"{url}/m"}, platform="P-530000-01", mapping=MAPPING)
        self.client = httpx.Client(base_url=made.url, headers={"authorization": f"Bearer {made.key}"})

    def post(self, path: str, **form: Any) -> httpx.Response:
        """A form, as a browser sends it."""
        return self.client.post(path, data=form)

    def row(self) -> dict[str, Any]:
        """The feed as it stands."""
        with self.made.database.read() as connection:
            return feeds.by_id(connection, self.feed)

    def runs(self) -> list[dict[str, Any]]:
        """Its runs, the latest first."""
        with self.made.database.read() as connection:
            return runs.runs(connection, self.feed)


@pytest.fixture
def peer() -> BrokenFeed:
    """The platform."""
    return BrokenFeed()


@pytest.fixture
def desk(tmp_path: Path, peer: BrokenFeed) -> Iterator[Desk]:
    """The feed, harvested once."""
    with served(tmp_path, filled=False) as made, ReplayServer(peer) as url:
        sitting = Desk(made, url)
        assert sitting.hub.harvest(sitting.feed)["created"] == 30
        yield sitting
        sitting.client.close()


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_mapping_goes_through_the_form_and_comes_back(file: Path) -> None:
    assert crosswalk.fits(json.loads(file.read_text()))


@pytest.mark.parametrize(
    "source",
    [
        {"path": "a", "join": "\n"}, {"path": "a", "match": {"pattern": "x", "to": "y"}}, {"paths": ["a", "b[k=v w].c"], "first": True},
        {"constant": 5}, {"constant": ""}, {"path": "a", "split": [" "]}, {"constant": "[x]"}, {"path": "a", "html": False},
    ],
)  # fmt: skip
def test_what_the_form_shows_as_a_form_it_gives_back_unchanged(source: dict[str, Any]) -> None:
    mapping = {"version": 1, "fields": {"title": source}}
    if crosswalk.fits(mapping):
        again = crosswalk.document(crosswalk.rows(mapping), crosswalk.terms(mapping), crosswalk.others(mapping))
        assert {k: v for k, v in again["fields"]["title"].items()} == {
            k: v for k, v in source.items() if v is not False
        }
    assert crosswalk.fits(mapping) == (source not in ({"constant": 5}, {"constant": ""}, {"path": "a", "split": [" "]}, {"constant": "[x]"}))  # fmt: skip


@given(st.binary(max_size=300))
def test_no_bytes_make_a_form_fail_otherwise_than_by_name(body: bytes) -> None:
    with suppress(BadRequest):
        form = parsed(body)
        assert all(rule(value) is None for values in form.fields.values() for value in values)
        crosswalk.sent(form)
        form.reason()


def test_nobody_changes_anything_without_the_key(desk: Desk) -> None:
    for path in ("mapping", "replay", *(f"do/{name}" for name in ("harvest", "pause", "retire"))):
        assert httpx.post(f"{desk.made.url}/feeds/{desk.feed}/{path}", data={"why": "x"}).status_code == 401
    assert httpx.post(f"{desk.made.url}/held/1/split", data={"why": "x"}).status_code == 401
    assert desk.row()["state"] == "active"


def test_a_wrong_mapping_is_shown_as_it_was_typed_with_what_is_wrong(desk: Desk) -> None:
    path = f"/feeds/{desk.feed}/mapping"
    for text, says in (
        ('{"version": 1,', "JSON"), ('{"version": 1, "fields": {"titel": {"path": "x"}}}', "titel"),
        ('{"version": 1, "fields": {"title": {"path": "x", "match": "(("}}}', "RE2"), ("[]", "object"),
        ('{"version": 1, "fields": {}, "terms": []}', "terms"), ('{"version": 1, "fields": []}', "fields"),
        ('{"version": NaN}', "JSON"), ('{"version": 1, "fields": {"title": 5}}', "title"),
    ):  # fmt: skip
        answer = desk.post(path, do="try", json=text)
        assert answer.status_code == 422, text
        tree = html.fromstring(answer.content)
        assert says in tree.xpath("string(//p[@role='alert'])"), text
        assert tree.xpath("string(//textarea[@name='json'])") == text
    assert desk.row()["mapping"] == MAPPING


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"do": "try", "row-0-field": "title", "row-0-source": "x", "row-0-value": "a"}, 422),
        ({"do": "apply", "json": "{}"}, 422), ({"do": "try", "json": "a\x00b"}, 422), ({"why": "\x1b[31m"}, 422),
        ({f"f{n}": "" for n in range(20_001)}, 422), ({"json": "x" * (1 << 20)}, 413), ({"do": "try", "entry": "９"}, 200),
    ],
    ids=["source", "no reason", "nul", "escape", "fields", "bytes", "entry"],
)  # fmt: skip
def test_a_bad_form_is_a_page_that_says_so(desk: Desk, form: dict[str, str], status: int) -> None:
    answer = desk.post(f"/feeds/{desk.feed}/mapping", **form)
    assert (answer.status_code, "text/html" in answer.headers["content-type"]) == (status, True), answer.text[:500]
    assert desk.row()["mapping"] == MAPPING


def test_terms_without_a_code_stand_with_their_counts_beside_our_list(desk: Desk) -> None:
    tree = html.fromstring(desk.client.get(f"/feeds/{desk.feed}/mapping").content)
    shown = [
        [cell.text_content().strip() for cell in row.xpath("td")[:3]]
        for row in tree.xpath("//table[@class='terms']//tr")
    ]
    assert shown[1:3] == [["学段", "初级中学段", "15"], ["学科", "国学诵读", "10"]]
    assert "普通初中" in tree.xpath("//datalist[@id='codes-stage']/option/text()")
    assert tree.xpath("//datalist[@id='paths']/option/@value")[:3] == ["id", "title", "lang"]


def test_the_evidence_of_a_changed_source_is_kept_and_goes_when_it_is_good_again(desk: Desk, peer: BrokenFeed) -> None:
    peer.breaks()
    failed = desk.hub.harvest(desk.feed)
    assert (failed["error"]["kind"], failed["seen"], desk.hub.live()) == ("run.schema_changed", 0, 30)
    with desk.made.database.read() as connection:
        assert [(row["rule"], row["n"]) for row in queries.refused_in(connection, desk.feed, failed["run"])] == [("record.title_missing", 20)]  # fmt: skip
    mended = {**MAPPING, "fields": {**MAPPING["fields"], "title": [{"path": "title"}, {"path": "name"}]}}
    answer = desk.post(f"/feeds/{desk.feed}/mapping", do="apply", json=json.dumps(mended), why="改名")
    assert answer.status_code == 303
    assert "放行 20 条" in desk.client.get(answer.headers["location"]).text
    assert desk.hub.live() == 50
    done = desk.hub.harvest(desk.feed)
    assert (done["error"], done["created"], done["unchanged"], desk.hub.live()) == (None, 20, 20, 70)


def test_a_refused_rule_is_replayed_from_its_page(desk: Desk, peer: BrokenFeed) -> None:
    peer.breaks()
    desk.hub.harvest(desk.feed)
    answer = desk.post(f"/feeds/{desk.feed}/replay", rule="record.title_missing", why="再试")
    assert answer.headers["location"] == f"/runs/{desk.runs()[0]['run']}"
    assert (desk.runs()[0]["rejected"], desk.runs()[0]["asked"]) == (20, {"by": desk.by, "why": "再试"})


def test_a_feed_is_paused_with_a_reason_and_resumed(desk: Desk) -> None:
    path = f"/feeds/{desk.feed}/do"
    assert desk.post(f"{path}/pause").status_code == 422
    assert desk.post(f"{path}/pause", why="机房搬迁").headers["location"] == f"/feeds/{desk.feed}"
    assert (desk.row()["state"], desk.row()["state_by"], desk.row()["state_why"]) == (
        "paused",
        desk.by,
        "机房搬迁",
    )
    assert "机房搬迁" in desk.client.get(f"/feeds/{desk.feed}").text
    assert desk.post(f"{path}/harvest").status_code == 409
    assert desk.post(f"{path}/pause", why="又").status_code == 409
    assert desk.post(f"{path}/resume").status_code == 303
    assert desk.row()["state"] == "active"
    assert desk.post(f"{path}/dance", why="x").status_code == 404
    assert desk.post(f"{path}/retire", why="合并").headers["location"] == "/platforms/P-530000-01"
    assert desk.post(f"{path}/resume").status_code == 409


def test_a_worker_runs_the_job_that_was_asked_for_once_and_the_run_says_why(desk: Desk) -> None:
    assert desk.post(f"/feeds/{desk.feed}/do/full", why="换过服务器").status_code == 303
    assert (desk.row()["wanted"], desk.row()["next_at"]) == ("full", 0)
    reports: list[Any] = []
    with desk.hub.worker() as worker:
        worker.on_report = reports.append
        until(lambda: reports)
    assert (reports[0]["job"], reports[0]["unchanged"]) == ("full", 30)
    assert (reports[0]["asked"], desk.row()["wanted"]) == ({"by": desk.by, "why": "换过服务器"}, None)
    assert "换过服务器" in desk.client.get(f"/runs/{reports[0]['run']}").text


def test_a_running_feed_takes_no_order(desk: Desk) -> None:
    from app.feeds import leases

    with desk.made.database.write() as connection:
        assert leases.claim(connection, desk.feed, "somebody", 60) is not None
    assert desk.post(f"/feeds/{desk.feed}/do/harvest").status_code == 409
    assert desk.row()["wanted"] is None


def test_repair_is_offered_only_after_a_comparison(tmp_path: Path) -> None:
    from app.demo.catalogue import DemoPlatform
    from app.demo.faces import face

    platform = DemoPlatform("P-650000-01", "新疆平台", "ix", None, 20)
    with served(tmp_path, filled=False) as made, ReplayServer(face(platform)) as url:
        hub = Hub(made.database)
        feed = hub.feed("ix", {"base_url": url}, platform="P-650000-01")
        hub.harvest(feed)
        with httpx.Client(base_url=made.url, headers={"authorization": f"Bearer {made.key}"}) as client:
            path = f"/feeds/{feed}/do/reconcile"
            assert client.post(path, data={"why": "x"}).status_code == 409
            assert "/do/compare" in client.get(path).text
            hub.harvest(feed, "compare")
            assert "缺少 0 · 过时 0 · 多余 0" in client.get(path).text
            assert client.post(path, data={"why": "x"}).status_code == 303


def test_part_of_a_held_removal_is_carried_out_and_the_rest_stays(tmp_path: Path) -> None:
    with served(tmp_path) as made:
        hub = Hub(made.database)
        with made.database.read() as connection:
            ids = [row.id for row in queries.held_sample(connection, 1)]
        before = hub.live()
        with httpx.Client(base_url=made.url, headers={"authorization": f"Bearer {made.key}"}) as client:
            for wrong in ({"id": [ids[0], "ix:nobody"], "why": "x"}, {"why": "x"}, {"id": ids[:2]}):
                assert client.post("/held/1/split", data=wrong).status_code == 422
            assert hub.live() == before
            chosen = {"id": ids[:2], "ids": f"{ids[2]}\r\n\r\n{ids[1]}\n", "why": "只有这三条确已下架"}
            assert client.post("/held/1/split", data=chosen).status_code == 303
            page = client.get("/held/1").text
            assert client.post("/held/1/approve").status_code == 409
            assert hub.live() == before - 3
            hub.check()
            assert "撤销删除" in page
            run = re.findall(r'action="(/runs/\d+)/undo"', page)[0]
            assert "撤销删除" in client.get(run).text
            done = client.post(f"{run}/undo", data={"why": "还是要保留"})
            assert done.status_code == 303
            assert "还是要保留" in client.get(done.headers["location"]).text
            assert "已撤销" in client.get("/held/1").text
            assert f"{run}/undo" not in client.get(run).text
            assert client.post(f"{run}/undo").status_code == 404
        assert hub.live() == before
        hub.check()
        assert all(text in page for text in ("部分批准", "删除 3 / 120 条", made.by, "只有这三条确已下架"))


def test_a_run_tells_how_its_requests_ended_even_when_it_failed(tmp_path: Path) -> None:
    from app.harvest import pages

    answers = iter([(503, {}, b""), (302, {"Location": "/moved"}, b""), (500, {}, b""), (404, {}, b"")])
    with served(tmp_path, filled=False) as made, ReplayServer(lambda _: next(answers)) as url:
        hub = Hub(made.database)
        report = hub.harvest(hub.feed("static-parts", {"manifest_url": f"{url}/m"}, mapping=MAPPING))
        assert report["status"] == "failed"
        shown = httpx.get(f"{made.url}/runs/{report['run']}").text
    counted = {name: n for name, n in report["answers"].items() if n}
    assert counted == {"silent": 1, "redirected": 1, "broken": 1, "refused": 1}
    assert 0.8 * sum(pages.RETRIES[:2]) <= report["waited_s"] <= 1.2 * sum(pages.RETRIES[:2])
    assert "没有可用的应答 1" in shown


def test_a_record_shows_its_states_and_where_its_fields_came_from(desk: Desk) -> None:
    id = "ix:P-530000-01:static-parts-1/gz-0001"
    mapped = {**MAPPING, "terms": {**MAPPING["terms"], "stage": {"初级中学段": "普通初中"}}}
    desk.post(f"/feeds/{desk.feed}/mapping", do="apply", json=json.dumps(mapped), why="补词表")
    assert desk.row()["mapping"]["terms"]["stage"] == {"初级中学段": "3"}
    tree = html.fromstring(desk.client.get(f"/records/{id}").content)
    change = [cell.text_content() for cell in tree.xpath("(//ol[@class='states']//tbody/tr)[1]/td")]
    assert change == ["stage", "初级中学段", "3"]
    row = tree.xpath("//tr[th='title']/td")[1].text_content()
    assert 'path="title"' in row
    assert desk.client.get("/records/nobody").status_code == 404


def test_a_cell_of_the_heat_map_leads_to_that_days_runs(hub: Served) -> None:
    tree = html.fromstring(httpx.get(f"{hub.url}/platforms").content)
    cells = {str(a).split("=")[1].split("&")[0]: str(a) for a in tree.xpath("//td[@class='cell']/a/@href")}
    listed = html.fromstring(httpx.get(f"{hub.url}{cells['P-460000-01']}").content)
    assert len(listed.xpath("//main//tbody/tr")) == 2
    assert {a.text_content() for a in listed.xpath("//main//tbody/tr/td[3]/a")} == {"P-460000-01 · test"}
