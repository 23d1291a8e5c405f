"""Uploading a feed's file over HTTP; a feed's own brakes; a platform's weight in the harvest's queue."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from app.access.door import requires
from app.access.scopes import Scope
from app.feeds import brakes, service, turns, uploads
from app.settings import LIMIT, Settings
from app.web import Config, Reading, Tx, database, json

router = APIRouter(prefix="/api/v1", tags=["REST"])
Weight = Annotated[int, Field(ge=1, le=turns.HEAVIEST, examples=[2])]
_BODY = {"requestBody": {"required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}  # fmt: skip


@router.post(
    "/feeds/{feed_id}/files", status_code=201, dependencies=[requires(Scope.FEEDS_MANAGE)], openapi_extra=_BODY
)
async def upload_file(
    request: Request, config: Config, feed_id: int, name: str = Query(default="file", max_length=255)
) -> Response:
    """Takes the body as the feed's newest file (`curl --data-binary @FILE`); it is harvested at once."""
    request.app.state.disk.check()
    staged = await uploads.received(config.files, request.stream(), config.fetch_file_max_bytes)
    return json(await run_in_threadpool(_keep, request, config, staged, feed_id, name), 201)


def _keep(request: Request, config: Settings, staged: uploads.Staged, feed_id: int, name: str) -> dict[str, Any]:
    try:
        with database(request).write() as connection:
            return uploads.keep(connection, config.files, staged, feed_id, name, config.quota_upload_bytes)
    finally:
        staged.path.unlink(missing_ok=True)


@router.get("/feeds/{feed_id}/files", dependencies=[requires(Scope.OPS_READ)])
def list_files(connection: Reading, feed_id: int) -> Response:
    """A feed's uploaded files, the newest first."""
    found = service.by_id(connection, feed_id)
    return json({"items": uploads.uploads(connection, found["id"]), "next": None})


class Weighing(BaseModel):
    """A platform's share of the harvest's turns, beside the 1 of everybody, and why."""

    model_config = ConfigDict(extra="forbid")
    weight: Weight
    reason: str = Field(min_length=1, max_length=2000)


class Limits(BaseModel):
    """A feed's own limits, `FLOOR,PERCENT%`; null for the hub's, left out to stay as it is; and why."""

    model_config = ConfigDict(extra="forbid")
    delete_brake: str | None = Field(default=None, pattern=LIMIT, examples=["200,20%"])
    host_brake: str | None = Field(default=None, pattern=LIMIT, examples=["50,30%"])
    reason: str = Field(min_length=1, max_length=2000)


@router.put("/feeds/{feed_id}/brakes", dependencies=[requires(Scope.OPS_WRITE)])
def set_brakes(connection: Tx, feed_id: int, body: Limits) -> Response:
    """How many removals, and links to other hosts, of a feed wait for a person; from its next run on."""
    given = body.model_dump(exclude={"reason"}, exclude_unset=True)
    limits = {brakes.Brake(name): text for name, text in given.items()}
    return json(brakes.set_(connection, feed_id, limits, body.reason))


@router.get("/platforms/{code}/weight", dependencies=[requires(Scope.OPS_READ)])
def show_weight(connection: Reading, code: str) -> Response:
    """A platform's weight in the harvest's queue."""
    return json({"platform": code, "weight": turns.weight(connection, code)})


@router.put("/platforms/{code}/weight", dependencies=[requires(Scope.OPS_WRITE, whole=True)])
def weigh(connection: Tx, code: str, body: Weighing) -> Response:
    """Gives a platform more turns, or all again the same: the others wait for it."""
    turns.weigh(connection, code, body.weight, body.reason)
    return json({"platform": code, "weight": body.weight})
