"""What happened to one record and to one run: states with their differences, and a run as it goes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from app.access.door import requires
from app.access.scopes import Scope
from app.catalogue import queries
from app.clock import iso
from app.db import Database
from app.harvest import runs
from app.protocol.errors import NotFound
from app.protocol.record import restore
from app.protocol.words import RunStatus
from app.web import Reading, database, json

router = APIRouter(prefix="/api/v1", tags=["REST"])
Hub = Annotated[Database, Depends(database)]
PERIOD_S = 1.0
QUIET = 15  # looks without news after which a comment keeps the line open
LOOKS = 3600  # an open page of a browser must not hold a connection for ever


@router.get("/records/{id:path}/history", dependencies=[requires(Scope.CATALOGUE_READ)])
def record_history(connection: Reading, id: str) -> Response:
    """A record's states, the newest first; `changes` are the fields that differ from the state before."""
    row = queries.by_id(connection, id)
    if row is None:
        raise NotFound(f"there is no record {id}")
    return json({"items": states(queries.states(connection, row)), "next": None})


def states(rows: Sequence[Any]) -> list[dict[str, Any]]:
    """A record's states from its rows, the newest first, each with what differs from the one before it."""
    contents = [restore(bytes(row.document)) if row.live else {} for row in rows]
    differences = [_difference(old, new) for new, old in pairwise(contents)] + [None]
    return [_state(row, difference) for row, difference in zip(rows, differences, strict=True)]


def _state(row: Any, difference: list[dict[str, Any]] | None) -> dict[str, Any]:
    return {
        "version": row.version, "hash": row.hash, "seq": row.seq, "status": "live" if row.live else "deleted",
        "modified": iso(row.modified_at), "run": row.run_id, "changes": difference,
    }  # fmt: skip


def _difference(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    """Fields that differ, in alphabetical order, with both values; None where a side has none."""
    names = sorted(old.keys() | new.keys())
    return [{"field": n, "old": old.get(n), "new": new.get(n)} for n in names if old.get(n) != new.get(n)]


@router.get("/runs/{run_id}/events", dependencies=[requires(Scope.OPS_READ)])
async def run_events(base: Hub, run_id: int) -> StreamingResponse:
    """Server-sent events: `run` with the figures whenever they change, `end` with the last ones."""
    await run_in_threadpool(_report, base, run_id)
    return StreamingResponse(
        _events(base, run_id), media_type="text/event-stream", headers={"Cache-Control": "no-store"}
    )


def _report(base: Database, run_id: int) -> dict[str, Any]:
    with base.read() as connection:
        return runs.by_id(connection, run_id)


async def _events(base: Database, run_id: int) -> AsyncIterator[bytes]:
    last, quiet = b"", 0
    for _ in range(LOOKS):
        report = await run_in_threadpool(_report, base, run_id)
        content = orjson.dumps(report)
        if report["status"] != RunStatus.RUNNING:
            yield b"event: end\ndata: %b\n\n" % content
            return
        quiet = quiet + 1 if content == last else 0
        if quiet == 0:
            yield b"event: run\ndata: %b\n\n" % content
        elif quiet % QUIET == 0:
            yield b": still running\n\n"
        last = content
        await asyncio.sleep(PERIOD_S)
