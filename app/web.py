"""What every HTTP room shares: problem+json (RFC 9457), signed cursors, the database."""

import asyncio
import base64
import gzip
import hmac
from collections.abc import AsyncIterator, Iterator, Mapping
from errno import EDQUOT, ENOSPC
from hashlib import sha256
from math import ceil
from typing import Annotated, Any
from uuid import uuid4

import orjson
import structlog
from fastapi import Depends, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Connection
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db import Database
from app.protocol.errors import BadRequest, CursorGone, HutongError, QuotaExceeded
from app.settings import Settings

log = structlog.get_logger()
SLOTS = 40  # with the 40 threads of the server, which may each hold one more, within the pools of app/db.py


def problem(
    status: int, kind: str, detail: str, errors: list[Any] | None = None, members: Mapping[str, Any] | None = None
) -> Response:
    """A problem document with its extension members; `type` points to its page in this hub."""
    body = {
        "type": f"/problems/{kind}", "title": kind.replace("_", " ").replace(".", ": "), "status": status,
        "detail": detail, "kind": kind, "errors": errors or [], **(members or {}),
    }  # fmt: skip
    return Response(orjson.dumps(body), status_code=status, media_type="application/problem+json")


def install(app: FastAPI) -> None:
    """Every error leaves as a problem document; input is never echoed (a lone surrogate would break the answer)."""

    @app.exception_handler(HutongError)
    async def _ours(_: Request, error: HutongError) -> Response:
        return refusal(error)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        errors = [{"pointer": "/".join(str(s) for s in e["loc"]), "detail": e["msg"]} for e in error.errors()]
        named = "; ".join(f"{e['pointer']}: {e['detail']}" for e in errors)
        return problem(422, "request.invalid", named.encode("ascii", "backslashreplace").decode(), errors)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        kind = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "request.invalid")
        return problem(error.status_code, kind, str(error.detail))

    @app.exception_handler(OSError)
    async def _no_room(_: Request, error: OSError) -> Response:
        if error.errno not in (ENOSPC, EDQUOT):
            raise error
        return problem(503, "hub.disk_full", "the hub's disk is full; nothing was stored")


def refusal(error: HutongError) -> Response:
    """The problem document of one of our errors, with the headers that belong to it."""
    answer = problem(error.status, error.kind, error.detail, error.errors, error.members)
    if error.wait_s is not None:
        answer.headers["Retry-After"] = str(ceil(error.wait_s))
    if isinstance(error, QuotaExceeded):
        answer.headers["RateLimit-Limit"], answer.headers["RateLimit-Remaining"] = str(error.limit), "0"
        answer.headers["RateLimit-Reset"] = str(ceil(error.wait_s or 0))
    if error.status == 401:
        answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


class Answers:
    """Around everything: a request id in (for log and audit), and out on every answer the headers of ASVS 3.4.

    A fault is answered with this id and nothing of its inside (ASVS 16.5.1); the server's log has the rest.
    """

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self.app = app
        self.fixed = {**_HEADERS, **({"Strict-Transport-Security": "max-age=31536000"} if https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["request_id"] = uuid4().hex

        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                headers = MutableHeaders(scope=message)
                for name, value in self.fixed.items():
                    headers.setdefault(name, value)
                headers["X-Request-Id"] = state["request_id"]
                if left := state.get("left"):
                    for name, value in zip(_RATE, left, strict=True):
                        headers.setdefault(name, str(value))
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception:
            log.error("fault", request=state["request_id"])
            if not begun:
                detail = "an internal fault; the log has it under this request"
                fault = problem(500, "hub.error", detail, members={"request": state["request_id"]})
                await fault(scope, receive, answer)
            raise


_RATE = ("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # A page with needs of its own sets its own policy.
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


def json(content: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


def packed(request: Request, answer: Response) -> Response:
    """The answer, compressed where that is worth it and the caller takes it."""
    answer.headers.append("Vary", "Accept-Encoding")
    if len(answer.body) > _SMALL and "gzip" in request.headers.get("accept-encoding", ""):
        answer.body = gzip.compress(answer.body, 5, mtime=0)
        answer.headers["Content-Encoding"], answer.headers["Content-Length"] = "gzip", str(len(answer.body))
    return answer


_SMALL = 1024  # bytes; not worth compressing


def seal(secret: bytes, *parts: Any) -> str:
    """An opaque cursor: parts with a MAC, URL-safe."""
    body = orjson.dumps(parts)
    mac = hmac.new(secret, body, sha256).digest()[:12]
    return base64.urlsafe_b64encode(mac + body).decode().rstrip("=")


def unseal(secret: bytes, cursor: str) -> list[Any]:
    """The parts of a cursor. Raises CursorGone when it is not one of ours."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    except ValueError:
        raise CursorGone("this cursor was not given out by this hub") from None
    mac, body = raw[:12], raw[12:]
    if not hmac.compare_digest(mac, hmac.new(secret, body, sha256).digest()[:12]):
        raise CursorGone("this cursor was not given out by this hub")
    parts: list[Any] = orjson.loads(body)
    return parts


def keyset(secret: bytes, kind: str, cursor: str) -> int | None:
    """Where a list of this kind goes on; None at its beginning. Raises BadRequest for a cursor of another kind."""
    if not cursor:
        return None
    parts = unseal(secret, cursor)
    if len(parts) != 2 or parts[0] != kind:
        raise BadRequest(f"this is not a cursor of {kind}")
    return int(parts[1])


def database(request: Request) -> Database:
    """The hub's database for the caller of this request. A route that has not declared what it needs ends here."""
    base: Database = request.app.state.database
    return base.acting(request.state.principal)


def settings(request: Request) -> Settings:
    """The hub's settings."""
    found: Settings = request.app.state.settings
    return found


async def _slot(request: Request) -> AsyncIterator[None]:
    """One of SLOTS places among the requests that hold a connection. Others wait here, on the event loop: waiting for
    the pool would hold the threads that those with a connection need to go on, and nobody would."""
    slots: asyncio.Semaphore = request.app.state.slots
    async with slots:
        yield


Slot = Annotated[None, Depends(_slot, scope="function")]


def _transaction(request: Request, _: Slot) -> Iterator[Connection]:
    with database(request).write() as connection:
        yield connection


def _reading(request: Request, _: Slot) -> Iterator[Connection]:
    with database(request).read() as connection:
        yield connection


# scope="function": the transaction ends before the answer leaves, so that nobody hears 201 before a failing commit.
Tx = Annotated[Connection, Depends(_transaction, scope="function")]
Reading = Annotated[Connection, Depends(_reading, scope="function")]
Config = Annotated[Settings, Depends(settings)]
