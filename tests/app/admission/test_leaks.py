"""What is not admitted leaves no public face: every GET route of the hub is walked, and every door of OAI-PMH and IX/1.

The walk is made from the app's own list of routes: a new route is walked too, and one with a parameter that nobody has
given a value here fails the walk. Callers are given all that anybody without the right to decide can have.
"""

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from app.access.door import declared
from app.access.scopes import Scope
from app.db import Database
from app.main import create
from app.settings import Settings
from tests.app.access.test_routes import routes
from tests.app.admission.desk import Desk, desk, id_of
from tests.app.admission.test_gate import _title
from tests.served import served

PLANTED = "绝密样题"
ASKED = "绝密样"  # finds it; a page that repeats the question does not hold the planted words
NUMBER = 3
# Where this hub has nothing to tell; parts of snapshots are fetched by the names in their manifest.
SILENT = {
    "/api/v1/incidents/{incident_id}", "/held/{held_id}", "/quarantine/{number}", "/docs/assets/{name}",
    "/ix/v1/{scope}/snapshots/parts/{name}.ndjson.gz",
    # It has no enrolments, papers, notices or choices, no provider of identities, and nobody's own home.
    "/api/v1/enrolments/{reference}/documents/{sha256}", "/api/v1/enrolments/{reference}/file/{sha256}",
    "/enrolments/{reference}/documents/{sha256}", "/vendor/{reference}/documents/{sha256}", "/vendor",
    "/api/v1/notices/{notice_id}", "/api/v1/choices", "/login/oidc", "/login/oidc/callback", "/login/oidc/code",
}  # fmt: skip
WORN = "catalogue:read ops:read feeds:manage ops:write catalogue:push enrolment:own"


def _settings(at: Desk, folder: Path) -> Settings:
    url = at.database.url.render_as_string(hide_password=False)
    return Settings(
        database_url=url, data_dir=folder, secret_key="k" * 32, anonymous_scopes=WORN, quota_anonymous="999999999/s"
    )


def _routes(settings: Settings) -> list[str]:
    """Every GET route, but those of the reviewers themselves and of a person's own account."""
    found = routes(create(settings, harvest=False))
    hidden = (Scope.ADMISSION_DECIDE, Scope.KEYS_MANAGE, Scope.PEOPLE_MANAGE, Scope.AUDIT_READ)
    return sorted(
        {
            path
            for method, path, dependencies in found
            if method == "GET" and not (need := declared(dependencies)[0]).person and need.scope not in hidden
        }
    )


def _paths(route: str, feed: int) -> Iterator[str]:
    """A route with real values, plain and with what a searcher would ask."""
    values = {
        "feed_id": (str(feed),), "run_id": ("1", "2"), "number": ("1",), "held_id": ("1",), "code": ("P-440000-01", "440000"),
        "kind": ("admission.every",), "scheme": ("reason",), "incident_id": ("1",), "part": ("1", "0"),
        "id": (quote(id_of(NUMBER), safe=""), quote(id_of(7), safe="")), "name": ("x",), "contract": ("hub",),
        "scope": ("all", "platform:P-440000-01", "subject:14"), "batch": ("x",), "prefix": ("x",),
        "reference": ("P-440000-01",), "action": ("pause", "suspend"), "sha256": ("0" * 64,), "notice_id": ("1",),
    }  # fmt: skip
    made = [route]
    for name in re.findall(r"\{(\w+)(?::path)?\}", route):
        made = [re.sub(rf"\{{{name}(:path)?\}}", value, path) for path in made for value in values[name]]
    yield from made
    if made == [route]:  # a list
        yield f"{route}?q={quote(ASKED)}&limit=500"
        yield f"{route}?status=all&limit=500"


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
    silent = []
    for route in _routes(settings):
        spoke = False
        for path in _paths(route, feed):
            if route == "/events":  # it never ends; one look is enough
                with client.stream("GET", f"{base}{path}") as answer:
                    spoke, body = answer.status_code == 200, next(answer.iter_raw(), b"")
            else:
                answer = client.get(f"{base}{path}")
                spoke, body = spoke or answer.status_code == 200, answer.content
            yield path, body
        if not spoke:
            silent.append(route)
    assert set(silent) <= SILENT, "a route that was never seen to answer was not walked"
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
            if PLANTED.encode() in body or (ids and own in body and quote(id_of(NUMBER), safe="") not in path):
                found.append(path)
    assert asked > 140
    return found


@pytest.fixture
def at(database: Database) -> Iterator[Desk]:
    """Thirty records, one of them with the planted words."""
    with desk(database) as made:
        made.edit = _title(NUMBER, PLANTED)
        yield made


def test_the_search_for_leaks_finds_an_admitted_record(at: Desk, tmp_path: Path) -> None:
    at.again()
    settings = _settings(at, tmp_path)
    with served(settings) as base:
        found = _leaks(base, settings, at.feed_id, ids=False)
    for face in (
        "/api/v1/records", "/oai?verb=ListRecords", "/ix/v1/all/changes", "/ix/v1/records/", "/r/", "/search", "/search.atom",
        "/resourcesync/resources/", "/explain",
    ):  # fmt: skip
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
        asked = httpx.post(f"{base}/ix/v1/records:lookup", json={"ids": [id_of(NUMBER)]}).json()
        assert asked["items"] == [{"id": id_of(NUMBER), "op": "unknown"}]
        facets = httpx.get(f"{base}/api/v1/facets").json()["facets"]
        assert sum(entry["count"] for entry in facets["platform"]) == 29
        for path in ("queue", "verdicts"):
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
