"""The ResourceSync face: read by our own connector and by the `resync` library, equal to the catalogue."""

import hashlib
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from resync import ChangeList, ResourceList

from app import schema
from app.catalogue import queries, service
from app.catalogue.arrivals import Arrival, Origin
from app.db import Database
from app.main import create
from app.protocol.record import Prepared, prepare
from app.settings import Settings
from tests.hub import Hub
from tests.peers.replay import ReplayServer

TITLE = "第{}课 <春> & 秋"


def _fill(database: Database, number: int, first: int = 0) -> None:
    arrivals = []
    for n in range(first, first + number):
        made = prepare({"title": TITLE.format(n)}, f"ix:P-440000-01:f/r{n}")
        assert isinstance(made, Prepared)
        arrivals.append(Arrival(made, n.to_bytes(16, "big")))
    with database.write() as connection:
        service.apply(connection, arrivals, Origin(1, 1, "440000"))


def _client(database: Database, folder: Path, url: str = "http://hub.test") -> TestClient:
    settings = Settings(
        database_url=database.url.render_as_string(hide_password=False), data_dir=folder, public_url=url
    )
    return TestClient(create(settings, harvest=False))


@pytest.fixture
def client(database: Database, tmp_path: Path) -> Iterator[TestClient]:
    with _client(database, tmp_path) as made:
        yield made


def test_an_empty_hub_has_every_document(client: TestClient) -> None:
    for path in ("/.well-known/resourcesync", "/resourcesync/capabilitylist.xml", "/resourcesync/resourcelist.xml",
                 "/resourcesync/changelist.xml", "/sitemap.xml", "/sitemap/0.xml"):  # fmt: skip
        answer = client.get(path)
        assert answer.status_code == 200, path
        ET.fromstring(answer.content)  # noqa: S314
    assert client.get("/resourcesync/resourcelist/7.xml").status_code == 404
    assert client.get("/sitemap/-1.xml").status_code == 404


def test_the_resync_library_reads_lists_whose_hashes_are_those_of_the_resources(
    database: Database, client: TestClient
) -> None:
    _fill(database, 20)
    _fill(database, 1)
    with database.write() as connection:
        service.remove(connection, ["ix:P-440000-01:f/r3"], 2)
    listed = ResourceList()
    listed.parse(str_data=client.get("/resourcesync/resourcelist.xml").text)
    assert len(listed) == 19
    for resource in listed:
        body = client.get(urlsplit(resource.uri).path)
        assert hashlib.sha256(body.content).hexdigest() == resource.sha256
        assert len(body.content) == resource.length
    changes = ChangeList()
    changes.parse(str_data=client.get("/resourcesync/changelist.xml").text)
    assert sum(change.change == "deleted" for change in changes) == 1
    assert client.get("/resourcesync/resources/ix%3AP-440000-01%3Af%2Fr3").status_code == 404


def test_another_hub_reads_this_one_and_follows_its_changes(sqlite: Database, tmp_path: Path) -> None:
    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    schema.upgrade(other)
    _fill(sqlite, 30)
    with _client(sqlite, tmp_path, "http://placeholder.test") as client:

        def answer(path: str) -> tuple[int, dict[str, str], bytes]:
            found = client.get(path)
            content = found.content.replace(b"http://placeholder.test", server.url.encode())
            return found.status_code, {"Content-Type": found.headers["content-type"]}, content

        server = _Site(answer)
        with server as base:
            hub = Hub(other)
            feed = hub.feed("resourcesync", {"base_url": base}, platform="P-330000-01")
            first = hub.harvest(feed)
            with sqlite.write() as connection:
                service.remove(connection, ["ix:P-440000-01:f/r3"], 2)
            _fill(sqlite, 5, first=30)
            second = hub.harvest(feed)
    assert (first["created"], first["error"]) == (30, None)
    assert (second["created"], second["tombstoned"], second["error"]) == (5, 1, None)
    with other.read() as connection:
        titles = {bytes(row.document) for row in queries.changes(connection, after=0, limit=100) if row.live}
    assert len(titles) == 34
    other.close()


class _Site(ReplayServer):
    """A replay server that knows its own address before its first answer."""

    url = ""

    def __enter__(self) -> str:
        self.url = super().__enter__()
        return self.url


def test_above_fifty_thousand_positions_the_list_is_an_index(
    sqlite: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.publish.resourcesync.ENTRIES", 10)
    _fill(sqlite, 25)
    with _client(sqlite, tmp_path) as client:
        index = client.get("/resourcesync/resourcelist.xml").text
        assert index.count("<sitemap>") == 3
        parts = [client.get(f"/resourcesync/resourcelist/{n}.xml").text.count("<url>") for n in range(3)]
        assert parts == [10, 10, 5]
        assert client.get("/sitemap.xml").text.count("<sitemap>") == 3
