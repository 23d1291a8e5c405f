"""The page loop against real sockets and both databases."""

import orjson
import pytest

from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import MAPPING, face
from app.feeds import leases, service
from app.feeds.tables import feed as feed_table
from app.harvest import decisions, quarantine, runs
from app.harvest.loop import harvest
from app.harvest.worker import owner
from app.protocol.errors import LeaseLost
from tests.app.test_reconcile import Repository
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

pytestmark = pytest.mark.postgres15


def _demo(kind: str, count: int = 450, fault: str | None = None) -> DemoPlatform:
    return DemoPlatform("P-440000-01", "广东省教育资源公共服务平台", kind, fault, count)


def _config(kind: str, url: str) -> dict[str, str]:
    return {
        "oai-pmh": {"base_url": f"{url}/oai"},
        "ix": {"base_url": url},
        "static-parts": {"manifest_url": f"{url}/data_version.json"},
    }[kind]


@pytest.mark.parametrize("kind", ["oai-pmh", "ix", "static-parts"])
def test_a_second_harvest_of_the_same_pages_gives_no_position(database: Database, kind: str) -> None:
    hub = Hub(database)
    with ReplayServer(face(_demo(kind))) as url:
        feed = hub.feed(kind, _config(kind, url), mapping=MAPPING if kind == "static-parts" else None)
        first = hub.harvest(feed)
        assert (first["status"], first["created"], hub.head()) == ("done", 450, 450)
        second = hub.harvest(feed, "full")
    assert second["error"] is None
    assert (second["created"], second["changed"]) == (0, 0)
    assert hub.head() == 450


@pytest.mark.parametrize("kind", ["oai-pmh", "ix", "static-parts"])
def test_a_bad_record_in_every_hundred_is_named_and_the_rest_arrives(sqlite: Database, kind: str) -> None:
    hub = Hub(sqlite)
    with ReplayServer(face(_demo(kind, fault="bad records"))) as url:
        feed = hub.feed(kind, _config(kind, url), mapping=MAPPING if kind == "static-parts" else None)
        report = hub.harvest(feed)
    assert (report["status"], report["created"], report["rejected"]) == ("partial", 446, 4)
    with sqlite.read() as connection:
        refused = runs.rejections(connection, feed)
    assert {row["rule"] for row in refused} == {"text.control" if kind == "ix" else "record.title_missing"}
    assert all(row["identifier"] and row["stage"] and row["path"] for row in refused)


def test_replay_needs_no_request_to_the_source(sqlite: Database) -> None:
    hub = Hub(sqlite)
    server = ReplayServer(face(_demo("static-parts", fault="bad records")))
    with server as url:
        feed = hub.feed("static-parts", _config("static-parts", url), mapping=MAPPING)
        assert hub.harvest(feed)["rejected"] == 4
        asked = len(server.asked)
        with sqlite.read() as connection:
            known = service.by_id(connection, feed)
        report = quarantine.replay(sqlite, {**known, "mapping": {**MAPPING, "defaults": {"title": "无题"}}})
        assert (report["created"], report["rejected"]) == (4, 0)
        assert len(server.asked) == asked
    hub.check()
    assert hub.live() == 450


def test_an_empty_catalogue_deletes_nothing_and_waits_for_a_person(database: Database) -> None:
    hub = Hub(database)
    with ReplayServer(face(_demo("static-parts", 120, "vanishes"))) as url:
        feed = hub.feed("static-parts", _config("static-parts", url), mapping=MAPPING)
        hub.harvest(feed)
        report = hub.harvest(feed)
    assert (report["status"], report["held"], report["tombstoned"], hub.live()) == ("held", 120, 0, 120)
    with database.write() as connection:
        assert decisions.approve(connection, runs.waiting(connection)[0]["id"]) == 120
    hub.check()
    assert hub.live() == 0


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "page.empty"),
        (b"<html><body>login</body></html>", "page.html"),
        (b"<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'><ListRecords><record>", "xml.malformed"),
        (b"<!DOCTYPE x [<!ENTITY a 'b'>]><OAI-PMH/>", "xml.doctype_forbidden"),
    ],
)
def test_a_bad_page_moves_no_checkpoint_and_deletes_nothing(sqlite: Database, body: bytes, kind: str) -> None:
    hub = Hub(sqlite)
    good, broken = face(_demo("oai-pmh")), False

    def answer(path: str) -> Answer:
        return (200, {}, body) if broken and "Identify" not in path else good(path)

    with ReplayServer(answer) as url:
        feed = hub.feed("oai-pmh", _config("oai-pmh", url))
        hub.harvest(feed)
        broken = True
        with sqlite.read() as connection:
            before = leases.checkpoint(connection, feed)
        report = hub.harvest(feed)
        with sqlite.read() as connection:
            after = leases.checkpoint(connection, feed)
    assert (report["status"], report["error"]["kind"]) == ("failed", kind)
    assert after.get("from") == before["from"]
    assert hub.live() == 450


