"""What holds for every page there is: the list is the app's own routes, so that a new page is looked at too."""

import gzip
import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from lxml import html

from app import schema
from app.access import people
from app.access.scopes import Role
from app.db import Database
from app.main import create
from app.settings import Settings
from benchmarks.wall import fill
from tests.console_hub import Served

LIMIT_BYTES = 300_000
FEEDS = 3_500
# Pages that only people of one role see; the record under review is looked at in tests/app/admission/test_pages.py.
OF_ONE_ROLE = {Role.AUDITOR: ("/audit",), Role.REVIEWER: ("/admission", "/admission/policies")}


def _template(pattern: str) -> re.Pattern[str]:
    parts = re.split(r"\{\w+(?::path)?\}", pattern)
    return re.compile("[^/]+".join(re.escape(part) for part in parts) + r"(\?.*)?\Z")


def test_every_page_of_the_app_is_among_those_that_are_looked_at(hub: Served) -> None:
    assert len(hub.templates) > 20
    looked_at = [*hub.pages.values(), *chain.from_iterable(OF_ONE_ROLE.values()), "/admission/record/x"]
    unseen = {t for t in hub.templates if not any(_template(t).match(path) for path in looked_at)}
    assert unseen == set(), "add an address of each to tests/console_hub.py fill()"


def test_nothing_on_any_page_needs_scripts(hub: Served) -> None:
    for name, path in hub.pages.items():
        _needs_no_scripts(name, httpx.get(f"{hub.url}{path}", headers={"accept": "text/html"}).content)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.REVIEWER])
def test_nothing_on_the_pages_of_one_role_needs_scripts(hub: Served, role: Role) -> None:
    name, password = f"every-page-{role}", "correct horse battery staple"
    with hub.database.write() as connection:
        people.add(connection, name, password, [role], initial=False)
    sign_in = httpx.post(f"{hub.url}/api/v1/login", json={"name": name, "password": password})
    for path in OF_ONE_ROLE[role]:
        shown = httpx.get(
            f"{hub.url}{path}", headers={"accept": "text/html", "cookie": sign_in.headers["set-cookie"].split(";")[0]}
        )
        assert shown.status_code == 200, path
        _needs_no_scripts(path, shown.content)


def _needs_no_scripts(name: str, content: bytes) -> None:
    tree = html.fromstring(content)
    # What htmx drives is a form that sends itself or a link that leads there.
    driven = tree.xpath("//*[@hx-get or @hx-post or @hx-put or @hx-delete or @data-hx-get]")
    assert [e.tag for e in driven if not (e.get("action") or e.get("href"))] == [], name
    assert tree.xpath("//button[not(ancestor::form)]") == [], name
    assert tree.xpath("//form[not(.//button)] | //select[not(ancestor::form)] | //a[not(@href)]") == [], name
    assert tree.xpath("//*[@hidden or contains(@class, 'js-only')]") == [], name
    assert tree.xpath("normalize-space(string(//main))"), name


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """A hub with 3,500 feeds that shows everything to everybody."""
    folder: Path = tmp_path_factory.mktemp("large")
    settings = Settings(data_dir=folder, anonymous_scopes="catalogue:read ops:read")
    database = Database(settings.url)
    schema.upgrade(database)
    fill(database, FEEDS, 3)
    with TestClient(create(settings, harvest=False)) as client:
        yield client
    database.close()


def test_no_page_weighs_more_than_300_kb_with_3500_feeds(large: TestClient, hub: Served) -> None:
    file = cache(lambda path: len(_wire(large, path)))
    weights = {path: _weight(large, path, file) for path in {*hub.pages.values(), "/platforms/P-110000-01/digest", "/status/P-110000-01"}}  # fmt: skip
    assert {path: n for path, n in weights.items() if n > LIMIT_BYTES} == {}
    status = large.get("/api/v1/status").json()
    assert len(status["items"]) == FEEDS
    for path in ("/api/v1/status", "/status.json"):
        assert len(_wire(large, path)) <= LIMIT_BYTES, path


def _weight(client: TestClient, path: str, file: Callable[[str], int]) -> int:
    """What travels for a page with all it names, for a first visit; `file` weighs what many pages name."""
    body = _wire(client, path)
    tree = html.fromstring(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)
    files = {str(a) for a in tree.xpath("//link[@rel='stylesheet' or @rel='icon']/@href | //script/@src | //img/@src")}
    return len(body) + sum(map(file, files))


def _wire(client: Any, path: str) -> bytes:
    with client.stream("GET", path, headers={"accept-encoding": "gzip", "accept": "text/html"}) as answer:
        return b"".join(answer.iter_raw())
