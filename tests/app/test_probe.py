"""Every kind is found by its address alone: the right one first, with reasons, and what is proposed harvests."""

import csv
import io
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pytest
import xlsxwriter

from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.harvest import probe
from app.harvest.fetch import Fetcher
from app.protocol import oaipmh, resourcesync, sitemaps
from app.protocol.sitemaps import Document, Item
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

NUMBER = 30
SUBJECTS = ("语文", "数学", "物理")
ROWS = [
    {"编号": f"R{n:04}", "名称": f"第{n}课 长城", "学科": SUBJECTS[n % 3], "简介": f"第{n}课讲长城的历史，适合小学高年级学生阅读。",
     "地址": f"https://res.example.edu.cn/{n}"}
    for n in range(NUMBER)
]  # fmt: skip
OBJECTS = [
    {"uuid": f"u-{n}", "title": row["名称"], "subject": row["学科"], "url": row["地址"]} for n, row in enumerate(ROWS)
]
Files = Callable[[str], dict[str, bytes]]


def _table() -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=";")
    writer.writerows([["某省资源目录"], [], list(ROWS[0]), *(list(row.values()) for row in ROWS)])
    return out.getvalue().encode("gb18030")


def _book() -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"strings_to_urls": False})
    sheet = book.add_worksheet("目录")
    for place, row in enumerate([["某县资源目录"], list(ROWS[0]), *(list(row.values()) for row in ROWS)]):
        sheet.write_row(place, 0, row)
    book.close()
    return out.getvalue()


def _sitemap(base: str) -> dict[str, bytes]:
    lessons = {
        f"/l/{n}": b'<html><script type="application/ld+json">%b</script></html>'
        % orjson.dumps({"@context": "https://schema.org", "@type": "LearningResource", "name": row["名称"]})
        for n, row in enumerate(ROWS)
    }
    listed = sitemaps.render(Document([Item(base + path) for path in lessons]))
    return {"/map-1.xml": listed, "/robots.txt": f"User-agent: *\nSitemap: {base}/map-1.xml\n".encode(), **lessons}


def _resourcesync(base: str) -> dict[str, bytes]:
    raws = {f"/r/{n}": orjson.dumps({"title": row["名称"]}) for n, row in enumerate(ROWS)}
    listed = [resourcesync.listed(base + path, raw) for path, raw in raws.items()]
    documents = {
        resourcesync.WELL_KNOWN: resourcesync.document("description", [Item(f"{base}/c.xml", md={"capability": "capabilitylist"})]),
        "/c.xml": resourcesync.document("capabilitylist", [Item(f"{base}/l.xml", md={"capability": "resourcelist"})]),
        "/l.xml": resourcesync.document("resourcelist", listed, at="2026-11-11T07:00:00Z"),
    }  # fmt: skip
    return {path: sitemaps.render(document) for path, document in documents.items()} | raws


def _syndication(base: str) -> dict[str, bytes]:
    items = "".join(f"<item><guid>{n}</guid><title>{row['名称']}</title></item>" for n, row in enumerate(ROWS))
    page = '<!doctype html><html><head><link rel="alternate" type="application/rss+xml" href="/news.rss"></head></html>'
    return {"/news.rss": f'<rss version="2.0"><channel>{items}</channel></rss>'.encode(), "/": page.encode()}


def _ckan(base: str) -> dict[str, bytes]:
    packages = [{"id": f"p{n:03}", "name": f"n{n}", "title": row["名称"]} for n, row in enumerate(ROWS)]
    answer = {"help": "h", "success": True, "result": {"count": NUMBER, "results": packages}}
    return {"/api/3/action/package_search": orjson.dumps(answer), "/dataset/n1": b"<html>a package</html>"}


def _moochub(base: str) -> dict[str, bytes]:
    courses = [
        {"id": str(n), "type": "Course", "attributes": {"name": row["名称"], "url": row["地址"]}}
        for n, row in enumerate(ROWS)
    ]
    return {"/moochub": orjson.dumps({"links": {"next": None}, "data": courses})}


def _paged(base: str) -> dict[str, bytes]:
    pages = {"/api/list": (OBJECTS[:20], f"{base}/api/more"), "/api/more": (OBJECTS[20:], None)}
    return {
        path: orjson.dumps({"data": {"items": items}, "meta": {"total": NUMBER, "next": after}})
        for path, (items, after) in pages.items()
    }


KINDS: dict[str, tuple[str, Files, dict[str, Any]]] = {
    "sitemap": ("/map-1.xml", _sitemap, {"sitemap_url": "{}/map-1.xml"}),
    "sitemap by robots.txt": ("/index.html", _sitemap, {"sitemap_url": "{}/map-1.xml"}),
    "resourcesync": ("/", _resourcesync, {"base_url": "{}" + resourcesync.WELL_KNOWN}),
    "syndication": ("/news.rss", _syndication, {"feed_url": "{}/news.rss"}),
    "syndication by its page": ("/", _syndication, {"feed_url": "{}/news.rss"}),
    "ckan": ("/dataset/n1", _ckan, {"base_url": "{}"}),
    "moochub": ("/moochub", _moochub, {"courses_url": "{}/moochub"}),
    "csv": ("/a.csv", lambda _: {"/a.csv": _table()}, {"url": "{}/a.csv", "id_columns": ["编号"]}),
    "excel": ("/a.xlsx", lambda _: {"/a.xlsx": _book()}, {"url": "{}/a.xlsx", "id_columns": ["编号"]}),
    "json": (
        "/api/list", _paged,
        {"url": "{}/api/list", "id_paths": ["uuid"], "items_path": "data.items", "total_path": "meta.total",
         "paging": {"by": "next", "path": "meta.next"}},
    ),
    "json, an array": ("/a.json", lambda _: {"/a.json": orjson.dumps(OBJECTS)}, {"url": "{}/a.json", "id_paths": ["uuid"]}),
    "ndjson": (
        "/a.ndjson", lambda _: {"/a.ndjson": b"\n".join(map(orjson.dumps, OBJECTS))}, {"url": "{}/a.ndjson", "id_paths": ["uuid"]},
    ),
}  # fmt: skip
NEEDS_MAPPING = ("csv", "excel", "json", "ndjson")


