"""Kept bytes: what is kept and dropped, a mapping's trial and its application, where each field came from."""

from typing import Any

import orjson
import pytest
from sqlalchemy import func, select

from app.catalogue import originals, queries, service
from app.catalogue.tables import original, original_context, record
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import MAPPING, face
from app.feeds import leases
from app.feeds import service as feeds
from app.harvest import explain, remap, runs
from app.protocol.errors import BadRequest, Conflict, NotFound
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

RIGHTS = {"constant": {"statement": "仅限本省"}}
STRICT: dict[str, Any] = {**MAPPING, "fields": {**MAPPING["fields"], "rights": RIGHTS}}


def _demo(kind: str, count: int = 120, fault: str | None = None) -> DemoPlatform:
    return DemoPlatform("P-440000-01", "广东省教育资源公共服务平台", kind, fault, count)


def _count(hub: Hub, table: Any) -> int:
    with hub.database.read() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def _feed(hub: Hub, feed: int) -> dict[str, Any]:
    with hub.database.read() as connection:
        return feeds.by_id(connection, feed)


def _harvested(hub: Hub, fault: str | None = None, count: int = 120, **more: Any) -> int:
    with ReplayServer(face(_demo("static-parts", count, fault))) as url:
        feed = hub.feed(
            "static-parts", {"manifest_url": f"{url}/data_version.json"}, mapping=more.get("mapping", MAPPING)
        )
        hub.harvest(feed)
    return feed


def test_bytes_are_kept_once_and_change_with_their_record(database: Database) -> None:
    hub, suffix = Hub(database), ""
    good = face(_demo("oai-pmh", 30))

    def answer(path: str) -> Answer:
        status, headers, body = good(path)
        return status, headers, body.replace("课".encode(), f"课{suffix}".encode())

    with ReplayServer(answer) as url:
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"})
        hub.harvest(feed)
        assert (_count(hub, original), _count(hub, original_context)) == (30, 1)
        hub.harvest(feed, "full")
        assert (_count(hub, original), _count(hub, original_context)) == (30, 1)
        suffix = "修订"
        changed = hub.harvest(feed, "full")["changed"]
        assert changed > 0
    with database.read() as connection:
        rows = originals.of_feed(connection, feed)
    assert sum(1 for row in rows if "修订".encode() in bytes(row.raw)) == changed


def test_a_tombstones_bytes_are_no_mappings_and_those_of_a_withdrawn_record_are_gone_at_once(
    database: Database,
) -> None:
    hub = Hub(database)
    feed = _harvested(hub)
    with database.write() as connection:
        ids = list(connection.execute(select(record.c.id).where(record.c.feed_id == feed).limit(30)).scalars())
        assert service.remove(connection, ids[:20], 1) == 20
        assert len(originals.of_feed(connection, feed)) == 100
        assert sorted(service.withdraw(connection, dict.fromkeys(ids[20:], True))) == sorted(ids[20:])
        assert len(originals.of_feed(connection, feed)) == 90
    hub.check()
    assert _count(hub, original) == 110  # what is removed can be taken back for 30 days


def test_of_two_versions_on_one_page_the_bytes_of_the_stored_one_are_kept(sqlite: Database) -> None:
    hub, newer = Hub(sqlite), {"id": "a", "title": "新", "update_time": "2026-02-01T00:00:00Z"}
    part = orjson.dumps([newer, {**newer, "title": "旧", "update_time": "2026-01-01T00:00:00Z"}])
    manifest = orjson.dumps({"module_version": 1, "urls": ["/part"]})
    with ReplayServer(lambda path: (200, {}, part if path == "/part" else manifest)) as url:
        feed = hub.feed("static-parts", {"manifest_url": f"{url}/m"}, mapping=MAPPING)
        assert hub.harvest(feed)["duplicate"] == 1
    with sqlite.read() as connection:
        (row,) = originals.of_feed(connection, feed)
    assert orjson.loads(bytes(row.raw))["title"] == orjson.loads(bytes(row.document))["title"] == "新"


