"""Live pages: one line over server-sent events whenever something was stored, a run began or a feed changed hands.

A page that hears it asks for itself again; where events do not arrive it asks every few seconds (hutong.js).
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import Request
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from app.monitor.system import pulse
from app.web import database

LOOK_S: Final = 1.0
# A stream ends by itself and the browser comes back: so a stopping server waits for nobody for long.
LIFE_S: Final = 30.0


def _pulse(request: Request) -> str:
    with database(request).read() as connection:
        return pulse(connection)


async def _events(request: Request) -> AsyncIterator[str]:
    yield "retry: 1500\n\n"
    known = None
    for _ in range(int(LIFE_S / LOOK_S)):
        seen = await run_in_threadpool(_pulse, request)
        if seen != known:
            yield f"event: change\ndata: {seen}\n\n"
            known = seen
        if await request.is_disconnected():
            return
        await asyncio.sleep(LOOK_S)


def events(request: Request) -> StreamingResponse:
    """The stream; the first event tells the present pulse, so that a page that fell behind notices at once."""
    return StreamingResponse(_events(request), media_type="text/event-stream", headers={"Cache-Control": "no-store"})
