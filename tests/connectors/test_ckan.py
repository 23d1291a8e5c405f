"""CKAN's Action API: search, list and show, withdrawn packages, errors by their names."""

import json
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.connector import Entry, Page, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from connectors.ckan import Ckan
from tests.connectors.driving import Answer, Site, drafts, entries, resumes_everywhere, rules, run

BASE = "https://data.example.org"
SEARCH = Ckan.model_validate({"base_url": BASE, "rows": 10})
LIST = Ckan.model_validate({"base_url": BASE, "rows": 10, "via": "list"})
PACKAGE: dict[str, Any] = {
    "id": "6f1e", "name": "sounds", "title": "声学数据", "notes": "第一行\n\n第二行", "state": "active", "private": False,
    "author": "李老师", "maintainer": "", "organization": {"title": "省电教馆"}, "version": None, "url": "",
    "tags": [{"name": "wuli", "display_name": "物理"}], "license_title": "CC BY 4.0",
    "license_url": "https://creativecommons.org/licenses/by/4.0/", "metadata_modified": "2026-03-01T01:02:03.000004",
    "resources": [{"url": "https://a.test/1.csv", "format": "CSV"}], "extras": [{"key": "language", "value": "zh"}],
}  # fmt: skip


def ok(result: Any) -> bytes:
    return json.dumps({"help": "h", "success": True, "result": result}).encode()


def failed(kind: str | None, status: int = 200) -> Answer:
    error = {"__type": kind, "message": "words"} if kind else "words"
    return status, json.dumps({"help": "h", "success": False, "error": error}).encode()


class Portal:
    """A CKAN site that keeps its packages by identifier; `grow` adds or removes between two answers."""

    def __init__(self, number: int, **more: dict[str, Any]) -> None:
        self.packages = [
            {"id": f"p{n:03}", "name": f"n{n:03}", "title": f"T{n}"} | more.get(f"p{n:03}", {}) for n in range(number)
        ]
        self.shown: dict[str, Answer] = {}
        self.grow: list[int] = []
        self.limits = True

    def __call__(self, url: str) -> Answer:
        action, query = (
            urlsplit(url).path.rpartition("/")[2],
            {k: v[0] for k, v in parse_qs(urlsplit(url).query).items()},
        )
        if self.grow:
            del self.packages[self.grow.pop()]
        if action == "package_search":
            start, rows = int(query["start"]), min(int(query["rows"]), 7)  # a site has a limit of its own
            return ok({"count": len(self.packages), "results": self.packages[start : start + rows]})
        if action == "package_list":
            names = [package["name"] for package in self.packages]
            start, limit = int(query["offset"]), int(query["limit"])
            return ok(names[start : start + limit] if self.limits else names)
        found = [package for package in self.packages if package["name"] == query["id"]]
        return self.shown.get(query["id"]) or (ok(found[0]) if found else failed("Not Found Error", 404))


def names(found: list[Page]) -> list[str]:
    return [f"{'-' if entry.deleted else ''}{entry.identifier}" for entry in entries(found)]


def test_a_package_becomes_a_record() -> None:
    found = drafts(SEARCH, run(SEARCH, Site(lambda _: ok({"count": 1, "results": [PACKAGE]}))))
    assert found == {"6f1e": {
        "title": "声学数据", "description": "第一行\n第二行", "keywords": ["物理"], "languages": ["zh"], "format": ["CSV"],
        "contributors": [{"role": "creator", "name": "李老师"}, {"role": "publisher", "name": "省电教馆"}],
        "location": [f"{BASE}/dataset/sounds", "https://a.test/1.csv"],
        "rights": {"statement": "CC BY 4.0", "licence_uri": "https://creativecommons.org/licenses/by/4.0/"},
        "identifiers": [{"catalog": "CKAN", "entry": "sounds"}],
    }}  # fmt: skip


@pytest.mark.parametrize("feed", [SEARCH, LIST])
@pytest.mark.parametrize("number", [0, 1, 6, 7, 8, 10, 11, 20, 35])
def test_every_package_is_read_once_and_the_listing_is_complete(feed: Ckan, number: int) -> None:
    found = run(feed, Site(Portal(number)))
    assert names(found) == [f"p{n:03}" for n in range(number)]
    assert found[-1].complete == {found[-1].listing}
    assert found[-1].checkpoint == ({"since": "2026-11-11T08:00:00Z"} if feed is SEARCH else {})


@pytest.mark.parametrize("feed", [SEARCH, LIST])
def test_it_goes_on_from_every_page(feed: Ckan) -> None:
    resumes_everywhere(feed, Site(Portal(25)))


@pytest.mark.parametrize("feed", [SEARCH, LIST])
def test_a_package_that_goes_meanwhile_moves_the_others_and_nothing_is_concluded(feed: Ckan) -> None:
    portal = Portal(25)
    asked = 0

    def answer(url: str) -> Answer:
        nonlocal asked
        asked += 1
        if asked == 2:
            del portal.packages[0]
            portal.packages.append({"id": "p900", "name": "n900", "title": "new"})  # the count stays what it was
        return portal(url)

    found = run(feed, Site(answer))
    assert found[-1].complete is None
    if feed is SEARCH:
        assert set(names(found)) >= {f"p{n:03}" for n in range(1, 25)} - {"p007"}


