"""The metrics page: bounded, the same from every process, and what the dashboard asks for."""

import re
from pathlib import Path

import orjson
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from app.access.keyring import Keyring
from app.db import Database
from app.harvest import runs
from app.main import create
from app.monitor import alert_routes, incidents
from app.monitor.causes import Cause, Rule
from app.monitor.metrics import Counts, Metrics
from app.protocol.errors import PeerUnavailable
from app.settings import Settings
from tests.app.monitor.test_objectives import _ago, _harvested_twice
from tests.hub import Hub

ROOT = Path(__file__).resolve().parents[3]
DASHBOARD = ROOT / "docs" / "grafana" / "hutong.json"


def _samples(page: bytes) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(page.decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def _lively(database: Database) -> int:
    """A hub on which everything that is measured has happened."""
    number = _harvested_twice(database, _ago(100), 120, PeerUnavailable("503"))
    with database.write() as connection:
        alert_routes.add(
            connection, Keyring([b"test"]), name="duty", kind="wecom", url="https://bot.example/send?key=hush"
        )
        incidents.reconcile(connection, [Cause("held:1", Rule.HELD, "source", "x", (1,))], 0)
    return number


def test_the_page_counts_runs_lags_and_blame(database: Database, tmp_path: Path) -> None:
    _lively(database)
    found = _samples(Metrics(database, tmp_path, Counts()).page())
    assert found["hutong_records"] == {(): 60}
    assert found["hutong_runs_total"][("blame", "none"), ("job", "harvest"), ("status", "done")] == 2
    assert found["hutong_runs_total"][("blame", "source"), ("job", "harvest"), ("status", "failed")] == 3
    assert found["hutong_changes_late_total"] == {(("blame", "source"),): 10}
    lags = found["hutong_change_lag_seconds_bucket"]
    assert [lags[("le", bound),] for bound in ("3600", "7200", "+Inf")] == [0, 10, 10]
    assert found["hutong_change_lag_seconds_count"] == {(): 10}
    assert found["hutong_incidents"] == {(("rule", "held"), ("severity", "decision")): 1}
    assert found["hutong_notices"] == {(("state", "pending"),): 1}
    assert found["hutong_objective_feeds"][("standing", "spent"),] == 1
    assert found["hutong_database_bytes"][()] > 0


def test_labels_are_bounded_whatever_the_number_of_feeds(sqlite: Database, tmp_path: Path) -> None:
    def lines() -> int:
        return len(Metrics(sqlite, tmp_path, Counts()).page().splitlines())

    hub, before = Hub(sqlite), lines()
    for n in range(30):
        hub.feed("ix", {"base_url": f"http://h{n}.example"}, f"C-4401{n:02d}-01")
    with sqlite.write() as connection:
        for n in range(1, 31):
            runs.end(connection, runs.begin(connection, n, "harvest"), PeerUnavailable("x"))
    page = Metrics(sqlite, tmp_path, Counts()).page()
    assert lines() == before + 1, "thirty feeds that failed for one reason are one more line"
    assert b"C-4401" not in page
    assert b"h7.example" not in page


def test_two_processes_tell_the_same_requests(database: Database, tmp_path: Path) -> None:
    url = database.url.render_as_string(hide_password=False)
    settings = Settings(
        data_dir=tmp_path, database_url=url, secret_key="k" * 32, anonymous_scopes="catalogue:read ops:read"
    )
    with TestClient(create(settings, harvest=False)) as one, TestClient(create(settings, harvest=False)) as other:
        for client, times in ((one, 3), (other, 2)):
            for n in range(times):
                client.get(f"/api/v1/feeds/{n + 1000}")
                client.get(f"/nothing/{n}")
                client.request("BREW", "/healthz")
        one.get("/metrics")
        found = _samples(other.get("/metrics").content)["hutong_http_requests_total"]
    assert found[("method", "GET"), ("route", "/api/v1/feeds/{feed_id}"), ("status", "404")] == 5
    assert found[("method", "GET"), ("route", "other"), ("status", "404")] == 5
    assert found[("method", "other"), ("route", "/healthz"), ("status", "405")] == 5


def test_a_page_is_read_once_for_many_scrapers(sqlite: Database, tmp_path: Path) -> None:
    kept, fresh = Metrics(sqlite, tmp_path, Counts()), Metrics(sqlite, tmp_path, Counts(), cache_s=0)
    first, again = kept.page(), fresh.page()
    Hub(sqlite).feed("ix", {"base_url": "http://a.example"})
    assert kept.page() == first
    assert fresh.page() != again


def test_a_count_that_could_not_be_written_is_not_lost(sqlite: Database, tmp_path: Path) -> None:
    counts = Counts()
    counts.one({"method": "GET"}, 200)
    gone = Database(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(Exception, match="there is no database"):
        counts.flush(gone)
    gone.close()
    counts.flush(sqlite)
    counts.flush(sqlite)
    found = _samples(Metrics(sqlite, tmp_path, Counts()).page())["hutong_http_requests_total"]
    assert list(found.values()) == [1]


def test_every_metric_of_the_dashboard_exists(sqlite: Database, tmp_path: Path) -> None:
    _lively(sqlite)
    counts = Counts()
    counts.one({"method": "GET"}, 200)
    there = set(_samples(Metrics(sqlite, tmp_path, counts).page()))
    dashboard = orjson.loads(DASHBOARD.read_bytes())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    named = {name for expression in asked for name in re.findall(r"\bhutong_[a-z_]+", expression)}
    assert named - there == set()
    assert len(named) >= 15
    assert all(panel["title"] for panel in dashboard["panels"])


def test_every_metric_is_documented(sqlite: Database, tmp_path: Path) -> None:
    _lively(sqlite)
    text = (ROOT / "docs" / "monitoring.md").read_text()
    families = text_string_to_metric_families(Metrics(sqlite, tmp_path, Counts()).page().decode())
    assert [family.name for family in families if f"`{family.name}" not in text] == []
