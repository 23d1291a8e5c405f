"""Signing in through an identity provider, over real sockets: what is right comes in, everything else stays out."""

import re
import time
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pyotp
import pytest
from sqlalchemy import select, update

from app.access import audit, links, oidc, people, second_factor
from app.access.door import COOKIE
from app.access.tables import nonce, person, person_link, session
from app.console.sign_on import COOKIE as BROWSER
from app.db import Database
from app.settings import Settings
from tests.app.access.desk import PASSWORD, Desk, desk
from tests.peers.provider import CLIENT, FAULTS, SECRET, Provider, provider


@pytest.fixture
def idp() -> Iterator[Provider]:
    with provider() as running:
        yield running


def _settings(idp: Provider, **more: Any) -> dict[str, Any]:
    return {
        "oidc_issuer": idp.url, "oidc_client_id": CLIENT, "oidc_client_secret": SECRET, "fetch_allow": "127.0.0.0/8",
        "oidc_name_claim": "preferred_username", **more,
    }  # fmt: skip


@pytest.fixture
def hub(database: Database, tmp_path: Path, idp: Provider) -> Iterator[Desk]:
    with desk(database, tmp_path, **_settings(idp)) as running:
        _account(running, "wang")
        yield running


def _account(hub: Desk, name: str, role: str = "operator", **more: Any) -> None:
    with hub.database.write() as connection:
        people.add(connection, name, PASSWORD, [role], **{"initial": True, **more})


