"""REST of the jobs that look without storing, of a mapping's trial, and of what they are measured by."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from app.access.door import principal_of, public, requires
from app.access.scopes import Scope
from app.db import Database
from app.feeds import service as feeds
from app.harvest import attach, explain, look, remap
from app.harvest import probe as probing
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.protocol import mapping as crosswalk
from app.protocol import rules
from app.protocol.errors import BadRequest
from app.web import Config, Reading, database, json

router = APIRouter(prefix="/api/v1", tags=["REST"])


class Address(BaseModel):
    """An address to probe."""

    model_config = ConfigDict(extra="forbid")
    url: str = Field(
        min_length=8, max_length=4000, pattern="^https?://", examples=["https://repository.example.edu.cn/oai"]
    )


class Look(BaseModel):
    """What to look at: a feed, an address, or a connector with its configuration; `mapping` overrides the feed's own."""

    model_config = ConfigDict(extra="forbid")
    feed: int | str | None = None
    url: str | None = Field(default=None, max_length=4000, pattern="^https?://")
    connector: str | None = None
    config: dict[str, Any] = {}
    mapping: dict[str, Any] | None = None
    records: int = Field(default=20, ge=1, le=1000)
    attach: bool = False


class NewMapping(BaseModel):
    """A mapping to try on kept bytes, or with `apply` to give the feed."""

    model_config = ConfigDict(extra="forbid")
    mapping: dict[str, Any]
    apply: bool = False


def _engine(request: Request) -> Engine:
    found: Engine = request.app.state.engine
    return found


Running = Annotated[Engine, Depends(_engine)]
Hub = Annotated[Database, Depends(database)]


def _looking(engine: Running, base: Hub) -> Fetcher:
    """The client of the hub; for a test key bound to the applicant's proved domain."""
    with base.read() as connection:
        return attach.eyes(connection, engine.fetcher)


Eyes = Annotated[Fetcher, Depends(_looking)]


@router.post("/probe", dependencies=[requires(Scope.FEEDS_MANAGE)])
def probe(eyes: Eyes, body: Address) -> Response:
    """Which connector fits an address, with evidence, and a mapping to begin with."""
    return json(probing.probe(eyes, body.url))


@router.post("/preview", dependencies=[requires(Scope.FEEDS_MANAGE)])
def preview(engine: Running, base: Hub, eyes: Eyes, body: Look) -> Response:
    """The first records as they would be stored, coverage by field and a score; nothing is stored."""
    return json(look.preview(eyes, _subject(engine, base, eyes, body), body.records, engine.rules))


@router.post("/validate", dependencies=[requires(Scope.FEEDS_MANAGE)])
def validate(engine: Running, base: Hub, eyes: Eyes, config: Config, body: Look) -> Response:
    """A report grouped by rule, with counts and three examples each; no record is stored.

    With `attach` the report on a registered feed is kept with its platform's enrolment, as the hub's own work.
    """
    if body.attach and body.feed is None:
        raise BadRequest("`attach` keeps the report on a registered feed: name it in `feed`")
    report = look.validate(eyes, _subject(engine, base, eyes, body), body.records, engine.rules)[0]
    if body.attach and body.feed is not None:
        with base.write() as connection:
            report["document"] = attach.attach(connection, config.documents, body.feed, report)
    return json(report)


def _subject(engine: Engine, base: Database, eyes: Fetcher, body: Look) -> look.Subject:
    if (body.feed is not None) + (body.url is not None) + (body.connector is not None) != 1:
        raise BadRequest("exactly one of `feed`, `url` and `connector` says what to look at")
    if body.mapping is not None:
        crosswalk.checked(body.mapping)
    if body.feed is not None:
        with base.read() as connection:
            return look.registered(engine, connection, body.feed, body.mapping)
    if body.connector is not None:
        return look.unregistered(body.connector, body.config, body.mapping)
    found = probing.proposed(eyes, str(body.url))
    return found._replace(mapping=body.mapping or found.mapping)


@router.post("/feeds/{feed_id}/remap", dependencies=[requires(Scope.FEEDS_MANAGE)])
def try_mapping(request: Request, engine: Running, base: Hub, feed_id: int, body: NewMapping) -> Response:
    """A mapping on kept bytes: how many records would change, ten differences; `apply` carries it out."""
    with base.read() as connection:
        feed = feeds.by_id(connection, feed_id)
    hub = engine.database.acting(principal_of(request).widened())
    if body.apply:
        return json(remap.apply(hub, feed_id, body.mapping, engine.rules, level=engine.level))
    return json(remap.trial(hub, feed, body.mapping, engine.rules))


@router.get("/records/{id:path}/explain", dependencies=[requires(Scope.FEEDS_MANAGE)])
def show_origin(connection: Reading, id: str) -> Response:
    """Where each field of a record came from."""
    return json(explain.explain(connection, id))


@router.get("/mapping-schema", dependencies=[public()])
def show_mapping_schema() -> Response:
    """The JSON Schema of a mapping document."""
    return json(crosswalk.schema())


@router.get("/rules", dependencies=[public()])
def list_rules(severity: Annotated[str, Query(pattern="^(error|warning|advice)?$")] = "") -> Response:
    """All rules with their texts in Chinese and English, example and remedy."""
    found = [rules.described(rule) for rule in rules.RULES.values() if severity in ("", rule.severity)]
    return json({"items": found, "next": None})
