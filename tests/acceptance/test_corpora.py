"""Real catalogues harvested over real HTTP, with the counts that are known of them."""

import gzip
import json
from pathlib import Path

from app.catalogue import search
from app.db import Database
from app.harvest import runs
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

POEMS = {
    "version": 1,
    "fields": {
        "title": {"path": "title"}, "description": {"path": "paragraphs", "join": "\n"}, "keywords": {"path": "tags", "list": True},
        "contributors": {"path": "author", "each": {"role": "creator"}},
        "languages": {"constant": ["zh-Hant"]}, "type": {"constant": ["literature"]}, "subject": {"constant": "13"},
    },
}  # fmt: skip


def _file(path: Path) -> Answer:
    return 200, {"Content-Type": "text/xml"}, path.read_bytes()


def test_nsdl_gives_162_records(sqlite: Database, data: Path) -> None:
    folder, hub = data / "oai-pmh" / "nsdl", Hub(sqlite)

    def answer(path: str) -> Answer:
        return _file(folder / ("GoodResponseIdentify.xml" if "Identify" in path else "GoodResponseSinglePage.xml"))

    with ReplayServer(answer) as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai", "prefix": "nsdl_dc"}))
    assert (report["seen"], report["created"], report["rejected"]) == (162, 162, 0)


def test_dpla_gives_10_mods_records(sqlite: Database, data: Path) -> None:
    hub, page = Hub(sqlite), (data / "oai-pmh" / "dpla" / "oai-page.xml").read_bytes()
    start, end = page.find(b"<resumptionToken"), page.find(b"</resumptionToken>")
    last = page[: page.find(b">", start) + 1] + page[end:]
    identify = (data / "oai-pmh" / "nsdl" / "GoodResponseIdentify.xml").read_bytes()
    with ReplayServer(lambda path: (200, {}, identify if "Identify" in path else last)) as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai", "prefix": "mods"}))
    assert (report["seen"], report["created"]) == (10, 10)


def test_the_learning_registry_namespace_is_refused_by_name(sqlite: Database, data: Path) -> None:
    hub, page = Hub(sqlite), data / "oai-pmh" / "learning-registry" / "sample-GetRecord-list.xml"
    with ReplayServer(lambda _: _file(page)) as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai"}))
    assert report["error"]["kind"] == "oai.namespace"
    assert "http" in report["error"]["detail"]
    assert report["seen"] == 0


def test_zenodo_errors_with_http_422_are_read(sqlite: Database, data: Path) -> None:
    folder, hub = data / "oai-pmh" / "zenodo", Hub(sqlite)
    index = json.loads((folder / "index.json").read_text())
    answers = index if isinstance(index, list) else [{"file": name, **value} for name, value in index.items()]
    empty = next(a for a in answers if a["status"] == 422 and b"noRecordsMatch" in (folder / a["file"]).read_bytes())
    identify = next(
        a for a in answers if "verb=Identify" in a["uri"] and b"<Identify>" in (folder / a["file"]).read_bytes()
    )

    def answer(path: str) -> Answer:
        chosen = identify if "Identify" in path else empty
        return chosen["status"], {"Content-Type": "text/xml"}, (folder / chosen["file"]).read_bytes()

    with ReplayServer(answer) as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai"}))
    assert (report["status"], report["seen"], report["error"]) == ("done", 0, None)


def test_57607_tang_poems_as_static_parts_of_1000(sqlite: Database, data: Path) -> None:
    lines = gzip.decompress((data / "chinese-poetry" / "poet.tang.jsonl.gz").read_bytes()).splitlines()
    parts = [b"[" + b",".join(lines[start : start + 1000]) + b"]" for start in range(0, len(lines), 1000)]
    manifest = {"module": "poems", "module_version": 1, "urls": ",".join(f"/part/{n}.json" for n in range(len(parts)))}

    def answer(path: str) -> Answer:
        if "manifest" in path:
            return 200, {}, json.dumps(manifest).encode()
        return 200, {}, parts[int(path.split("/")[-1].removesuffix(".json"))]

    hub = Hub(sqlite)
    with ReplayServer(answer) as url:
        feed = hub.feed("static-parts", {"manifest_url": f"{url}/manifest.json", "stamp_field": "x"}, mapping=POEMS)
        report = hub.harvest(feed)
        assert report["seen"] == 57_607 == report["created"] + report["rejected"]
        manifest["module_version"] = 2
        again = hub.harvest(feed)
    assert (again["created"], again["changed"], again["tombstoned"], again["held"]) == (0, 0, 0, 0)
    with sqlite.read() as connection:
        refused = runs.rejections(connection, feed, limit=1000)
        assert len(search.find(connection, words="静夜思", terms=[], before=None, limit=10)) > 0
    untitled = sum(1 for row in refused if row["rule"] == "record.title_missing")
    assert untitled == 168, {row["rule"] for row in refused}


def test_733_headers_over_four_pages_are_one_chain(data: Path) -> None:
    from app.protocol import oaipmh

    names: list[str] = []
    for number in range(1, 5):
        page = oaipmh.cut((data / "oai-pmh" / "nsdl" / f"GoodResponseFourPage_{number}.xml").read_bytes())
        names += [item.identifier for item in page.entries]
        assert (page.token is None) == (number == 4)
    assert len(set(names)) == 733