def test_a_worker_that_lost_its_lease_stores_nothing_more(database: Database) -> None:
    hub = Hub(database)
    with ReplayServer(face(_demo("oai-pmh"))) as url:
        feed = hub.feed("oai-pmh", _config("oai-pmh", url))
        with database.write() as connection:
            lease = leases.claim(connection, feed, "a", 60)
            known = service.by_id(connection, feed)
            service.transition(connection, feed, "paused")
        assert lease is not None
        with hub.engine() as engine, pytest.raises(LeaseLost):
            harvest(engine, lease, known)
    assert hub.live() == 0


def test_the_same_token_with_the_same_records_is_a_loop(sqlite: Database) -> None:
    hub = Hub(sqlite)
    good = face(_demo("oai-pmh"))

    def answer(path: str) -> Answer:
        return good(path) if "Identify" in path else good("/oai?verb=ListRecords&resumptionToken=1")

    server = ReplayServer(answer)
    with server as url:
        report = hub.harvest(hub.feed("oai-pmh", _config("oai-pmh", url)))
    assert report["error"]["kind"] == "page.loop"
    assert len(server.asked) <= 5


def test_a_changed_shape_stops_the_run_by_name(sqlite: Database) -> None:
    hub = Hub(sqlite)
    mapping = {"version": 1, "fields": {"title": {"path": "no_such_field"}}}
    with ReplayServer(face(_demo("static-parts", 100))) as url:
        report = hub.harvest(hub.feed("static-parts", _config("static-parts", url), mapping=mapping))
    assert report["error"]["kind"] == "run.schema_changed"


def test_deletions_come_last_and_few_of_them_are_carried_out(database: Database) -> None:
    hub = Hub(database)
    platform, gone = _demo("oai-pmh", 300), False
    good = face(platform)

    def answer(path: str) -> Answer:
        status, headers, body = good(path.replace("from=", "since="))
        if gone and "ListRecords" in path:
            for number in (3, 7):
                name = b"oai:p-440000-01.example:%06d</identifier>" % number
                start = body.find(b"<record><header><identifier>" + name)
                if start >= 0:
                    end = body.find(b"</record>", start)
                    dead = body[start:end].replace(b"<header>", b'<header status="deleted">').split(b"<metadata>")[0]
                    body = body[:start] + dead + body[end:]
        return status, headers, body

    with ReplayServer(answer) as url:
        feed = hub.feed("oai-pmh", _config("oai-pmh", url))
        hub.harvest(feed)
        gone = True
        report = hub.harvest(feed, "full")
    assert (report["tombstoned"], report["unchanged"], hub.live()) == (2, 298, 298)


def test_a_changed_mapping_reaches_unchanged_records_in_a_full_run(sqlite: Database) -> None:
    hub = Hub(sqlite)
    with ReplayServer(face(_demo("static-parts", 120))) as url:
        feed = hub.feed("static-parts", _config("static-parts", url), mapping=MAPPING)
        hub.harvest(feed)
        fields = {**MAPPING["fields"], "rights": {"constant": {"statement": "仅限本省"}}}
        with sqlite.write() as connection:
            changed = orjson.dumps({**MAPPING, "fields": fields}).decode()
            connection.execute(feed_table.update().values(mapping=changed))
        report = hub.harvest(feed, "full")
    assert (report["changed"], report["unchanged"], hub.live()) == (120, 0, 120)


