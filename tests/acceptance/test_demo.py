"""`hutong demo` as a visitor runs it, and its platforms one by one: every kind is read, and the sums add up."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from app.db import Database
from app.demo import show
from app.demo.catalogue import DemoPlatform, records
from app.demo.faces import FACES, described, face
from app.demo.federation import MEMBERS, platforms
from app.harvest.discovery import configured, kinds
from app.protocol.errors import BadRequest
from tests.hub import Hub
from tests.peers.replay import ReplayServer

ROOT = Path(__file__).resolve().parents[2]
FORMS = [("oai-pmh", form) for form in ("oai_dc", "lom", "mods", "marcxml")] + [("csv", "gb18030"), ("csv", "utf-8")]
READ = FORMS + [(kind, "") for kind in FACES if kind not in ("oai-pmh", "csv", "upload")]


def test_forty_platforms_are_harvested_and_every_sum_adds_up(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "app.cli",
        "demo",
        "--once",
        "--json",
        "--port",
        "0",
        "--dir",
        str(tmp_path / "demo"),
    ]
    done = subprocess.run(
        [*command, "--records", "4000"],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    sums = json.loads(done.stdout)
    assert (done.returncode, sums["adds_up"], sums["platforms"], sums["kinds"]) == (0, True, 40, len(kinds()))
    down = next(platform.records for platform in platforms(40, 4000) if platform.fault == "down")
    assert (sums["offered"], sums["unread"], [error["kind"] for error in sums["failed"]]) == (
        4000,
        down,
        ["peer.unavailable"],
    )
    assert sums["created"] + sums["rejected"] == 4000 - down
    assert [change["count"] for change in sums["held_changes"]] == [sums["held"]]


@pytest.mark.parametrize(("kind", "form"), READ)
def test_every_kind_is_read_whole_and_nothing_is_new_the_second_time(sqlite: Database, kind: str, form: str) -> None:
    hub, platform = Hub(sqlite), DemoPlatform("P-650000-01", "新疆平台", kind, None, 60, form)
    with ReplayServer(face(platform)) as url:
        told = described(platform, url)
        config = configured(kind, told["config"]).model_dump(mode="json", exclude_none=True)
        feed = hub.feed(kind, config, platform=platform.code, mapping=told["mapping"])
        first, second = hub.harvest(feed), hub.harvest(feed, "full")
    assert (first["created"], first["rejected"], first["error"]) == (60, 0, None)
    assert (second["created"], second["changed"], second["held"], second["tombstoned"]) == (0, 0, 0, 0)


def test_every_kind_and_fault_is_among_the_members() -> None:
    assert {member.kind for member in MEMBERS} == set(FACES) == set(kinds())
    assert {member.fault for member in MEMBERS} == {None, "bad records", "throttled", "truncated", "vanishes", "down"}
    assert len({member.code for member in MEMBERS}) == 40
    assert {member.form for member in MEMBERS} >= {form for _, form in FORMS}
    assert sum(platform.records for platform in platforms(40, 20_000)) == 20_000


def test_titles_name_a_lesson_of_the_right_grade_and_some_are_bilingual() -> None:
    made = list(records(DemoPlatform("P-650000-01", "新疆平台", "ix", None, 300)))
    prose = [record for record in made if "《背影》" in record["title"]]
    assert {(record["grade"][0], record["subject"], record["edition"]) for record in prose} <= {
        ("J2", "13", "tongbian")
    }
    assert 20 < sum("ug" in record["languages"] for record in made) < 150


def test_a_folder_that_no_demonstration_made_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(BadRequest, match="no demonstration's"):
        show._emptied(tmp_path)
    assert (tmp_path / "thesis.doc").exists()
    show._emptied(tmp_path / "new")
    (tmp_path / "new" / "hutong.db").touch()
    show._emptied(tmp_path / "new")
    assert not (tmp_path / "new" / "hutong.db").exists()


def test_a_port_that_is_taken_is_said_before_anything_is_deleted() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(BadRequest, match="--port"):
            show._listener(other.getsockname()[1])
