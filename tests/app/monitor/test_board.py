"""Everybody sees how platforms stand, and nothing that is the hub's own business; a flood is one look at the database."""

import threading
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, insert, update

from app import schema
from app.db import Database, now
from app.feeds import service as feeds
from app.feeds.tables import feed
from app.harvest.runs import day_of
from app.harvest.tables import run, run_day
from app.main import create
from app.monitor import board
from app.monitor.board import Board, Kind, Word
from app.monitor.tables import incident
from app.platforms import service as platforms
from app.platforms.tables import platform
from app.protocol.errors import NotFound
from app.settings import Settings

SECRETS = ("10.7.7.7", "hunter2", "connect refused", "peer.unavailable", "机房搬迁", "secret-feed", "oai-pmh")


def _hub(database: Database) -> int:
    """Four platforms in differing states, full of what must not leave; the number of the failing feed."""
    with database.write() as connection:
        at, H = now(connection), 3600 * 10**6
        for code in ("P-110000-01", "P-120000-01", "P-130000-01", "E-440000-02"):
            platforms.register(connection, code, f"平台 {code}")
        ids = {
            code: feeds.register(
                connection, platform=code, name="secret-feed", connector="oai-pmh", config={"base_url": "http://10.7.7.7/hunter2"}
            )
            for code in ("P-110000-01", "P-120000-01", "P-130000-01")
        }  # fmt: skip
        good, down = ids["P-110000-01"], ids["P-120000-01"]
        connection.execute(update(feed).where(feed.c.id == good).values(succeeded_at=at - 60 * 10**6, next_at=at + H))
        error = {"error_kind": "peer.unavailable", "error": "10.7.7.7 connect refused"}
        ended = {"job": "harvest", "started_at": at - 9 * 10**6, "ended_at": at}
        connection.execute(insert(run), [{"feed_id": good, "status": "done", **ended}])
        connection.execute(insert(run), [{"feed_id": down, "status": "failed", **ended, **error}])
        connection.execute(update(feed).where(feed.c.id == down).values(attempts=7))
        platforms.transition(connection, "P-130000-01", "suspended", "机房搬迁")
        today = day_of(at)
        connection.execute(insert(run_day), [
            {"feed_id": good, "day": today - 1, "runs": 4, "failed": 0, "rejected": 77, "held": 9, "seen": 86},
            {"feed_id": down, "day": today - 1, "runs": 4, "failed": 4, "rejected": 0, "held": 0, "seen": 0},
            {"feed_id": down, "day": today - 60, "runs": 4, "failed": 1, "rejected": 0, "held": 0, "seen": 4},
        ])  # fmt: skip
        told = {"severity": "critical", "feed_count": 1, "detail": "10.7.7.7 connect refused", "seen_at": at}
        connection.execute(insert(incident), [
            {"cause": "host:10.7.7.7", "open_cause": "host:10.7.7.7", "rule": "failing", "blame": "source", "feeds": f"[{down}]", "opened_at": at - H, "resolved_at": None, **told},
            {"cause": "refused:x", "open_cause": None, "rule": "refused", "blame": "source", "feeds": f"[{good}]", "opened_at": at - H, "resolved_at": at, **told},
            {"cause": "old", "open_cause": None, "rule": "failing", "blame": "hub", "feeds": "[]", "opened_at": at - 900 * H, "resolved_at": at - 899 * H, **told},
        ])  # fmt: skip
    return down


def test_each_platform_is_one_word_with_its_days(database: Database) -> None:
    _hub(database)
    with database.read() as connection:
        found = board.bulletin(connection)
    words = {code: one.word for code, one in found.platforms.items()}
    assert words == {
        "P-120000-01": Word.INTERRUPTED, "P-110000-01": Word.IN_STEP, "P-130000-01": Word.PAUSED, "E-440000-02": Word.NOT_OPEN,
    }  # fmt: skip
    assert next(iter(found.platforms)) == "P-120000-01", "the worst first"
    days = {code: [cell.outcome.value for cell in one.cells] for code, one in found.platforms.items()}
    assert [days[code][-2] for code in ("P-110000-01", "P-120000-01")] == ["good", "failed"]
    assert all(len(cells) == board.STRIP_DAYS for cells in days.values())
    assert [(one.kind, one.platforms, one.resolved_at) for one in found.incidents] == [(Kind.SOURCE, ["P-120000-01"], None)]  # fmt: skip


def test_the_plate_of_a_platform_has_90_days_and_its_share_of_good_runs(database: Database) -> None:
    _hub(database)
    made = Board(database).plate("P-120000-01")
    assert len(made.cells) == board.LONG_DAYS
    assert (made.cells[-61].outcome.value, made.good) == ("mixed", 3 / 8)
    with pytest.raises(NotFound):
        Board(database).plate("P-999999-01")


