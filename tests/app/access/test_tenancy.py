"""Tenants: nobody sees or changes another's things, on any route of the contract, with any credential."""

import asyncio
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

import httpx
import orjson
import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from sqlalchemy import Table, func, select

from app.access import keys
from app.access.principal import Principal, Rows, acting, within
from app.access.scopes import PLATFORM_SCOPES
from app.access.tables import api_key, person
from app.admission import policy
from app.db import Database, metadata, now
from app.feeds import service as feeds
from app.feeds.tables import feed
from app.harvest.tables import held, rejection, run
from app.platforms import service as platforms
from app.platforms.tables import platform
from app.protocol import vocab
from tests import planted
from tests.app.access.desk import Desk, desk

CASES = 10_000  # of all tenants together; a test for each, so that two processes share them
CODES = ("P-440000-01", "C-440100-01", "E-110000-01", "S-440105-07")
CONTRACT = Path(__file__).resolve().parents[3] / "openapi" / "hub.json"
ROUTES = sorted((m.upper(), p) for p, found in orjson.loads(CONTRACT.read_bytes())["paths"].items() for m in found)
# Ends the session that the test goes on with; or says nothing of tenants and costs an argon2 hash a case.
LEFT_OUT = {("POST", "/api/v1/logout"), ("POST", "/api/v1/login"), ("POST", "/api/v1/me/password")}
ASKED = [route for route in ROUTES if route not in LEFT_OUT]


class Answer(NamedTuple):
    """What came back."""

    status_code: int
    headers: str
    text: str


class Tenant(NamedTuple):
    """What a platform has in the hub, each thing with its code in a text that an answer would show."""

    code: str
    feed: int
    run: int
    held: int
    prefix: str
    person: str
    clients: tuple[httpx.Client, ...]


def _tenant(hub: Desk, code: str) -> Tenant:
    key, mark = hub.platform(code), f"canary-{code}"
    with hub.database.write() as connection:
        number = feeds.register(
            connection, platform=code, name=mark, connector="ix", config={"base_url": f"https://{mark}.example"}
        )
        at = now(connection)
        row = {
            "feed_id": number,
            "job": "harvest",
            "status": "failed",
            "started_at": at,
            "error_kind": "x",
            "error": mark,
        }
        run_id = connection.execute(run.insert().returning(run.c.id), row).scalar_one()
        owned = {"feed_id": number, "run_id": run_id}
        refused = {"identifier": mark, "stage": "parse", "rule": mark, "detail": mark, "raw": b"", "context": b""}
        connection.execute(rejection.insert(), {**owned, **refused, "rejected_at": at})
        waits = {**owned, "cause": mark, "count": 1, "live": 1, "state": "pending", "held_at": at}
        held_id = connection.execute(held.insert().returning(held.c.id), waits).scalar_one()
        made = keys.issue(connection, code, label=f"canary-{code.lower()}")
        policy.choose(connection, policy.Policy(code, mode="every", hold=(mark,)))
    name = f"canary-{code}"
    signed = hub.person(name, "vendor", platforms=(code,))
    token = hub.token(code, key).json()["access_token"]
    return Tenant(
        code, number, run_id, held_id, made.prefix, name, (hub.key_client(key), hub.key_client(token), signed)
    )


OWNED: tuple[tuple[Table, Any], ...] = (
    (platform, platform.c.code), (feed, feed.c.id), (run, run.c.id), (rejection, rejection.c.id), (held, held.c.id),
    (api_key, api_key.c.prefix), (person, person.c.name),
)  # fmt: skip


