"""ResourceSync out (ANSI/NISO Z39.99): description, capability list, resource list in parts, change list; sitemaps.

A resource is a record's stored document, so its hash and length are at hand. Parts of the resource list are ranges
of positions: each costs the same wherever it lies, and an unchanged range is an unchanged part.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Response

from app.access.door import requires
from app.access.scopes import Scope
from app.catalogue import queries
from app.clock import iso, now
from app.protocol import sitemaps
from app.protocol.errors import NotFound
from app.protocol.resourcesync import WELL_KNOWN, document
from app.protocol.sitemaps import ENTRIES, Document, Item
from app.web import Config, Reading

router = APIRouter(tags=["ResourceSync"])
CHANGES = 10_000  # the newest positions a change list names; an older reader begins with the resource list
JSON = "application/json"


def _xml(made: Document) -> Response:
    return Response(sitemaps.render(made), media_type="application/xml")


@router.get(WELL_KNOWN, summary="Source description", dependencies=[requires(Scope.CATALOGUE_READ)])
def description(config: Config) -> Response:
    """Where the capabilities are (8)."""
    url = f"{config.public_url}/resourcesync/capabilitylist.xml"
    return _xml(document("description", [Item(url, md={"capability": "capabilitylist"})]))


@router.get(
    "/resourcesync/capabilitylist.xml", summary="Capability list", dependencies=[requires(Scope.CATALOGUE_READ)]
)
def capabilities(config: Config) -> Response:
    """The resource list and the change list (9), also while there is nothing in them."""
    base = f"{config.public_url}/resourcesync"
    items = [Item(f"{base}/{name}.xml", md={"capability": name}) for name in ("resourcelist", "changelist")]
    return _xml(document("capabilitylist", items, up=f"{config.public_url}{WELL_KNOWN}"))


@router.get(
    "/resourcesync/resourcelist.xml",
    summary="Resource list, an index above 50,000 positions",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
def resource_list(config: Config, connection: Reading) -> Response:
    """All live records (10), or the index of the parts that hold them (10.2)."""
    head, at = queries.head(connection), iso(now())
    up = f"{config.public_url}/resourcesync/capabilitylist.xml"
    if head <= ENTRIES:
        return _xml(document("resourcelist", _resources(connection, config.public_url, 0), up=up, at=at))
    parts = range(-(-head // ENTRIES))
    items = [Item(f"{config.public_url}/resourcesync/resourcelist/{part}.xml", md={"at": at}) for part in parts]
    return _xml(document("resourcelist", items, up=up, index=True, at=at))


@router.get(
    "/resourcesync/resourcelist/{part}.xml",
    summary="A part of the resource list",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
def resource_part(config: Config, connection: Reading, part: int) -> Response:
    """Live records whose newest change has one of 50,000 positions."""
    _in_range(connection, part)
    index = f"{config.public_url}/resourcesync/resourcelist.xml"
    made = document("resourcelist", _resources(connection, config.public_url, part), up=index, at=iso(now()))
    return _xml(made)


def _in_range(connection: Any, part: int) -> None:
    if not 0 <= part * ENTRIES < max(queries.head(connection), 1):
        raise NotFound(f"there is no part {part}; read the index again")


def _resources(connection: Any, base: str, part: int) -> Iterator[Item]:
    rows = queries.heads(connection, after=part * ENTRIES, until=(part + 1) * ENTRIES)
    for row in rows:
        fixity = {"hash": f"sha-256:{row.hash}", "length": str(row.bytes), "type": JSON}
        yield Item(_resource(base, row.id), iso(row.modified_at), fixity)


def _resource(base: str, id: str) -> str:
    return f"{base}/resourcesync/resources/{quote(id, safe='')}"


@router.get("/resourcesync/changelist.xml", summary="Change list", dependencies=[requires(Scope.CATALOGUE_READ)])
def change_list(config: Config, connection: Reading) -> Response:
    """The newest changes in order, each record once (13); `from` says how far back the list reaches."""
    head = queries.head(connection)
    after = max(0, head - CHANGES)
    items = [
        _change(config.public_url, row) for row in queries.heads(connection, after=after, until=head, live_only=False)
    ]
    since = queries.moment_of(connection, after + 1) or now()
    up = f"{config.public_url}/resourcesync/capabilitylist.xml"
    return _xml(document("changelist", items, up=up, from_=iso(since), until=iso(now())))


def _change(base: str, row: Any) -> Item:
    kind = "deleted" if not row.live else "created" if row.version == 1 else "updated"
    said = {"change": kind, "datetime": iso(row.modified_at)}
    if row.live:
        said |= {"hash": f"sha-256:{row.hash}", "length": str(row.bytes), "type": JSON}
    return Item(_resource(base, row.id), None, said)


@router.get(
    "/resourcesync/resources/{id:path}",
    summary="One record as it is stored",
    dependencies=[requires(Scope.CATALOGUE_READ)],
)
def resource(connection: Reading, id: str) -> Response:
    """The record's canonical bytes; a deleted one answers 404 as the framework asks."""
    row = queries.by_id(connection, id)
    if row is None or not row.live:
        raise NotFound(f"there is no record {id}")
    return Response(bytes(row.document), media_type=JSON, headers={"ETag": f'"{row.hash}"'})


@router.get(
    "/sitemap.xml", summary="Sitemap of the records' public pages", dependencies=[requires(Scope.CATALOGUE_READ)]
)
def sitemap(config: Config, connection: Reading) -> Response:
    """For search engines: an index of the same parts."""
    parts = range(max(1, -(-queries.head(connection) // ENTRIES)))
    return _xml(Document([Item(f"{config.public_url}/sitemap/{part}.xml") for part in parts], index=True))


@router.get("/sitemap/{part}.xml", summary="A part of the sitemap", dependencies=[requires(Scope.CATALOGUE_READ)])
def sitemap_part(config: Config, connection: Reading, part: int) -> Response:
    """Addresses of live records' pages with the day of their newest change."""
    _in_range(connection, part)
    rows = queries.heads(connection, after=part * ENTRIES, until=(part + 1) * ENTRIES)
    return _xml(
        Document([Item(f"{config.public_url}/r/{quote(row.id, safe='')}", iso(row.modified_at)) for row in rows])
    )