class Browser:
    """What a browser does: follows by hand, for the provider sends it to the hub's public address."""

    def __init__(self, hub: Desk) -> None:
        self.hub, self.kept = hub, dict[str, str]()

    def get(self, address: str, **more: Any) -> httpx.Response:
        return self._took(httpx.get(f"{self.hub.url}{address}", headers=self._headers(), timeout=60, **more))

    def post(self, address: str, form: dict[str, str]) -> httpx.Response:
        return self._took(httpx.post(f"{self.hub.url}{address}", headers=self._headers(), data=form, timeout=60))

    def go(self, to: str = "/feeds") -> str:
        """Out to the provider; the address it sends back to."""
        out = self.get("/login/oidc", params={"to": to})
        assert out.status_code == 303, out.text
        self.out = out.headers["location"]
        back = httpx.get(self.out, timeout=60)
        parts = urlsplit(back.headers["location"])
        return f"{parts.path}?{parts.query}"

    def sign_in(self) -> httpx.Response:
        return self.get(self.go())

    def _headers(self) -> dict[str, str]:
        return {"Cookie": "; ".join(f"{name}={value}" for name, value in self.kept.items())}

    def _took(self, answer: httpx.Response) -> httpx.Response:
        for line in answer.headers.get_list("set-cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            self.kept[name] = value
            assert {"Secure", "HttpOnly"} <= {part.strip() for part in line.split(";")}, line
        own = answer.headers.get("location") in ("/login?sign_on=refused", "/login/oidc/code")
        return self.get(answer.headers["location"]) if own else answer

    @property
    def inside(self) -> bool:
        return COOKIE in self.kept and self.get("/api/v1/me").status_code == 200


def _refused(hub: Desk) -> list[tuple[str, str]]:
    with hub.database.read() as connection:
        assert audit.verify(connection) is None
        rows = audit.search(connection, act="login")
    return [(row["object"], row["detail"]["why"]) for row in rows if row["result"] == "refused"]


def test_a_known_person_comes_in_without_a_password_and_with_the_roles_given_here(hub: Desk, idp: Provider) -> None:
    idp.claims |= {"roles": ["security-administrator"], "groups": ["admin"]}
    browser = Browser(hub)
    answer = browser.sign_in()
    assert (answer.status_code, answer.headers["location"]) == (303, "/feeds")
    me = browser.get("/api/v1/me").json()
    assert (me["name"], me["roles"]) == ("wang", ["operator"])
    assert "feeds:manage" in me["scopes"], "the first password that nobody needs has not to be changed"
    assert browser.kept[BROWSER] in ("", '""')
    with hub.database.read() as connection:
        login = audit.search(connection, act="login")[0]
        assert (login["object"], login["result"], login["detail"]) == ("person:wang", "done", {"means": "oidc"})
        assert login["address"] == "127.0.0.1"
        linked = audit.search(connection, act="person.linked")[0]
        assert (linked["object"], linked["detail"]["subject"]) == ("person:wang", "248289761001")


def test_what_goes_out_has_a_challenge_and_nothing_secret(hub: Desk, idp: Provider) -> None:
    browser = Browser(hub)
    browser.go()
    query = parse_qs(urlsplit(browser.out).query)
    assert query["code_challenge_method"] == ["S256"]
    assert len(query["code_challenge"][0]) == 43
    assert len(query["state"][0]) == len(query["nonce"][0]) == 43
    assert "secret" not in browser.out
    again = Browser(hub)
    again.go()
    assert parse_qs(urlsplit(again.out).query)["state"] != query["state"]


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_the_link_outlives_a_change_of_name_and_of_key(hub: Desk, idp: Provider, algorithm: str) -> None:
    idp.algorithm = algorithm
    assert Browser(hub).sign_in().status_code == 303
    idp.rotate()
    idp.claims["preferred_username"] = "wang.new"
    browser = Browser(hub)
    assert browser.sign_in().status_code == 303
    assert browser.get("/api/v1/me").json()["name"] == "wang"


WHY = {
    "nonce": "token.nonce", "no_nonce": "token.nonce", "audience": "token.audience", "party": "token.audience",
    "audience_among_others": "token.audience", "expired": "token.time", "future": "token.time", "old": "token.time",
    "exp_text": "token.time", "exp_float": "token.time", "not_yet": "token.time", "issuer": "token.issuer",
    "no_subject": "token.subject", "subject_nul": "token.subject", "alg_none": "token.signature",
    "unsigned": "token.signature", "hmac_with_public_key": "token.signature", "foreign_key": "token.signature",
    "embedded_key": "token.header", "critical": "token.signature", "altered": "token.signature", "garbage": "token.signature",
    "no_token": "token.missing", "not_json": "token.endpoint", "server_error": "token.endpoint", "denied": "provider.denied",
    "other_iss": "provider.issuer",
}  # fmt: skip


def test_every_bad_answer_of_the_provider_is_refused_and_on_record(hub: Desk, idp: Provider) -> None:
    found = {}
    for fault in FAULTS:
        idp.fault = fault
        hub.app.state.gate.tally.rest()  # each of them a row, not a count
        browser = Browser(hub)
        assert browser.sign_in().status_code == 401, fault
        assert not browser.inside, fault
        found[fault] = _refused(hub)[0][1]
    assert found == WHY
    assert len(_refused(hub)) == len(FAULTS)
    with hub.database.read() as connection:
        assert not connection.execute(select(person_link)).all()
    idp.fault = ""
    assert Browser(hub).sign_in().status_code == 303, "and the good one beside them comes in"


def test_a_provider_that_says_it_is_another_is_not_believed(sqlite: Database, tmp_path: Path, idp: Provider) -> None:
    idp.impostor = True
    with desk(sqlite, tmp_path, **_settings(idp)) as hub:
        assert Browser(hub).get("/login/oidc").status_code == 401
        assert _refused(hub) == [("person:unknown", "provider.issuer")]


def test_all_refusals_look_alike(hub: Desk, idp: Provider) -> None:
    pages = set()
    for fault in ("nonce", "audience", "alg_none", "denied"):
        idp.fault = fault
        pages.add(Browser(hub).sign_in().text)
    idp.fault, idp.claims = "", {"sub": "stranger", "preferred_username": "nobody"}
    pages.add(Browser(hub).sign_in().text)
    pages.add(Browser(hub).get("/login/oidc/callback?code=x&state=y").text)
    assert len(pages) == 1


def test_an_answer_counts_once_and_in_the_browser_that_asked_only(hub: Desk, idp: Provider) -> None:
    mine, other = Browser(hub), Browser(hub)
    address = mine.go()
    other.go()
    cookie = mine.kept[BROWSER]
    assert other.get(address).status_code == 401, "another browser's answer"
    assert Browser(hub).get(address).status_code == 401, "no browser's answer"
    assert mine.get(address).status_code == 303
    mine.kept = {BROWSER: cookie}
    assert mine.get(address).status_code == 401, "the same answer again"
    assert not mine.inside
    assert {why for _, why in _refused(hub)} == {"state.foreign", "cookie.missing", "state.used"}


def test_a_code_of_another_question_is_worth_nothing(hub: Desk, idp: Provider) -> None:
    victim, thief = Browser(hub), Browser(hub)
    stolen = parse_qs(urlsplit(victim.go()).query)["code"][0]
    state = parse_qs(urlsplit(thief.go()).query)["state"][0]
    assert thief.get("/login/oidc/callback", params={"code": stolen, "state": state}).status_code == 401
    assert not thief.inside


@pytest.mark.parametrize("spoil", ["", "x", "中", "a.b", "a.!!!!", ".", "." * 3000])
def test_a_spoilt_cookie_is_refused(hub: Desk, idp: Provider, spoil: str) -> None:
    browser = Browser(hub)
    address = browser.go()
    key_id, _, sealed = browser.kept[BROWSER].partition(".")
    answers = [
        httpx.get(f"{hub.url}{address}", headers={"Cookie": f"{BROWSER}={value}".encode()}, timeout=60)
        for value in (spoil, f"{key_id}.{sealed[:-8]}AAAAAAA=", f"{key_id}{spoil}")
    ]
    assert {answer.headers["location"] for answer in answers} == {"/login?sign_on=refused"}


def test_an_answer_that_comes_too_late_is_refused(hub: Desk, idp: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.access.sign_on.LASTS_S", 0)
    assert Browser(hub).sign_in().status_code == 401
    assert _refused(hub) == [("person:unknown", "cookie.expired")]


def test_no_claim_makes_an_account_and_a_name_belongs_to_its_first_subject(hub: Desk, idp: Provider) -> None:
    idp.claims = {"sub": "stranger", "preferred_username": "nobody", "name": "wang", "email": "wang"}
    assert Browser(hub).sign_in().status_code == 401
    with hub.database.read() as connection:
        assert [row["name"] for row in people.people(connection)] == ["wang"]
    idp.claims = {"sub": "248289761001", "preferred_username": "wang"}
    assert Browser(hub).sign_in().status_code == 303
    idp.claims = {"sub": "heir of the name", "preferred_username": "wang"}
    assert Browser(hub).sign_in().status_code == 401
    for odd in (["wang"], 7, None, "wang\0", "WANG", " wang", "x" * 5000):
        idp.claims = {"sub": "odd", "preferred_username": odd}
        assert Browser(hub).sign_in().status_code == 401


def test_without_a_claim_that_is_trusted_only_linked_people_come_in(
    sqlite: Database, tmp_path: Path, idp: Provider
) -> None:
    with desk(sqlite, tmp_path, **_settings(idp, oidc_name_claim="")) as hub:
        _account(hub, "wang")
        assert Browser(hub).sign_in().status_code == 401
        with sqlite.write() as connection:
            links.link(connection, "wang", idp.url, "248289761001")
        assert Browser(hub).sign_in().status_code == 303
        with sqlite.write() as connection:
            links.unlink(connection, "wang")
        assert Browser(hub).sign_in().status_code == 401


def test_an_address_of_mail_names_somebody_only_when_it_is_verified(
    sqlite: Database, tmp_path: Path, idp: Provider
) -> None:
    with desk(sqlite, tmp_path, **_settings(idp, oidc_name_claim="email")) as hub:
        _account(hub, "wang@gd.example")
        for verified in (None, False, "true", 1):
            idp.claims = {"sub": "w", "email": "wang@gd.example", "email_verified": verified}
            assert Browser(hub).sign_in().status_code == 401
        idp.claims["email_verified"] = True
        assert Browser(hub).sign_in().status_code == 303


def test_who_is_disabled_stays_out_and_a_session_ends_with_the_account(hub: Desk, idp: Provider) -> None:
    browser = Browser(hub)
    assert browser.sign_in().status_code == 303
    assert browser.inside
    with hub.database.write() as connection:
        people.turn(connection, "wang", "disabled")
    hub.app.state.gate.forget()
    assert not browser.inside
    assert Browser(hub).sign_in().status_code == 401
    assert _refused(hub)[0] == ("person:wang", "person.disabled")


def test_a_locked_name_is_locked_here_too(hub: Desk, idp: Provider) -> None:
    for _ in range(5):
        hub.login("wang", "wrong-password-1")
    assert Browser(hub).sign_in().status_code == 401
    with hub.database.write() as connection:
        people.turn(connection, "wang", "active")
    assert Browser(hub).sign_in().status_code == 303


def _factor(hub: Desk) -> pyotp.TOTP:
    ring = hub.app.state.gate.ring
    with hub.database.write() as connection:
        made = pyotp.TOTP(second_factor.begin(connection, ring, "wang")["secret"])
        second_factor.confirm(connection, ring, "wang", made.at(int(time.time())))
        connection.execute(update(person).values(totp_step=0))
    return made


def test_the_second_factor_is_asked_for_here_and_wrong_codes_lock(hub: Desk, idp: Provider) -> None:
    totp = _factor(hub)
    idp.claims["amr"] = ["pwd", "mfa"]
    browser = Browser(hub)
    asked = browser.sign_in()
    assert (asked.status_code, 'name="code"' in asked.text) == (200, True)
    assert not browser.inside
    assert browser.post("/login/oidc/code", {"code": "000000"}).status_code == 401
    done = browser.post("/login/oidc/code", {"code": totp.at(int(time.time()))})
    assert (done.status_code, done.headers["location"]) == (303, "/feeds")
    assert browser.inside
    guesser = Browser(hub)
    guesser.sign_in()
    answers = [guesser.post("/login/oidc/code", {"code": f"00000{number}"}).status_code for number in range(6)]
    assert answers == [401] * 5 + [429]
    assert Browser(hub).post("/login/oidc/code", {"code": "000000"}).status_code == 401, "nobody's code"


@pytest.mark.parametrize(("setting", "amr", "inside"), [
    ("mfa,hwk", ["pwd", "mfa"], True), ("mfa", ["pwd"], False), ("mfa", "mfa", False), ("", ["mfa"], False), ("mfa", None, False),
])  # fmt: skip
def test_the_providers_second_factor_counts_only_where_a_setting_says_so(
    sqlite: Database, tmp_path: Path, idp: Provider, setting: str, amr: Any, inside: bool
) -> None:
    with desk(sqlite, tmp_path, **_settings(idp, oidc_second_factor=setting, second_factor="all")) as hub:
        _account(hub, "wang")
        idp.claims["amr"] = amr
        browser = Browser(hub)
        without = browser.sign_in()
        assert without.headers["location"] == ("/feeds" if inside else "/account")
        assert bool(browser.get("/api/v1/me").json()["scopes"]) == inside
        _factor(hub)
        with_factor = Browser(hub)
        with_factor.sign_in()
        assert with_factor.inside == inside


def test_nothing_leads_away_from_the_hub_after_signing_in(hub: Desk, idp: Provider) -> None:
    for to in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        browser = Browser(hub)
        assert browser.get(browser.go(to)).headers["location"] == "/"


def test_the_provider_is_asked_through_the_guard(sqlite: Database, tmp_path: Path, idp: Provider) -> None:
    with desk(sqlite, tmp_path, **_settings(idp, fetch_allow="")) as hub:
        assert Browser(hub).get("/login/oidc").status_code == 401
        assert idp.asked == []
        assert _refused(hub) == [("person:unknown", "provider.unavailable")]


def test_a_provider_that_is_down_is_not_asked_by_every_visitor(sqlite: Database, tmp_path: Path, idp: Provider) -> None:
    with desk(sqlite, tmp_path, **_settings(idp, oidc_issuer=f"{idp.url}/nowhere")) as hub:
        assert [Browser(hub).get("/login/oidc").status_code for _ in range(5)] == [401] * 5
        assert len(idp.asked) == 1


def test_the_whole_way_from_a_link_over_http_by_the_button_to_the_page_that_was_asked_for(
    database: Database, tmp_path: Path, idp: Provider
) -> None:
    """No claim names anybody here: only the link that the security administrator makes lets the subject in."""
    with desk(database, tmp_path, **_settings(idp, oidc_name_claim="")) as hub:
        _account(hub, "wang")
        admin, operator = hub.person("sun", "security-administrator"), hub.person("li", "operator")
        path, subject = "/api/v1/people/wang/links", str(idp.claims["sub"])
        assert _by_the_button(hub).inside is False, "nobody's subject yet"
        assert operator.post(path, json={"subject": subject}).status_code == 403
        made = admin.post(path, json={"subject": subject})
        assert (made.status_code, made.json()["issuer"]) == (201, idp.url)
        assert [one["subject"] for one in admin.get(path).json()["items"]] == [subject]
        assert admin.post(path, json={"subject": "another"}).status_code == 409
        assert admin.post("/api/v1/people/nobody/links", json={"subject": "another"}).status_code == 404
        assert admin.post(path, json={"subject": ""}).status_code == 422
        browser = _by_the_button(hub)
        assert browser.inside
        assert browser.get("/api/v1/me").json()["name"] == "wang"
        assert browser.get("/feeds?state=late").status_code == 200
        assert admin.delete(path).json() == {"name": "wang", "done": "unlink"}
        assert admin.get(path).json()["items"] == []
        assert _by_the_button(hub).inside is False
    assert [why for _, why in _refused(hub)] == ["person.unknown", "person.unknown"]


def _by_the_button(hub: Desk) -> Browser:
    """From a closed page to the sign-in page, by the address of its button out to the provider, and back."""
    browser = Browser(hub)
    page = browser.get("/login", params={"to": "/feeds?state=late"})
    button = re.search(r'href="(/login/oidc\?[^"]+)"', page.text)
    assert button is not None
    out = browser.get(unescape(button[1]))
    back = urlsplit(httpx.get(out.headers["location"], timeout=60).headers["location"])
    arrived = browser.get(f"{back.path}?{back.query}")
    if arrived.status_code == 303:
        assert arrived.headers["location"] == "/feeds?state=late"
    return browser


def test_the_button_is_there_only_when_a_provider_is(hub: Desk, sqlite: Database, tmp_path: Path) -> None:
    words = {"zh-CN": "使用单位统一身份登录", "en": "Sign in with the organisation"}
    for lang, text in words.items():
        page = httpx.get(f"{hub.url}/login", params={"lang": lang, "to": "/feeds?state=late"}, timeout=60).text
        assert text in page
        assert 'href="/login/oidc?to=/feeds%3Fstate%3Dlate"' in page
    with desk(sqlite, tmp_path / "without") as without:
        assert "/login/oidc" not in httpx.get(f"{without.url}/login", timeout=60).text
        for address in ("/login/oidc", "/login/oidc/callback?code=x&state=y"):
            assert httpx.get(f"{without.url}{address}", timeout=60).status_code == 404


def test_no_secret_is_in_the_log_the_pages_or_the_database(hub: Desk, idp: Provider) -> None:
    browser = Browser(hub)
    address = browser.go()
    browser.get(address)
    code = parse_qs(urlsplit(address).query)["code"][0]
    with hub.database.read() as connection:
        kept = [connection.execute(select(table)).all() for table in (audit.audit, nonce, session, person_link)]
    assert SECRET not in str(kept)
    assert code not in str(kept)
    assert SECRET not in repr(hub.settings)


@pytest.mark.parametrize("issuer", ["http://idp.example", "idp.example", "https://idp.example/?a=b", "https://u:p@idp.example"])  # fmt: skip
def test_an_issuer_that_is_none_is_refused_at_the_start(issuer: str) -> None:
    with pytest.raises(ValueError, match="issuer"):
        Settings(oidc_issuer=issuer, oidc_client_id="a", oidc_client_secret=SECRET)


def test_an_issuer_needs_its_client_and_the_secret_may_lie_in_a_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="CLIENT_SECRET"):
        Settings(oidc_issuer="https://idp.example", oidc_client_id="a")
    with pytest.raises(ValueError, match="CLIENT_SECRET_FILE cannot be read"):
        Settings(oidc_issuer="https://idp.example", oidc_client_id="a", oidc_client_secret_file=tmp_path / "none")
    (tmp_path / "secret").write_text("from a file\n")
    made = Settings(oidc_issuer="https://idp.example", oidc_client_id="a", oidc_client_secret_file=tmp_path / "secret")
    assert made.oidc_secret.split() == ["from", "a", "file"]


def test_a_shared_secret_among_the_providers_keys_is_none() -> None:
    document = {"keys": [{"kty": "oct", "k": "x"}, {"kty": "RSA", "use": "enc"}, "x", {"kty": "EC", "kid": "good"}]}
    assert [key["kid"] for key in oidc._usable(document)] == ["good"]
