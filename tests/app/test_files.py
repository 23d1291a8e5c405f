"""Files from source to store on both databases: removals, unchanged files, uploads by the command and over HTTP."""

import csv
import io
import socket
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from app import schema
from app.access import keys
from app.db import Database
from app.deployment import engine
from app.feeds import service, uploads
from app.harvest import look, runs
from app.harvest.fetch import Fetcher
from app.protocol.connector import Request
from app.protocol.errors import BadRequest, PeerViolation, TooLarge
from app.settings import Settings
from tests.commands import hutong
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer
from tests.served import served

MAPPING = {"version": 1, "fields": {"title": {"path": "名称"}, "languages": {"constant": ["zh-Hans"]}}}
HEAD = ["编号", "名称"]
UPLOAD = {"file": {"format": "csv", "id_columns": ["编号"]}}


def table(rows: list[list[Any]], encoding: str = "gb18030") -> bytes:
    """A county's file."""
    out = io.StringIO()
    csv.writer(out).writerows([["某县资源目录"], HEAD, *rows])
    return out.getvalue().encode(encoding)


def rows(*numbers: int) -> list[list[Any]]:
    """Rows by number."""
    return [[n, f"第{n}课"] for n in numbers]


class File:
    """A file on a web server with its tag."""

    def __init__(self, content: bytes) -> None:
        self.content, self.statuses = content, list[int]()

    def answer(self, path: str) -> Answer:
        self.statuses.append(200)
        return 200, {"ETag": f'"{sha256(self.content).hexdigest()[:8]}"'}, self.content


def test_rows_that_vanish_from_a_complete_file_are_removed_and_others_stay(database: Database) -> None:
    hub, file = Hub(database), File(table(rows(*range(1200))))
    with ReplayServer(file.answer) as url:
        feed = hub.feed("csv", {"url": f"{url}/a.csv", "id_columns": ["编号"]}, mapping=MAPPING)
        assert hub.harvest(feed)["created"] == 1200
        again = hub.harvest(feed)
        assert (again["seen"], again["status"]) == (0, "done")
        file.content = table(rows(*range(5, 1201)))
        changed = hub.harvest(feed)
    assert (changed["created"], changed["unchanged"], changed["tombstoned"]) == (1, 1195, 5)
    assert hub.live() == 1196


def test_a_row_that_has_lost_its_name_removes_nothing_and_is_quarantined_by_line(database: Database) -> None:
    hub, file = Hub(database), File(table(rows(*range(60))))
    with ReplayServer(file.answer) as url:
        feed = hub.feed("csv", {"url": f"{url}/a.csv", "id_columns": ["编号"]}, mapping=MAPPING)
        hub.harvest(feed)
        file.content = table([*rows(*range(1, 60)), ["0", "第0课", "x"]])
        report = hub.harvest(feed)
    assert (report["status"], report["rejected"], report["tombstoned"], hub.live()) == ("partial", 1, 0, 60)
    with database.read() as connection:
        [refused] = runs.rejections(connection, feed)
    assert (refused["identifier"], refused["rule"]) == ("line 62", "table.ragged")


@pytest.mark.parametrize("content", [b"", table([]), b"<html>login</html>", "编号;名称\n".encode()])
def test_an_empty_file_a_bare_header_and_a_login_page_delete_nothing(sqlite: Database, content: bytes) -> None:
    hub, file = Hub(sqlite), File(table(rows(*range(20))))
    with ReplayServer(file.answer) as url:
        feed = hub.feed("csv", {"url": f"{url}/a.csv", "id_columns": ["编号"]}, mapping=MAPPING)
        hub.harvest(feed)
        file.content = content
        hub.harvest(feed)
    assert hub.live() == 20


def test_a_paged_api_is_stored_and_its_removals_are_seen(database: Database) -> None:
    hub, items = Hub(database), [{"id": n, "名称": f"第{n}课"} for n in range(1, 121)]

    def answer(path: str) -> Answer:
        start = int(path.partition("offset=")[2] or 0)
        body = {"total": len(items), "items": items[start : start + 50]}
        return 200, {"Content-Type": "application/json"}, orjson.dumps(body)

    config = {"items_path": "items", "paging": {"by": "offset"}, "total_path": "total"}
    with ReplayServer(answer) as url:
        feed = hub.feed("json", {"url": f"{url}/v1/list", **config}, mapping=MAPPING)
        assert hub.harvest(feed)["created"] == 120
        del items[3:6]
        assert hub.harvest(feed)["tombstoned"] == 3
        assert hub.harvest(feed, "full")["unchanged"] == 117


