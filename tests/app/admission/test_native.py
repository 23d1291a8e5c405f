"""Records of IX/1 that others number: through a hub that reviews, and on to the next one."""

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from app import schema
from app.db import Database
from app.settings import Settings
from tests.app.admission.desk import HUB, Desk, desk, id_of
from tests.app.admission.test_gate import _title
from tests.served import served

COUNT = 120


@pytest.fixture
def origin(tmp_path: Path) -> Iterator[tuple[Desk, str]]:
    """A province's hub that bridges an OAI-PMH source, and its address."""
    database = Database(f"sqlite:///{tmp_path / 'origin.db'}")
    schema.upgrade(database)
    with desk(database, COUNT) as at:
        at.again()
        settings = Settings(database_url=str(database.url), data_dir=tmp_path / "origin", secret_key="k" * 32)
        with served(settings) as base:
            yield at, base
    database.close()


def _reading(database: Database, base: str) -> Desk:
    made = Desk(database)
    made.feed_id = made.feed("ix", {"base_url": base})
    return made


def test_a_native_record_keeps_version_and_hash_in_and_out_and_in(origin: tuple[Desk, str], database: Database) -> None:
    source, base = origin
    nation = _reading(database, base)
    nation.policy(mode="every", audits=())
    assert nation.again("harvest")["held"] == COUNT
    nation.decide("admit", [id_of(n) for n in range(COUNT)])
    theirs, ours = source.row(id_of(3)), nation.row(id_of(3))
    assert (ours.hash, ours.version) == (theirs.hash, theirs.version)
    nation.decide("withdraw", [id_of(3)], reasons=("complaint",))
    assert (nation.row(id_of(3)).live, nation.row(id_of(3)).version) == (0, theirs.version)
    nation.decide("admit", [id_of(3)])
    assert (nation.row(id_of(3)).live, nation.row(id_of(3)).version) == (1, theirs.version)


def test_a_new_version_of_what_was_withdrawn_waits_and_follows_on(origin: tuple[Desk, str], database: Database) -> None:
    source, base = origin
    nation = _reading(database, base)
    nation.again("harvest")
    nation.decide("withdraw", [id_of(3)], reasons=("rights",))
    source.edit = _title(3, "改后的标题")
    source.again()
    assert nation.again("harvest")["held"] == 1
    assert (nation.live(), nation.waiting()[0]["causes"]) == (COUNT - 1, ["admission.decided=withdrawn"])
    nation.decide("admit", [id_of(3)], audits=())
    assert (nation.row(id_of(3)).hash, nation.row(id_of(3)).version) == (source.row(id_of(3)).hash, 2)
    assert nation.again("harvest")["seen"] == 0


def test_an_undone_change_of_a_native_record_leaves(origin: tuple[Desk, str], database: Database) -> None:
    source, base = origin
    nation = _reading(database, base)
    nation.again("harvest")
    nation.policy(mode="every")
    source.edit = _title(3, "改后的标题")
    source.again()
    nation.again("harvest")
    batch = nation.decide("admit", [id_of(3)])["batch"]
    assert nation.undo(batch) == ["left"]
    assert (nation.row(id_of(3)).live, nation.kept()) == (0, [id_of(3)])
    nation.decide("admit", [id_of(3)], audits=())
    assert nation.row(id_of(3)).hash == source.row(id_of(3)).hash


def test_the_next_hub_loses_a_withdrawn_record_and_gets_it_back(
    origin: tuple[Desk, str], sqlite: Database, tmp_path: Path
) -> None:
    """Both for a record that the relay numbers itself and for one it only passes on."""
    source, base = origin
    relay = _reading(sqlite, base)
    relay.again("harvest")
    settings = Settings(database_url=str(sqlite.url), data_dir=tmp_path / "relay", secret_key="k" * 32)
    for first, base_url in ((source, base), (relay, "")):
        database = Database(f"sqlite:///{tmp_path / f'last-{bool(base_url)}.db'}")
        schema.upgrade(database)
        with served(settings) as relayed:
            last = _reading(database, base_url or relayed)
            last.again("harvest")
            assert last.row(id_of(3)).live == 1
            first.decide("withdraw", [id_of(3)], reasons=("notice",))
            assert last.again("harvest")["tombstoned"] == 1
            assert last.row(id_of(3)).live == 0
            first.decide("admit", [id_of(3)], audits=())
            last.again("harvest")
        assert (last.row(id_of(3)).live, last.row(id_of(3)).hash) == (1, first.row(id_of(3)).hash)
        database.close()


def test_a_verdict_travels_as_a_record_of_its_own_and_the_foreign_hash_stays(
    origin: tuple[Desk, str], sqlite: Database, tmp_path: Path
) -> None:
    source, base = origin
    nation = _reading(sqlite, base)
    nation.policy(mode="every")
    nation.again("harvest")
    nation.decide("admit", [id_of(3)], audits=("content", "politics"), institution="国家中心")
    database = Database(f"sqlite:///{tmp_path / 'next.db'}")
    schema.upgrade(database)
    with served(Settings(database_url=str(sqlite.url), data_dir=tmp_path / "nation", secret_key="k" * 32)) as url:
        further = _reading(database, url)
        assert further.again("harvest")["created"] == 2
    said = f"ix:{HUB}:admission/{id_of(3)}"
    assert further.row(id_of(3)).hash == source.row(id_of(3)).hash
    assert further.row(said).hash == nation.row(said).hash
    content = orjson.loads(bytes(further.row(said).document))
    assert [audit["item"] for audit in content["audits"]] == ["content", "politics"]
    database.close()