def test_oversized_hints_and_identifiers_stop_neither_database(database: Database) -> None:
    hub, good = Hub(database), face(_demo("oai-pmh", 30))

    def answer(path: str) -> Answer:
        status, headers, body = good(path)
        body = body.replace(b"<datestamp>2026-11-01T08:00:00Z", b"<datestamp>" + b"2026" * 40, 1)
        return status, headers, body.replace(b":000007</identifier>", b":" + b"7" * 900 + b"</identifier>")

    with ReplayServer(answer) as url:
        report = hub.harvest(hub.feed("oai-pmh", _config("oai-pmh", url)))
    assert (report["created"], report["rejected"], report["error"]) == (29, 1, None)


def test_an_old_deletion_does_not_undo_a_newer_record(database: Database) -> None:
    hub, good = Hub(database), face(_demo("ix", 60))
    stale, raised = False, False

    def answer(path: str) -> Answer:
        status, headers, body = good(path.replace("cursor=60", "cursor=0"))
        answered = orjson.loads(body)
        for item in answered["items"]:
            item["version"] = 3 if raised or stale else 1
        if stale:
            answered["items"] = [{**i, "op": "delete", "version": 2, "record": None} for i in answered["items"][:5]]
        return status, headers, orjson.dumps(answered)

    with ReplayServer(answer) as url:
        feed = hub.feed("ix", _config("ix", url))
        hub.harvest(feed)
        raised = True
        assert hub.harvest(feed)["changed"] == 60, "a new version of equal content is a change (V3, V5)"
        stale = True
        report = hub.harvest(feed)
    assert (report["unchanged"], report["tombstoned"], hub.live()) == (5, 0, 60)


def test_a_mended_record_leaves_the_quarantine_whatever_its_identifier(sqlite: Database) -> None:
    hub, mended = Hub(sqlite), False
    good, bad = face(_demo("oai-pmh", 150)), face(_demo("oai-pmh", 150, "bad records"))

    def answer(path: str) -> Answer:
        status, headers, body = (good if mended else bad)(path)
        return status, headers, body.replace(b"<identifier>oai:", "<identifier>目录 ".encode())

    with ReplayServer(answer) as url:
        feed = hub.feed("oai-pmh", _config("oai-pmh", url))
        assert hub.harvest(feed)["rejected"] == 1
        mended = True
        assert hub.harvest(feed, "full")["created"] == 1
    with sqlite.read() as connection:
        assert runs.rejections(connection, feed) == []


def test_a_run_that_died_after_its_last_page_is_only_ended(database: Database) -> None:
    """What the last page's transaction stored is not read a second time by whoever takes the feed over."""
    hub, peer = Hub(database), Repository(20)
    with ReplayServer(peer) as url, hub.engine() as engine:
        feed = hub.feed("oai-pmh", {"base_url": f"{url}/oai"})
        hub.harvest(feed)
        asked = len(peer.asked)
        with database.write() as connection:
            run = runs.begin(connection, feed, "harvest")
            runs.read_through(connection, run)
            lease = leases.claim(connection, feed, owner(), 60)
            known = service.by_id(connection, feed)
        assert lease is not None
        report = harvest(engine, lease, known)
    assert (report["run"], report["status"], report["seen"]) == (run, "done", 0)
    assert len(peer.asked) == asked


def test_a_heartbeat_after_the_release_takes_nothing(database: Database) -> None:
    """The beat of a run that has just ended must not hold the feed for an owner that is gone."""
    feed = Hub(database).feed("oai-pmh", {"base_url": "http://127.0.0.1:1/oai"})
    with database.write() as connection:
        lease = leases.claim(connection, feed, owner(), 60)
        assert lease is not None
        leases.release(connection, lease, succeeded=True)
    with pytest.raises(LeaseLost), database.write() as connection:
        leases.hold(connection, lease)
    with database.write() as connection:
        assert leases.claim(connection, feed, owner(), 60) is not None
