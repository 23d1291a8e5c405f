"""Feeds, sitemaps, ResourceSync, CKAN and MOOCHub through the real engine over real HTTP, with known counts."""

import gzip
import json
import re
from pathlib import Path
from typing import Any

import orjson

from app.catalogue import queries
from app.db import Database
from app.harvest import runs
from app.protocol import resourcesync, sitemaps
from app.protocol.sitemaps import Item
from tests.acceptance.test_corpora import POEMS
from tests.connectors.test_ckan import Portal
from tests.connectors.test_moochub import V2, V3, course, listing
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer


def address(server: ReplayServer) -> str:
    """Where a server will answer: known before it runs, so that its answers can name it."""
    return f"http://127.0.0.1:{server.server.server_address[1]}"


def counts(report: dict[str, Any]) -> dict[str, int]:
    names = ("created", "changed", "unchanged", "rejected", "tombstoned", "held")
    return {name: report[name] for name in names if report[name]}


def test_real_feeds_of_every_dialect_give_their_items(database: Database, data: Path) -> None:
    files = {
        "rss/test_podcast.rss": 2, "rss/test_medium_mit_news.rss": 3, "atom/standardebooks.xml": 1, "plain/rss10.rdf": 1,
        "plain/rss20.xml": 1, "plain/rss20dc.xml": 1, "plain/atom03.xml": 1, "plain/atom10.xml": 1,
    }  # fmt: skip
    hub = Hub(database)

    def answer(path: str) -> Answer:
        if "before=" in path:
            return 200, {}, b"<rss version='2.0'><channel/></rss>"
        # Only loopback is asked: the podcast's own next page is the last one here.
        return 200, {}, (data / "feeds" / path[1:]).read_bytes().replace(b"http://feeds.soundcloud.com", base.encode())

    server = ReplayServer(answer)
    base = address(server)
    with server:
        for name, number in files.items():
            feed = hub.feed("syndication", {"feed_url": f"{base}/{name}"})
            assert counts(hub.harvest(feed)) == {"created": number}, name
            assert counts(hub.harvest(feed)) == {"unchanged": number}, name
    assert hub.live() == 11


def test_a_json_feed_without_titles_names_its_untitled_item(sqlite: Database, data: Path) -> None:
    content, hub = (data / "feeds" / "plain" / "jsonfeed-example.json").read_bytes(), Hub(sqlite)
    with ReplayServer(lambda _: (200, {}, content)) as url:
        feed = hub.feed("syndication", {"feed_url": f"{url}/feed.json"})
        assert counts(hub.harvest(feed)) == {"created": 1, "rejected": 1}
    with sqlite.read() as connection:
        assert [row["rule"] for row in runs.rejections(connection, feed, limit=9)] == ["record.title_missing"]


def test_an_item_that_leaves_its_feed_stays_in_the_catalogue(sqlite: Database) -> None:
    hub, shown = Hub(sqlite), ["a", "b", "c"]

    def answer(_: str) -> Answer:
        items = "".join(f"<item><guid>{name}</guid><title>{name}</title></item>" for name in shown)
        return 200, {}, f"<rss version='2.0'><channel>{items}</channel></rss>".encode()

    with ReplayServer(answer) as url:
        feed = hub.feed("syndication", {"feed_url": f"{url}/feed"})
        hub.harvest(feed)
        del shown[:2]
        assert counts(hub.harvest(feed, "full")) == {"unchanged": 1}
    assert hub.live() == 3


def test_the_hoou_site_gives_the_pages_that_are_there(database: Database, data: Path) -> None:
    folder, hub = data / "sitemap-jsonld-html", Hub(database)
    shown = {
        "stadt-als-sozialer-raum": "hoou-online-punkteabfrage.html",
        "blockchain-ex-1": "hoou-tutorial-lernen-lernen.html",
        "sustainable-futures-nachhaltige-zukunftsperspektiven": "hoou-tutorial-lernen-lernen.html",
    }  # fmt: skip

    def answer(path: str) -> Answer:
        if path == "/sitemap.xml":
            return 200, {}, (folder / "hoou-sitemap.xml").read_bytes().replace(b"https://www.hoou.de", base.encode())
        file = folder / shown.get(path.rpartition("/")[2], "gone")
        return (
            (200, {"Content-Type": "text/html; charset=utf-8"}, file.read_bytes()) if file.exists() else (404, {}, b"")
        )

    server = ReplayServer(answer)
    base = address(server)
    with server:
        feed = hub.feed("sitemap", {"sitemap_url": f"{base}/sitemap.xml"})
        report = hub.harvest(feed)
        assert (counts(report), report["requests"]) == ({"created": 2}, 11)
        # Stamps of 2018 and 2019 say that nothing has changed; a full run asks every page again.
        assert hub.harvest(feed)["requests"] == 1
        assert counts(hub.harvest(feed, "full")) == {"unchanged": 2}


