"""What the hub shows: clients that others wrote read it whole; two hubs agree by one request."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lxml import etree
from oaipmh.client import Client
from oaipmh.metadata import MetadataRegistry, oai_dc_reader
from oaipmh_scythe import Scythe
from sickle import Sickle

from app import schema
from app.catalogue.service import remove
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.main import create
from app.settings import Settings
from tests.conftest import SCHEMAS
from tests.hub import Hub
from tests.peers.replay import ReplayServer
from tests.served import listening


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    """A hub over a real socket with 1,203 records of 新疆, three of them deleted."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("hub"), secret_key="k" * 32)
    database = Database(settings.url)
    schema.upgrade(database)
    hub = Hub(database)
    with ReplayServer(face(DemoPlatform("P-650000-01", "新疆平台", "oai-pmh", None, 1203))) as url:
        hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai"}, platform="P-650000-01"))
    with database.write() as connection:
        gone = [f"ix:P-650000-01:oai-pmh-1/oai:p-650000-01.example:{n:06d}" for n in (1, 600, 1202)]
        assert remove(connection, gone, 1) == 3
    with listening(create(settings, harvest=False)) as url:
        yield url, database
    database.close()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("client", ["sickle", "scythe", "oaipmh"])
def test_clients_of_others_read_the_whole_catalogue(served: tuple[str, Database], client: str) -> None:
    url = f"{served[0]}/oai"
    if client == "sickle":
        records = Sickle(url).ListRecords(metadataPrefix="oai_dc")
        got = {r.header.identifier: r.header.deleted for r in records}
    elif client == "scythe":
        with Scythe(url) as scythe:
            got = {r.header.identifier: r.header.deleted for r in scythe.list_records(metadata_prefix="oai_dc")}
    else:
        registry = MetadataRegistry()
        registry.registerReader("oai_dc", oai_dc_reader)
        listed = Client(url, registry).listRecords(metadataPrefix="oai_dc")
        got = {header.identifier(): header.isDeleted() for header, _, _ in listed}
    assert (len(got), sum(map(bool, got.values()))) == (1203, 3)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "badVerb"),
        ("verb=junk", "badVerb"),
        ("verb=ListRecords", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=junk", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&from=2002-02-05&until=2002-02-06T05:35:00Z", "badArgument"),
        ("verb=ListRecords&metadataPrefix=oai_dc&until=2001-01-01", "noRecordsMatch"),
        ("verb=ListRecords&metadataPrefix=marc", "cannotDisseminateFormat"),
        ("verb=ListRecords&resumptionToken=junk", "badResumptionToken"),
        ("verb=ListRecords&resumptionToken=junk&until=2001-01-01", "badArgument"),
        ('verb=GetRecord&metadataPrefix=oai_dc&identifier=invalid"id', "idDoesNotExist"),
    ],
)
def test_oai_errors_are_answers_with_status_200(served: tuple[str, Database], query: str, code: str) -> None:
    answer = httpx.get(f"{served[0]}/oai?{query}")
    assert answer.status_code == 200
    assert f'<error code="{code}">' in answer.text


def test_answers_validate_against_the_official_schema(served: tuple[str, Database], tmp_path: Path) -> None:
    if not SCHEMAS.exists():
        pytest.skip("published schemas (../shared/schemas) are not here")
    for file in SCHEMAS.glob("*.xsd"):
        text = file.read_text()
        for name in ("simpledc20021212.xsd", "xml.xsd"):
            text = __import__("re").sub(rf'schemaLocation="[^"]*/{name}"', f'schemaLocation="{name}"', text)
        (tmp_path / file.name).write_text(text)
    (tmp_path / "all.xsd").write_text(
        '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema"><xs:import namespace="http://www.openarchives.org/OAI/2.0/" '
        'schemaLocation="OAI-PMH.xsd"/><xs:import namespace="http://www.openarchives.org/OAI/2.0/oai_dc/" '
        'schemaLocation="oai_dc.xsd"/></xs:schema>'
    )
    schema_ = etree.XMLSchema(etree.parse(tmp_path / "all.xsd"))
    verbs = ("Identify", "ListSets", "ListMetadataFormats", "ListRecords&metadataPrefix=oai_dc", "junk")
    for verb in (*verbs, "ListIdentifiers&metadataPrefix=oai_dc&set=region:650000"):
        root = etree.fromstring(httpx.get(f"{served[0]}/oai?verb={verb}").content)
        assert schema_.validate(root), (verb, schema_.error_log)


def test_a_second_hub_ends_with_the_same_root(served: tuple[str, Database], database: Database) -> None:
    hub = Hub(database)
    feed = hub.feed("ix", {"base_url": served[0]})
    report = hub.harvest(feed)
    assert (report["created"], report["rejected"]) == (1200, 0)
    theirs: dict[str, Any] = httpx.get(f"{served[0]}/ix/v1/all/changes?limit=1").json()["state"]
    with database.read() as connection:
        from app.catalogue.digests import state

        assert state(connection, "all") == (theirs["count"], theirs["root"])


def test_a_snapshot_and_the_changes_after_it_are_the_present_state(served: tuple[str, Database]) -> None:
    manifest = httpx.get(f"{served[0]}/ix/v1/all/snapshots/latest").json()
    assert (manifest["count"], sum(part["records"] for part in manifest["parts"])) == (1200, 1200)
    after = httpx.get(f"{served[0]}/ix/v1/all/changes", params={"cursor": manifest["cursor"]}).json()
    assert (after["items"], after["more"]) == ([], False)


def test_a_foreign_cursor_is_gone_not_missing(served: tuple[str, Database]) -> None:
    answer = httpx.get(f"{served[0]}/ix/v1/all/changes?cursor=bm9uc2Vuc2U")
    assert (answer.status_code, answer.json()["kind"]) == (410, "cursor_gone")


@pytest.mark.parametrize("words", ["数学", "數學", "勾股定理", "ماتېماتىكا"])
def test_words_of_two_characters_and_other_scripts_are_found(served: tuple[str, Database], words: str) -> None:
    found = httpx.get(f"{served[0]}/api/v1/records", params={"q": words, "limit": 5}).json()
    assert found["items"]
    assert httpx.get(f"{served[0]}/api/v1/records", params={"q": "数函"}).json()["items"] == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/records?limit=0", 422),
        ("GET", "/api/v1/records?cursor=x", 410),
        ("GET", "/api/v1/records/ix:none", 404),
        ("GET", "/api/v1/nothing", 404),
        ("POST", "/api/v1/platforms", 401),
        ("GET", "/ix/v1/moon/changes", 404),
    ],
)
def test_errors_are_problem_documents(served: tuple[str, Database], method: str, path: str, status: int) -> None:
    answer = httpx.request(method, f"{served[0]}{path}", json={"code": "P-110000-01", "name": "x"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "kind"} <= set(answer.json())