def test_a_trial_counts_and_shows_ten_differences_and_writes_nothing(database: Database) -> None:
    hub = Hub(database)
    feed = _harvested(hub, "bad records", 300)
    head = hub.head()
    found = remap.trial(database, _feed(hub, feed), {**STRICT, "defaults": {"title": "无题"}})
    assert {n: found[n] for n in ("live", "same", "changed", "refused", "quarantined", "mended", "unkept")} == {
        "live": 297, "same": 0, "changed": 297, "refused": 0, "quarantined": 3, "mended": 3, "unkept": 0,
    }  # fmt: skip
    assert len(found["diffs"]) == 10
    assert found["diffs"][0]["fields"] == {"rights": [{"statement": "免费开放"}, {"statement": "仅限本省"}]}
    assert (hub.head(), _feed(hub, feed)["mapping"]) == (head, MAPPING)
    same = remap.trial(database, _feed(hub, feed), MAPPING)
    assert (same["same"], same["changed"], same["diffs"], same["mended"]) == (297, 0, [], 0)


def test_applied_it_changes_live_and_quarantined_records_without_one_request(database: Database) -> None:
    hub, server = Hub(database), ReplayServer(face(_demo("static-parts", 300, "bad records")))
    with server as url:
        feed = hub.feed("static-parts", {"manifest_url": f"{url}/data_version.json"}, mapping=MAPPING)
        hub.harvest(feed)
        asked, before = len(server.asked), _feed(hub, feed)
        found = remap.apply(database, feed, {**STRICT, "defaults": {"title": "无题"}})
        assert len(server.asked) == asked
        hub.check()
        assert (found["live"]["changed"], found["live"]["rejected"], found["live"]["status"]) == (297, 0, "done")
        assert (found["quarantined"]["created"], hub.live()) == (3, 300)
        after = _feed(hub, feed)
        assert (after["next_at"], after["succeeded_at"], after["lease_owner"]) == (
            before["next_at"],
            before["succeeded_at"],
            None,
        )
        again = remap.apply(database, feed, {**STRICT, "defaults": {"title": "无题"}})
        assert (again["live"]["changed"], again["live"]["unchanged"]) == (0, 300)
        # The next full harvest knows these bytes under the new mapping: nothing is new, and nothing is parsed again.
        report = hub.harvest(feed, "full")
    assert (report["unchanged"], report["changed"], report["created"]) == (300, 0, 0)


def test_what_a_mapping_refuses_stays_live_and_waits_in_quarantine(database: Database) -> None:
    hub = Hub(database)
    feed = _harvested(hub)
    fields = {**MAPPING["fields"], "title": {"path": "title", "match": "^.*三年级.*$"}}
    trial = remap.trial(database, _feed(hub, feed), {**MAPPING, "fields": fields})
    assert trial["refused"] > 0
    assert trial["rules"] == {"record.title_missing": trial["refused"]}
    found = remap.apply(database, feed, {**MAPPING, "fields": fields})
    assert (found["live"]["rejected"], found["live"]["status"], hub.live()) == (trial["refused"], "partial", 120)
    with database.read() as connection:
        assert len(runs.rejections(connection, feed, limit=500)) == trial["refused"]
    back = remap.apply(database, feed, MAPPING)
    assert (back["live"]["rejected"], hub.live()) == (0, 120)


def test_a_wrong_mapping_a_busy_feed_and_native_records_are_refused(sqlite: Database) -> None:
    hub = Hub(sqlite)
    feed = _harvested(hub, count=30)
    with pytest.raises(BadRequest, match="no such field titel"):
        remap.apply(sqlite, feed, {"version": 1, "fields": {"titel": {"path": "a"}}})
    with sqlite.write() as connection:
        assert leases.claim(connection, feed, "somebody", 60) is not None
    with pytest.raises(Conflict, match="somebody"):
        remap.apply(sqlite, feed, STRICT)
    assert _feed(hub, feed)["mapping"] == MAPPING
    with ReplayServer(face(_demo("ix", 10))) as url:
        native = hub.feed("ix", {"base_url": url}, "P-450000-01")
    with pytest.raises(BadRequest, match="their origin's own"):
        remap.trial(sqlite, _feed(hub, native), STRICT)


