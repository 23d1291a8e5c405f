"""IX/1 out: changes, records, lookups and snapshots, as stored bytes joined (openapi/peer.yaml)."""

import gzip
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Body, Depends, Query, Request, Response
from fastapi.responses import FileResponse
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from app.access.door import requires
from app.access.scopes import Scope
from app.catalogue import digests, queries
from app.clock import iso
from app.db import Database
from app.protocol.errors import BadRequest, CursorGone, NotFound
from app.protocol.words import PLATFORM_CODE
from app.settings import Settings
from app.web import Config, Reading, database, json, seal, settings, unseal

router = APIRouter(tags=["IX/1"])
PART_RECORDS = 5000
Hub = Annotated[Database, Depends(database)]


def _scope(scope: str) -> str | None:
    """The platform of a scope, None for `all`. Raises NotFound for a scope this hub does not keep."""
    kind, _, code = scope.partition(":")
    if scope == "all":
        return None
    if kind == "platform" and PLATFORM_CODE.match(code):
        return code
    raise NotFound(f"there is no scope {scope!r}; /.well-known/ix lists them")


def item(row: Any, *, head: bool = False) -> bytes:
    """One change as IX/1 writes it, around the stored document."""
    put = bool(row.live)
    content = b"" if head or not put else b',"record":' + bytes(row.document)
    path = orjson.dumps(row.path.split()) if row.path else b"[]"
    return b'{"id":%s,"op":"%s","version":%d,"hash":"%s","seq":%d,"modified":"%s","origin":"%s","path":%s,"sig":null%s}' % (
        orjson.dumps(row.id), b"put" if put else b"delete", row.version, row.hash.encode(), row.seq,
        iso(row.modified_at).encode(), row.platform.encode(), path, content,
    )  # fmt: skip


@router.get(
    "/.well-known/ix", summary="Who this platform is and what it offers", dependencies=[requires(Scope.CATALOGUE_READ)]
)
def well_known(connection: Reading, config: Config) -> Response:
    """Platform code, scopes with their epoch, limits, retention and adoption level."""
    epoch = queries.epoch(connection)
    codes = [t.removeprefix("platform=") for t in queries.tallies(connection) if t.startswith("platform=")]
    scopes = [{"scope": s, "epoch": epoch} for s in ("all", *(f"platform:{code}" for code in sorted(codes)))]
    return json({
        "protocol": "IX/1", "platform": config.platform_code, "name": config.platform_name, "level": config.platform_code[0],
        "parents": [], "keys": [], "scopes": scopes, "limits": {"changes": 1000, "lookup": 500},
        "retention_days": config.tombstone_days, "poll_s": 60, "adoption": "L1", "formats": ["ix", "oai_dc"],
    })  # fmt: skip


@router.get(
    "/ix/v1/{scope}/changes",
    summary="Changes after a cursor, each record once at its latest state",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
async def changes(
    request: Request, scope: str, cursor: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    fields: Annotated[str, Query(pattern="^(full|head)$")] = "full",
) -> Response:  # fmt: skip
    """Stored bytes inline on SQLite; in a thread where the database is a network away."""
    base, config = database(request), settings(request)
    work = (base, config, scope, cursor, limit, fields == "head")
    body = _changes(*work) if base.sqlite else await run_in_threadpool(_changes, *work)
    return Response(body, media_type="application/json")


def _changes(base: Database, config: Settings, scope: str, cursor: str, limit: int, head: bool) -> bytes:
    platform = _scope(scope)
    with base.read() as connection:
        epoch = queries.epoch(connection)
        after = _after(config, scope, epoch, cursor)
        rows = queries.changes(connection, after=after, limit=limit + 1, platform=platform)
        count, root = digests.state(connection, scope)
        top = queries.head(connection)
    more, rows = len(rows) > limit, rows[:limit]
    last = rows[-1].seq if more else max(after, top)
    tail = {
        "next": seal(config.secret, scope, epoch, last), "more": more,
        "state": {"seq": top, "count": count, "root": root},
    }  # fmt: skip
    items = b",".join([item(row, head=head) for row in rows])
    return b'{"epoch":"%s","items":[%s],%s' % (epoch.encode(), items, orjson.dumps(tail)[1:])


def _after(config: Settings, scope: str, epoch: str, cursor: str) -> int:
    if not cursor:
        return 0
    try:
        bound, of_epoch, seq = unseal(config.secret, cursor)
    except (ValueError, TypeError):
        raise CursorGone("this cursor is not a cursor of changes") from None
    if bound != scope or of_epoch != epoch:
        raise CursorGone(f"this cursor belongs to another scope or epoch; begin at /ix/v1/{scope}/snapshots/latest")
    return int(seq)


@router.get(
    "/ix/v1/records/{id:path}",
    summary="One record; a tombstone answers 410 with its body",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
def one(connection: Reading, id: str, request: Request) -> Response:
    """ETag is the content hash."""
    row = queries.by_id(connection, id)
    if row is None:
        raise NotFound(f"there is no record {id}")
    tag = f'"{row.hash}"'
    if row.live and request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"ETag": tag})
    return Response(item(row), 200 if row.live else 410, {"ETag": tag}, "application/json")