def _state(database: Database) -> str:
    """A fingerprint of everything the tenants own; times of use and a begun second factor are the tenant's own doing."""
    ignored = {"used_at", "totp", "totp_step"}
    with database.read() as connection:
        rows = [
            {name: value for name, value in row._mapping.items() if name not in ignored}
            for table, order in OWNED
            for row in connection.execute(select(table).order_by(order))
        ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


@pytest.fixture(scope="module")
def tenants(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, list[Tenant]]]:
    """Four tenants: a province, a city of it, a vendor elsewhere, a school of the city."""
    from app import schema

    folder = tmp_path_factory.mktemp("tenants")
    database = Database(f"sqlite:///{folder / 'hub.db'}")
    schema.upgrade(database)
    with desk(database, folder) as hub:
        yield hub, [_tenant(hub, code) for code in CODES]
    database.close()


def _filled(path: str, other: Tenant, spell: str, word: str) -> str:
    """The route with the other tenant's identifiers, numbers in this spelling."""
    values = {
        "feed_id": spell.format(other.feed), "run_id": spell.format(other.run), "held_id": spell.format(other.held),
        "code": other.code, "prefix": other.prefix, "name": other.person, "id": f"ix:{other.code}:ix-1/1", "state": word,
        "decision": word, "scope": f"platform:{other.code}", "kind": "auth.required", "scheme": "subject",
    }  # fmt: skip
    return re.sub(r"\{(\w+)\}", lambda match: values.get(match[1], "none"), path)


def _query(other: Tenant, names: list[str]) -> dict[str, str]:
    values = {
        "feed": other.feed, "platform": other.code, "object": f"feed:{other.feed}", "actor": f"person:{other.person}",
        "limit": 500, "region": other.code[2:8], "status": "all",
    }  # fmt: skip
    return {name: str(values[name]) for name in names}


def _bodies(other: Tenant) -> list[Any]:
    config = {"base_url": "https://example.org"}
    return [
        {}, [], {"reason": "x"}, {"overlap_s": 0}, {"platform": other.code},
        {"platform": other.code, "label": "stolen", "scopes": ["ops:read"]},
        {"platform": other.code, "name": "stolen", "connector": "ix", "config": config},
        {"platform": other.code, "name": "stolen", "connector": "ix", "config": config, "key": "ix-1"},
        {"code": other.code, "name": "stolen"}, {"code": "E-999999-01", "name": "x", "parent": other.code},
        {"roles": ["vendor"], "platforms": [other.code]},
        {"name": "stolen", "password": "rice-lantern-velvet-42", "roles": ["vendor"], "platforms": [other.code]},
        {"ids": [f"ix:{other.code}:ix-1/1"]},
    ]  # fmt: skip


WORDS = ("pause", "resume", "retire", "approve", "reject", "disable", "enable", "forget-second-factor", "active")
case = st.tuples(
    st.sampled_from(ASKED),
    st.integers(0, len(CODES) - 2),
    st.integers(0, 2),
    st.sampled_from(["{}", "{}", "0{}", "+{}", "{}.0"]),
    st.sampled_from(WORDS),
    st.lists(
        st.sampled_from(["feed", "platform", "object", "actor", "limit", "region", "status"]), unique=True, max_size=3
    ),
    st.integers(0, 12),
)


@contextmanager
def _within(hub: Desk) -> Iterator[Callable[..., Answer]]:
    """Requests to the application itself: what a client and a socket do for each of ten thousand shows nothing here."""

    def ask(signed: httpx.Client, method: str, path: str, query: dict[str, str], content: bytes) -> Answer:
        headers = [(name.lower(), value) for name, value in signed.headers.raw] + [
            (b"content-type", b"application/json")
        ]
        scope = {
            "type": "http", "http_version": "1.1", "scheme": "http", "method": method, "path": path, "raw_path": path.encode(),
            "query_string": urlencode(query).encode(), "headers": headers, "client": ("127.0.0.1", 1), "state": {},
        }  # fmt: skip
        return runner.run(_answered(hub.app, scope, content))

    with asyncio.Runner() as runner:
        yield ask


