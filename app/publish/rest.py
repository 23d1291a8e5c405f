"""REST under /api/v1: platforms, feeds, runs, refusals, held changes, status."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access.door import principal_of, public, requires
from app.access.scopes import Scope
from app.admission import ramp
from app.feeds import service as feeds
from app.harvest import decisions, runs, undo
from app.harvest.discovery import configured, kinds, masked
from app.monitor import status as monitor
from app.monitor.figures import numbers
from app.platforms import service as platforms
from app.protocol.errors import NotFound
from app.web import Config, Reading, Tx, database, json, keyset, packed, seal

router = APIRouter(prefix="/api/v1", tags=["REST"])
Limit = Annotated[int, Query(ge=1, le=500)]


class NewPlatform(BaseModel):
    """A platform to enrol."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(pattern=r"^[NPCDSE]-\d{6}-\d{2}$", examples=["P-440000-01"])
    name: str = Field(min_length=1, max_length=200)
    region: str | None = Field(default=None, pattern=r"^\d{6}$")
    parent: str | None = None


class Why(BaseModel):
    """The reason of a suspension, told to the platform."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field(default="", max_length=2000)


class NewFeed(BaseModel):
    """A feed to register; `config` as the connector's schema says."""

    model_config = ConfigDict(extra="forbid")
    platform: str
    name: str = Field(min_length=1, max_length=200)
    connector: str
    config: dict[str, Any]
    mapping: dict[str, Any] | None = None
    every_s: int = Field(default=900, ge=1, le=31_536_000)
    key: str | None = None


@router.get("/platforms", dependencies=[requires(Scope.OPS_READ)])
def list_platforms(connection: Reading) -> Response:
    """The federation's members."""
    return json({"items": platforms.platforms(connection), "next": None})


@router.post("/platforms", status_code=201, dependencies=[requires(Scope.OPS_WRITE)])
def add_platform(connection: Tx, body: NewPlatform) -> Response:
    """Enrols a platform."""
    return json({"code": platforms.register(connection, **body.model_dump())}, 201)


@router.get("/platforms/{code}", dependencies=[requires(Scope.OPS_READ)])
def show_platform(connection: Reading, code: str) -> Response:
    """One platform."""
    return json(platforms.by_code(connection, code))


@router.get("/connectors", dependencies=[public()])
def list_connectors() -> Response:
    """The kinds with the schema of their configuration."""
    return json({"items": [{"name": n, "schema": k.model_json_schema()} for n, k in kinds().items()], "next": None})


@router.get("/feeds", dependencies=[requires(Scope.OPS_READ)])
def list_feeds(connection: Reading) -> Response:
    """All feeds."""
    return json({"items": feeds.feeds(connection), "next": None})


@router.post("/feeds", status_code=201, dependencies=[requires(Scope.FEEDS_MANAGE)])
def add_feed(request: Request, connection: Tx, settings: Config, body: NewFeed) -> Response:
    """Registers a feed; secret fields of its configuration go to the vault."""
    config, hidden = masked(configured(body.connector, body.config))
    sealed = (request.app.state.gate.ring, hidden)
    asked = {**body.model_dump(), "config": config, "quota": settings.quota_feeds}
    made = feeds.register(connection, **asked, sealed=sealed)
    ramp.submitted(connection, made, settings)
    return json({"id": made}, 201)


@router.get("/feeds/{feed_id}", dependencies=[requires(Scope.OPS_READ)])
def show_feed(connection: Reading, feed_id: int) -> Response:
    """One feed."""
    return json(feeds.by_id(connection, feed_id))


@router.post("/feeds/{feed_id}/{state}", dependencies=[requires(Scope.FEEDS_MANAGE)])
def move_feed(connection: Tx, feed_id: int, state: str, body: Why | None = None) -> Response:
    """`pause`, `resume` or `retire`; `suspend` is the operator's, and so is `resume` after it."""
    states = {"pause": "paused", "resume": "active", "retire": "retired", "suspend": "suspended"}
    if state not in states:
        raise NotFound("a feed can be paused (pause), resumed (resume), retired (retire) or suspended (suspend)")
    feeds.transition(connection, feed_id, states[state], body.reason if body else "")
    return json({"id": feed_id, "state": states[state]})


@router.get("/feeds/{feed_id}/runs", dependencies=[requires(Scope.OPS_READ)])
def feed_runs(connection: Reading, config: Config, feed_id: int, cursor: str = "", limit: Limit = 50) -> Response:
    """A feed's runs, the latest first."""
    feeds.by_id(connection, feed_id)
    found = runs.runs(connection, feed_id, limit + 1, keyset(config.secret, "runs", cursor))
    return _page(config.secret, "runs", found, limit, "run")


@router.get("/runs/{run_id}", dependencies=[requires(Scope.OPS_READ)])
def show_run(connection: Reading, run_id: int) -> Response:
    """One run with its sum."""
    return json(runs.by_id(connection, run_id))


@router.post("/runs/{run_id}/undo", dependencies=[requires(Scope.OPS_WRITE)])
def undo_run(request: Request, run_id: int, body: Why | None = None) -> Response:
    """Brings back what a run removed, or a decision about its removals, within 30 days; the run that did it."""
    asked = runs.Asked(principal_of(request).said, body.reason if body else "")
    return json(undo.undo(database(request), run_id, asked))


@router.get("/rejects", dependencies=[requires(Scope.OPS_READ)])
def list_rejects(
    connection: Reading, config: Config, feed: int | None = None, cursor: str = "", limit: Limit = 100
) -> Response:
    """Quarantined entries with stage, rule, path and value, the latest first."""
    found = runs.rejections(connection, feed, limit + 1, keyset(config.secret, "rejects", cursor))
    return _page(config.secret, "rejects", found, limit, "id")


@router.get("/held", dependencies=[requires(Scope.OPS_READ)])
def list_held(connection: Reading, feed: int | None = None) -> Response:
    """Removals, and links to other hosts, that wait for a person."""
    return json({"items": runs.waiting(connection, feed), "next": None})


@router.post("/held/{held_id}/{decision}", dependencies=[requires(Scope.OPS_WRITE)])
def decide(connection: Tx, held_id: int, decision: str) -> Response:
    """`approve` carries the change out, `reject` keeps the records as they are."""
    if decision not in ("approve", "reject"):
        raise NotFound("a held change can be approved (approve) or rejected (reject)")
    act = decisions.approve if decision == "approve" else decisions.reject
    return json({"id": held_id, "decision": decision, "records": act(connection, held_id)})


@router.get("/stats", dependencies=[requires(Scope.OPS_READ)])
def stats(connection: Reading) -> Response:
    """The figures of the whole hub."""
    return json(numbers(connection))


@router.get("/status", dependencies=[requires(Scope.OPS_READ)])
def show_status(request: Request, connection: Reading) -> Response:
    """The wall for programs: every feed with its word, groups by level and province, the figures."""
    return packed(request, json(monitor.document(connection)))


def _page(secret: bytes, kind: str, found: list[dict[str, Any]], limit: int, key: str) -> Response:
    more, items = len(found) > limit, found[:limit]
    return json({"items": items, "next": seal(secret, kind, items[-1][key]) if more else None})