@pytest.fixture
def fetcher() -> Iterator[Fetcher]:
    made = Fetcher(allow="127.0.0.0/8")
    yield made
    made.close()


def _site(files: Files) -> ReplayServer:
    """A real server: what it does not have is 404."""
    held: dict[str, bytes] = {}

    def answer(path: str) -> Answer:
        known = held.get(path.split("?")[0])
        return (404, {"Content-Type": "text/html"}, b"<html>nothing here</html>") if known is None else (200, {}, known)

    server = ReplayServer(answer)
    held.update(files(f"http://127.0.0.1:{server.server.server_address[1]}"))
    return server


@pytest.mark.parametrize("sample", KINDS)
def test_the_right_kind_is_first_and_what_is_proposed_harvests(sqlite: Database, fetcher: Fetcher, sample: str) -> None:
    path, files, config = KINDS[sample]
    kind = sample.split()[0].strip(",")
    with _site(files) as url:
        found = probe.probe(fetcher, url + path)
        assert [item["connector"] for item in found["kinds"]][:1] == [kind], found
        best = found["kinds"][0]
        assert best["config"] == {name: _at(url, value) for name, value in config.items()}
        assert all(best["reasons"])
        assert (found["mapping"] is not None) == (kind in NEEDS_MAPPING)
        hub = Hub(sqlite)
        report = hub.harvest(hub.feed(kind, orjson.loads(orjson.dumps(best["config"])), mapping=found["mapping"]))
    assert (report["created"], report["rejected"]) == (NUMBER, 0)


def _at(url: str, value: Any) -> Any:
    return value.replace("{}", url) if isinstance(value, str) else value


def test_a_proposed_mapping_names_the_terms_that_the_code_lists_know(fetcher: Fetcher) -> None:
    with _site(lambda _: {"/a.csv": _table()}) as url:
        found = probe.probe(fetcher, f"{url}/a.csv")
    assert found["mapping"]["terms"]["subject"] == {"语文": "13", "数学": "14", "物理": "16"}


def _oai(formats: str) -> Callable[[str], Answer]:
    demo = face(DemoPlatform("P-440000-01", "广东", "oai-pmh", None, 40))

    def answer(path: str) -> Answer:
        if not path.startswith("/oai?"):
            return 404, {}, b""
        if "ListMetadataFormats" not in path:
            return demo(path)
        listed = f"<ListMetadataFormats>{formats}</ListMetadataFormats>"
        return 200, {"Content-Type": "text/xml"}, oaipmh.envelope("2026-11-01T08:00:00Z", "http://a/oai", {}, listed)

    return answer


@pytest.mark.parametrize(
    ("offered", "config"),
    [
        ([("oai_dc", ""), ("mods", "http://www.loc.gov/mods/v3")], {"prefix": "mods"}),
        ([("oai_dc", ""), ("iteso_lom", "http://ltsc.ieee.org/xsd/LOM")], {"prefix": "iteso_lom", "format": "lom"}),
        ([("xoai", "urn:x"), ("oai_dc", "")], {"prefix": "oai_dc"}),
        ([("xoai", "urn:x")], {}),
    ],
)
def test_of_a_repository_the_format_that_says_most_is_proposed(
    fetcher: Fetcher, offered: list[tuple[str, str]], config: dict[str, str]
) -> None:
    listed = "".join(oaipmh.metadata_format(prefix, "http://a/x.xsd", namespace) for prefix, namespace in offered)
    with ReplayServer(_oai(listed)) as url:
        found = probe.probe(fetcher, f"{url}/oai")
    assert found["kinds"][0]["config"] == {"base_url": f"{url}/oai", **config}
    assert any("ListMetadataFormats" in reason for reason in found["kinds"][0]["reasons"])


@pytest.mark.parametrize(
    "content",
    [b"", b"one line of words", b"a\nb\nc\n", "一段话，没有表格。\n又一段，还是没有。".encode(), b"User-agent: *\nAllow: /\n", b"\x00\x01,\x02",
     b"PK\x03\x04 no workbook", b'{"a": [1, 2]}', b"[[1, 2]]", b'{"message": "not found"}', b"<a/>", b"%PDF-1.7, x, y\n1, 2, 3\n"],
)  # fmt: skip
def test_what_is_no_catalogue_is_taken_for_none(fetcher: Fetcher, content: bytes) -> None:
    with ReplayServer(lambda _: (200, {}, content)) as url:
        assert probe.probe(fetcher, f"{url}/a")["kinds"] == []