async def _answered(app: Any, scope: dict[str, Any], content: bytes) -> Answer:
    sent, told = [{"type": "http.request", "body": content}], list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return sent.pop() if sent else await asyncio.Future()  # nobody hangs up

    async def send(message: dict[str, Any]) -> None:
        told.append(message)

    await app(scope, receive, send)
    headers = b"".join(b"%s: %s\n" % pair for pair in told[0]["headers"]).decode("latin-1")
    body = b"".join(message.get("body", b"") for message in told[1:]).decode("utf-8", "replace")
    return Answer(told[0]["status"], headers, body)


@pytest.mark.parametrize("mine", CODES)
def test_no_tenant_sees_or_changes_anything_of_another(tenants: tuple[Desk, list[Tenant]], mine: str) -> None:
    hub, everyone = tenants
    (me,), others = ([one for one in everyone if (one.code == mine) is own] for own in (True, False))
    before, asked, inside = _state(hub.database), [0], [0]

    @seed(CODES.index(mine))  # the same on every run, and others for each tenant
    @settings(max_examples=CASES // len(CODES), database=None)
    @given(case)
    def one(drawn: tuple[Any, ...]) -> None:
        (method, path), number, credential, spell, word, names, body = drawn
        other = others[number]
        content = b"" if method == "GET" else orjson.dumps(_bodies(other)[body])
        way = _filled(path, other, spell, word)
        answer = ask(me.clients[credential], method, way, _query(other, names), content)
        asked[0] += 1
        inside[0] += f"canary-{me.code}" in answer.text
        assert f"canary-{other.code}" not in answer.text.replace(_echo(other, answer), ""), (
            method,
            path,
            answer.text[:300],
        )
        assert answer.status_code < 500, (method, path, answer.text)
        assert planted.in_text(answer.headers + answer.text) == [], (method, path)

    with _within(hub) as ask:
        one()
    assert _state(hub.database) == before
    assert asked[0] >= CASES // len(CODES)
    assert inside[0] > 100 / len(CODES), "tenants do see their own things"


def _echo(other: Tenant, answer: Answer) -> str:
    """A refusal may repeat the identifier that the caller itself has sent, and nothing else of the thing."""
    return f"'{other.person}'" if answer.status_code in (404, 422) else "\0"


def test_lists_hold_ones_own_things_and_all_of_them(tenants: tuple[Desk, list[Tenant]]) -> None:
    for me in tenants[1]:
        for client in me.clients:
            got = {
                p: client.get(f"/api/v1/{p}").json()
                for p in ("platforms", "feeds", "rejects", "held", "status", "stats")
            }
            assert [item["code"] for item in got["platforms"]["items"]] == [me.code]
            assert [item["id"] for item in got["feeds"]["items"]] == [me.feed]
            assert [item["feed_id"] for item in got["rejects"]["items"]] == [me.feed]
            assert [item["id"] for item in got["held"]["items"]] == [me.held]
            assert [item["feed"] for item in got["status"]["items"]] == [me.feed]
            assert (got["stats"]["feeds"], got["stats"]["rejected"], got["stats"]["held"]) == (1, 1, 1)
            assert client.get(f"/api/v1/runs/{me.run}").json()["feed"] == me.feed
            assert [item["run"] for item in client.get(f"/api/v1/feeds/{me.feed}/runs").json()["items"]] == [me.run]


def test_what_is_anothers_is_not_there_and_takes_as_long(tenants: tuple[Desk, list[Tenant]]) -> None:
    me, other = tenants[1][0], tenants[1][2]
    client = me.clients[0]
    for path, theirs, nobodys in (
        ("/api/v1/feeds/{}", other.feed, 999_999), ("/api/v1/runs/{}", other.run, 999_999),
        ("/api/v1/platforms/{}", other.code, "E-999999-99"),
    ):  # fmt: skip
        one, two = client.get(path.format(theirs)), client.get(path.format(nobodys))
        assert (one.status_code, two.status_code) == (404, 404)
        assert one.text.replace(str(theirs), "X") == two.text.replace(str(nobodys), "X")


def test_a_region_sees_its_subtree_and_nothing_else(tenants: tuple[Desk, list[Tenant]]) -> None:
    hub, everyone = tenants
    for region, codes in (("440000", CODES[:2] + CODES[3:]), ("440100", (CODES[1], CODES[3])), ("650000", ())):
        operator = hub.person(f"operator-{region}", "operator", regions=(region,))
        seen = [item["code"] for item in operator.get("/api/v1/platforms").json()["items"]]
        assert seen == sorted(codes)
        beijing = next(one for one in everyone if one.code == "E-110000-01")
        assert operator.post(f"/api/v1/feeds/{beijing.feed}/pause").status_code == 404
        assert operator.post(f"/api/v1/held/{beijing.held}/reject").status_code == 404
        outside = operator.post("/api/v1/platforms", json={"code": "P-110000-02", "name": "x"})
        moved = operator.post("/api/v1/platforms", json={"code": "C-440300-02", "name": "x", "region": "110000"})
        assert (outside.status_code, moved.status_code) == (403, 403)


def test_a_statement_that_was_not_narrowed_is_refused_not_answered(tenants: tuple[Desk, list[Tenant]]) -> None:
    narrow = Principal("key:x", PLATFORM_SCOPES, Rows(platforms=frozenset({CODES[0]})))
    with tenants[0].database.read() as connection:
        assert acting(connection).name == "system"
        connection.execution_options(principal=narrow)
        forgotten = (
            select(feed.c.id), select(func.count()).select_from(run), select(held.c.id).where(held.c.id == 1),
            feed.update().values(name="x"), rejection.delete(), select(platform.c.name).join(feed, feed.c.platform == platform.c.code),
        )  # fmt: skip
        for statement in forgotten:
            with pytest.raises(RuntimeError, match="was not narrowed"):
                connection.execute(statement)
        own = connection.execute(within(connection, select(platform.c.code), platform.c.code)).scalars().all()
        assert own == [CODES[0]]


def test_whoever_acts_stands_on_both_doors_of_the_database(database: Database) -> None:
    narrow = Principal("key:x", PLATFORM_SCOPES, Rows(platforms=frozenset({CODES[0]})))
    for door in (database.acting(narrow).read, database.acting(narrow).write):
        with door() as connection:
            assert acting(connection) == narrow
            with pytest.raises(RuntimeError, match="was not narrowed"):
                connection.execute(select(feed.c.id))


def test_every_table_with_a_tenant_says_so() -> None:
    """A table that names a platform or feed belongs to a tenant, unless it is the published catalogue or the hub's own."""
    named = {name for name, table in metadata.tables.items() if {"platform", "feed_id"} & set(table.c.keys())}
    published = {"record", "digest_pending", "sighting", "removal", "suspension"}
    assert named - published - {name for name, table in metadata.tables.items() if table.info.get("tenant")} == set()


def test_region_subtrees_in_sql_are_those_of_the_vocabulary(sqlite: Database) -> None:
    codes = list(vocab.scheme("region").concepts)
    with sqlite.write() as connection:
        rows = [
            {"code": f"E-{code}-01", "name": "x", "level": "E", "region": code, "state": "active", "created_at": 0}
            for code in codes
        ]
        connection.execute(platform.insert(), rows)
        for ancestor in ("110000", "440000", "440100", "440105", "650000", "659001", "660000", "500000", "810000"):
            narrow = Principal("x", PLATFORM_SCOPES, Rows(regions=frozenset({ancestor})))
            connection.execution_options(principal=narrow)
            found = {row["region"] for row in platforms.platforms(connection)}
            expected = {code for code in codes if vocab.under(code, ancestor)}
            # A retired code that lives on elsewhere keeps the digits it had: rights follow the code of the platform.
            assert {code for code in expected - found if not vocab.region(code).until} == set(), ancestor
            # Retired codes belong where their digits say, though the vocabulary gives some of them no parent.
            assert {code for code in found - expected if not vocab.region(code).until} == set(), ancestor
