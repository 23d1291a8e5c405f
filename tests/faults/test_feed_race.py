"""The feed's order under sixteen writers that also roll back: no reader misses, doubles or reorders a position."""

import random
import threading
import time
from collections.abc import Callable

from sqlalchemy import text

from app.catalogue import queries
from app.catalogue.arrivals import Arrival, Origin
from app.catalogue.service import apply
from app.db import Database
from app.protocol.record import Prepared, prepare
from tests.hub import Hub

WRITERS, COMMITS, PAGES = 16, 30, (1, 7, 1000)


class RolledBack(Exception):
    """A page that fails in the middle."""


def _race(write: Callable[[int, int], None], read: Callable[[int, int], list[int]]) -> dict[int, list[int]]:
    """What a reader of each page size has seen, when all writers have ended and the readers have caught up."""
    seen: dict[int, list[int]] = {size: [] for size in PAGES}
    done = threading.Event()

    def writing(writer: int) -> None:
        for commit in range(COMMITS):
            write(writer, commit)

    def reading(size: int) -> None:
        while True:
            ended = done.is_set()
            found = read(seen[size][-1] if seen[size] else 0, size)
            seen[size].extend(found)
            if ended and not found:
                return

    readers = [threading.Thread(target=reading, args=(size,)) for size in PAGES]
    writers = [threading.Thread(target=writing, args=(number,)) for number in range(WRITERS)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    return seen


def test_readers_of_any_page_size_see_every_position_once_in_order(postgres: Database) -> None:
    made = {
        (w, c): [Arrival(one, b"x" * 16) for n in range(2) if isinstance(one := prepare({"title": f"第{n}课"}, f"ix:P-440000-01:w{w}/{c}-{n}"), Prepared)]
        for w in range(WRITERS) for c in range(COMMITS)
    }  # fmt: skip
    rolled = {key for key in made if hash(key) % 10 == 0}

    def write(writer: int, commit: int) -> None:
        try:
            with postgres.write() as connection:
                apply(connection, made[writer, commit], Origin(writer, 1, "440000"))
                if (writer, commit) in rolled:
                    raise RolledBack
        except RolledBack:
            pass

    def read(after: int, size: int) -> list[int]:
        with postgres.read() as connection:
            return [row.seq for row in queries.changes(connection, after=after, limit=size)]

    seen = _race(write, read)
    head = 2 * (len(made) - len(rolled))
    assert len(rolled) > WRITERS
    assert seen == {size: list(range(1, head + 1)) for size in PAGES}
    Hub(postgres).check()


def test_a_number_that_is_taken_before_the_commit_would_lose_changes(postgres: Database) -> None:
    """The usual way, a serial number and `id > cursor`, under the same race: the rig can fail."""
    with postgres.write() as connection:
        connection.execute(text("CREATE TABLE naive (id bigserial PRIMARY KEY)"))

    def write(writer: int, commit: int) -> None:
        with postgres.write() as connection:
            connection.execute(text("INSERT INTO naive DEFAULT VALUES"))
            time.sleep(random.uniform(0, 0.004))

    def read(after: int, size: int) -> list[int]:
        with postgres.read() as connection:
            query = text("SELECT id FROM naive WHERE id > :after ORDER BY id LIMIT :size")
            return list(connection.execute(query, {"after": after, "size": size}).scalars())

    seen = _race(write, read)
    assert min(len(found) for found in seen.values()) < WRITERS * COMMITS
