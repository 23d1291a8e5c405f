"""The formats end to end: from a repository over real HTTP into the catalogue, and from one hub into another."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest
from pydantic import ValidationError
from sqlalchemy import select

from app.catalogue.tables import record
from app.db import Database
from app.harvest.discovery import kinds
from app.protocol import oaipmh
from app.protocol.canonical import canonical
from app.protocol.formats import READERS, render_ix, render_lom
from app.publish.oai import FORMATS, answer
from app.settings import Settings
from connectors.oai_pmh import OaiPmh
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

DATE = "2026-03-01T08:00:00Z"
RECORD: dict[str, Any] = {
    "id": "ix:P-110000-01:own/1", "title": "分数的初步认识", "languages": ["zh-Hans"], "subject": "14", "stage": "2",
    "grade": ["P3"], "type": ["lesson_video"], "edition": "renjiao", "audience": ["学生"], "keywords": ["分数"],
    "contributors": [{"role": "author", "name": "王小明"}], "location": ["https://a.test/1"], "rights": {"statement": "免费"},
}  # fmt: skip
MARC = """<record xmlns="http://www.loc.gov/MARC21/slim"><leader>01234nam0 2200289   450 </leader>
<datafield tag="101" ind1="0" ind2=" "><subfield code="a">chi</subfield></datafield><datafield tag="200" ind1="1" ind2=" ">
<subfield code="a">分数的初步认识</subfield></datafield></record>"""
METADATA = {
    "lom": render_lom(RECORD), "oai_lomfr": render_lom(RECORD), "marcxml": MARC, "cnmarc": MARC,
    "ix": render_ix(canonical(RECORD)), "oai_dc": oaipmh.render_dc(RECORD),
}  # fmt: skip


def repository(metadata: str) -> Callable[[str], Answer]:
    """One record in one format, and beside it one whose metadata is of no format at all."""

    def told(path: str) -> Answer:
        about = oaipmh.Identity("YYYY-MM-DDThh:mm:ssZ", "persistent", "R", "http://a.test/oai", "2001-01-01")
        body = f"<Identify>{oaipmh.identify(about, 'a@b.test')}</Identify>"
        if "Identify" not in path:
            heads = [oaipmh.header(name, DATE, [], deleted=False) for name in ("good", "other")]
            body = (
                f"<ListRecords>{oaipmh.record(heads[0], metadata)}{oaipmh.record(heads[1], '<other/>')}</ListRecords>"
            )
        return 200, {"Content-Type": "text/xml"}, oaipmh.envelope(DATE, "http://a.test/oai", {}, body)

    return told


def stored(base: Database) -> list[dict[str, Any]]:
    with base.read() as connection:
        rows = connection.execute(select(record.c.document).where(record.c.live == 1).order_by(record.c.id))
        return [orjson.loads(bytes(row.document)) for row in rows]


@pytest.mark.parametrize("prefix", METADATA)
def test_each_format_comes_in_over_http_and_a_foreign_record_stays_out_alone(sqlite: Database, prefix: str) -> None:
    hub = Hub(sqlite)
    with ReplayServer(repository(METADATA[prefix])) as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai", "prefix": prefix}))
    assert (report["status"], report["seen"], report["created"], report["rejected"]) == ("partial", 2, 1, 1)
    (found,) = stored(sqlite)
    assert (found["title"], found["languages"][0][:2]) == ("分数的初步认识", "zh")


def test_a_prefix_of_the_repositorys_own_is_read_as_the_feed_says(sqlite: Database) -> None:
    hub, asked = Hub(sqlite), []

    def told(path: str) -> Answer:
        asked.append(dict(parse_qsl(urlsplit(path).query)))
        return repository(METADATA["lom"])(path)

    with ReplayServer(told) as url:
        hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai", "prefix": "oai_lom-de", "format": "lom"}))
    assert asked[1] == {"verb": "ListRecords", "metadataPrefix": "oai_lom-de"}
    assert stored(sqlite)[0]["grade"] == ["P3"]


@pytest.mark.parametrize(
    "config",
    [{"prefix": "oai_lom-de"}, {"prefix": "lom", "format": "word"}, {"prefix": "a b", "format": "lom"}, {"prefix": ""}],
)
def test_a_prefix_without_a_reader_is_refused_with_the_readers_there_are(config: dict[str, str]) -> None:
    with pytest.raises(ValidationError) as refused:
        OaiPmh.model_validate({"base_url": "http://a.test/oai", **config})
    if config["prefix"].isidentifier() or "-" in config["prefix"]:
        assert "no reader for" in str(refused.value)
        assert "nsdl_dc" in str(refused.value)


def test_the_form_offers_every_reader() -> None:
    schema = kinds()["oai-pmh"].model_json_schema()["properties"]
    assert schema["format"]["enum"] == [None, *READERS]
    assert all(
        OaiPmh.model_validate({"base_url": "http://a.test/oai", "prefix": name}).prefix == name for name in READERS
    )


@pytest.fixture
def provider(sqlite: Database, tmp_path: Path) -> Callable[[str], Answer]:
    """A hub with one record, as others see it."""
    with ReplayServer(repository(METADATA["ix"])) as url:
        hub = Hub(sqlite)
        hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai", "prefix": "ix"}))
    settings = Settings(data_dir=tmp_path, public_url="https://hub.test/")

    def told(path: str) -> Answer:
        return 200, {"Content-Type": "text/xml"}, answer(sqlite, settings, parse_qsl(urlsplit(path).query))

    return told


def test_a_hub_offers_three_formats_with_schema_and_namespace(provider: Callable[[str], Answer]) -> None:
    body = provider("/oai?verb=ListMetadataFormats")[2].decode()
    assert [body.count(f"<metadataPrefix>{name}<") for name in ("oai_dc", "lom", "ix")] == [1, 1, 1]
    assert "<schema>https://hub.test/oai/ix.xsd</schema>" in body
    assert "<metadataNamespace>http://ltsc.ieee.org/xsd/LOM<" in body


@pytest.mark.parametrize("prefix", FORMATS)
def test_one_hub_reads_another_in_every_format_it_offers(
    provider: Callable[[str], Answer], tmp_path: Path, prefix: str
) -> None:
    from app import schema

    other = Database(f"sqlite:///{tmp_path / 'other.db'}")
    schema.upgrade(other)
    hub = Hub(other)
    with ReplayServer(provider) as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai", "prefix": prefix}, platform="P-440000-02"))
    assert (report["created"], report["rejected"]) == (1, 0)
    (found,) = stored(other)
    other.close()
    kept = {"oai_dc": ("title", "languages", "subject", "type"), "lom": tuple(RECORD), "ix": tuple(RECORD)}[prefix]
    assert {name: found[name] for name in kept if name != "id"} == {name: RECORD[name] for name in kept if name != "id"}


def test_the_schema_of_the_native_format_accepts_what_is_sent() -> None:
    from lxml import etree

    from app.protocol.formats import native

    schema = etree.XMLSchema(etree.fromstring(native.SCHEMA.encode()))
    schema.assertValid(etree.fromstring(render_ix(canonical(RECORD))))