def test_identifiers_with_any_sign_find_their_record_again(sqlite: Database) -> None:
    hub, names = Hub(sqlite), ["a/b", "目录 七", "100%", "x?y=1#z", "'\"", "%2F"]
    part = orjson.dumps([{"id": name, "title": name} for name in names])
    manifest = orjson.dumps({"module_version": 1, "urls": ["/part"]})
    with ReplayServer(lambda path: (200, {}, part if path == "/part" else manifest)) as url:
        feed = hub.feed(
            "static-parts", {"manifest_url": f"{url}/m"}, mapping={"version": 1, "fields": {"title": {"path": "title"}}}
        )
        hub.harvest(feed)
    mapping = {"version": 1, "fields": {"title": {"template": "《{title}》"}}}
    assert remap.apply(sqlite, feed, mapping)["live"]["changed"] == len(names)
    hub.check()
    assert hub.live() == len(names)


@pytest.mark.parametrize("kind", ["oai-pmh", "ix", "static-parts"])
def test_every_field_of_a_stored_record_knows_its_source_path(database: Database, kind: str) -> None:
    hub = Hub(database)
    config = {"oai-pmh": "base_url", "ix": "base_url", "static-parts": "manifest_url"}[kind]
    path = {"oai-pmh": "/oai", "ix": "", "static-parts": "/data_version.json"}[kind]
    with ReplayServer(face(_demo(kind, 20))) as url:
        hub.harvest(hub.feed(kind, {config: f"{url}{path}"}, mapping=MAPPING if kind == "static-parts" else None))
    with database.read() as connection:
        row = queries.changes(connection, after=0, limit=1)[0]
        found = explain.explain(connection, row.id)
    fields = {item["field"]: item for item in found["fields"]}
    assert set(fields) == set(orjson.loads(bytes(row.document))) - {"id"}
    constant = {"audience", "rights"} if kind == "static-parts" else set()
    assert [name for name, item in fields.items() if not item["from"] and name not in constant] == []
    expected = {"oai-pmh": "dc/title", "ix": "record.title", "static-parts": "title"}[kind]
    assert fields["title"]["from"][0] == {"path": expected, "value": fields["title"]["value"]}
    if kind == "static-parts":
        assert fields["subject"]["from"][0]["path"] == "tag_list[1].tag_name"


def test_an_unknown_record_has_no_account(sqlite: Database) -> None:
    with sqlite.read() as connection, pytest.raises(NotFound):
        explain.explain(connection, "ix:P-440000-01:a/1")


def test_a_file_path_becomes_a_field(sqlite: Database) -> None:
    hub, part = Hub(sqlite), orjson.dumps([{"id": "a", "title": "帝京篇"}])
    manifest = orjson.dumps({"module_version": 1, "urls": ["/json/poet.tang.0.json?v=2"]})
    mapping = {
        "version": 1,
        "fields": {"title": {"path": "title"}, "edition": {"path": "$file", "match": r"poet\.(\w+)\."}},
    }
    with ReplayServer(lambda path: (200, {}, part if "poet" in path else manifest)) as url:
        feed = hub.feed("static-parts", {"manifest_url": f"{url}/m", "file_path": True}, mapping=mapping)
        hub.harvest(feed)
    with sqlite.read() as connection:
        (row,) = originals.of_feed(connection, feed)
    assert orjson.loads(bytes(row.document))["edition"] == "tang"
    assert bytes(row.context) == b"/json/poet.tang.0.json"
