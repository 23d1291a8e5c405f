"""REST under /api/v1: platforms, feeds, runs, refusals, held changes, records, search, facets, status."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from app.access.door import principal_of, public, requires
from app.access.scopes import Scope
from app.admission import ramp
from app.catalogue import queries, search
from app.clock import iso
from app.feeds import service as feeds
from app.harvest import decisions, runs, undo
from app.harvest.discovery import configured, kinds, masked
from app.monitor import status as monitor
from app.platforms import service as platforms
from app.protocol import vocab
from app.protocol.errors import BadRequest, NotFound
from app.web import Config, Reading, Tx, database, json, packed, seal, unseal

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
    found = runs.runs(connection, feed_id, limit + 1, _before(config.secret, "runs", cursor))
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
    found = runs.rejections(connection, feed, limit + 1, _before(config.secret, "rejects", cursor))
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


class Filters(BaseModel):
    """What a record list can be narrowed by."""

    model_config = ConfigDict(extra="forbid")
    q: str = Field(default="", max_length=200)
    subject: str = ""
    stage: str = ""
    grade: str = ""
    type: str = ""
    edition: str = ""
    language: str = ""
    platform: str = ""
    region: str = Field(default="", pattern=r"^(\d{6})?$")
    status: str = Field(default="live", pattern="^(live|deleted|all)$")
    changed_after: datetime | None = None
    cursor: str = ""
    limit: int = Field(default=100, ge=1, le=500)

    def terms(self, connection: Connection) -> list[str]:
        """The filters as index terms; several languages, separated by commas, must all be present."""
        names = ("subject", "stage", "grade", "type", "edition", "platform")
        found = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name)]
        return found + [f"language={tag}" for tag in self.language.split(",") if tag]


@router.get("/records", dependencies=[requires(Scope.CATALOGUE_READ)])
def list_records(connection: Reading, config: Config, query: Annotated[Filters, Query()]) -> Response:
    """Records, the newest first, by words and filters."""
    before = _before(config.secret, "records", query.cursor)
    rows = _found(connection, query, before)
    more, rows = len(rows) > query.limit, rows[: query.limit]
    cursor = seal(config.secret, "records", rows[-1].pk) if more else None
    items = b",".join(envelope(row) for row in rows)
    return Response(b'{"items":[%s],"next":%s}' % (items, orjson.dumps(cursor)), media_type="application/json")


def _found(connection: Connection, query: Filters, before: int | None) -> list[Any]:
    terms = query.terms(connection)
    if query.region and not vocab.region(query.region):
        raise BadRequest(f"region {query.region} is not a code of GB/T 2260 that this hub knows")
    after = 0
    if query.changed_after is not None:
        since = query.changed_after if query.changed_after.tzinfo else query.changed_after.replace(tzinfo=UTC)
        after = queries.position_until(connection, int(since.timestamp() * 1_000_000))
    want = query.limit + 1
    if not (query.q.strip() or terms):
        live = {"live": 1, "deleted": 0, "all": None}[query.status]
        rows = _kept(queries.newest(connection, before=before, limit=want, live=live, after=after), query)
        return rows if not query.region else _sifted(connection, query, before, after, want)
    return _sifted(connection, query, before, after, want)


def _sifted(connection: Connection, query: Filters, before: int | None, after: int, want: int) -> list[Any]:
    """Pages through the index until enough rows pass the filters that the index does not hold."""
    found: list[Any] = []
    terms = query.terms(connection)
    while len(found) < want:
        if query.q.strip() or terms:
            pks = search.find(connection, words=query.q, terms=terms, before=before, limit=500)
            rows = queries.by_pks(connection, pks)
        else:
            rows = queries.newest(connection, before=before, limit=500, after=after)
            pks = [row.pk for row in rows]
        if not pks:
            break
        before = pks[-1]
        found += [row for row in _kept(rows, query) if row.seq > after]
    return found[:want]


def _kept(rows: list[Any], query: Filters) -> list[Any]:
    if not query.region:
        return rows
    return [row for row in rows if vocab.under(row.platform[2:8], query.region)]


def envelope(row: Any) -> bytes:
    """A record with what the hub knows of it, around the stored document."""
    facts = {
        "id": row.id, "status": "live" if row.live else "deleted", "version": row.version, "hash": row.hash,
        "seq": row.seq, "modified": iso(row.modified_at), "origin": row.platform, "path": row.path.split(),
        "flags": row.flags.split(),
        "provenance": {"platform": row.platform, "feed": row.feed_id, "run": row.run_id, "stamp": row.stamp,
                       "source_id": row.id.split("/", 1)[-1], "source_hash": bytes(row.source_hash).hex()},
    }  # fmt: skip
    return orjson.dumps(facts)[:-1] + b',"record":' + (bytes(row.document) if row.live else b"null") + b"}"


@router.get("/records/{id:path}", dependencies=[requires(Scope.CATALOGUE_READ)])
def show_record(connection: Reading, id: str) -> Response:
    """One record; a tombstone answers 410."""
    row = queries.by_id(connection, id)
    if row is None:
        raise NotFound(f"there is no record {id}")
    return Response(envelope(row), 200 if row.live else 410, media_type="application/json")


@router.get("/facets", dependencies=[requires(Scope.CATALOGUE_READ)])
def facets(connection: Reading, query: Annotated[Filters, Query()]) -> Response:
    """Counts by facet; without words and filters exact, else over the newest 10,000 hits (`exact` says which)."""
    terms = query.terms(connection)
    if query.q.strip() or terms:
        counts, exact = search.facets(connection, words=query.q, terms=terms)
    else:
        counts, exact = queries.tallies(connection), True
    return json({"facets": _grouped(counts), "exact": exact})


def _grouped(counts: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for term, n in sorted(counts.items(), key=lambda pair: -pair[1]):
        kind, _, code = term.partition("=")
        if code and kind != "feed":
            label = vocab.label(kind, code) if kind in vocab.SCHEMES else code
            found.setdefault(kind, []).append({"code": code, "label": label, "count": n})
    return found


@router.get("/stats", dependencies=[requires(Scope.OPS_READ)])
def stats(connection: Reading) -> Response:
    """Six figures of the whole hub."""
    return json(monitor.figures(connection))


@router.get("/status", dependencies=[requires(Scope.OPS_READ)])
def show_status(request: Request, connection: Reading) -> Response:
    """The wall for programs: every feed with its word, groups by level and province, the figures."""
    return packed(request, json(monitor.document(connection)))


def _before(secret: bytes, kind: str, cursor: str) -> int | None:
    if not cursor:
        return None
    parts = unseal(secret, cursor)
    if len(parts) != 2 or parts[0] != kind:
        raise BadRequest(f"this is not a cursor of {kind}")
    return int(parts[1])


def _page(secret: bytes, kind: str, found: list[dict[str, Any]], limit: int, key: str) -> Response:
    more, items = len(found) > limit, found[:limit]
    return json({"items": items, "next": seal(secret, kind, items[-1][key]) if more else None})