@router.post(
    "/ix/v1/records:lookup",
    summary="Live, tombstone or unknown for up to 500 ids",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
def lookup(connection: Reading, ids: Annotated[list[str], Body(embed=True, max_length=500)]) -> Response:
    """One answer for each id, in order."""
    rows = {id: queries.by_id(connection, id) for id in ids}
    answers = [item(row) if row else b'{"id":%s,"op":"unknown"}' % orjson.dumps(id) for id, row in rows.items()]
    return Response(b'{"items":[%s]}' % b",".join(answers), media_type="application/json")


@router.get(
    "/ix/v1/{scope}/snapshots/latest",
    summary="Manifest of the present state as immutable parts",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
def snapshot(base: Hub, config: Config, scope: str) -> Response:
    """Live records at one cursor; the changes after it lead to the present (V4)."""
    return json(_snapshot(base, config, scope))


def _snapshot(base: Database, config: Settings, scope: str) -> dict[str, Any]:
    platform = _scope(scope)
    folder = config.data_dir / "snapshots"
    folder.mkdir(parents=True, exist_ok=True)
    with base.read() as connection, connection.begin():
        epoch, top = queries.epoch(connection), queries.head(connection)
        manifest = folder / f"{epoch}-{scope.replace(':', '_')}-{top}.json"
        if manifest.exists():
            found: dict[str, Any] = orjson.loads(manifest.read_bytes())
            return found
        count, root = digests.state(connection, scope)
        parts = [_part(folder, scope, lines) for lines in _live(connection, platform, top)]
    made = {
        "epoch": epoch, "cursor": seal(config.secret, scope, epoch, top), "count": count, "root": root,
        "parts": parts, "prev": None, "delta_parts": [],
    }  # fmt: skip
    manifest.write_bytes(orjson.dumps(made))
    return made


def _live(connection: Connection, platform: str | None, top: int) -> Iterator[list[bytes]]:
    after = 0
    while rows := queries.changes(connection, after=after, limit=PART_RECORDS, platform=platform, until=top):
        after = rows[-1].seq
        if lines := [item(row) for row in rows if row.live]:
            yield lines


def _part(folder: Path, scope: str, lines: list[bytes]) -> dict[str, Any]:
    content = gzip.compress(b"\n".join(lines) + b"\n", compresslevel=1, mtime=0)
    name = sha256(content).hexdigest()
    (folder / f"{name}.ndjson.gz").write_bytes(content)
    href = f"/ix/v1/{scope}/snapshots/parts/{name}.ndjson.gz"
    return {"href": href, "bytes": len(content), "sha256": name, "records": len(lines)}


@router.get(
    "/ix/v1/{scope}/snapshots/parts/{name}.ndjson.gz",
    summary="One immutable part of a snapshot",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
def part(config: Config, scope: str, name: str) -> FileResponse:
    """NDJSON in gzip, named by the SHA-256 of its bytes."""
    _scope(scope)
    if len(name) != 64 or not name.isalnum():
        raise BadRequest("a part's name is the SHA-256 of its bytes, 64 hex digits")
    file = config.data_dir / "snapshots" / f"{name}.ndjson.gz"
    if not file.exists():
        raise NotFound("there is no such part; read the manifest again")
    return FileResponse(file, media_type="application/gzip")