def test_a_page_that_leaves_a_sitemap_is_removed_by_a_complete_listing(database: Database) -> None:
    hub, shown = Hub(database), ["a", "b", "c"]

    def answer(path: str) -> Answer:
        if path == "/sitemap.xml":
            return (
                200,
                {},
                "".join(["<urlset>", *(f"<url><loc>{base}/{n}</loc></url>" for n in shown), "</urlset>"]).encode(),
            )
        block = json.dumps({"@type": "Course", "name": path})
        return 200, {}, f'<script type="application/ld+json">{block}</script>'.encode()

    server = ReplayServer(answer)
    base = address(server)
    with server:
        feed = hub.feed("sitemap", {"sitemap_url": f"{base}/sitemap.xml"})
        assert counts(hub.harvest(feed)) == {"created": 3}
        shown.remove("b")
        assert counts(hub.harvest(feed)) == {"unchanged": 2, "tombstoned": 1}
        shown.clear()
        assert counts(hub.harvest(feed)) == {"held": 2}, "a sitemap that is empty by mistake empties nothing"


def test_5000_poems_as_resourcesync_dumps_and_then_their_changes(database: Database, data: Path) -> None:
    lines = gzip.decompress((data / "chinese-poetry" / "poet.tang.jsonl.gz").read_bytes()).splitlines()
    poems = {orjson.loads(line)["id"]: line for line in lines if orjson.loads(line)["title"]}
    poems = dict(list(poems.items())[:5001])
    hub, changes = Hub(database), list[Item]()
    first, at = list(poems)[:5000], "2026-11-11T07:00:00Z"

    def document(capability: str, items: list[Item], **md: str) -> bytes:
        return sitemaps.render(resourcesync.document(capability, items, **md))

    def packed(names: list[str]) -> bytes:
        items = [resourcesync.listed(f"{base}/r/{name}", poems[name], path=name) for name in names]
        return resourcesync.dump(
            resourcesync.document("resourcedump-manifest", items, at=at), {n: poems[n] for n in names}
        )

    def answer(path: str) -> Answer:
        name = path.rpartition("/")[2]
        if name in poems:
            return 200, {}, poems[name]
        made = {
            "resourcesync": lambda: document("description", [Item(f"{base}/caps", md={"capability": "capabilitylist"})]),
            "caps": lambda: document("capabilitylist", [Item(f"{base}/{n}", md={"capability": n}) for n in ("resourcedump", "changelist")]),
            "resourcedump": lambda: document("resourcedump", [Item(f"{base}/{n}.zip") for n in range(5)], at=at),
            "changelist": lambda: document("changelist", changes, from_="2026-11-11T00:00:00Z"),
        }  # fmt: skip
        if found := re.fullmatch(r"(\d)\.zip", name):
            return 200, {}, packed(first[int(found[1]) * 1000 : (int(found[1]) + 1) * 1000])
        return 200, {}, made[name]()

    server = ReplayServer(answer)
    base = address(server)
    with server:
        feed = hub.feed("resourcesync", {"base_url": base, "prefer": "dump", "mapped": True}, mapping=POEMS)
        report = hub.harvest(feed)
        assert report["seen"] == 5000 == report["created"] + report["rejected"]
        assert report["requests"] == 8
        assert report["rejected"] < 10
        assert counts(hub.harvest(feed)) == {}, "no changes are no news"
        names = list(poems)
        poems[names[0]] = (
            poems[names[0]]
            .replace(b'"title": "', '"title": "改'.encode())
            .replace(b'"title":"', '"title":"改'.encode())
        )
        changes += [resourcesync.changed(f"{base}/r/{names[0]}", "updated", at, poems[names[0]])]
        changes += [resourcesync.changed(f"{base}/r/{names[5000]}", "created", at, poems[names[5000]])]
        changes += [resourcesync.changed(f"{base}/r/{name}", "deleted", at) for name in names[10:13]]
        assert counts(hub.harvest(feed)) == {"created": 1, "changed": 1, "tombstoned": 3}
    with database.read() as connection:
        assert queries.tallies(connection)["live"] == report["created"] - 3 + 1


def test_ckan_packages_come_change_and_go(database: Database) -> None:
    hub, portal = Hub(database), Portal(35)

    def answer(path: str) -> Answer:
        found = portal(path)
        status, content = found if isinstance(found, tuple) else (200, found)
        return status, {}, content

    with ReplayServer(answer) as base:
        for number, via in enumerate(("search", "list")):
            feed = hub.feed("ckan", {"base_url": base, "rows": 10, "via": via}, f"P-44000{number}-01")
            assert counts(hub.harvest(feed)) == {"created": 35 - number}, via
            portal.packages[3]["title"] = f"new {via}"
            gone = portal.packages.pop(7)
            assert counts(hub.harvest(feed, "full")) == {"changed": 1, "unchanged": 33 - number, "tombstoned": 1}, gone


def test_moochub_courses_of_both_versions_come_and_go(database: Database) -> None:
    hub, first = Hub(database), [course("a", **V3), course("b", **V2)]

    def answer(path: str) -> Answer:
        return 200, {}, listing(course("c", **V2)) if "page=2" in path else listing(*first, after="?page=2")

    with ReplayServer(answer) as url:
        feed = hub.feed("moochub", {"courses_url": f"{url}/courses"})
        assert counts(hub.harvest(feed)) == {"created": 3}
        del first[0]
        assert counts(hub.harvest(feed)) == {"unchanged": 2, "tombstoned": 1}
