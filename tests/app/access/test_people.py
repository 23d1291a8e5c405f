"""People: weak passwords, guessing, sessions, other sites' pages, second factors, the first start."""

import threading
import time
from pathlib import Path

import httpx
import pyotp
import pytest
from argon2 import Parameters, PasswordHasher, extract_parameters
from sqlalchemy import select, update

from app.access import keys, people, sessions
from app.access.passwords import _NOBODY, check, hashed, matches
from app.access.scopes import Role, roles_of
from app.access.tables import attempt, person, session
from app.db import Database
from app.protocol.errors import BadRequest
from app.settings import Settings
from tests.app.access.desk import PASSWORD, Desk, Signed, desk

pytestmark = pytest.mark.usefixtures("as_in_production")

WEAK = (
    "short", "password1234", "Password1234!", "qwertyuiop123", "hutong123456", "123456789012", "aaaaaaaaaaaa", "woaini1314520",
    "Admin@123456", "P@ssw0rd2024!", "zhongguo123456", "qwertyuiopasdfghjkl", "1qaz2wsx3edc4rfv", "wang12345678", "x" * 257,
    "administrator", "abcdefghijkl", "19900101199001", "iloveyou1234", "smartedu2026", "我爱你我爱你我爱你我爱你",
)  # fmt: skip
GOOD = (
    "correct horse battery",
    "x8Kq-wm2vT-p04z",
    "渔舟唱晚响穷彭蠡之滨",
    PASSWORD,
    "long " * 13 + "and unusual zebra",
)


