"""Pages over a real socket: all open in both languages, safe against what records say, light, complete without scripts."""

import gzip
import re
import tomllib
from hashlib import sha256
from pathlib import Path

import httpx
import orjson
import pytest
from lxml import html

from app.console import formats, page
from app.console.catalogue import LANGUAGES
from app.console.pages.members import public
from app.console.pages.work import excerpt, visible
from app.console.regions import places
from app.console.scripts import language_of
from app.harvest.inspection import broken_at
from app.protocol import vocab
from app.protocol.connector import Response
from connectors.syndication import Syndication
from tests.console_hub import HOSTILE, Served


def _get(hub: Served, path: str, lang: str = "zh-CN") -> httpx.Response:
    return httpx.get(f"{hub.url}{path}", headers={"accept": "text/html"}, cookies={"lang": lang})


@pytest.mark.parametrize("lang", list(LANGUAGES))
def test_every_page_opens_in_every_language_without_inline_code(hub: Served, lang: str) -> None:
    for name, path in hub.pages.items():
        answer = _get(hub, path, lang)
        assert answer.status_code == (404 if name == "missing" else 200), (name, answer.text[:300])
        tree = html.fromstring(answer.content)
        assert tree.get("lang") == lang, name
        assert (
            tree.xpath("//script[not(@src) and not(@type='application/ld+json')] | //style | //@style | //iframe") == []
        ), name
        assert [a for a in tree.xpath("//@*") if a.attrname.startswith("on")] == [], name  # type: ignore[attr-defined]
        assert [a for a in tree.xpath("//@href | //@src") if re.match(r"\s*(javascript|data):", a)] == [], name
        assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_no_link_of_any_page_is_dead(hub: Served) -> None:
    seen: set[str] = set()
    for name, path in hub.pages.items():
        tree = html.fromstring(_get(hub, path).content)
        found = {str(a) for a in tree.xpath("//a/@href | //link/@href | //script/@src")}
        seen |= {a.split("#")[0] for a in found if a.startswith("/")} if name != "missing" else set()
    plain = {address for address in seen if address and not address.startswith("/r/")}
    assert len(plain) > 100
    with httpx.Client(base_url=hub.url, headers={"accept": "text/html"}) as client:
        dead = {address: code for address in sorted(plain) if (code := client.get(address).status_code) != 200}
    assert dead == {}


def test_hostile_text_stays_text(hub: Served) -> None:
    for number, text in enumerate(HOSTILE):
        answer = _get(hub, f"/r/ix:E-110000-66:{number}")
        tree = html.fromstring(answer.content)
        assert tree.xpath("string(//h1)") == text
        data = tree.xpath("string(//script[@type='application/ld+json'])")
        assert orjson.loads(str(data))["name"] == text
        links = tree.xpath("//main//a/@href[starts-with(., 'http')]")
        assert len(links) == 1, links  # of three addresses only the https one is a link


def test_the_wall_tells_each_state_by_word_and_shape(hub: Served) -> None:
    tree = html.fromstring(_get(hub, "/").content)
    tiles = {a.xpath("string(.//b/span)"): a for a in tree.xpath("//a[contains(@class,'tile')]")}
    words = {name: tile.xpath("string(.//span[@class='word'])") for name, tile in tiles.items()}
    assert words == {"新疆": "正常", "广东": "正常", "海南": "待审", "贵州": "失败", "甘肃": "逾期", "西藏": "暂停"}
    shapes = {name: tile.xpath("string(.//use/@href)") for name, tile in tiles.items()}
    assert len({shapes[name] for name in ("新疆", "海南", "贵州", "甘肃", "西藏")}) == 5
    cases = [row.xpath("string(.//b)") for row in tree.xpath("//ul[@class='cases']/li")]
    assert cases[:3] == ["P-520000-01", "P-460000-01", "P-620000-01"]


def test_table_and_json_tell_the_same_as_the_map(hub: Served) -> None:
    tree = html.fromstring(_get(hub, "/?look=table&sort=state").content)
    rows = [row.xpath("string(.//span[@class='word'])") for row in tree.xpath("//main//section[1]//tbody/tr")]
    assert rows[:3] == ["失败", "待审", "逾期"]
    status = httpx.get(f"{hub.url}/api/v1/status").json()
    words = {item["platform"]: item["state"] for item in status["items"]}
    assert words["P-520000-01"] == "failing"
    assert words["C-440300-01"] == "never run"
    assert status["figures"]["held"] == 120
    assert {group["key"] for group in status["groups"]["level"]} == {"P", "C", "E"}


