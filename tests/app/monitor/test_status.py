"""What the monitor reads, on both databases."""

from pathlib import Path

import orjson

from app.console.pages import lists, members, wall, work
from app.db import Database, now
from app.demo.catalogue import DemoPlatform
from app.demo.faces import face
from app.harvest import queries, runs
from app.harvest.runs import day_of
from app.monitor import days, status
from app.monitor.days import Outcome
from app.monitor.figures import numbers
from app.monitor.states import State
from app.monitor.system import pulse, system
from app.protocol.errors import PeerUnavailable
from tests.hub import Hub
from tests.peers.replay import ReplayServer


def _filled(database: Database) -> tuple[Hub, int, int]:
    """A feed with four refusals of 450 and one that cannot be reached."""
    hub = Hub(database)
    with ReplayServer(face(DemoPlatform("P-440000-01", "广东平台", "ix", "bad records", 450))) as url:
        good = hub.feed("ix", {"base_url": url})
        hub.harvest(good)
    bad = hub.feed("ix", {"base_url": "http://127.0.0.1:9"}, platform="E-110000-01")
    with database.write() as connection:
        runs.end(connection, runs.begin(connection, bad, "harvest"), PeerUnavailable("nobody there"))
    return hub, good, bad


def test_standings_groups_and_figures_agree(database: Database) -> None:
    _, good, bad = _filled(database)
    with database.read() as connection:
        found = status.standings(connection)
        figures = numbers(connection)
        document = orjson.loads(orjson.dumps(status.document(connection)))
    assert [(one.feed, one.state) for one in found] == [(bad, State.FAILING), (good, State.HEALTHY)]
    assert [g.key for g in status.grouped(found, "level")] == ["E", "P"]
    assert (figures["records"], figures["rejected"], figures["rejected_today"], figures["changed_24h"]) == (
        446,
        4,
        4,
        446,
    )
    assert document["items"][0]["error"]["kind"] == "peer.unavailable"
    assert document["groups"]["level"][0]["states"] == {"failing": 1}


def test_a_day_is_the_sum_of_its_runs(database: Database) -> None:
    _, good, bad = _filled(database)
    with database.read() as connection:
        today = day_of(now(connection))
        strips = days.strips(connection, today, 14, ["P-440000-01", "E-110000-01", "P-110000-01"])
        both = days.strip(connection, today, 14, [good, bad])
        (total,) = days.totals(connection, today, 14, [good, bad])
    assert {code: cells[-1].outcome for code, cells in strips.items()} == {
        "P-440000-01": Outcome.REFUSED, "E-110000-01": Outcome.FAILED, "P-110000-01": Outcome.NONE,
    }  # fmt: skip
    assert (both[-1].outcome, both[-1].runs, both[-1].seen) == (Outcome.MIXED, 2, 450)
    assert (total["created"], total["rejected"], total["failed"]) == (446, 4, 1)
    assert len(both) == 14


def test_reads_for_people_answer_on_both_databases(database: Database, tmp_path: Path) -> None:
    _, good, bad = _filled(database)
    with database.read() as connection:
        (group,) = queries.by_rule(connection)
        assert (group["rule"], group["feed_id"], group["n"]) == ("text.control", good, 4)
        assert len(queries.refusals(connection, rule="text.control", feed_id=good, before=None, limit=3)) == 3
        assert work.refusal(connection, group["sample"])["shown"]["found"]
        assert [r["run"] for r in work.run_list(connection, work.RunFilter(status="failed"))["runs"]] == [2]
        assert work.run(connection, 1)["run"]["seen"] == 450
        assert members.platform(connection, "P-440000-01")["trend"]["rejected"] == 4
        assert members.feed(connection, bad)["one"].state is State.FAILING
        assert [row.code for row in lists.heat(connection, lists.Narrowing(level="E"))["rows"]] == ["E-110000-01"]
        assert len(wall.wall(connection, "")["tiles"]) == 1
        assert system(connection, tmp_path)["database"]["bytes"] > 0


def test_the_pulse_changes_with_what_is_stored_and_only_then(database: Database) -> None:
    _, good, _ = _filled(database)
    with database.read() as connection:
        before, again = pulse(connection), pulse(connection)
    with database.write() as connection:
        runs.begin(connection, good, "harvest")
    with database.read() as connection:
        assert before == again != pulse(connection)