def test_nothing_that_is_not_declared_leaves(tmp_path: Path) -> None:
    with _client(tmp_path) as client:
        _hub(client.app.state.database)  # type: ignore[attr-defined]
        for path in ("/status", "/status.json", "/status/P-120000-01", "/status/P-120000-01/status.json",
                     "/status/P-130000-01", "/status/P-120000-01/badge.svg", "/status/P-110000-01/status.json"):  # fmt: skip
            for lang in ("zh-CN", "en"):
                client.cookies.set("lang", lang)
                answer = client.get(path)
                assert answer.status_code == 200, path
                assert [word for word in (*SECRETS, "77") if word in answer.text] == [], path
        items = client.get("/status.json").json()["items"]
    shown = {"code", "name", "level", "province", "status", "records", "succeeded_at", "days"}
    assert [set(item) for item in items] == [shown] * 4


def test_a_platform_that_is_no_member_yet_is_not_shown(database: Database) -> None:
    _hub(database)
    with database.write() as connection:
        connection.execute(update(platform).where(platform.c.code == "E-440000-02").values(state="applied"))
    with database.read() as connection:
        assert "E-440000-02" not in board.bulletin(connection).platforms


def test_a_flood_of_visitors_is_one_look_at_the_database(tmp_path: Path) -> None:
    with _client(tmp_path) as client:
        database: Database = client.app.state.database  # type: ignore[attr-defined]
        _hub(database)
        client.get("/status")
        client.get("/status/P-110000-01")
        statements = []
        event.listen(database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        flood = [threading.Thread(target=client.get, args=(path,)) for path in ("/status", "/status?level=P", "/status.json", "/status/P-110000-01", "/status/P-110000-01/badge.svg") * 20]  # fmt: skip
        for visitor in flood:
            visitor.start()
        for visitor in flood:
            visitor.join()
    looks = [text for text in statements if any(f"FROM {name}" in text for name in ("run_day", "feed", "platform"))]
    hourly = ("completeness", "platform.reason")  # the clerk's round is nobody's visit
    assert [text for text in looks if not any(word in text for word in hourly)] == []


def test_a_database_that_is_gone_leaves_the_last_bulletin(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'hub.db'}")
    schema.upgrade(database)
    _hub(database)
    shown = Board(database, fresh_s=0)
    first = shown.bulletin()
    with database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE feed RENAME TO away")
    assert shown.bulletin() is first
    database.close()


def _client(folder: Path, **more: Any) -> TestClient:
    settings = Settings(data_dir=folder, **more)
    schema.upgrade(Database(settings.url))
    return TestClient(create(settings, harvest=False), headers={"accept": "text/html"})


def test_the_badge_is_a_picture_of_the_word_in_both_languages(tmp_path: Path) -> None:
    from lxml import etree

    with _client(tmp_path) as client:
        _hub(client.app.state.database)  # type: ignore[attr-defined]
        answers = {lang: client.get(f"/status/P-120000-01/badge.svg?lang={lang}") for lang in ("zh-CN", "en", "xx", "")}
        again = client.get("/status/P-120000-01/badge.svg", headers={"if-none-match": answers[""].headers["etag"]})
        assert client.get("/status/P-999999-99/badge.svg").status_code == 404
    names = {lang: etree.fromstring(a.content).get("aria-label") for lang, a in answers.items()}
    assert names == {"zh-CN": "互通: 中断", "en": "Hutong: Interrupted", "xx": "互通: 中断", "": "互通: 中断"}
    assert answers["en"].headers["content-type"] == "image/svg+xml"
    assert answers["en"].headers["cache-control"] == "public, max-age=300"
    assert answers["en"].headers["cross-origin-resource-policy"] == "cross-origin"
    assert (again.status_code, again.content) == (304, b"")


def test_a_visitors_page_may_be_kept_and_a_members_may_not(tmp_path: Path) -> None:
    with _client(tmp_path) as client:
        _hub(client.app.state.database)  # type: ignore[attr-defined]
        first, second = client.get("/status"), client.get("/status")
        chosen = client.get("/status?lang=en")
    assert first.headers["cache-control"] == second.headers["cache-control"] == "public, max-age=30"
    assert first.text == second.text
    assert "cookie" in first.headers["vary"].lower()
    assert chosen.headers["cache-control"] == "no-store"
    with _client(tmp_path / "open", anonymous_scopes="catalogue:read ops:read") as client:
        assert client.get("/status").headers["cache-control"] == "no-store"


def test_the_status_is_for_signed_in_people_when_switched_off(tmp_path: Path) -> None:
    with _client(tmp_path, public_status=False) as client:
        assert [client.get(p).status_code for p in ("/status", "/status.json", "/status/P-110000-01/badge.svg")] == [401] * 3  # fmt: skip
