"""F2: what is left of SQLite's files after a power cut at any moment holds everything that was acknowledged before it.

strace writes down each write and each sync of a harvest. The files are put together again as of a moment: what was
synced by then, and of what was not nothing, or any of its pages by chance (disks write out of order). Names of files
count as durable at once: this is a lower bound, and PostgreSQL's own tests stand for PostgreSQL.
"""

import shutil
import sqlite3
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from app import schema
from app.db import Database
from app.harvest import store
from tests.faults.repositories import LIMIT, RECORDS, run_once, small
from tests.faults.tracing import Call, calls, log, text, traced
from tests.hub import Hub

pytestmark = pytest.mark.usefixtures("as_in_production")

PAGE = 4096
POINTS = 60
_CALLS = "trace=openat,close,write,pwrite64,ftruncate,fdatasync,fsync,unlink"


class Cut(NamedTuple):
    """The files' contents after a cut, and the last position acknowledged before it."""

    files: dict[str, bytes]
    acknowledged: int


class Disk:
    """Files as the program sees them, and what of each is safe."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.safe = {name: bytearray(content) for name, content in files.items()}
        self.pending: dict[str, list[tuple[int, bytes | None]]] = {}
        self.open: dict[str, str] = {}
        self.acknowledged = 0

    def follow(self, call: Call, names: dict[str, str]) -> bool:
        """Does what the call did; whether it was a step of these files."""
        first, _, rest = call.arguments.partition(", ")
        if call.result < 0:
            return False
        if call.name == "openat":
            path = text(rest.split(", ")[0]).decode()
            self.open.pop(str(call.result), None)
            if path in names:
                self.open[str(call.result)] = names[path]
                self.safe.setdefault(names[path], bytearray())
            return False
        if call.name == "write" and first == "1":
            self.acknowledged = int(text(rest.split(", ")[0]).split()[1])
            return False
        name = names.get(text(first).decode()) if call.name == "unlink" else self.open.get(first)
        if name is None:
            return False
        if call.name == "close":
            del self.open[first]
            return False
        waiting = self.pending.setdefault(name, [])
        if call.name == "pwrite64":
            quoted, _, offset = rest.split(", ")
            waiting.append((int(offset), text(quoted)))
        elif call.name == "ftruncate":
            waiting.append((int(rest), None))
        else:
            self.safe[name] = (
                _written(self.safe.get(name, bytearray()), waiting) if call.name != "unlink" else bytearray()
            )
            waiting.clear()
        return True

    def cut(self, chance: Random | None) -> Cut:
        """The files now: without what is not safe, or with any of it."""
        files = {}
        for name, safe in self.safe.items():
            waiting = [one for one in self.pending.get(name, []) if chance is not None and chance.random() < 0.5]
            files[name] = bytes(_written(safe, waiting))
        return Cut(files, self.acknowledged)


def _written(content: bytearray, waiting: list[tuple[int, bytes | None]]) -> bytearray:
    made = bytearray(content)
    for at, data in waiting:
        if data is None:
            del made[at:]
            continue
        made.extend(bytes(max(0, at - len(made))))
        made[at : at + len(data)] = data
    return made


def _cuts(folder: Path, *pragmas: str) -> list[Cut]:
    """Cuts all along a harvest whose connections take these pragmas beside the hub's own."""
    place = folder / "hub.db"
    url = f"sqlite:///{place}"
    database = Database(url)
    schema.upgrade(database)
    with small() as base, log() as file:
        feed = Hub(database).feed("ix", {"base_url": base, "limit": LIMIT})
        database.close()
        before = {"hub.db": place.read_bytes()}
        arguments = ["-e", _CALLS, "-xx", "-s", "100000", "-o", str(file)]
        with traced(arguments, run_once, url, feed, pragmas, True) as process:
            assert process.exitcode == 0
        taken = list(calls(file))
    names = {f"{place}{end}": f"hub.db{end}" for end in ("", "-wal", "-journal")}
    disk, chance, found = Disk(before), Random(7), []
    for call in taken:
        if disk.follow(call, names) or call.name == "write":
            found += [disk.cut(None), disk.cut(chance)]
    found.append(disk.cut(None))
    return found[:: max(1, len(found) // POINTS)] + found[-3:]


def _lost(cut: Cut, folder: Path) -> int:
    """Acknowledged positions that the files do not hold; -1 when they are not sound."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in cut.files.items():
        (folder / name).write_bytes(content)
    with sqlite3.connect(folder / "hub.db") as connection:
        try:
            sound = connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            head = connection.execute("SELECT value FROM position WHERE name = 'seq'").fetchone()[0]
            dense = connection.execute("SELECT count(*), count(DISTINCT seq), max(seq) FROM record").fetchone()
        except sqlite3.DatabaseError:
            return -1
        finally:
            connection.interrupt()
    connection.close()
    if not sound or (head and dense != (head, head, head)):
        return -1
    return max(0, cut.acknowledged - head)


def test_a_power_cut_at_any_moment_keeps_every_acknowledged_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checkpoints included: here one comes every fifty pages of the log, and one beside every commit."""
    monkeypatch.setattr(store, "CHECKPOINT", 1)
    cuts = _cuts(tmp_path, "wal_autocheckpoint=50")
    assert len(cuts) >= POINTS
    assert cuts[-1].acknowledged == RECORDS
    assert [(number, lost) for number, cut in enumerate(cuts) if (lost := _lost(cut, tmp_path / "after"))] == []
    for number, cut in enumerate(cuts[-2:]):
        again = Database(f"sqlite:///{tmp_path / 'after' / 'hub.db'}")
        assert _lost(cut, tmp_path / "after") == 0, number
        Hub(again).check()
        again.close()


def test_with_a_weaker_setting_the_same_cut_would_lose_acknowledged_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rig can fail: synchronous=NORMAL, the usual advice, loses what was acknowledged since a checkpoint."""
    monkeypatch.setattr(store, "CHECKPOINT", 1000)
    cuts = _cuts(tmp_path, "synchronous=NORMAL")
    assert max(_lost(cut, tmp_path / "after") for cut in cuts) == RECORDS


def test_every_connection_that_acknowledges_waits_for_the_disk(sqlite: Database) -> None:
    """Those of the pool too, whoever opened them, and whatever they were used for before."""
    held = [sqlite.engine.connect() for _ in range(30)]
    for connection in held:
        asked = [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in ("synchronous", "journal_mode")]
        assert asked == [2, "wal"]
        connection.close()
    with sqlite.write() as writer, sqlite.read() as reader:
        assert [one.exec_driver_sql("PRAGMA synchronous").scalar_one() for one in (writer, reader)] == [2, 2]
