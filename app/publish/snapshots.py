"""Snapshots of a scope: a manifest and immutable NDJSON parts named by their hash (IX/1 section 3.3).

A snapshot stands for some minutes, so that readers who ask for it do not each cost a walk through the catalogue: the
changes after its cursor lead to the present from any moment (V4).
"""

import gzip
import os
import shutil
import threading
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Response
from fastapi.responses import FileResponse
from sqlalchemy import Connection

from app.access.door import requires
from app.access.scopes import Scope as Grant
from app.catalogue import queries
from app.clock import now
from app.db import Database
from app.protocol.errors import BadRequest, NotFound
from app.publish.items import item
from app.publish.scopes import Scope, named, rows, state
from app.settings import Settings
from app.web import Config, database, json, seal

router = APIRouter(tags=["IX/1"])
Hub = Annotated[Database, Depends(database)]
PART_RECORDS = 5000
PART_BYTES = 8 << 20  # before compression, so that a part on the wire stays below the protocol's 8 MiB
FRESH_S = 60
KEPT_S = 86_400  # a reader who began with an older manifest finds its parts for a day
_building = threading.Lock()


@router.get(
    "/ix/v1/{scope}/snapshots/latest",
    summary="Manifest of a recent state as immutable parts",
    dependencies=[requires(Grant.CATALOGUE_READ)],
)
def snapshot(base: Hub, config: Config, scope: str) -> Response:
    """Live records at one cursor; the changes after it lead to the present (V4)."""
    return json(latest(base, config, scope))


@router.get(
    "/ix/v1/{scope}/snapshots/parts/{name}.ndjson.gz",
    summary="One immutable part of a snapshot",
    dependencies=[requires(Grant.CATALOGUE_READ)],
)
def part(base: Hub, config: Config, scope: str, name: str) -> FileResponse:
    """NDJSON in gzip, named by the SHA-256 of its bytes; Range is answered."""
    named(scope)
    if len(name) != 64 or not set(name) <= set("0123456789abcdef"):
        raise BadRequest("a part's name is the SHA-256 of its bytes, 64 hex digits")
    with base.read() as connection:
        file = _folder(config, connection) / f"{name}.ndjson.gz"
    if not file.exists():
        raise NotFound("there is no such part; read the manifest again")
    forever = {"Cache-Control": "public, max-age=31536000, immutable"}
    return FileResponse(file, media_type="application/gzip", headers=forever)


def _folder(config: Settings, connection: Connection) -> Path:
    """Where today's snapshots stand. A withdrawn record takes all parts that may hold it along, at once."""
    return config.data_dir / "snapshots" / (queries.value(connection, "withdrawn") or "0")


def latest(base: Database, config: Settings, name: str) -> dict[str, Any]:
    """The manifest of a scope, made anew when the catalogue has moved and the last one is older than FRESH_S."""
    of = named(name)
    with _building, base.read() as connection:
        folder = _folder(config, connection)
        folder.mkdir(parents=True, exist_ok=True)
        epoch, top = queries.epoch(connection), queries.head(connection)
        cursor = seal(config.secret, name, epoch, top)
        file = folder / f"{epoch}-{name.replace(':', '_')}.json"
        found: dict[str, Any] = orjson.loads(file.read_bytes()) if file.exists() else {}
        if found and (found["cursor"] == cursor or _age(file) < FRESH_S):
            return found
        count, root = state(connection, of)
        parts = [_part(folder, lines) for lines in _live(connection, of, top)]
        made = {
            "epoch": epoch, "cursor": cursor, "count": count, "root": root,
            "parts": parts, "prev": None, "delta_parts": [],
        }  # fmt: skip
        _write(file, orjson.dumps(made))
        _prune(folder)
    return made


def _age(file: Path) -> float:
    return now() / 1_000_000 - file.stat().st_mtime


def _live(connection: Connection, of: Scope, top: int) -> Iterator[list[bytes]]:
    """Lines of live records, cut by number and by bytes."""
    lines: list[bytes] = []
    size = after = 0
    while found := rows(connection, of, after=after, until=top, limit=1000):
        after = found[-1].seq
        for row in found:
            if not row.live or row.left:
                continue
            line = item(row)
            if lines and (len(lines) >= PART_RECORDS or size + len(line) > PART_BYTES):
                yield lines
                lines, size = [], 0
            lines.append(line)
            size += len(line) + 1
    if lines:
        yield lines


def _part(folder: Path, lines: list[bytes]) -> dict[str, Any]:
    content = gzip.compress(b"\n".join(lines) + b"\n", compresslevel=1, mtime=0)
    name = sha256(content).hexdigest()
    _write(folder / f"{name}.ndjson.gz", content)
    # Relative to the manifest, so that a hub behind a path prefix needs no setting for it.
    return {"href": f"parts/{name}.ndjson.gz", "bytes": len(content), "sha256": name, "records": len(lines)}


def _write(file: Path, content: bytes) -> None:
    """Whole or not at all: another process may read the file at any moment."""
    with NamedTemporaryFile(dir=file.parent, suffix=".new", delete=False) as new:
        new.write(content)
    os.replace(new.name, file)


def _prune(folder: Path) -> None:
    """Removes files of older snapshots that nobody can be reading any more, and all from before a withdrawal."""
    for other in folder.parent.iterdir():
        if other.is_dir() and other != folder:
            shutil.rmtree(other, ignore_errors=True)
    manifests = [orjson.loads(file.read_bytes()) for file in folder.glob("*.json") if _age(file) < KEPT_S]
    named = {f"{part['sha256']}.ndjson.gz" for manifest in manifests for part in manifest["parts"]}
    for file in folder.iterdir():
        if file.name not in named and _age(file) > KEPT_S:
            file.unlink(missing_ok=True)
