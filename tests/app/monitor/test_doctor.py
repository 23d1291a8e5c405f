"""The doctor says why each feed waits, and what is wrong with the hub."""

from pathlib import Path

import pytest
from sqlalchemy import text, update

from app.catalogue.tables import position
from app.db import Database, now
from app.feeds import leases
from app.feeds.tables import feed
from app.harvest import runs
from app.monitor import doctor
from app.monitor.tables import watch
from app.platforms import service as platforms
from app.protocol.errors import PeerUnavailable
from app.settings import Settings
from tests.commands import hutong
from tests.hub import Hub

pytestmark = pytest.mark.usefixtures("as_in_production")
HOUR = 3_600_000_000


def _settings(database: Database, folder: Path, **more: object) -> Settings:
    url = database.url.render_as_string(hide_password=False)
    return Settings(data_dir=folder, database_url=url, **more)  # type: ignore[arg-type]


def test_each_feed_says_why_it_waits_and_until_when(database: Database) -> None:
    hub = Hub(database)
    hosts = ["due", "parked", "late", "soon", "busy", "busy", "busy", "off", "out"]
    numbers = [hub.feed("ix", {"base_url": f"http://{h}.cn"}, f"C-4401{n:02d}-01") for n, h in enumerate(hosts)]
    with database.write() as connection:
        at = now(connection)
        leases.park(connection, "parked.cn", 3600)
        runs.end(connection, runs.begin(connection, numbers[2], "harvest"), PeerUnavailable("503"))
        for number, values in {
            numbers[2]: {"attempts": 2, "next_at": at + HOUR},
            numbers[3]: {"next_at": at + HOUR, "succeeded_at": at},
            numbers[7]: {"state": "paused"},
        }.items():
            connection.execute(update(feed).where(feed.c.id == number).values(values))
        for number in numbers[4:6]:
            leases.claim(connection, number, "worker-7", 60)
        platforms.transition(connection, "C-440108-01", "suspended", "合同到期")
        found = {wait.feed: wait for wait in doctor.waits(connection)}
    words = [found[number].why for number in numbers]
    assert words == [
        "due", "parked", "backoff", "not due", "running", "running", "host limit", "paused", "platform suspended",
    ]  # fmt: skip
    by = dict(zip(hosts, (found[number] for number in numbers), strict=True))
    assert "failure 2 in a row: peer.unavailable: 503" in by["late"].detail
    assert "worker-7" in found[numbers[4]].detail
    assert by["out"].detail == "合同到期"
    for name in ("parked", "late", "soon"):
        assert at + HOUR - 60_000_000 < (by[name].until or 0) <= at + HOUR + 60_000_000


def _unsynced(database: Database) -> set[str]:
    """The tests' own PostgreSQL waits for no disk (tests/conftest.py): a finding, and rightly."""
    if database.sqlite:
        return set()
    with database.read() as connection:
        return {"database.durable"} if connection.execute(text("SHOW fsync")).scalar_one() == "off" else set()


def test_a_hub_in_order_is_good(database: Database, tmp_path: Path) -> None:
    found = doctor.examine(database, _settings(database, tmp_path))
    assert {check["check"] for check in found["checks"] if not check["good"]} == _unsynced(database)
    assert found["good"] is not bool(_unsynced(database))
    assert {"database.schema", "database.durable", "clock", "disk", "workers", "alerts"} <= {
        check["check"] for check in found["checks"]
    }


def test_what_is_wrong_is_named_with_a_remedy(database: Database, tmp_path: Path) -> None:
    hub = Hub(database)
    number = hub.feed("ix", {"base_url": "http://a.cn"})
    with database.write() as connection:
        at = now(connection)
        runs.end(connection, runs.begin(connection, number, "harvest"), PeerUnavailable("503"))
        connection.execute(update(feed).values(next_at=at - HOUR))
        connection.execute(update(position).where(position.c.name == "at").values(value=at + HOUR))
        connection.execute(watch.insert(), {"name": "alerts", "until": 0, "done_at": at - HOUR})
    wrong = {"fetch_allow": "0.0.0.0/0", "secret_key": "short"}
    found = doctor.examine(database, _settings(database, tmp_path, **wrong))
    bad = {check["check"]: check["remedy"] for check in found["checks"] if not check["good"]}
    wanted = {"clock", "workers", "feeds", "alerts", "settings.fetch_allow", "settings.secret_key"}
    assert set(bad) == wanted | _unsynced(database)
    assert all(bad.values())
    assert found["good"] is False


def test_an_allow_list_that_cannot_be_read_is_named(sqlite: Database, tmp_path: Path) -> None:
    found = doctor.examine(sqlite, _settings(sqlite, tmp_path, fetch_allow="10.0.0.0/99"))
    assert [check["check"] for check in found["checks"] if not check["good"]] == ["settings.fetch_allow"]


@pytest.mark.parametrize("kind", ["empty", "unreachable", "no database"])
def test_a_database_that_is_not_ready_is_a_finding_and_no_traceback(tmp_path: Path, kind: str) -> None:
    if kind == "empty":
        (tmp_path / "hub.db").touch()
    if kind == "no database":
        (tmp_path / "hub.db").write_bytes(b"this is no database at all, whatever its name says" * 100)
    url = "postgresql+psycopg://u:secret@127.0.0.1:9/x" if kind == "unreachable" else f"sqlite:///{tmp_path / 'hub.db'}"
    database = Database(url)
    found = doctor.examine(database, Settings(data_dir=tmp_path, database_url=url))
    database.close()
    assert found["good"] is False
    assert found["checks"][-1]["check"] == ("database.schema" if kind == "empty" else "database.reach")
    assert "secret" not in repr(found)


def test_a_database_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'mistyped' / 'hub.db'}"
    database = Database(url)
    found = doctor.examine(database, Settings(data_dir=tmp_path, database_url=url))
    database.close()
    (check,) = found["checks"]
    assert (found["good"], check["check"], str(tmp_path / "mistyped") in check["found"]) == (
        False,
        "database.reach",
        True,
    )
    assert "hutong init" in check["found"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["doctor"], ["feed", "list"], ["key", "list"], ["audit", "verify"]])
def test_no_command_but_init_makes_a_database(tmp_path: Path, command: list[str]) -> None:
    done = hutong(*command, HUTONG_DATA_DIR=str(tmp_path / "mistyped"))
    said = "".join((done.stdout + done.stderr).split())  # tables break lines anywhere
    assert (done.returncode, "thereisnodatabase" in said) == (1, True), said
    assert not (tmp_path / "mistyped" / "hutong.db").exists()