def test_filters_stand_in_the_address(hub: Served) -> None:
    tree = html.fromstring(_get(hub, "/feeds?state=failing&level=P").content)
    assert tree.xpath("//tbody/tr/td[2]/a/text()") == ["P-520000-01"]
    assert tree.xpath("//select[@name='state']/option[@selected]/@value") == ["failing"]
    switch = tree.xpath("//span[@class='who']/a/@href")
    assert switch == ["/feeds?state=failing&level=P&lang=en"]


def test_a_runs_page_shows_that_what_came_in_went_out(hub: Served) -> None:
    tree = html.fromstring(_get(hub, "/runs/2").content)
    (line,) = tree.xpath("//p[@class='sum'][contains(., '=')]")
    total, parts = line.text_content().replace(",", "").split("=")
    assert int(total) == sum(int(part) for part in parts.split("+")) == 230


def test_a_refused_entry_shows_where_its_bytes_break(hub: Served) -> None:
    tree = html.fromstring(_get(hub, "/quarantine/1").content)
    assert tree.xpath("string(//pre[@class='raw']/mark)") in ("\\u0003", "\u2403")
    assert "text.control" in tree.text_content()
    assert "\u2403" in tree.xpath("string(//td[@class='json'])")


def test_actions_are_shown_but_closed_to_those_who_are_not_signed_in(hub: Served) -> None:
    tree = html.fromstring(_get(hub, "/held/1").content)
    assert len(tree.xpath("//button[@disabled][@aria-describedby='why']")) == 3
    assert tree.get_element_by_id("why").text_content().strip()
    assert httpx.post(f"{hub.url}/held/1/approve").status_code == 401
    key = {"authorization": f"Bearer {hub.key}"}
    opened = html.fromstring(httpx.get(f"{hub.url}/held/1", headers=key).content)
    assert opened.xpath("//form[@method='post']//button[@disabled]") == []


def test_a_decision_is_carried_out_once(tmp_path: Path) -> None:
    from tests.console_hub import served

    with served(tmp_path) as made:
        key = {"authorization": f"Bearer {made.key}"}
        answer = httpx.post(f"{made.url}/held/1/reject", headers=key)
        assert (answer.status_code, answer.headers["location"]) == (303, "/held/1")
        assert "已驳回" in httpx.get(f"{made.url}/held/1").text
        again = httpx.post(f"{made.url}/held/1/approve", headers=key)
        assert (again.status_code, "text/html" in again.headers["content-type"]) == (409, True)


def test_words_and_facets_narrow_the_search(hub: Served) -> None:
    def count(path: str) -> int:
        text = html.fromstring(_get(hub, path).content).xpath("string(//section/h2)")
        return int("".join(re.findall(r"\d", text)))

    everything, uyghur = count("/search"), count("/search?language=ug")
    assert everything > uyghur > 0
    tree = html.fromstring(_get(hub, "/search?language=ug&platform=P-650000-01").content)
    assert "/search?language=ug" in tree.xpath("//a[@class='chip']/@href")
    alternative = tree.xpath("//div[@class='alt']/bdi")[0]
    assert (alternative.get("lang"), alternative.get("dir")) == ("ug", "auto")


def test_a_hub_without_feeds_says_what_to_do_first(tmp_path: Path) -> None:
    from tests.console_hub import served

    with served(tmp_path, filled=False) as made:
        assert "hutong platform add" in httpx.get(made.url).text
        for path in ("/platforms", "/feeds", "/runs", "/quarantine", "/held", "/search", "/system"):
            assert httpx.get(f"{made.url}{path}").status_code == 200, path


@pytest.mark.parametrize("path", ["/?look=x", "/feeds?page=0", "/feeds/junk", "/search?before=x", "/platforms/none", "/held/99", "/quarantine/99", "/r/none"])  # fmt: skip
def test_wrong_addresses_are_pages_that_say_so(hub: Served, path: str) -> None:
    answer = _get(hub, path)
    assert answer.status_code in (404, 422)
    assert "打不开这一页" in answer.text


def test_programs_get_problems_as_markdown_and_people_as_a_page(hub: Served) -> None:
    plain = httpx.get(f"{hub.url}/problems/text.control", headers={"accept": "*/*"})
    assert plain.headers["content-type"].startswith("text/markdown")
    assert "<strong>" in _get(hub, "/problems/text.control").text


