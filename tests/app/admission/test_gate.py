"""What passes and what waits: policies, repeats, changes that matter, what sources take back."""

from typing import Any

import pytest

from app.admission.policy import Policies, Policy, level_of, seen_at
from app.db import Database
from app.harvest.engine import Engine
from app.harvest.prepare import prepared
from app.harvest.worker import harvest_now
from app.protocol.errors import BadRequest
from tests.app.admission.desk import CODE, Desk, desk, id_of


def _title(number: int, new: str) -> Any:
    """Gives one record another title (`dc:title`), found behind its identifier."""
    return _edit(number, b"<dc:title>", new)


def _edit(number: int, tag: bytes, new: str) -> Any:
    def edit(body: bytes) -> bytes:
        at = body.find(f"example:{number:06d}".encode())
        start = body.find(tag, at)
        if at < 0 or start < 0:
            return body
        end = body.find(b"<", start + len(tag))
        return body[: start + len(tag)] + new.encode() + body[end:]

    return edit


def test_without_a_policy_everything_is_admitted_and_nothing_is_kept_twice(database: Database) -> None:
    with desk(database) as at:
        report = at.again()
    assert (report["created"], report["held"], at.live()) == (30, 0, 30)
    assert [at.kept(state) for state in ("waiting", "public")] == [[], []]


def test_what_waits_is_counted_as_held_once_and_has_no_position(database: Database) -> None:
    with desk(database) as at:
        at.policy(platform=CODE, mode="every")
        first, second = at.again(), at.again()
    assert (first["status"], first["seen"], first["held"], first["created"]) == ("held", 30, 30, 0)
    assert (second["status"], second["seen"], second["unchanged"], second["held"]) == ("done", 30, 30, 0)
    assert (at.live(), at.head(), len(at.kept())) == (0, 0, 30)


def test_a_repeat_of_what_is_kept_back_is_not_parsed(sqlite: Database) -> None:
    parsed: list[int] = []

    def counted(source: Any, entries: Any, context: bytes) -> Any:
        parsed.append(len(entries))
        return lambda: prepared(source, entries, context)

    with desk(sqlite) as at:
        at.policy(mode="every")
        at.again()
        with at.engine() as engine:
            harvest_now(Engine(sqlite, engine.fetcher, (50, 0.05), counted), at.feed_id, "full")
    assert sum(parsed) == 0


def test_a_policy_of_one_kind_lets_the_others_through(database: Database) -> None:
    with desk(database) as at:
        at.policy(platform=CODE, kind="courseware", mode="every")
        report = at.again()
        kinds = {kind for row in at.waiting() for kind in row["record"]["type"]}
    assert kinds == {"courseware"}
    assert report["created"] + report["held"] == 30
    assert report["created"] > 0


def test_a_sample_is_the_same_every_time_and_about_as_large_as_asked(sqlite: Database) -> None:
    with desk(sqlite, 600) as at:
        at.policy(mode="sample", percent=20)
        report = at.again()
        drawn = at.kept()
        at.edit = lambda body: body.replace(b"<dc:date>202", b"<dc:date>201")
        at.again()
        assert at.kept() == drawn
    assert 70 <= report["held"] <= 170


def test_a_flag_that_the_policy_names_stops_a_record_until_it_is_mended(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="automatic", hold=("missing:rights",))
        at.edit = lambda body: body.replace(b"<dc:rights>", b"<dc:source>").replace(b"</dc:rights>", b"</dc:source>")
        assert at.again()["held"] == 30
        assert at.waiting()[0]["causes"] == ["admission.flag=missing:rights"]
        at.edit = lambda body: body
        assert (at.again()["created"], at.kept(), at.live()) == (30, [], 30)


def test_a_change_that_matters_waits_while_the_admitted_version_stays(database: Database) -> None:
    with desk(database) as at:
        at.again()
        before = at.row(id_of(3))
        at.policy(mode="every")
        at.edit = _title(3, "改后的标题")
        report = at.again()
        assert (report["held"], report["unchanged"], at.head()) == (1, 29, 30)
        assert at.row(id_of(3)).hash == before.hash
        at.decide("admit", [id_of(3)])
        assert "改后的标题" in bytes(at.row(id_of(3)).document).decode()
        assert at.row(id_of(3)).seq > 30


def test_a_change_that_does_not_matter_passes(database: Database) -> None:
    with desk(database) as at:
        at.again()
        at.policy(mode="every")
        at.edit = _edit(3, b"<dc:date>", "1999-09-09")
        report = at.again()
    assert (report["changed"], report["held"], at.kept()) == (1, 0, [])


