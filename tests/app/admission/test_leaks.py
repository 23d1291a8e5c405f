"""What is not admitted leaves no public face: every public GET route is asked, and every door of OAI-PMH and IX/1."""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute

from app.catalogue.tables import about
from app.console.routes import router as console
from app.db import Database
from app.main import create
from app.settings import Settings
from tests.app.admission.desk import Desk, desk, id_of
from tests.app.admission.test_gate import _title
from tests.served import served

PLANTED = "绝密样题"
NUMBER = 3


def _settings(at: Desk, folder: Path) -> Settings:
    url = at.database.url.render_as_string(hide_password=False)
    return Settings(database_url=url, data_dir=folder, secret_key="k" * 32)


def _paths(settings: Settings, feed: int) -> Iterator[str]:
    """Every GET path of the hub, the published and the console's, with real values."""
    published = create(settings, harvest=False).openapi()["paths"]
    paths = {path for path, verbs in published.items() if "get" in verbs} | {route.path for route in _pages()}
    values = {"feed_id": str(feed), "run_id": "1", "number": "1", "held_id": "1", "code": "P-440000-01", "kind": "conflict",
              "scheme": "reason"}  # fmt: skip
    for path in sorted(paths):
        for id in (quote(id_of(NUMBER), safe=""), quote(id_of(7), safe="")):
            for scope in ("all", "platform:P-440000-01", "subject:14"):
                made = _filled(path, {"id": id, "scope": scope, **values})
                yield made
                yield f"{made}?q={quote(PLANTED)}&limit=500"
                yield f"{made}?status=all&limit=500"


def _pages() -> list[APIRoute]:
    return [route for route in console.routes if isinstance(route, APIRoute) and "GET" in route.methods]


def _filled(path: str, values: dict[str, str]) -> str:
    return re.sub(r"\{(\w+)(:path)?\}", lambda found: values.get(found[1], "x"), path)


def _doors(base: str) -> Iterator[str]:
    """OAI-PMH: all verbs, formats and sets; IX/1: changes whole and by head, lookups, snapshots."""
    id = quote(id_of(NUMBER), safe="")
    for verb in ("Identify", "ListSets", "ListMetadataFormats", f"ListMetadataFormats&identifier={id}"):
        yield f"{base}/oai?verb={verb}"
    sets = (
        "",
        "&set=platform:P-440000-01",
        "&set=region:440000",
        *(f"&set=subject:{code}" for code in ("13", "14", "41", "16")),
    )
    for prefix in ("oai_dc", "lom", "ix"):
        yield f"{base}/oai?verb=GetRecord&metadataPrefix={prefix}&identifier={id}"
        for chosen in sets:
            yield f"{base}/oai?verb=ListRecords&metadataPrefix={prefix}{chosen}"
            yield f"{base}/oai?verb=ListIdentifiers&metadataPrefix={prefix}{chosen}"
    for scope in ("all", "platform:P-440000-01", "subject:14"):
        yield f"{base}/ix/v1/{scope}/changes?fields=head"


def _everything(client: httpx.Client, base: str, settings: Settings, feed: int) -> Iterator[tuple[str, bytes]]:
    for path in dict.fromkeys(_paths(settings, feed)):
        if path.split("?")[0] == "/events":  # it never ends; one look is enough
            with client.stream("GET", f"{base}{path}") as answer:
                yield path, next(answer.iter_raw(), b"")
            continue
        yield path, client.get(f"{base}{path}").content
    for url in _doors(base):
        yield url, client.get(url).content
    yield "lookup", client.post(f"{base}/ix/v1/records:lookup", json={"ids": [id_of(7)]}).content
    for scope in ("all", "platform:P-440000-01", "subject:14"):
        latest = f"{base}/ix/v1/{scope}/snapshots/latest"
        for part in client.get(latest).json()["parts"]:
            yield part["href"], gzip.decompress(client.get(latest.replace("latest", part["href"])).content)