def test_events_tell_at_once_where_the_hub_stands(hub: Served) -> None:
    with httpx.stream("GET", f"{hub.url}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = answer.iter_lines()
        first = [next(lines) for _ in range(4)]
    assert first[0].startswith("retry:")
    assert "event: change" in first


def test_pages_are_light(hub: Served) -> None:
    assets = sum(
        len(gzip.compress(f.read_bytes())) for f in page.STATIC.rglob("*") if f.suffix in (".css", ".js", ".svg")
    )
    for name, path in hub.pages.items():
        with httpx.stream(
            "GET", f"{hub.url}{path}", headers={"accept-encoding": "gzip", "accept": "text/html"}
        ) as answer:
            assert sum(map(len, answer.iter_raw())) + assets < 100_000, name


def test_files_of_others_are_unchanged() -> None:
    folder = page.STATIC / "vendor"
    listed = tomllib.loads((folder / "VENDOR.toml").read_text())["file"]
    assert {f["path"] for f in listed} == {f.name for f in folder.iterdir() if f.suffix == ".js"}
    for file in listed:
        assert sha256((folder / file["path"]).read_bytes()).hexdigest() == file["sha256"]


def test_secrets_of_a_feeds_configuration_are_covered() -> None:
    shown = public({"base_url": "https://a.example", "api_key": "k", "Authorization": "Bearer x", "client_secret": "s"})
    assert shown == {
        "base_url": "https://a.example",
        "api_key": "••••••",
        "Authorization": "••••••",
        "client_secret": "••••••",
    }


def test_every_province_has_its_own_place() -> None:
    assert {region.code for region in vocab.hub_provinces()} <= set(places())
    spots = [(place.column, place.row) for place in places().values()]
    assert len(set(spots)) == len(spots)


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [(0, "0 秒", "0 s"), (59, "59 秒", "59 s"), (360, "6 分", "6 min"), (6120, "1.7 小时", "1.7 h"), (7200, "2 小时", "2 h"),
     (130_000, "1 天", "1 d"), (None, "—", "—")],
)  # fmt: skip
def test_durations_are_read_at_a_glance(seconds: int | None, zh: str, en: str) -> None:
    assert (formats.duration(seconds, "zh-CN"), formats.duration(seconds, "en")) == (zh, en)
    assert formats.duration(18_600, "zh-CN", long=True) == "5 小时 10 分"


@pytest.mark.parametrize(
    ("raw", "rule", "path", "value", "broken"),
    [
        (b'{"title":"a\x03b"}', "text.control", "title", "", b"\x03"),
        (b'{"title":null,"x":1}', "record.title_missing", "title", "None", b'"title":null'),
        (b"<dc:title>x</dc:title>", "record.wrong_type", "title", "", b"<dc:title>"),
        (b'{"size":"big"}', "record.wrong_type", "size", "big", b"big"),
        (b'{"x":1}', "record.title_missing", "title", "", None),
    ],
)
def test_the_place_where_bytes_break_is_found(
    raw: bytes, rule: str, path: str, value: str, broken: bytes | None
) -> None:
    found = broken_at(raw, rule, path, value)
    assert (raw[slice(*found)] if found else None) == broken


def test_an_excerpt_is_bounded_and_hides_nothing() -> None:
    raw = b"a" * 50_000 + b"\x00" + b"b" * 50_000
    shown = excerpt(raw, {"rule": "text.control", "path": "", "value": ""})
    assert (shown["broken"], shown["at"], len(shown["before"]), shown["cut_before"]) == ("␀", 50_000, 6000, 44_000)
    assert visible(b"\xff\x7f\x1b") == "\\xff␡␛"


@pytest.mark.parametrize(
    ("text", "declared", "tag"),
    [("ماتېماتىكا", ("zh-Hans", "ug"), "ug"), ("ماتېماتىكا", ("kk-Arab",), "kk-Arab"), ("བོད་ཡིག", (), "bo"), ("二次函数", (), "zh-Hans"),
     ("Seasons", ("zh-Hans",), "en"), ("Saisons", ("fr", "zh-Hans"), "fr"), ("조선어문", ("ko",), "ko")],
)  # fmt: skip
def test_a_text_is_marked_with_the_language_of_its_script(text: str, declared: tuple[str, ...], tag: str) -> None:
    assert language_of(text, declared) == tag


def test_coverage_counts_each_cell_and_names_the_gaps(hub: Served) -> None:
    shown = httpx.get(f"{hub.url}/coverage").text
    cells = re.findall(r'<td class="(gap|thin|full)">', shown)
    assert cells
    first = re.search(r'<a href="(/search[?]subject=[^"]+)">([0-9,]+)</a>', shown)
    assert first
    results = httpx.get(hub.url + first[1].replace("&amp;", "&")).text
    assert f"{first[2]} 条资源" in results
    assert cells.count("gap") == shown.count("<span>空缺</span>")


def test_a_search_is_a_feed_that_our_own_reader_understands(hub: Served) -> None:
    answer = httpx.get(f"{hub.url}/search.atom")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    feed = Syndication.model_validate({"feed_url": f"{hub.url}/search.atom"})
    read = next(iter(feed.read({}, Response.of(answer.content, url=f"{hub.url}/search.atom"))))
    drafts = list(feed.parse(read.entries, read.context))
    assert drafts
    assert all(isinstance(draft, dict) and draft["title"] for draft in drafts)