def test_a_source_that_goes_back_to_what_is_shown_leaves_the_queue(database: Database) -> None:
    with desk(database) as at:
        at.again()
        at.policy(mode="every")
        at.edit = _title(3, "改后的标题")
        at.again()
        assert at.kept() == [id_of(3)]
        at.edit = lambda body: body
        assert (at.again()["unchanged"], at.kept()) == (30, [])


def test_what_a_person_refused_comes_back_to_a_person_only_when_it_changes(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every")
        at.again()
        at.decide("reject", [id_of(3)], reasons=("rights",))
        at.policy(mode="automatic")
        at.edit = _edit(3, b"<dc:date>", "1999-09-09")
        at.again()
        assert at.kept("rejected") == [id_of(3)]
        at.edit = _title(3, "改后的标题")
        at.again()
        assert at.kept("rejected") == []
        assert [row["causes"] for row in at.waiting() if row["id"] == id_of(3)] == [["admission.decided=rejected"]]
        assert at.row(id_of(3)) is None


def test_a_source_takes_back_what_waits_and_never_what_was_decided(database: Database) -> None:
    with desk(database, 12) as at:
        at.policy(mode="every")
        at.again()
        at.decide("reject", [id_of(1)], reasons=("minors",))
        gone = b'<header status="deleted"><identifier>'
        at.edit = lambda body: _deleted(_deleted(body, 1, gone), 2, gone)
        at.again()
        assert at.kept("rejected") == [id_of(1)]
        assert id_of(2) not in at.kept()
        assert len(at.kept()) == 10


def _deleted(body: bytes, number: int, head: bytes) -> bytes:
    at = body.find(f"example:{number:06d}".encode())
    start, end = body.rfind(b"<record>", 0, at), body.find(b"</record>", at)
    if at < 0 or start < 0:
        return body
    record = body[start:end]
    cut = record[: record.find(b"<metadata>")].replace(b"<header><identifier>", head)
    return body[:start] + cut + body[end:]


def test_replayed_bytes_pass_the_same_gate(sqlite: Database) -> None:
    from app.feeds import service as feeds
    from app.harvest import quarantine

    with desk(sqlite) as at:
        at.edit = _title(3, "   ")
        assert at.again()["rejected"] == 1
        at.policy(mode="every")
        with sqlite.read() as connection:
            feed = feeds.by_id(connection, at.feed_id)
        report = quarantine.replay(
            sqlite, {**feed, "mapping": {"version": 1, "fields": {}, "defaults": {"title": "x"}}}
        )
    assert (report["created"], report["held"], report["rejected"]) == (0, 1, 0)


def test_a_hub_shows_what_is_as_wide_as_its_own_level(database: Database) -> None:
    assert [level_of(code) for code in ("N-000000-01", "C-440100-01", "E-110000-01")] == ["nation", "city", "school"]
    assert seen_at("city", "district")
    assert not seen_at("city", "province")
    with desk(database) as at:
        at.policy(platform=CODE, visibility="school")
        assert at.again()["held"] == 30
        assert at.decide("admit", [id_of(1)])["items"][0]["result"] == "narrow"
        assert (at.live(), at.kept("narrow")) == (0, [id_of(1)])
        assert at.decide("admit", [id_of(1)], visibility="nation")["items"][0]["result"] == "admitted"
        assert at.live() == 2  # the record and what was said of it


def test_the_most_specific_policy_counts_and_of_several_kinds_the_strictest() -> None:
    rows = [Policy(mode="every"), Policy(platform=CODE), Policy(platform=CODE, kind="case", mode="sample", percent=5)]
    chosen = Policies(rows, "nation")
    assert chosen.of("P-650000-01", {}).mode == "every"
    assert chosen.of(CODE, {"type": ["exercise"]}).mode == "automatic"
    assert chosen.of(CODE, {"type": ["exercise", "case"]}).mode == "sample"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"mode": "maybe"}, "mode"),
        ({"visibility": "galaxy"}, "visibility"),
        ({"fields": ("colour",)}, "fields"),
        ({"audits": ("taste",)}, "audits"),
        ({"percent": 0}, "percent"),
        ({"people": 3}, "people"),
    ],
)
def test_a_wrong_policy_is_refused_by_name(sqlite: Database, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(BadRequest, match=named):
        Desk(sqlite).policy(**wrong)
