"""A reconciliation finds and repairs what is missing, stale or left over, and says so."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from app.catalogue import service
from app.db import Database
from app.feeds import service as feeds
from app.protocol.oaipmh import Identity, envelope, error, header, identify
from app.protocol.oaipmh import record as item
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

DATE = "2026-09-01T00:00:00Z"
DC = (
    '<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" '
    'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{}</dc:title></oai_dc:dc>'
)


class Repository:
    """A small repository; `records` are identifier -> (datestamp, title), changed at will by the test."""

    def __init__(self, number: int) -> None:
        self.records = {f"r{n:03d}": (DATE, f"Lesson {n}") for n in range(number)}
        self.asked: list[str] = []

    def __call__(self, path: str) -> Answer:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.asked.append(query["verb"])
        return 200, {"Content-Type": "text/xml"}, envelope(DATE, "http://x/", query, self._body(query))

    def _body(self, query: dict[str, str]) -> str:
        if query["verb"] == "Identify":
            about = Identity("YYYY-MM-DDThh:mm:ssZ", "no", "test", "http://x/", DATE)
            return f"<Identify>{identify(about, 'a@example.org')}</Identify>"
        if query["verb"] == "GetRecord":
            if query["identifier"] not in self.records:
                return error("idDoesNotExist", "no such record")
            return f"<GetRecord>{self._record(query['identifier'])}</GetRecord>"
        if query["verb"] == "ListIdentifiers":
            heads = [header(name, stamp, (), deleted=False) for name, (stamp, _) in self.records.items()]
            return f"<ListIdentifiers>{''.join(heads)}</ListIdentifiers>"
        return f"<ListRecords>{''.join(map(self._record, self.records))}</ListRecords>"

    def _record(self, name: str) -> str:
        stamp, title = self.records[name]
        return item(header(name, stamp, (), deleted=False), DC.format(title))


@pytest.fixture
def repository() -> Iterator[tuple[Repository, str]]:
    made = Repository(200)
    with ReplayServer(made) as url:
        yield made, f"{url}/oai"


def _moved_on(repository: Repository) -> None:
    """One record more, one revised, one less."""
    repository.records["new"] = (DATE, "Never seen")
    repository.records["r005"] = ("2026-09-02T00:00:00Z", "Lesson 5, revised")
    del repository.records["r007"]


def test_missing_stale_and_left_over_are_found_and_repaired(
    database: Database, repository: tuple[Repository, str]
) -> None:
    peer, url = repository
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": url})
    hub.harvest(feed)
    _moved_on(peer)
    with database.read() as connection:
        before = feeds.by_id(connection, feed)["checkpoint"]
    report = hub.harvest(feed, "reconcile")
    assert report["error"] is None
    assert {n: report["note"][n] for n in ("missing", "stale", "left_over")} == {
        "missing": 1,
        "stale": 1,
        "left_over": 1,
    }
    assert (report["created"], report["changed"], report["tombstoned"], report["unchanged"]) == (1, 1, 1, 198)
    assert peer.asked.count("GetRecord") == 2
    again = hub.harvest(feed, "reconcile")
    assert (again["unchanged"], again["seen"], again["requests"]) == (200, 200, 2)
    with database.read() as connection:
        assert feeds.by_id(connection, feed)["checkpoint"] == before


def test_comparing_only_changes_nothing(database: Database, repository: tuple[Repository, str]) -> None:
    peer, url = repository
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": url})
    hub.harvest(feed)
    _moved_on(peer)
    head = hub.head()
    report = hub.harvest(feed, "compare")
    assert (report["note"]["missing"], report["note"]["stale"], report["note"]["left_over"]) == (1, 1, 1)
    assert report["note"]["first_stale"] == ["r005"]
    assert hub.head() == head
    assert "GetRecord" not in peer.asked


def test_a_source_that_lists_nothing_wipes_nothing(database: Database, repository: tuple[Repository, str]) -> None:
    peer, url = repository
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": url})
    hub.harvest(feed)
    peer.records = {"r000": peer.records["r000"]}
    report = hub.harvest(feed, "reconcile")
    assert (report["status"], report["held"], hub.live()) == ("held", 199, 200)


def test_a_refused_record_is_not_asked_for_again(database: Database, repository: tuple[Repository, str]) -> None:
    peer, url = repository
    peer.records["r003"] = (DATE, " ")
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": url})
    assert hub.harvest(feed)["rejected"] == 1
    report = hub.harvest(feed, "reconcile")
    assert (report["rejected"], report["unchanged"]) == (1, 199)
    assert "GetRecord" not in peer.asked


def test_a_record_lost_in_the_database_comes_back(sqlite: Database, repository: tuple[Repository, str]) -> None:
    _, url = repository
    hub = Hub(sqlite)
    feed = hub.feed("oai-pmh", {"base_url": url})
    hub.harvest(feed)
    with sqlite.write() as connection:
        service.remove(connection, ["ix:P-440000-01:oai-pmh-1/r010"], 1)
    assert hub.live() == 199
    report = hub.harvest(feed, "reconcile")
    assert (report["changed"], hub.live()) == (1, 200)


def test_the_733_headers_of_nsdl_are_compared(sqlite: Database, data: Path) -> None:
    folder, hub = data / "oai-pmh" / "nsdl", Hub(sqlite)
    pages = [(folder / f"GoodResponseFourPage_{number}.xml").read_bytes() for number in range(1, 5)]
    tokens = [page.split(b"<resumptionToken")[1].split(b">", 1)[1].split(b"<")[0] for page in pages[:3]]

    def answer(path: str) -> Answer:
        query = parse_qs(urlsplit(path).query)
        if query["verb"] == ["Identify"]:
            return 200, {"Content-Type": "text/xml"}, (folder / "GoodResponseIdentify.xml").read_bytes()
        token = query.get("resumptionToken", [""])[0].encode()
        return 200, {"Content-Type": "text/xml"}, pages[tokens.index(token) + 1 if token else 0]

    with ReplayServer(answer) as url:
        report = hub.harvest(hub.feed("oai-pmh", {"base_url": f"{url}/oai"}), "compare")
    assert report["error"] is None
    assert (report["seen"], report["note"]["missing"], report["pages"]) == (733, 733, 5)


def test_a_repository_whose_clock_stands_still_still_loses_records(
    database: Database, repository: tuple[Repository, str]
) -> None:
    """Two complete listings with the same responseDate are two listings: what only the first held is gone."""
    peer, url = repository
    hub = Hub(database)
    feed = hub.feed("oai-pmh", {"base_url": url})
    hub.harvest(feed, "full")
    del peer.records["r042"]
    report = hub.harvest(feed, "full")
    assert (report["tombstoned"], hub.live()) == (1, 199)