def test_later_runs_ask_for_what_was_modified_since_and_conclude_nothing() -> None:
    since = {"since": "2026-11-10T08:00:00Z"}
    feed = Ckan.model_validate({"base_url": BASE + "/", "query": "groups:edu OR tags:x"})
    query = parse_qs(urlsplit(feed.request(since).url).query)
    assert query["fq"] == ["(groups:edu OR tags:x) AND metadata_modified:[2026-11-10T07:00:00Z TO *]"]
    assert feed.request(since).url.startswith(f"{BASE}/api/3/action/package_search?")
    assert run(SEARCH, Site(Portal(3)), since)[-1].complete is None


def test_deleted_draft_and_private_packages_are_withdrawn() -> None:
    portal = Portal(
        4, p000={"state": "deleted"}, p001={"state": "draft"}, p002={"private": True}, p003={"private": False}
    )
    assert names(run(SEARCH, Site(portal))) == ["-p000", "-p001", "-p002", "p003"]


def test_packages_that_went_after_they_were_listed_are_just_not_there() -> None:
    portal = Portal(3)
    portal.shown = {"n000": failed("Not Found Error", 404), "n001": failed("Authorization Error", 403)}
    found = run(LIST, Site(portal))
    assert (names(found), found[-1].complete) == (["p002"], {found[-1].listing})


def test_a_package_its_site_cannot_show_is_named_and_nothing_is_concluded() -> None:
    portal = Portal(3)
    portal.shown = {"n001": (500, b"<html>Solr is down</html>")}
    found = run(LIST, Site(portal))
    assert (rules(drafts(LIST, found)), found[-1].complete) == ({"n001": "peer.unavailable"}, None)
    portal = Portal(9)
    portal.shown = {f"n{n:03}": (500, b"") for n in range(9)}
    with pytest.raises(PeerUnavailable):
        run(LIST, Site(portal))


def test_an_old_site_that_knows_no_limit_is_read_once() -> None:
    portal = Portal(25)
    portal.limits = False
    assert len(names(run(LIST, Site(portal)))) == 25
    portal = Portal(5)
    portal.limits = False
    assert len(names(run(LIST, Site(portal)))) == 5


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (failed("Authorization Error", 403), "ckan.access_denied"), (failed("Not Found Error", 404), "ckan.not_found"),
        (failed("Search Query Error", 400), "ckan.search"), (failed("Validation Error", 409), "ckan.validation"),
        (failed("Else"), "ckan.error"), (failed(None), "ckan.error"),
        (ok([]), "json.malformed"), (ok({"count": "7", "results": []}), "ckan.shape"), (ok({"count": 0}), "ckan.shape"),
        (ok({"count": 5, "results": []}), "ckan.count"), (b"<html>", "page.html"), (b"[1]", "json.malformed"),
        (b'{"success": true, "success": true}', "json.duplicate_key"),
    ],
)  # fmt: skip
def test_errors_are_named_whatever_the_status(answer: Answer, kind: str) -> None:
    with pytest.raises(PeerViolation) as refused:
        run(SEARCH, Site(lambda _: answer))
    assert refused.value.kind == kind


@pytest.mark.parametrize(("status", "kind"), [(404, PeerRefused), (502, PeerUnavailable)])
def test_a_status_without_an_answer_of_ckan(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        run(SEARCH, Site(lambda _: (status, b"<html>no such page")))


def test_ever_new_names_end_at_the_limit() -> None:
    feed = Ckan.model_validate({"base_url": BASE, "via": "list", "rows": 1000})
    at = {"start": 199_999, "end": "x", "run": "r", "whole": True, "started": None}
    with pytest.raises(PeerViolation) as refused:
        list(feed.read(at, Response.of(ok([f"n{n}" for n in range(1000)]), url=BASE)))
    assert refused.value.kind == "page.limit"


def test_bad_packages_are_faults_in_their_places() -> None:
    results = [{"id": "a", "title": "T"}, 3, {"title": "no id"}, {"id": "b", "n": 2**70}]
    page = run(SEARCH, Site(lambda _: ok({"count": 4, "results": results})))[0]
    found = list(SEARCH.parse(page.entries, page.context))
    assert [getattr(draft, "rule", "") for draft in found] == ["", "record.shape", "record.id_missing", "json.number"]
    assert list(Ckan.model_validate({"base_url": BASE, "mapped": True}).parse(page.entries[:1], b"")) == results[:1]


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text() | st.integers() | st.booleans(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "id",
                        "name",
                        "title",
                        "tags",
                        "resources",
                        "extras",
                        "key",
                        "organization",
                        "count",
                        "results",
                        "state",
                    ]
                ),
                inner,
            )
        ),
    ).map(ok),
    st.sampled_from([{}, {"waiting": ["x"], "last": True}]),
)
def test_hostile_answers_raise_nothing_but_errors_of_the_peer(content: bytes, at: dict[str, Any]) -> None:
    try:
        found = [page for feed in (SEARCH, LIST) for page in feed.read(at, Response.of(content, url=BASE))]
    except PeerError:
        return
    for page in found:
        assert len(list(LIST.parse(page.entries, page.context))) == len(page.entries)
    assert len(list(LIST.parse([Entry("x", content)], b""))) == 1
