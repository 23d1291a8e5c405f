"""What every HTTP room shares: problem+json (RFC 9457), signed cursors, the administrator's key, the database."""

import base64
import hmac
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Annotated, Any

import orjson
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy import Connection
from starlette.exceptions import HTTPException

from app.db import Database
from app.protocol.errors import CursorGone, HutongError, Unauthorized
from app.settings import Settings


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
        return problem(error.status, error.kind, error.detail, error.errors, error.members)

    @app.exception_handler(RequestValidationError)
    async def _invalid(_: Request, error: RequestValidationError) -> Response:
        errors = [{"pointer": "/".join(str(s) for s in e["loc"]), "detail": e["msg"]} for e in error.errors()]
        named = "; ".join(f"{e['pointer']}: {e['detail']}" for e in errors)
        return problem(422, "request.invalid", named.encode("ascii", "backslashreplace").decode(), errors)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> Response:
        kind = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "request.invalid")
        return problem(error.status_code, kind, str(error.detail))

    @app.exception_handler(Exception)
    async def _fault(_: Request, __: Exception) -> Response:
        return problem(500, "hub.error", "an internal fault; the log has it")


def json(content: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(orjson.dumps(content), status_code=status, media_type="application/json")


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


def database(request: Request) -> Database:
    """The hub's database."""
    found: Database = request.app.state.database
    return found


def settings(request: Request) -> Settings:
    """The hub's settings."""
    found: Settings = request.app.state.settings
    return found


def _transaction(request: Request) -> Iterator[Connection]:
    with database(request).write() as connection:
        yield connection


def _reading(request: Request) -> Iterator[Connection]:
    with database(request).read() as connection:
        yield connection


# scope="function": the transaction ends before the answer leaves, so that nobody hears 201 before a failing commit.
Tx = Annotated[Connection, Depends(_transaction, scope="function")]
Reading = Annotated[Connection, Depends(_reading, scope="function")]
Config = Annotated[Settings, Depends(settings)]


def administrator(request: Request, authorization: Annotated[str, Header()] = "") -> None:
    """Writing routes answer only to the key that `hutong init` printed. Raises Unauthorized."""
    given = sha256(authorization.removeprefix("Bearer ").strip().encode()).hexdigest()
    if not hmac.compare_digest(given, request.app.state.admin_key_hash or ""):
        raise Unauthorized("this route needs `Authorization: Bearer KEY` with the key that `hutong init` printed")


Admin = Depends(administrator)