@pytest.mark.parametrize("password", WEAK)
def test_weak_passwords_are_refused_with_a_reason(password: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check(password, "wang")
    assert refusal.value.kind == "auth.password"
    assert password not in refusal.value.detail


@pytest.mark.parametrize("password", [one for one in GOOD if len(one) >= 12])
def test_good_passwords_of_64_characters_and_more_are_taken_whole(password: str) -> None:
    check(password, "wang")
    stored = hashed(password)
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert matches(stored, password)
    assert not matches(stored, password[:-1])


def test_a_name_without_an_account_takes_as_long_as_one_with_it() -> None:
    assert extract_parameters(_NOBODY) == extract_parameters(hashed("correct horse battery staple"))


@pytest.mark.parametrize(
    "roles",
    [
        ["system-administrator", "auditor"], ["security-administrator", "auditor"], ["auditor", "operator"],
        ["system-administrator", "security-administrator"], [], ["root"],
    ],
)  # fmt: skip
def test_the_three_officers_are_three_people(roles: list[str]) -> None:
    with pytest.raises(BadRequest):
        roles_of(roles)


@pytest.mark.parametrize(
    ("role", "platforms", "regions"),
    [("vendor", [], []), ("vendor", ["P-440000-01"], ["440000"]), ("operator", ["P-440000-01"], []),
     ("operator", [], ["999999"]), ("vendor", ["x"], [])],
)  # fmt: skip
def test_rows_fit_the_role(database: Database, role: str, platforms: list[str], regions: list[str]) -> None:
    with database.write() as connection, pytest.raises(BadRequest):
        people.add(connection, "wang", PASSWORD, [role], platforms=platforms, regions=regions)


def test_the_first_person_is_made_by_the_code_once_and_there_is_no_default_account(hub: Desk) -> None:
    with hub.database.write() as connection:
        code = keys.first(connection)
        assert code is not None
        assert keys.first(connection) is None
        assert people.people(connection) == []
    body = {"code": code, "name": "wang", "password": PASSWORD}

    def ask(**other: str) -> httpx.Response:
        return httpx.post(f"{hub.url}/api/v1/people/first", json=body | other)

    platform_key = hub.platform("P-440000-01")
    assert [ask(code="hk_wrong").status_code, ask(code=platform_key).status_code] == [401, 401]
    assert ask(**{"password": WEAK[4]}).status_code == 422
    assert ask().status_code == 201
    assert ask(name="li").status_code == 401
    first = hub.sign_in("wang")
    assert first.get("/api/v1/me").json()["roles"] == ["security-administrator"]
    with hub.key_client(code) as client:  # the key goes on as the hub's own
        assert client.post("/api/v1/platforms", json={"code": "P-110000-01", "name": "x"}).status_code == 201
        assert client.get("/api/v1/people").status_code == 403


def test_five_failures_lock_a_name_whether_it_has_an_account_or_not(hub: Desk) -> None:
    hub.person("wang", "operator").close()
    for name in ("wang", "nobody"):
        wrong = [hub.login(name, f"wrong-{n}-password") for n in range(5)]
        assert {answer.status_code for answer in wrong} == {401}
        locked = hub.login(name)
        assert (locked.status_code, locked.json()["kind"]) == (429, "auth.locked")
        assert 880 < int(locked.headers["retry-after"]) <= 900
    with hub.database.write() as connection:
        connection.execute(update(attempt).values(until=0))
        lengths = []
        for _ in range(5):
            sessions.reserve(connection, "nobody")
        row = connection.execute(select(attempt).where(attempt.c.name == people.tried("nobody"))).one()
        lengths.append((row.until - sessions.now(connection)) // 1_000_000)
        assert 1700 < lengths[0] <= 1800, "the second lock lasts twice as long"
        people.turn(connection, "wang", "active")
    hub.sign_in("wang").close()


def test_tries_at_the_same_time_do_not_slip_by(hub: Desk) -> None:
    hub.person("wang", "operator").close()
    statuses: list[int] = []
    threads = [
        threading.Thread(target=lambda n=n: statuses.append(hub.login("wang", f"wrong-{n}-password").status_code))
        for n in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (statuses.count(401), statuses.count(429)) == (5, 7)


def test_failures_older_than_the_window_do_not_count(hub: Desk) -> None:
    hub.person("wang", "operator").close()
    for n in range(4):
        hub.login("wang", f"wrong-{n}-password")
    with hub.database.write() as connection:
        connection.execute(update(attempt).values(first_at=attempt.c.first_at - 901_000_000))
    assert hub.login("wang", "wrong-4-password").status_code == 401
    hub.sign_in("wang").close()


def test_an_unknown_name_costs_the_same_hash_and_says_the_same(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sqlite.write() as connection:
        people.add(connection, "wang", PASSWORD, ["operator"], initial=False)
        stored = people.by_name(connection, "wang").password
    verified: list[Parameters] = []
    verify = PasswordHasher.verify

    def watched(hasher: PasswordHasher, hash: str, password: str) -> bool:
        verified.append(extract_parameters(hash))
        return verify(hasher, hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    assert [matches(hash, "wrong password here") for hash in (stored, None)] == [False, False]
    assert matches(None, "there is no such account") is False
    assert verified == [extract_parameters(stored)] * 3


def test_refusals_say_nothing_about_the_account(hub: Desk) -> None:
    hub.person("wang", "operator").close()
    hub.person("gone", "operator").close()
    with hub.database.write() as connection:
        people.turn(connection, "gone", "disabled")
    answers = [hub.login("wang", "wrong-password-1"), hub.login("nobody", "wrong-password-1"), hub.login("gone")]
    assert {(answer.status_code, answer.content) for answer in answers} == {(401, answers[0].content)}


def test_a_session_has_a_new_id_a_guarded_cookie_and_ends(hub: Desk) -> None:
    one = hub.person("wang", "operator")
    planted = httpx.post(
        f"{hub.url}/api/v1/login", json={"name": "wang", "password": PASSWORD},
        headers={"Cookie": "__Host-hutong=planted-by-somebody"},
    )  # fmt: skip
    cookie = planted.headers["set-cookie"]
    assert "planted" not in cookie
    assert one.cookie not in cookie
    assert cookie.startswith("__Host-hutong=")
    assert {"HttpOnly", "Path=/", "Secure", "SameSite=lax"} <= set(cookie.split("; "))
    assert one.get("/api/v1/me").json()["name"] == "wang"
    assert one.post("/api/v1/logout").status_code == 200
    assert one.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize(("column", "age_s"), [("seen_at", 1801), ("began_at", 43_201)])
def test_a_session_ends_when_idle_and_in_any_case(hub: Desk, column: str, age_s: int) -> None:
    one = hub.person("wang", "operator")
    assert one.get("/api/v1/me").status_code == 200
    with hub.database.write() as connection:
        connection.execute(update(session).values({column: session.c[column] - age_s * 1_000_000}))
    time.sleep(0.6)
    assert one.get("/api/v1/me").status_code == 401


def test_a_change_of_role_or_state_holds_within_a_second(hub: Desk) -> None:
    one = hub.person("wang", "operator")
    assert one.get("/api/v1/feeds").status_code == 200
    with hub.database.write() as connection:
        people.move(connection, "wang", ["security-administrator"])
    time.sleep(0.6)
    assert one.post("/api/v1/feeds", json={}).status_code == 403
    with hub.database.write() as connection:
        people.turn(connection, "wang", "disabled")
    time.sleep(0.6)
    assert one.get("/api/v1/feeds").status_code == 401


def test_other_sites_pages_change_nothing(hub: Desk) -> None:
    one = hub.person("wang", "operator")
    body = {"code": "P-110000-01", "name": "x"}
    bad = [
        {"Origin": "https://evil.example"}, {"Origin": "null"}, {"Origin": hub.url.replace("127.0.0.1", "127.0.0.1.evil.example")},
        {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"X-CSRF-Token": ""}, {"X-CSRF-Token": "0" * 64},
    ]  # fmt: skip
    for headers in bad:
        answer = one.post("/api/v1/platforms", json=body, headers=headers)
        assert (answer.status_code, answer.json()["kind"]) == (403, "auth.csrf"), headers
    assert one.get("/api/v1/platforms").json()["items"] == []
    assert one.post("/api/v1/platforms", json=body).status_code == 201
    form = one.post(
        "/api/v1/logout", content=f"csrf_token={one.csrf}",
        headers={"X-CSRF-Token": "", "Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    assert form.status_code == 200
    credentials = {"name": "wang", "password": PASSWORD}
    forged = httpx.post(f"{hub.url}/api/v1/login", json=credentials, headers={"Origin": "https://evil.example"})
    assert forged.status_code == 403


def _enrolled(hub: Desk, one: Signed) -> tuple[pyotp.TOTP, list[str]]:
    totp = pyotp.TOTP(one.post("/api/v1/me/second-factor").json()["secret"])
    assert one.post("/api/v1/me/second-factor/confirm", json={"code": "000000x"}).status_code == 422
    codes = one.post("/api/v1/me/second-factor/confirm", json={"code": totp.at(int(time.time()) - 30)}).json()
    return totp, codes["recovery_codes"]


def test_a_second_factor_is_asked_for_and_each_code_counts_once(hub: Desk) -> None:
    totp, recovery = _enrolled(hub, hub.person("wang", "operator"))
    asked = hub.login("wang")
    assert (asked.status_code, asked.json()["kind"]) == (401, "auth.second_factor")
    code = totp.now()
    assert hub.login("wang", code=code).status_code == 200
    assert hub.login("wang", code=code).status_code == 401
    assert hub.login("wang", code="é23456").status_code == 401
    assert len(set(recovery)) == 10
    assert [hub.login("wang", code=recovery[0]).status_code for _ in range(2)] == [200, 401]
    with hub.database.write() as connection:
        stored = bytes(people.by_name(connection, "wang").totp)
        assert totp.secret.encode() not in stored
        people.forget_second_factor(connection, "wang")
    hub.sign_in("wang").close()


def test_where_a_second_factor_is_enforced_nothing_else_works_before(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path, second_factor="staff") as hub:
        vendor = hub.person("chen", Role.VENDOR, platforms=("E-440000-01",))
        assert (vendor.must, vendor.get("/api/v1/feeds").status_code) == ("", 200)
        staff = hub.person("wang", "operator")
        assert (staff.must, staff.get("/api/v1/feeds").status_code) == ("second-factor", 403)
        _enrolled(hub, staff)
        assert staff.get("/api/v1/feeds").status_code == 200


def test_a_first_password_is_changed_before_anything_else(hub: Desk) -> None:
    with hub.database.write() as connection:
        people.add(connection, "wang", PASSWORD, ["operator"])
    one = hub.sign_in("wang")
    assert (one.must, one.get("/api/v1/feeds").status_code) == ("password", 403)
    new = {"old": PASSWORD, "new": "velvet-lantern-rice-14"}
    assert one.post("/api/v1/me/password", json=new | {"new": "hutong123456"}).status_code == 422
    assert one.post("/api/v1/me/password", json=new | {"new": PASSWORD}).status_code == 422
    assert one.post("/api/v1/me/password", json=new | {"old": "wrong-old-one-1"}).status_code == 401
    assert one.post("/api/v1/me/password", json=new).status_code == 200
    assert one.get("/api/v1/me").status_code == 401, "every session has ended"
    again = hub.sign_in("wang", new["new"])
    assert (again.must, again.get("/api/v1/feeds").status_code) == ("", 200)


def test_passwords_age_only_where_the_setting_says_so(sqlite: Database) -> None:
    with sqlite.write() as connection:
        people.add(connection, "wang", PASSWORD, ["operator"], initial=False)
        connection.execute(update(person).values(password_at=person.c.password_at - 91 * 86_400_000_000))
        row, at = people.by_name(connection, "wang"), sessions.now(connection)
    assert sessions._must(row, Settings(), at, "password") == ""
    assert sessions._must(row, Settings(password_days=90), at, "password") == "password"