def test_two_records_of_one_identifier_change_nothing_when_they_come_again(database: Database) -> None:
    hub = Hub(database)
    content = orjson.dumps([{"id": "a", "t": "one"}, {"id": "a", "t": "two"}, {"id": "b", "t": "three"}])
    mapping = {"version": 1, "fields": {"title": {"path": "t"}}}
    with ReplayServer(lambda _: (200, {}, content)) as url:
        feed = hub.feed("json", {"url": f"{url}/a", "id_paths": ["id"]}, mapping=mapping)
        first = hub.harvest(feed)
        head = hub.head()
        again = [hub.harvest(feed, "full") for _ in range(2)]
    assert (first["created"], first["duplicate"]) == (2, 1)
    assert [(run["changed"], run["unchanged"], run["duplicate"]) for run in again] == [(0, 2, 1)] * 2
    assert hub.head() == head


def test_files_have_a_larger_limit_than_pages(sqlite: Database) -> None:
    content = b"x" * 5000
    with ReplayServer(lambda _: (200, {}, content)) as url:
        fetcher = Fetcher(allow="127.0.0.0/8", max_bytes=1000, wire_max_bytes=1000, file_max_bytes=6000)
        with fetcher.fetch(Request(url, file=True)).response.body as body:
            assert len(body.read()) == 5000
        with pytest.raises(PeerViolation) as caught:
            fetcher.fetch(Request(url))
        assert caught.value.kind == "body.too_large"
        content = b"x" * 6001
        with pytest.raises(PeerViolation):
            fetcher.fetch(Request(url, file=True))
        fetcher.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A deployment of its own."""
    return Settings(data_dir=tmp_path / "hub", secret_key="k" * 32, fetch_file_max_bytes=1 << 20)


@pytest.fixture
def hub(settings: Settings) -> Iterator[Hub]:
    """Its hub."""
    database = Database(settings.url)
    schema.upgrade(database)
    yield Hub(database)
    database.close()


def issued(hub: Hub) -> str:
    """A key of the hub itself."""
    with hub.database.write() as connection:
        return keys.issue(connection, None).key


def harvested(hub: Hub, settings: Settings, feed: int) -> dict[str, Any]:
    """A run with the deployment's own engine."""
    from app.harvest.worker import harvest_now

    made = engine(settings, hub.database)
    try:
        return harvest_now(made, feed, "harvest")
    finally:
        made.fetcher.close()


def kept(hub: Hub, settings: Settings, feed: int, content: bytes, name: str = "a.csv") -> dict[str, Any]:
    """Uploads a file."""
    staged = uploads.staged(settings.files, [content], 1 << 20)
    with hub.database.write() as connection:
        return uploads.keep(connection, settings.files, staged, feed, name)


def test_the_newest_upload_is_what_the_feed_holds(hub: Hub, settings: Settings) -> None:
    feed = hub.feed("upload", UPLOAD, mapping=MAPPING)
    assert harvested(hub, settings, feed)["status"] == "done"
    kept(hub, settings, feed, table(rows(*range(30))))
    first = harvested(hub, settings, feed)
    assert (first["created"], first["requests"]) == (30, 0)
    assert harvested(hub, settings, feed)["seen"] == 0
    row = kept(hub, settings, feed, table(rows(*range(1, 31))), "../../etc/二年级 (1).csv")
    assert row["name"] == "二年级 (1).csv"
    second = harvested(hub, settings, feed)
    assert (second["created"], second["unchanged"], second["tombstoned"]) == (1, 29, 1)
    file = uploads.place(settings.files, row["sha256"])
    assert sha256(file.read_bytes()).hexdigest() == row["sha256"]
    assert not list(settings.files.glob("incoming-*"))


