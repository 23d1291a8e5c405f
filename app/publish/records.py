"""Records and facets under /api/v1: the catalogue by words and filters, the newest first."""

from datetime import UTC, datetime
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from app.access.door import requires
from app.access.scopes import Scope
from app.catalogue import queries, search
from app.clock import iso
from app.platforms import choices
from app.protocol import vocab
from app.protocol.errors import BadRequest, NotFound
from app.web import Config, Reading, json, keyset, seal

router = APIRouter(prefix="/api/v1", tags=["REST"])


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
    chosen_by: str = Field(default="", pattern=r"^(\d{6})?$", description="of vendors that this region has chosen")
    status: str = Field(default="live", pattern="^(live|deleted|all)$")
    changed_after: datetime | None = None
    cursor: str = ""
    limit: int = Field(default=100, ge=1, le=500)

    def terms(self, connection: Connection) -> list[str]:
        """The filters as index terms; several languages, separated by commas, must all be present."""
        names = ("subject", "stage", "grade", "type", "edition", "platform")
        found = [f"{name}={getattr(self, name)}" for name in names if getattr(self, name)]
        return found + [f"language={tag}" for tag in self.language.split(",") if tag]

    def either(self, connection: Connection) -> search.Alternatives | None:
        """What a region has chosen, as index terms; None where nothing is asked. Raises BadRequest: unknown region."""
        return choices.alternatives(connection, self.chosen_by) if self.chosen_by else None


@router.get("/records", dependencies=[requires(Scope.CATALOGUE_READ)])
def list_records(connection: Reading, config: Config, query: Annotated[Filters, Query()]) -> Response:
    """Records, the newest first, by words and filters."""
    before = keyset(config.secret, "records", query.cursor)
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
    if not (query.q.strip() or terms or query.chosen_by):
        live = {"live": 1, "deleted": 0, "all": None}[query.status]
        rows = _kept(queries.newest(connection, before=before, limit=want, live=live, after=after), query)
        return rows if not query.region else _sifted(connection, query, before, after, want)
    return _sifted(connection, query, before, after, want)


def _sifted(connection: Connection, query: Filters, before: int | None, after: int, want: int) -> list[Any]:
    """Pages through the index until enough rows pass the filters that the index does not hold."""
    found: list[Any] = []
    terms, either = query.terms(connection), query.either(connection)
    while len(found) < want:
        if query.q.strip() or terms or either is not None:
            pks = search.find(connection, words=query.q, terms=terms, before=before, limit=500, either=either)
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
    terms, either = query.terms(connection), query.either(connection)
    if query.q.strip() or terms or either is not None:
        counts, exact = search.facets(connection, words=query.q, terms=terms, either=either)
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
