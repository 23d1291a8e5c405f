"""The console for people: signing in with plain forms, one's own rows on every page, the first start."""

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pyotp
import pytest
from lxml import html
from sqlalchemy import select

from app import schema
from app.access import keys, people
from app.access.door import COOKIE
from app.access.tables import person
from app.console.account import local
from app.db import Database, now
from app.feeds import service as feeds
from app.harvest.tables import held, rejection, run, run_day
from app.main import create
from app.settings import Settings
from tests.app.access.desk import PASSWORD, Desk, desk
from tests.app.access.test_routes import routes

MINE, OTHER = "P-440000-01", "E-110000-01"
PAGE = {"Accept": "text/html"}


class Things(NamedTuple):
    """What a platform has, each with `canary-CODE` in a text that a page would show."""

    code: str
    feed: int
    run: int
    refusal: int
    held: int
    decided: int


def _things(hub: Desk, code: str) -> Things:
    hub.platform(code)
    mark = f"canary-{code}"
    with hub.database.write() as connection:
        config = {"base_url": f"https://{mark}.example"}
        feed = feeds.register(connection, platform=code, name=mark, connector="ix", config=config)
        at = now(connection)
        row = {"feed_id": feed, "job": "harvest", "status": "failed", "started_at": at, "ended_at": at}
        row |= {"error_kind": "peer.unavailable", "error": mark}
        run_id = connection.execute(run.insert().returning(run.c.id), row).scalar_one()
        connection.execute(run_day.insert(), {"day": at // 86_400_000_000, "feed_id": feed, "runs": 1, "rejected": 7})
        owned = {"feed_id": feed, "run_id": run_id}
        refused = {
            "identifier": mark,
            "stage": "parse",
            "rule": "json.invalid",
            "detail": mark,
            "raw": b"{",
            "context": b"",
        }
        refused_row = rejection.insert().returning(rejection.c.id)
        refusal = connection.execute(refused_row, {**owned, **refused, "rejected_at": at}).scalar_one()
        waits = {**owned, "cause": mark, "count": 3, "live": 9, "held_at": at}
        one, two = (
            connection.execute(held.insert().returning(held.c.id), {**waits, **state}).scalar_one()
            for state in ({"state": "pending"}, {"state": "rejected", "decided_at": at})
        )
    return Things(code, feed, run_id, refusal, one, two)


def _pages(of: Things) -> list[str]:
    """Every page of the console that is about platforms, with this one's numbers."""
    return [
        "/", "/?look=table&sort=lag", "/platforms", f"/platforms/{of.code}", "/feeds", f"/feeds/{of.feed}", "/runs",
        f"/runs?feed={of.feed}", f"/runs/{of.run}", "/quarantine", f"/quarantine?rule=json.invalid&feed={of.feed}",
        f"/quarantine/{of.refusal}", "/held", f"/held/{of.held}", f"/held/{of.decided}", "/system", "/search",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Things, Things]]:
    """A hub with the things of two platforms."""
    folder = tmp_path_factory.mktemp("two")
    database = Database(f"sqlite:///{folder / 'hub.db'}")
    schema.upgrade(database)
    with desk(database, folder) as hub:
        yield hub, _things(hub, MINE), _things(hub, OTHER)
    database.close()


def _form(page: httpx.Response, action: str) -> dict[str, str]:
    """The fields of a form as a browser would send them."""
    sends = f"@action='{action}' or .//button[@formaction='{action}']"
    (form,) = html.fromstring(page.content).xpath(f"//form[{sends}]")
    fields = form.xpath(".//input[@name and not(@type='checkbox')]")
    return {field.get("name"): field.get("value") or "" for field in fields}


class Visitor(httpx.Client):
    """A browser without scripts; the cookie is kept by hand, since it is Secure and the test's socket is plain."""

    def __init__(self, url: str) -> None:
        super().__init__(base_url=url, headers=PAGE, timeout=60)

    def send_form(self, page: str, action: str, **fields: str) -> httpx.Response:
        """Opens a page, fills a form in and sends it."""
        answer = self.post(
            action, data={**_form(self.get(page), action), **fields}, headers={"Origin": str(self.base_url)}
        )
        if cookie := re.match(rf"{COOKIE}=([^;]*)", answer.headers.get("set-cookie", "")):
            self.headers["Cookie"] = f"{COOKIE}={cookie[1]}"
        return answer

    def sign_in(self, name: str, password: str = PASSWORD, to: str = "/", **more: str) -> httpx.Response:
        """The sign-in form."""
        return self.send_form(f"/login?to={to}", "/login", name=name, password=password, **more)


@pytest.fixture
def visitor(hub: Desk) -> Iterator[Visitor]:
    """Nobody yet."""
    with Visitor(hub.url) as made:
        yield made


def test_a_platform_manager_sees_the_own_platform_and_nothing_of_another(two: tuple[Desk, Things, Things]) -> None:
    hub, mine, other = two
    manager = hub.person("manager", "platform-manager", platforms=(MINE,))
    seen = 0
    for path in _pages(mine):
        answer = manager.get(path, headers=PAGE)
        assert answer.status_code == 200, (path, answer.text[:300])
        assert OTHER not in answer.text, path
        seen += f"canary-{MINE}" in answer.text
    assert seen >= 12
    for path in _pages(other):
        answer = manager.get(path, headers=PAGE)
        assert f"canary-{OTHER}" not in answer.text, path
        if str(other.feed) in path or OTHER in path or re.search(r"/\d+$", path):
            assert answer.status_code == 404 or "?" in path, path


def test_lists_and_figures_count_the_own_things_only(two: tuple[Desk, Things, Things]) -> None:
    hub, mine, _ = two
    for name, role, wanted in (("counts", "platform-manager", 1), ("everything", "operator", 2)):
        person = hub.person(name, role, platforms=(MINE,) if wanted == 1 else ())
        assert len(person.get("/api/v1/status").json()["items"]) == wanted
        figures = person.get("/api/v1/stats").json()
        assert (figures["feeds"], figures["rejected"], figures["held"], figures["held_changes"]) == tuple(
            wanted * n for n in (1, 1, 3, 1)
        )
        rows = html.fromstring(person.get("/runs", headers=PAGE).content).xpath("//main//tbody/tr")
        assert len(rows) == wanted
    assert f"/runs/{mine.run}" in hub.person("again", "vendor", platforms=(MINE,)).get("/runs", headers=PAGE).text


def test_a_region_sees_the_pages_of_its_subtree(two: tuple[Desk, Things, Things]) -> None:
    hub, mine, other = two
    operator = hub.person("south", "operator", regions=("440000",))
    assert operator.get(f"/platforms/{mine.code}", headers=PAGE).status_code == 200
    assert operator.get(f"/platforms/{other.code}", headers=PAGE).status_code == 404
    assert operator.post(f"/held/{other.held}/approve").status_code == 404


def test_anonymous_callers_get_the_sign_in_page_and_programs_a_problem(two: tuple[Desk, Things, Things]) -> None:
    hub, mine, _ = two
    for path in [page for page in _pages(mine) if page != "/search"]:
        shown = httpx.get(f"{hub.url}{path}", headers=PAGE)
        assert (shown.status_code, "canary" in shown.text) == (401, False), path
        assert _form(shown, "/login")["to"] == path
        told = httpx.get(f"{hub.url}{path}")
        assert (told.status_code, told.json()["kind"]) == (401, "auth.required"), path
    events = httpx.get(f"{hub.url}/events", headers={"Accept": "text/event-stream"})
    assert (events.status_code, events.headers["content-type"]) == (401, "application/problem+json")
    assert httpx.get(f"{hub.url}/search", headers=PAGE).status_code == 200


def test_every_page_of_the_console_is_closed_or_known_to_be_open(tmp_path: Path) -> None:
    app = create(Settings(data_dir=tmp_path), harvest=False)
    from app.access.door import declared

    open_ones = {
        path
        for method, path, needs in routes(app)
        if declared(needs)[0].public and not path.startswith(("/api", "/docs"))
    }
    assert open_ones == {
        "/login", "/first", "/problems/{kind}", "/healthz", "/readyz", "/redoc", "/redoc/{contract}", "/openapi.json",
        "/openapi/peer.yaml", "/oauth/token", "/.well-known/jwks.json", "/oai/ix.xsd", "/join", "/login/oidc",
        "/login/oidc/callback", "/login/oidc/code", "/status", "/status.json", "/status/{code}",
        "/status/{code}/status.json", "/status/{code}/badge.svg",
    }  # fmt: skip


def test_the_demonstration_opens_without_sign_in_and_decides_nothing(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, anonymous_scopes="catalogue:read ops:read") as hub:
        mine = _things(hub, MINE)
        for path in _pages(mine):
            assert httpx.get(f"{hub.url}{path}", headers=PAGE).status_code == 200, path
        assert httpx.post(f"{hub.url}/held/{mine.held}/approve", headers=PAGE).status_code == 401


def test_one_signs_in_and_out_with_plain_forms(hub: Desk, visitor: Visitor) -> None:
    hub.person("wang", "operator")
    wrong = visitor.sign_in("wang", "not-the-password")
    assert (wrong.status_code, 'role="alert"' in wrong.text, _form(wrong, "/login")["name"]) == (401, True, "wang")
    done = visitor.sign_in("wang", to="/feeds?state=late")
    assert (done.status_code, done.headers["location"]) == (303, "/feeds?state=late")
    assert all(word in done.headers["set-cookie"] for word in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"))
    wall = visitor.get("/")
    assert html.fromstring(wall.content).xpath("string(//span[@class='account']/a)") == "wang"
    out = visitor.send_form("/", "/logout")
    assert (out.status_code, visitor.get("/").status_code) == (303, 401)


def test_a_decision_needs_the_scope_and_the_token_of_the_page(hub: Desk, visitor: Visitor) -> None:
    mine = _things(hub, MINE)
    hub.person("manager", "platform-manager", platforms=(MINE,))
    hub.person("wang", "operator")
    action = f"/held/{mine.held}/reject"
    visitor.sign_in("manager")
    page = visitor.get(f"/held/{mine.held}")
    assert len(html.fromstring(page.content).xpath("//main//button[@disabled]")) == 3  # approve, reject, a part
    assert visitor.send_form(f"/held/{mine.held}", action).status_code == 403
    visitor.send_form("/", "/logout")
    visitor.sign_in("wang")
    forged = visitor.post(action, headers={"Origin": hub.url})
    foreign = visitor.post(
        action, data=_form(visitor.get(f"/held/{mine.held}"), action), headers={"Origin": "https://evil.example"}
    )
    assert [answer.status_code for answer in (forged, foreign)] == [403, 403]
    decided = visitor.send_form(f"/held/{mine.held}", action)
    assert (decided.status_code, decided.headers["location"]) == (303, f"/held/{mine.held}")
    auditor = hub.person("zhou", "auditor")
    (noted,) = auditor.get("/api/v1/audit", params={"act": "held.decided"}).json()["items"]
    assert noted["actor"] == "person:wang"


def test_a_first_password_is_changed_before_anything_else(hub: Desk, visitor: Visitor) -> None:
    with hub.database.write() as connection:
        people.add(connection, "new", PASSWORD, ["operator"])
    assert visitor.sign_in("new", to="/runs").headers["location"] == "/account"
    assert visitor.get("/runs").headers["location"] == "/account"
    weak = visitor.send_form("/account", "/account/password", old=PASSWORD, new="short")
    false = visitor.send_form("/account", "/account/password", old="x", new="velvet-lantern-rice-14")
    assert (weak.status_code, false.status_code) == (422, 422)
    assert (
        visitor.send_form("/account", "/account/password", old=PASSWORD, new="velvet-lantern-rice-14").status_code
        == 303
    )
    assert visitor.get("/account").status_code == 401
    assert visitor.sign_in("new", "velvet-lantern-rice-14", to="/runs").headers["location"] == "/runs"


def test_a_second_factor_is_set_up_and_asked_for_on_the_pages(hub: Desk, visitor: Visitor) -> None:
    hub.person("sun", "security-administrator")
    visitor.sign_in("sun")
    begun = visitor.send_form("/account", "/account/second-factor")
    secret = html.fromstring(begun.content).xpath("string(//main//p/code)")
    form = _form(begun, "/account/second-factor/confirm")
    code = pyotp.TOTP(secret).at(int(time.time()))
    on = visitor.post("/account/second-factor/confirm", data={**form, "code": code}, headers={"Origin": hub.url})
    (recovery,) = html.fromstring(on.content).xpath("//main//pre/text()")
    assert len(recovery.split()) == 10
    visitor.send_form("/", "/logout")
    lacking = visitor.sign_in("sun")
    assert (lacking.status_code, 'role="alert"' in lacking.text) == (401, True)
    assert visitor.sign_in("sun", code=recovery.split()[0]).status_code == 303


def test_the_first_administrator_comes_by_the_page_once(hub: Desk, visitor: Visitor) -> None:
    with hub.database.write() as connection:
        code = keys.first(connection)
    assert code
    assert "/first" in visitor.get("/login").text
    good = {"name": "sun", "password": PASSWORD}
    assert visitor.send_form("/first", "/first", **good, code="hk_wrong").status_code == 422
    assert visitor.send_form("/first", "/first", **{**good, "password": "short"}, code=code).status_code == 422
    made = visitor.send_form("/first", "/first", **good, code=code)
    assert (made.status_code, made.headers["location"]) == (303, "/login")
    assert visitor.get("/first").headers["location"] == "/login"
    again = visitor.post("/first", data={**good, "name": "li", "code": code}, headers={"Origin": hub.url})
    assert again.status_code == 422
    with hub.database.read() as connection:
        assert connection.execute(select(person.c.name)).scalars().all() == ["sun"]
    assert visitor.sign_in("sun").status_code == 303
    assert visitor.get("/").status_code == 200


def test_five_failures_lock_the_name_on_the_page_too(hub: Desk, visitor: Visitor) -> None:
    hub.person("wang", "operator")
    answers = [visitor.sign_in("wang", f"wrong-{number}") for number in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert int(answers[-1].headers["retry-after"]) > 600


def test_another_sites_form_signs_nobody_in(hub: Desk, visitor: Visitor) -> None:
    hub.person("wang", "operator")
    fields: dict[str, Any] = {"name": "wang", "password": PASSWORD}
    answer = visitor.post("/login", data=fields, headers={"Origin": "https://evil.example"})
    assert (answer.status_code, "set-cookie" in answer.headers) == (403, False)


@pytest.mark.parametrize(
    "address",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil", "javascript:x", "", "/a\nb", "/\tx"],
)
def test_no_link_leads_away_after_a_sign_in(address: str) -> None:
    assert local(address) == "/"
    assert local("/runs?feed=3") == "/runs?feed=3"
