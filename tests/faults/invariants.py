"""I12 to I16 of a hub: what its audit chain, its tenants, its faces and its connections must show."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import orjson
from fastapi import FastAPI
from fastapi.testclient import TestClient
from lxml import etree
from sqlalchemy import func, select

from app.access import audit
from app.access.principal import Principal, Rows
from app.access.scopes import PLATFORM_SCOPES
from app.access.tables import audit as audit_table
from app.db import Database
from app.feeds import service as feeds
from app.feeds.tables import feed
from app.harvest import queries, runs
from app.harvest.tables import held
from app.main import create
from app.platforms.tables import platform
from app.settings import Settings
from tests.planted import SECRET_KEY


def audited(database: Database) -> None:
    """I12: the chain verifies, and each change that is to be noted has its row."""
    with database.read() as connection:
        assert audit.verify(connection) is None
        decided = select(func.count()).select_from(held).where(held.c.state != "pending")
        there = {
            audit.Act.HELD_DECIDED: connection.execute(decided).scalar_one(),
            audit.Act.FEED_ADDED: connection.execute(select(func.count()).select_from(feed)).scalar_one(),
            audit.Act.PLATFORM_ADDED: connection.execute(select(func.count()).select_from(platform)).scalar_one(),
        }
        query = select(audit_table.c.act, func.count()).group_by(audit_table.c.act)
        noted: dict[str, int] = {act: number for act, number in connection.execute(query)}
    assert {act: noted.get(act, 0) for act in there} == there, "a change without its row of the audit chain"


def among_themselves(database: Database) -> None:
    """I13: no platform is shown a row of another's feeds."""
    with database.read() as connection:
        owners: dict[int, str] = {
            number: code for number, code in connection.execute(select(feed.c.id, feed.c.platform))
        }
    for code in set(owners.values()):
        who = Principal(f"key:{code}", PLATFORM_SCOPES, Rows(platforms=frozenset({code})), tenant=code)
        with database.acting(who).read() as connection:
            seen = {row["id"] for row in feeds.feeds(connection)}
            seen |= {row["feed"] for row in runs.runs(connection, limit=500)}
            seen |= {row["feed_id"] for row in runs.rejections(connection)}
            seen |= {row["feed_id"] for row in [*runs.waiting(connection), *queries.decisions(connection)]}
        assert {owners[number] for number in seen} == {code}, f"{code} is shown rows of others"


class Catalogue(NamedTuple):
    """Identifiers of live records, and of those that are gone."""

    live: frozenset[str]
    gone: frozenset[str]


class Faces:
    """A hub's public faces on a database, without sockets."""

    def __init__(self, database: Database) -> None:
        app = _app()
        app.state.database = database
        self.client = TestClient(app, raise_server_exceptions=True)

    def ix(self) -> Catalogue:
        """What a reader of the change order has."""
        ops: dict[str, str] = {}
        cursor, more = "", True
        while more:
            page = orjson.loads(self.changes(cursor).content)
            ops |= {item["id"]: item["op"] for item in page["items"]}
            cursor, more = page["next"], page["more"]
        return _split(ops, "put", "delete")

    def changes(self, cursor: str) -> Any:
        """One page of IX/1."""
        return self.client.get("/ix/v1/all/changes", params={"cursor": cursor, "limit": 9, "fields": "head"})

    def oai(self) -> Catalogue:
        """What an OAI-PMH harvester has."""
        ops, root = {}, self.identifiers()
        while True:
            for header in root.iter("{*}header"):
                ops[header.findtext("{*}identifier")] = header.get("status", "live")
            token = root.findtext(".//{*}resumptionToken")
            if not token:
                return _split(ops, "live", "deleted")
            root = self.identifiers(token)

    def identifiers(self, token: str = "") -> Any:
        """One page of ListIdentifiers, parsed."""
        asked = {"resumptionToken": token} if token else {"metadataPrefix": "oai_dc"}
        return etree.fromstring(self.client.get("/oai", params={"verb": "ListIdentifiers", **asked}).content)

    def resourcesync(self) -> Catalogue:
        """What a destination has: the resource list, and the deletions of the change list."""
        listed = _located(self.client.get("/resourcesync/resourcelist.xml").content)
        changed = _located(self.client.get("/resourcesync/changelist.xml").content)
        gone = frozenset(id for id, change in changed.items() if change == "deleted")
        return Catalogue(frozenset(listed), gone)

    def agree(self) -> None:
        """I14: every face gives out the same identifiers and the same deletions."""
        native = self.ix()
        if native.live or native.gone:
            assert self.oai() == native, "OAI-PMH and IX/1 differ"
        assert self.resourcesync() == native, "ResourceSync and IX/1 differ"

    def places(self) -> tuple[str, str, str]:
        """Where a reader stands now: the epoch, a cursor of IX/1, a resumption token (empty in a short list)."""
        page = orjson.loads(self.changes("").content)
        token = self.identifiers().findtext(".//{*}resumptionToken")
        return page["epoch"], page["next"], token or ""

    def begins_anew(self, before: tuple[str, str, str]) -> None:
        """I15: after a restore whoever stood somewhere is told to begin again, in each protocol's own words."""
        epoch, cursor, token = before
        assert self.places()[0] != epoch, "a restored hub goes by its old epoch"
        answer = self.changes(cursor)
        assert (answer.status_code, orjson.loads(answer.content)["kind"]) == (410, "cursor_gone"), answer.text
        if token:
            assert self.identifiers(token).find("{*}error").get("code") == "badResumptionToken"


def _split(ops: dict[str, str], live: str, gone: str) -> Catalogue:
    return Catalogue(*(frozenset(id for id, op in ops.items() if op == word) for word in (live, gone)))


def _located(body: bytes) -> dict[str, str]:
    found = {}
    for entry in etree.fromstring(body).iter("{*}url"):
        id = unquote(entry.findtext("{*}loc").partition("/resourcesync/resources/")[2])
        marks = entry.find("{http://www.openarchives.org/rs/terms/}md")
        found[id] = marks.get("change", "") if marks is not None else ""
    return found


@cache
def _app() -> FastAPI:
    folder = Path(tempfile.mkdtemp(prefix="hutong-sim-"))
    settings = Settings(data_dir=folder, secret_key=SECRET_KEY, quota_anonymous="999999999/s")
    return create(settings, harvest=False)


_WATCHED: list[list[Any]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and _WATCHED:
        _WATCHED[-1].append(arguments[1])


@cache
def _listen() -> None:
    sys.addaudithook(_hook)  # cannot be taken away again; looks at nothing while nobody watches


@contextmanager
def connections() -> Iterator[list[Any]]:
    """I16: the addresses that this process connects to meanwhile, whoever does it."""
    _listen()
    made: list[Any] = []
    _WATCHED.append(made)
    try:
        yield made
    finally:
        _WATCHED.remove(made)
