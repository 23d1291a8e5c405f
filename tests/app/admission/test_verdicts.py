"""Verdicts: two people, claims, batches, undo, withdrawal and annotation records."""

import orjson
import pytest

from app.admission import queue
from app.admission.decide import Item
from app.admission.undo import TooLate
from app.catalogue import originals, queries
from app.catalogue.tables import history
from app.db import Database
from app.protocol.errors import BadRequest, NotFound
from tests.app.admission.desk import HUB, Desk, desk, id_of
from tests.app.admission.test_gate import _title


def _results(made: dict[str, list[dict[str, str]]]) -> list[str]:
    return [item["result"] for item in made["items"]]


def _bytes(at: Desk, id: str) -> object:
    with at.database.read() as connection:
        row = queries.by_id(connection, id)
        return originals.of_record(connection, row.pk)


def test_an_admitted_record_is_the_one_that_came_with_its_bytes(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every", audits=())
        at.again()
        waiting = {row["id"]: row["hash"] for row in at.waiting()}
        assert _results(at.decide("admit", list(waiting))) == ["admitted"] * 30
        assert (at.live(), at.head()) == (30, 30)
        for id, hash in waiting.items():
            row = at.row(id)
            assert (row.hash, row.live, row.version, row.feed_id) == (hash, 1, 1, at.feed_id)
            assert _bytes(at, id) is not None
        assert (at.again()["unchanged"], at.head()) == (30, 30)


def test_a_verdict_is_a_record_of_this_hub_and_leaves_the_foreign_hash_alone(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every")
        at.again()
        at.decide("admit", [id_of(1)], audits=("content", "politics"), institution="国家中心")
        said = at.row(f"ix:{HUB}:admission/{id_of(1)}")
    content = orjson.loads(bytes(said.document))
    assert [(a["item"], a["institution"], a["result"]) for a in content["audits"]] == [
        ("content", "国家中心", "admitted"),
        ("politics", "国家中心", "admitted"),
    ]
    assert content["relations"] == [{"type": "annotates", "target": id_of(1)}]
    assert content["identifiers"] == [{"catalog": "sha256", "entry": at.row(id_of(1)).hash}]
    assert (said.platform, said.version) == (HUB, 1)


def test_two_people_decide_where_the_policy_says_so(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every", people=2)
        at.again()
        assert _results(at.decide("admit", [id_of(1)])) == ["first_of_two"]
        assert at.live() == 0
        assert _results(at.decide("admit", [id_of(1)])) == ["admission.second_person"]
        assert _results(at.decide("admit", [id_of(1)], by="审核员乙")) == ["admitted"]
        assert at.row(id_of(1)).live == 1


def test_nobody_raises_the_visibility_alone(sqlite: Database) -> None:
    with desk(sqlite) as at:
        at.policy(mode="every", people=2, visibility="school")
        at.again()
        at.decide("admit", [id_of(1)], visibility="city")
        assert _results(at.decide("admit", [id_of(1)], by="审核员乙", visibility="nation")) == ["narrow"]
        assert at.live() == 0


def test_a_first_opinion_does_not_outlive_the_content_it_was_about(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every", people=2)
        at.again()
        seen = at.waiting()[0]["hash"]
        at.decide("admit", [id_of(0)])
        at.edit = _title(0, "改后的标题")
        at.again()
        assert _results(at.decide("admit", [Item(id_of(0), seen)], by="审核员乙")) == ["admission.changed"]
        assert _results(at.decide("admit", [id_of(0)], by="审核员乙")) == ["first_of_two"]


def test_claims_keep_two_reviewers_apart_and_end_by_themselves(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every")
        at.again()
        with database.write() as connection:
            first = [row["id"] for row in queue.claim(connection, "甲", number=10)]
            second = [row["id"] for row in queue.claim(connection, "乙", number=30)]
        assert (len(first), len(second), set(first) & set(second)) == (10, 20, set())
        assert _results(at.decide("admit", first[:1], by="乙")) == ["admission.claimed"]
        assert _results(at.decide("admit", first[:1], by="甲")) == ["admitted"]
        with database.write() as connection:
            assert queue.release(connection, "甲") == 9
            assert len(queue.claim(connection, "乙", number=30)) == 29


def test_a_withdrawn_record_leaves_whole_stays_out_and_comes_back_with_a_new_position(database: Database) -> None:
    with desk(database) as at:
        at.again()
        at.edit = _title(3, "第二个标题")
        at.again()
        hash = at.row(id_of(3)).hash
        assert _results(at.decide("withdraw", [id_of(3)], reasons=("complaint",))) == ["withdrawn"]
        row = at.row(id_of(3))
        assert (row.live, row.flags, row.seq, at.live()) == (0, "withdrawn", at.head(), 29)
        assert orjson.loads(bytes(row.document)) == {"id": id_of(3), "title": id_of(3)}
        with database.read() as connection:
            assert connection.execute(history.select().where(history.c.pk == row.pk)).all() == []
        assert (at.again()["unchanged"], at.live()) == (30, 29)
        assert _results(at.decide("admit", [id_of(3)])) == ["admitted"]
        back = at.row(id_of(3))
        assert (back.live, back.hash, back.flags) == (1, hash, "missing:audience")
        assert back.version > row.version
        assert back.seq > row.seq
        assert _bytes(at, id_of(3)) is not None


def test_an_admission_can_be_undone_for_a_minute(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every")
        at.again()
        batch = at.decide("admit", [id_of(1), id_of(2)])["batch"]
        assert at.live() == 4
        assert at.undo(batch) == ["undone", "undone"]
        assert (at.live(), len(at.kept()), at.row(id_of(1)).flags) == (0, 30, "withdrawn")
        with pytest.raises(NotFound):
            at.undo(batch)
        late = at.decide("admit", [id_of(1)])["batch"]
        at.later(61)
        with pytest.raises(TooLate):
            at.undo(late)
        assert at.row(id_of(1)).live == 1


def test_undoing_a_changed_record_brings_the_earlier_version_back(database: Database) -> None:
    with desk(database) as at:
        at.again()
        before = at.row(id_of(3))
        at.policy(mode="every")
        at.edit = _title(3, "改后的标题")
        at.again()
        batch = at.decide("admit", [id_of(3)])["batch"]
        assert at.undo(batch) == ["undone"]
        assert (at.row(id_of(3)).hash, at.row(id_of(3)).live) == (before.hash, 1)
        assert at.kept() == [id_of(3)]


@pytest.mark.parametrize("decision", ["reject", "withdraw"])
def test_a_refusal_and_a_withdrawal_can_be_undone(database: Database, decision: str) -> None:
    with desk(database) as at:
        at.again()
        at.policy(mode="every")
        at.edit = _title(3, "改后的标题")
        at.again()
        id = id_of(3 if decision == "reject" else 4)
        batch = at.decide(decision, [id], reasons=("notice",))["batch"]
        assert at.undo(batch) == ["undone"]
        assert (at.kept(), at.kept("rejected"), at.kept("withdrawn"), at.live()) == ([id_of(3)], [], [], 30)


def test_what_moved_on_is_not_undone(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every")
        at.again()
        batch = at.decide("reject", [id_of(3)], reasons=("metadata",))["batch"]
        at.edit = _title(3, "改后的标题")
        at.again()
        assert at.undo(batch) == ["admission.moved_on"]


def test_each_item_of_a_batch_has_its_own_result(database: Database) -> None:
    with desk(database) as at:
        at.policy(mode="every")
        at.again()
        made = at.decide("admit", [id_of(0), "ix:P-440000-01:none", id_of(1)])
        assert _results(made) == ["admitted", "admission.not_waiting", "admitted"]
        assert _results(at.decide("withdraw", [id_of(5)], reasons=("expired",))) == ["admission.not_public"]
        assert _results(at.decide("admit", [id_of(0)])) == ["admission.not_waiting"]
        with database.read() as connection:
            said = queue.verdicts(connection, id_of(0))
    assert [(v["decision"], v["outcome"], v["by"]) for v in said] == [("admit", "admitted", "审核员甲")]


def test_a_refusal_needs_a_reason_from_the_list(sqlite: Database) -> None:
    at = Desk(sqlite)
    with pytest.raises(BadRequest, match="at least one reason"):
        at.decide("reject", ["x"])
    with pytest.raises(BadRequest, match="no code of"):
        at.decide("reject", ["x"], reasons=("mood",))
    with pytest.raises(BadRequest, match="needs a text"):
        at.decide("reject", ["x"], reasons=("other",))
    with pytest.raises(BadRequest, match="twice"):
        at.decide("admit", ["x", "x"])