def _leaks(base: str, settings: Settings, feed: int, *, ids: bool) -> list[str]:
    """Routes whose answer holds the planted words (or the record's own identifier, where it was never public)."""
    own = f"example:{NUMBER:06d}".encode()
    found, asked = [], 0
    with httpx.Client(timeout=30) as client:
        for path, body in _everything(client, base, settings, feed):
            asked += 1
            # A page says what it was asked for: the words of the question are not an answer.
            body = b"" if quote(PLANTED) in path and b'"items":[' not in body and b"/r/ix" not in body else body
            if PLANTED.encode() in body or (ids and own in body and quote(id_of(NUMBER), safe="") not in path):
                found.append(path)
    assert asked > 150
    return found


@pytest.fixture
def at(database: Database) -> Iterator[Desk]:
    """Thirty records, one of them with the planted words."""
    with database.write() as connection:
        connection.execute(about.insert(), {"name": "admin_key_hash", "value": "0" * 64})
    with desk(database) as made:
        made.edit = _title(NUMBER, PLANTED)
        yield made


def test_the_search_for_leaks_finds_an_admitted_record(at: Desk, tmp_path: Path) -> None:
    at.again()
    settings = _settings(at, tmp_path)
    with served(settings) as base:
        found = _leaks(base, settings, at.feed_id, ids=False)
    for face in ("/api/v1/records", "/oai?verb=ListRecords", "/ix/v1/all/changes", "/ix/v1/records/", "/r/", "/search"):
        assert [path for path in found if face in path], face
    assert [path for path in found if path.startswith("parts/")]


@pytest.mark.parametrize("state", ["waiting", "rejected", "narrow"])
def test_what_is_not_admitted_leaves_no_public_face(at: Desk, tmp_path: Path, state: str) -> None:
    at.policy(mode="every", audits=())
    at.again()
    at.decide("admit", [id_of(n) for n in range(30) if n != NUMBER])
    if state == "rejected":
        at.decide("reject", [id_of(NUMBER)], reasons=("rights",))
    if state == "narrow":
        at.decide("admit", [id_of(NUMBER)], visibility="school")
    assert at.kept(state) == [id_of(NUMBER)]
    at.again("reconcile")
    settings = _settings(at, tmp_path)
    with served(settings) as base:
        assert _leaks(base, settings, at.feed_id, ids=True) == []
        assert httpx.get(f"{base}/api/v1/stats").json()["records"] == 29
        assert httpx.get(f"{base}/ix/v1/all/changes").json()["state"]["count"] == 29
        assert httpx.get(f"{base}/api/v1/records/{id_of(NUMBER)}").status_code == 404
        facets = httpx.get(f"{base}/api/v1/facets").json()["facets"]
        assert sum(entry["count"] for entry in facets["platform"]) == 29
        for path in ("queue", "policies", "verdicts"):
            assert httpx.get(f"{base}/api/v1/admission/{path}").status_code == 401


def test_newer_content_that_waits_is_not_seen_behind_the_version_that_is_shown(at: Desk, tmp_path: Path) -> None:
    at.edit = lambda body: body
    at.again()
    at.policy(mode="every")
    at.edit = _title(NUMBER, PLANTED)
    at.again()
    settings = _settings(at, tmp_path)
    with served(settings) as base:
        assert _leaks(base, settings, at.feed_id, ids=False) == []
        assert httpx.get(f"{base}/api/v1/stats").json()["records"] == 30


def test_a_withdrawn_record_takes_its_words_out_of_every_face_at_once(at: Desk, tmp_path: Path) -> None:
    at.again()
    settings = _settings(at, tmp_path)
    with served(settings) as base:
        old = httpx.get(f"{base}/ix/v1/all/snapshots/latest").json()
        at.decide("withdraw", [id_of(NUMBER)], reasons=("complaint",))
        assert _leaks(base, settings, at.feed_id, ids=False) == []
        for part in old["parts"]:
            assert httpx.get(f"{base}/ix/v1/all/snapshots/{part['href']}").status_code == 404
        changes = httpx.get(f"{base}/ix/v1/all/changes").json()
        assert {i["id"]: i["op"] for i in changes["items"]}[id_of(NUMBER)] == "leave"
        listed = httpx.get(f"{base}/oai?verb=GetRecord&metadataPrefix=oai_dc&identifier={id_of(NUMBER)}").text
        assert 'status="deleted"' in listed