def test_an_upload_is_previewed_and_validated_before_anything_of_it_is_stored(hub: Hub, settings: Settings) -> None:
    feed, made = hub.feed("upload", UPLOAD, mapping=MAPPING), engine(settings, hub.database)

    def subject() -> look.Subject:
        with hub.database.read() as connection:
            return look.registered(made, connection, feed)

    assert look.preview(made.fetcher, subject(), 20, "")["records"] == []
    kept(hub, settings, feed, table(rows(*range(30))) + "x\n".encode("gb18030"))
    found = look.preview(made.fetcher, subject(), 20, "")
    assert (found["seen"], found["records"][0]["record"]["title"], found["requests"]) == (20, "第0课", 0)
    report, _ = look.validate(made.fetcher, subject(), 1000, "")
    assert (report["accepted"], report["refused"], report["rules"][0]["rule"]) == (30, 1, "table.ragged")
    made.close()
    assert (hub.live(), hub.head()) == (0, 0)
    refused = harvested(hub, settings, feed)
    assert (refused["created"], refused["rejected"]) == (30, 1)


def test_an_upload_whose_file_is_gone_is_named(hub: Hub, settings: Settings) -> None:
    feed = hub.feed("upload", UPLOAD, mapping=MAPPING)
    uploads.place(settings.files, kept(hub, settings, feed, table(rows(1)))["sha256"]).unlink()
    assert harvested(hub, settings, feed)["error"]["kind"] == "file.missing"


def test_what_cannot_be_kept_leaves_nothing_behind(hub: Hub, settings: Settings) -> None:
    with pytest.raises(TooLarge):
        uploads.staged(settings.files, [b"x" * 600_000] * 2, 1 << 20)
    with pytest.raises(BadRequest):
        uploads.staged(settings.files, [], 1 << 20)
    other = hub.feed("csv", {"url": "https://x.example.org/a.csv", "id_columns": ["编号"]})
    with pytest.raises(BadRequest):
        kept(hub, settings, other, b"x")
    assert [file for file in settings.files.rglob("*") if file.is_file() and "incoming" not in file.name] == []


def test_upload_over_http_needs_the_key_and_is_bounded(hub: Hub, settings: Settings) -> None:
    feed = hub.feed("upload", UPLOAD, mapping=MAPPING)
    key = {"Authorization": f"Bearer {issued(hub)}"}
    with served(settings) as url, httpx.Client(trust_env=False) as client:
        address = f"{url}/api/v1/feeds"
        content = table(rows(1, 2))
        assert client.post(f"{address}/{feed}/files", content=content).status_code == 401
        made = client.post(f"{address}/{feed}/files?name=a.csv", content=content, headers=key)
        assert (made.status_code, made.json()["sha256"]) == (201, sha256(content).hexdigest())
        large = client.post(f"{address}/{feed}/files", content=b"x" * (2 << 20), headers=key)
        assert (large.status_code, large.json()["kind"]) == (413, "request.too_large")
        assert client.post(f"{address}/{feed}/files", content=b"", headers=key).status_code == 422
        assert client.post(f"{address}/999/files", content=content, headers=key).status_code == 404
        listed = client.get(f"{address}/{feed}/files", headers=key).json()
        assert [item["name"] for item in listed["items"]] == ["a.csv"]
        assert not list(settings.files.glob("incoming-*"))
    assert harvested(hub, settings, feed)["created"] == 2


def test_an_upload_cut_off_in_the_middle_leaves_nothing(hub: Hub, settings: Settings) -> None:
    feed = hub.feed("upload", UPLOAD, mapping=MAPPING)
    head = f"POST /api/v1/feeds/{feed}/files HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {issued(hub)}\r\nContent-Length: 1000\r\n\r\nabc"
    with served(settings) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2]))) as sock:
            sock.sendall(head.encode())
            time.sleep(0.3)
        time.sleep(0.3)
    assert not list(settings.files.rglob("*incoming*"))
    with hub.database.read() as connection:
        assert uploads.uploads(connection, feed) == []


def test_feed_upload_on_the_command_line(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    feed = hub.feed("upload", UPLOAD, mapping=MAPPING)
    file = tmp_path / "目录.csv"
    file.write_bytes(table(rows(1, 2, 3)))

    place = {"HUTONG_DATA_DIR": str(settings.data_dir)}
    done = hutong("feed", "upload", str(feed), str(file), "--json", **place)
    assert done.returncode == 0, done.stderr
    assert orjson.loads(done.stdout)["name"] == "目录.csv"
    assert orjson.loads(hutong("harvest", str(feed), "--json", **place).stdout)["created"] == 3
    missing = hutong("feed", "upload", str(feed), str(tmp_path / "none.csv"), **place)
    assert (missing.returncode, "there is no file" in missing.stderr.replace("\n", " ")) == (2, True)
    with hub.database.read() as connection:
        assert service.by_id(connection, feed)["next_at"] > 0
