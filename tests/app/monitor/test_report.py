"""A month's figures are those of its days, by platform and together, the same whenever they are asked for."""

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from app.access.principal import Principal, Rows
from app.access.scopes import Scope
from app.catalogue.tables import tally
from app.console.pages.reports import report_file
from app.db import Database, now
from app.feeds import service as feeds
from app.harvest.tables import freshness_day, run_day
from app.monitor import objectives, report
from app.monitor.tables import incident
from app.platforms import service as platforms
from app.platforms.tables import platform
from app.protocol.errors import BadRequest
from app.settings import Settings

FIRST, LAST = 20_727, 20_757  # October 2026
NAME = "2026-10"


def _filled(database: Database) -> list[int]:
    """Two platforms of Guangdong and one of Beijing with days inside October 2026, before it and after."""
    with database.write() as connection:
        ids = []
        for code, name in (
            ("P-440000-01", "广东平台"),
            ("C-440300-01", "=HYPERLINK(evil)"),
            ("P-110000-01", "北京平台"),
        ):
            platforms.register(connection, code, name)
            ids.append(feeds.register(connection, platform=code, name="f", connector="ix", config={"base_url": "http://a.cn"}))  # fmt: skip
        days = [(FIRST - 1, 1000), (FIRST, 10), (LAST, 20), (LAST + 1, 5)]
        connection.execute(insert(run_day), [
            {"feed_id": i, "day": day, "runs": 10, "failed": 1, "seen": n * 2, "created": n, "tombstoned": 2, "rejected": 1}
            for i in ids for day, n in days
        ])  # fmt: skip
        connection.execute(insert(freshness_day), [
            {"feed_id": i, "day": FIRST + 3, "changes": 100, "late": late, "late_source": late} for i, late in zip(ids, (5, 6, 0), strict=True)
        ])  # fmt: skip
        connection.execute(
            insert(tally), [{"term": f"platform={code}", "n": 100} for code in ("P-440000-01", "C-440300-01")]
        )
    return ids


def test_a_month_is_the_sum_of_its_days(database: Database) -> None:
    _filled(database)
    with database.read() as connection:
        found = report.report(connection, NAME)
    by_code = {line.key: line for line in found.platforms}
    guangdong = by_code["P-440000-01"]
    assert (guangdong.sums["created"], guangdong.growth, guangdong.sums["rejected"], guangdong.sums["runs"]) == (
        30,
        26,
        2,
        20,
    )
    assert guangdong.records == 97, "live now, less what came after the month"
    assert guangdong.good == 0.9
    assert [(line.key, line.name, line.growth) for line in found.provinces] == [
        ("110000", "1", 26),
        ("440000", "2", 52),
    ]
    assert [line.key for line in found.levels] == ["P", "C"]
    assert (found.whole.growth, found.whole.feeds, found.month.whole) == (78, 3, True)


def test_an_objective_is_met_by_what_was_agreed(database: Database) -> None:
    ids = _filled(database)
    with database.read() as connection:
        found = report.report(connection, NAME)
    assert [(line.key, line.met, line.judged) for line in found.platforms] == [("C-440300-01", 0, 1), ("P-110000-01", 1, 1), ("P-440000-01", 1, 1)]  # fmt: skip
    with database.write() as connection:
        objectives.agree(connection, ids[0], 3600, 990)
    with database.read() as connection:
        again = report.report(connection, NAME).whole
    assert (again.met, again.judged, round(again.in_time or 0, 4)) == (1, 3, 0.9633)


def test_the_table_opens_in_a_spreadsheet_and_runs_nothing(database: Database) -> None:
    _filled(database)
    with database.read() as connection:
        made = report.table(report.report(connection, NAME))
    assert made.startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(io.StringIO(made.decode("utf-8-sig"))))
    assert [row["code"] for row in rows] == ["C-440300-01", "P-110000-01", "P-440000-01"]
    assert rows[0]["name"] == "'=HYPERLINK(evil)"
    assert (rows[2]["in_time_share"], rows[2]["feeds_met"], rows[2]["growth"]) == ("0.9500", "1", "26")


def test_a_partner_sees_its_own_month_only(database: Database) -> None:
    ids = _filled(database)
    told = {"rule": "failing", "blame": "source", "severity": "critical", "feed_count": 1, "detail": "", "seen_at": 0}
    begins = FIRST * 86_400_000_000
    with database.write() as connection:
        connection.execute(insert(incident), [
            {"cause": str(number), "feeds": f"[{number}]", "opened_at": begins, "resolved_at": begins + 1, **told} for number in ids
        ])  # fmt: skip
    who = Principal("key:x", frozenset({Scope.OPS_READ}), Rows(platforms=frozenset({"P-110000-01"})), "P-110000-01")
    with database.acting(who).read() as connection:
        found = report.report(connection, NAME)
    assert [line.key for line in found.platforms] == ["P-110000-01"]
    assert (found.whole.growth, len(found.incidents)) == (26, 1)


@pytest.mark.parametrize("name", ["2026-13", "2026-00", "2026-1", "x", "9999-12", "0000-01"])
def test_what_is_no_month_is_refused(sqlite: Database, name: str) -> None:
    with sqlite.read() as connection, pytest.raises(BadRequest):
        report.report(connection, name)


def test_no_month_is_the_last_whole_one_and_a_coming_one_is_refused(sqlite: Database) -> None:
    with sqlite.read() as connection:
        latest = report.month(connection)
        assert latest.whole
        assert report.month(connection, latest.name) == latest
        with pytest.raises(BadRequest, match="still to come"):
            report.month(connection, "9990-01")
        assert report.month(connection, NAME) == (NAME, FIRST, LAST, now(connection) // 86_400_000_000 > LAST)


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_the_file_for_printing_needs_nothing_else(database: Database, lang: str) -> None:
    from lxml import html

    _filled(database)
    with database.write() as connection:
        connection.execute(update(platform).where(platform.c.code == "P-440000-01").values(name="<script>1</script>"))
    with database.read() as connection:
        made = report_file(report.report(connection, NAME), lang, Settings(data_dir=Path("/nowhere")))
    tree = html.fromstring(made)
    assert tree.xpath("//script | //link | //img | //iframe | //@src | //a[starts-with(@href, 'http')]") == []
    assert "@media print" in tree.xpath("string(//style)")
    assert "<script>1</script>" in tree.xpath("string(//main)")
