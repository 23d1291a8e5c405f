"""Code lists and regions over a real socket, and what a question by region finds."""

from collections.abc import Iterator

import httpx
import pytest

from app import schema
from app.db import Database
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.protocol import vocab
from app.settings import Settings
from tests.hub import Hub
from tests.peers.replay import ReplayServer
from tests.served import served

OLD = "P-500105-01"  # 江北区 of 重庆, 两江新区 500157 since 2025


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A hub with three records of a district whose code is retired."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("hub"), secret_key="k" * 32)
    database = Database(settings.url)
    schema.upgrade(database)
    with ReplayServer(face(DemoPlatform(OLD, "江北平台", "oai-pmh", None, 3))) as url:
        inside = Hub(database)
        inside.harvest(inside.feed("oai-pmh", {"base_url": f"{url}/oai"}, platform=OLD))
    with served(settings) as url, httpx.Client(base_url=f"{url}/api/v1") as client:
        yield client
    database.close()


@pytest.mark.parametrize("region", ["500105", "500157", "500000"])
def test_records_of_a_retired_region_are_found_by_old_and_new_code(hub: httpx.Client, region: str) -> None:
    assert len(hub.get("/records", params={"region": region}).json()["items"]) == 3


def test_records_of_a_retired_region_are_not_found_elsewhere(hub: httpx.Client) -> None:
    assert hub.get("/records", params={"region": "510000"}).json()["items"] == []


def test_every_list_is_served_whole_with_its_version(hub: httpx.Client) -> None:
    heads = hub.get("/vocab").json()["items"]
    assert [head["scheme"] for head in heads] == list(vocab.SCHEMES)
    for head in heads:
        whole = hub.get(f"/vocab/{head['scheme']}").json()
        assert {key: whole[key] for key in head} == head
        assert [one["code"] for one in whole["items"]] == list(vocab.scheme(head["scheme"]).concepts)


def test_an_unchanged_list_is_not_sent_again(hub: httpx.Client) -> None:
    first = hub.get("/vocab/subject")
    again = hub.get("/vocab/subject", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_retired_region_says_what_took_its_place(hub: httpx.Client) -> None:
    found = hub.get("/regions/500105").json()
    assert (found["name"], found["until"]) == ("江北区", "2025")
    assert found["successors"] == [{"code": "500157", "name": "两江新区"}]
    assert found["ancestors"] == [{"code": "500000", "name": "重庆市"}]


def test_a_region_without_a_known_successor_says_that_only_the_region_above_is_known(hub: httpx.Client) -> None:
    found = hub.get("/regions/650108").json()
    assert (found["basis"], found["successors"]) == ("above", [{"code": "650100", "name": "乌鲁木齐市"}])
    listed = {one["code"]: one for one in hub.get("/vocab/region").json()["items"]}
    assert (listed["650108"]["basis"], listed["110103"]["basis"], listed["110101"]["basis"]) == ("above", "event", None)


def test_a_reused_code_says_what_it_meant_before(hub: httpx.Client) -> None:
    found = hub.get("/regions/132401").json()
    assert [old["name"] for old in found["former"]] == ["保定市"]
    assert (found["name"], found["successors"][0]["code"]) == ("定州市", "130682")


def test_兵团_is_found_by_its_alias(hub: httpx.Client) -> None:
    found = hub.get("/regions/659900").json()
    assert (found["code"], found["kind"], found["parent"]) == ("660000", "corps", None)
    assert hub.get("/regions/659001").json()["province"] == "660000"


@pytest.mark.parametrize(
    "path", ["/vocab/nothing", "/regions/999999", "/regions/%00", "/regions/江北", "/vocab/%F0%9F"]
)
def test_what_is_not_there_is_a_problem_and_no_fault(hub: httpx.Client, path: str) -> None:
    answer = hub.get(path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.json()["kind"] == "not_found"
