"""IX/1 out: who we are, changes, records and lookups, as stored bytes joined (openapi/peer.yaml)."""

import asyncio
import gzip
from typing import Annotated, NamedTuple

import orjson
from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import StringConstraints
from starlette.concurrency import run_in_threadpool

from app.access.door import requires
from app.access.scopes import Scope as Grant
from app.catalogue import queries
from app.db import Database
from app.protocol.errors import CursorGone, NotFound
from app.protocol.words import ID_LIMIT
from app.publish.items import item, unknown
from app.publish.scopes import Scope, named, offered, rows, state
from app.settings import Settings
from app.web import Config, Reading, database, json, seal, settings, unseal

router = APIRouter(tags=["IX/1"])
WAIT_STEP_S = 0.5
Id = Annotated[str, StringConstraints(min_length=1, max_length=ID_LIMIT, pattern=r"^[!-~]+$")]


@router.get(
    "/.well-known/ix", summary="Who this platform is and what it offers", dependencies=[requires(Grant.CATALOGUE_READ)]
)
def well_known(connection: Reading, config: Config) -> Response:
    """Platform code, scopes with their epoch, limits, retention and adoption level."""
    epoch = queries.epoch(connection)
    return json({
        "protocol": "IX/1", "platform": config.platform_code, "names": {config.locale: config.platform_name},
        "level": config.platform_code[0], "parents": [], "keys": [],
        "scopes": [{"scope": name, "epoch": epoch} for name in offered(connection)],
        "limits": {"changes": 1000, "lookup": 500, "wait_s": 30},
        "retention_days": config.tombstone_days, "poll_s": 60, "adoption": "L1", "formats": ["ix", "oai_dc"],
    })  # fmt: skip


class _Asked(NamedTuple):
    scope: Scope
    cursor: str
    limit: int
    head: bool


@router.get(
    "/ix/v1/{scope}/changes",
    summary="Changes after a cursor, each record once at its latest state",
    dependencies=[requires(Grant.CATALOGUE_READ)],
)
async def changes(
    request: Request, scope: str, cursor: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    wait: Annotated[int, Query(ge=0, le=30)] = 0, fields: Annotated[str, Query(pattern="^(full|head)$")] = "full",
) -> Response:  # fmt: skip
    """Stored bytes inline on SQLite; in a thread where the database is a network away."""
    return await _packed(request, await _awaited(request, _Asked(named(scope), cursor, limit, fields == "head"), wait))


async def _awaited(request: Request, asked: _Asked, wait: int) -> bytes:
    """The page at once when it has items, else as soon as one comes or `wait` seconds are over."""
    base, config = database(request), settings(request)
    for left in range(int(wait / WAIT_STEP_S), -1, -1):
        work = (base, config, asked)
        body, empty = _page(*work) if base.sqlite else await run_in_threadpool(_page, *work)
        if not empty or not left or await request.is_disconnected():
            break
        await asyncio.sleep(WAIT_STEP_S)
    return body


def _page(base: Database, config: Settings, asked: _Asked) -> tuple[bytes, bool]:
    """(body, nothing in it), all of one moment."""
    with base.read() as connection:
        epoch, top = queries.epoch(connection), queries.head(connection)
        after = _after(config, asked, epoch)
        found = rows(connection, asked.scope, after=after, until=top, limit=asked.limit + 1)
        count, root = state(connection, asked.scope)
    more, found = len(found) > asked.limit, found[: asked.limit]
    last = found[-1].seq if more else max(after, top)
    tail = {
        "next": seal(config.secret, asked.scope.name, epoch, last), "more": more,
        "state": {"seq": top, "count": count, "root": root},
    }  # fmt: skip
    items = b",".join([item(row, head=asked.head) for row in found])
    return b'{"epoch":"%s","items":[%s],%s' % (epoch.encode(), items, orjson.dumps(tail)[1:]), not found


def _after(config: Settings, asked: _Asked, epoch: str) -> int:
    """The position behind a cursor of this scope and epoch. Raises CursorGone (V10)."""
    if not asked.cursor:
        return 0
    try:
        bound, of_epoch, seq = unseal(config.secret, asked.cursor)
        if (bound, of_epoch) == (asked.scope.name, epoch):
            return int(seq)
    except (CursorGone, ValueError, TypeError):
        pass
    # Relative to /ix/v1/{scope}/changes.
    raise CursorGone("this cursor is of another scope or epoch, or is none of ours", snapshot="snapshots/latest")


async def _packed(request: Request, body: bytes) -> Response:
    """Compressed for those who ask: a page of 1,000 records is about a megabyte."""
    headers = {"Vary": "Accept-Encoding"}
    if len(body) > 1000 and "gzip" in request.headers.get("accept-encoding", ""):
        body = await run_in_threadpool(gzip.compress, body, 1)
        headers["Content-Encoding"] = "gzip"
    return Response(body, headers=headers, media_type="application/json")


@router.get(
    "/ix/v1/records/{id:path}",
    summary="One record; a tombstone answers 410 with its body",
    dependencies=[requires(Grant.CATALOGUE_READ)],
)
def one(connection: Reading, id: str, request: Request) -> Response:
    """ETag is the content hash."""
    row = queries.by_id(connection, id) if id.isprintable() else None
    if row is None:
        raise NotFound(f"there is no record {id[:ID_LIMIT]!r}")
    tag = f'"{row.hash}"'
    if row.live and tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers={"ETag": tag})
    return Response(item(row), 200 if row.live else 410, {"ETag": tag}, "application/json")


@router.post(
    "/ix/v1/records:lookup",
    summary="Live, tombstone or unknown for up to 500 ids",
    dependencies=[requires(Grant.CATALOGUE_READ)],
)
def lookup(connection: Reading, ids: Annotated[list[Id], Body(embed=True, max_length=500)]) -> Response:
    """One answer for each id, in order."""
    found = queries.by_ids(connection, ids)
    answers = [item(found[id]) if id in found else unknown(id) for id in ids]
    return Response(b'{"items":[%s]}' % b",".join(answers), media_type="application/json")
