"""Secrets that the tests plant, and where they may not be found after the whole suite: files (databases, logs,
snapshots, uploads), PostgreSQL's tables, what was printed or logged, the hub's answers.

The tests of all rooms sign in with PASSWORD, run their hubs with SECRET_KEY and give feeds FEED_SECRET; nobody has to
think of looking for them. `tests/conftest.py` hangs the four looks into pytest.
"""

import mmap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, inspect, text

PASSWORD = "rice-lantern-velvet-41"  # noqa: S105 (of accounts that live for one test)
SECRET_KEY = "kept-by-tests-" + "k" * 32
FEED_SECRET = "canary-8d1f0c7e55b94b0a-feed-secret"  # noqa: S105 (of feeds that live for one test)
PLANTED = (PASSWORD, SECRET_KEY, FEED_SECRET)


def in_files(folder: Path, planted: Iterable[str] = PLANTED) -> list[str]:
    """`FILE holds SECRET` for every file below a folder."""
    wanted = [one.encode() for one in planted]
    return [
        f"{file} holds {one.decode()}"
        for file in folder.rglob("*")
        if file.is_file() and not file.is_symlink()
        for one in wanted
        if _holds(file, one)
    ]


def _holds(file: Path, wanted: bytes) -> bool:
    if not file.stat().st_size:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(wanted) >= 0


def in_tables(engine: Engine, planted: Iterable[str] = PLANTED) -> list[str]:
    """`TABLE holds SECRET` for every table, as text or inside of bytes."""
    marks = [f"%{form}%" for one in planted for form in (one, one.encode().hex())]
    with engine.connect() as connection:
        tables = inspect(connection).get_table_names()
        if not tables:
            return []
        # Each row becomes text once; a `bool_or` a table and secret costs the server twenty times as much to plan.
        rows = " UNION ALL ".join(f"SELECT '{table}' AS name, t::text AS told FROM {table} AS t" for table in tables)
        query = text(f"SELECT name, told FROM ({rows}) AS all_rows WHERE told LIKE ANY (:marks)")
        found = connection.execute(query, {"marks": marks}).all()
    held = {(row.name, one) for row in found for one in planted if one in row.told or one.encode().hex() in row.told}
    return [f"table {name} holds {one}" for name, one in sorted(held)]


def in_text(told: str, planted: Iterable[str] = PLANTED) -> list[str]:
    """The secrets that a text repeats."""
    return [one for one in planted if one in told]


@contextmanager
def in_answers() -> Iterator[list[str]]:
    """Watches what hubs answer to the tests' own clients; the list fills while it does."""
    found: list[str] = []
    read = httpx.Response.read

    def watched(response: httpx.Response) -> bytes:
        content = read(response)
        if "x-request-id" in response.headers:  # a hub's, not a platform's
            told = content.decode("utf-8", "replace") + str(response.headers)
            found.extend(f"{response.request.method} {response.url.path} answered {one}" for one in in_text(told))
        return content

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx.Response, "read", watched)
        yield found
