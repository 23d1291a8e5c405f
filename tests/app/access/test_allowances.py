"""What a platform may have in the hub: feeds, records, uploaded bytes, kept refusals; others are not touched by it."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from app.access.quotas import Quotas
from app.db import Database
from app.feeds import service as feeds
from app.feeds import uploads
from app.feeds.tables import upload
from app.harvest import runs
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.harvest.tables import rejection
from app.harvest.worker import harvest_now
from app.protocol.errors import QuotaExceeded, QuotaFull, TooLarge
from tests.app.access.desk import desk
from tests.hub import Hub

CONFIG = {"file": {"format": "csv", "id_columns": ["id"]}}
MAPPING = {"version": 1, "fields": {"title": {"path": "title"}, "languages": {"constant": ["zh-Hans"]}}}
ONE, OTHER = "P-440000-01", "P-110000-01"


def _csv(first: int, last: int) -> bytes:
    return "\n".join(["id,title", *(f"{n},第{n}课" for n in range(first, last + 1))]).encode()


def _given(database: Database, folder: Path, feed: int, content: bytes, quota: int = 1 << 30) -> dict[str, Any]:
    staged = uploads.staged(folder, [content], 1 << 20)
    try:
        with database.write() as connection:
            return uploads.keep(connection, folder, staged, feed, "x.csv", quota)
    finally:
        staged.path.unlink(missing_ok=True)


@contextmanager
def _engine(database: Database, folder: Path, quotas: Quotas) -> Iterator[Engine]:
    with closing(Fetcher()) as fetcher:
        yield Engine(database, fetcher, (50, 0.05), files=folder, quotas=quotas)


def test_a_platform_has_so_many_feeds_and_retired_ones_do_not_count(database: Database) -> None:
    hub = Hub(database)
    first = hub.feed("upload", CONFIG, ONE, quota=2)
    hub.feed("upload", CONFIG, ONE, quota=2)
    with pytest.raises(QuotaFull):
        hub.feed("upload", CONFIG, ONE, quota=2)
    hub.feed("upload", CONFIG, OTHER, quota=2)
    with database.write() as connection:
        feeds.transition(connection, first, "retired")
    hub.feed("upload", CONFIG, ONE, quota=2)


def test_over_http_the_setting_holds(sqlite: Database, tmp_path: Path) -> None:
    with (
        desk(sqlite, tmp_path, quota_feeds=1, quota_upload_bytes=40) as hub,
        hub.key_client(hub.platform(ONE)) as client,
    ):
        body = {"platform": ONE, "name": "n", "connector": "upload", "config": CONFIG}
        made = client.post("/api/v1/feeds", json=body)
        full = client.post("/api/v1/feeds", json=body)
        assert (made.status_code, full.status_code, full.json()["kind"]) == (201, 409, "quota.full")
        address = f"/api/v1/feeds/{made.json()['id']}/files"
        answers = [client.post(address, content=_csv(1, 1)) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert 86_000 < int(answers[2].headers["retry-after"]) <= 86_400
        assert answers[2].headers["ratelimit-limit"] == "40"
        assert client.post(address, content=_csv(1, 9)).status_code == 413


def test_a_run_beyond_the_records_of_its_platform_fails_and_loses_nothing(database: Database, tmp_path: Path) -> None:
    hub = Hub(database)
    one = hub.feed("upload", CONFIG, ONE, mapping=MAPPING)
    two = hub.feed("upload", CONFIG, ONE, mapping=MAPPING)
    other = hub.feed("upload", CONFIG, OTHER, mapping=MAPPING)
    with _engine(database, tmp_path, Quotas(records=30)) as engine:
        for feed, last in ((one, 20), (two, 20), (other, 20)):
            _given(database, tmp_path, feed, _csv(1, last))
        reports = [harvest_now(engine, feed, "harvest") for feed in (one, two, other)]
        assert [report["status"] for report in reports] == ["done", "failed", "done"]
        assert reports[1]["error"]["kind"] == "quota.full"
        assert hub.live() == 40
        _given(database, tmp_path, two, _csv(1, 10))
        assert harvest_now(engine, two, "harvest")["created"] == 10
        changed = _csv(1, 20).replace("第1课".encode(), "第一课".encode())
        _given(database, tmp_path, one, changed)
        assert harvest_now(engine, one, "harvest")["changed"] == 1, "what is there may change at the limit"
    hub.check()


def test_uploaded_bytes_of_a_day_are_bounded_over_all_feeds_of_a_platform(database: Database, tmp_path: Path) -> None:
    hub = Hub(database)
    one, two, other = (hub.feed("upload", CONFIG, code) for code in (ONE, ONE, OTHER))
    size = len(_csv(1, 9))
    _given(database, tmp_path, one, _csv(1, 9), 2 * size)
    _given(database, tmp_path, two, _csv(1, 9), 2 * size)
    with pytest.raises(QuotaExceeded) as refusal:
        _given(database, tmp_path, one, _csv(2, 2), 2 * size)
    assert 86_300 < refusal.value.wait_s <= 86_400
    with pytest.raises(TooLarge):
        _given(database, tmp_path, one, _csv(1, 9), size - 1)
    _given(database, tmp_path, other, _csv(1, 9), 2 * size)
    with database.write() as connection:
        connection.execute(
            update(upload).where(upload.c.feed_id == one).values(uploaded_at=upload.c.uploaded_at - 86_400_000_001)
        )
    _given(database, tmp_path, one, _csv(2, 2), 2 * size)


def test_kept_refusals_are_bounded_and_all_are_counted(database: Database, tmp_path: Path) -> None:
    hub = Hub(database)
    feed = hub.feed("upload", CONFIG, ONE, mapping=MAPPING)
    lines = ["id,title", *(f"{n},{'' if n % 4 == 0 else f'第{n}课'}" for n in range(1, 101))]
    with _engine(database, tmp_path, Quotas(rejections=10)) as engine:
        _given(database, tmp_path, feed, "\n".join(lines).encode())
        report = harvest_now(engine, feed, "harvest")
        assert (report["created"], report["rejected"]) == (75, 25)
        with database.read() as connection:
            assert connection.execute(select(func.count()).select_from(rejection)).scalar_one() == 10
            assert len(runs.rejections(connection, feed)) == 10
    hub.check()
