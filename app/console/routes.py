"""The addresses of the console; every page works with a plain GET, every filter is in the address."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse

from app.access.door import public, requires
from app.access.scopes import Scope
from app.console import live
from app.console.page import Page, PageRoute
from app.console.pages import (
    audit,
    feed_actions,
    held,
    lineage,
    lists,
    mapping,
    members,
    platform_actions,
    records,
    wall,
    work,
)
from app.monitor.problems import problems
from app.monitor.system import system
from app.protocol.errors import NotFound
from app.web import Reading

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/", dependencies=[requires(Scope.OPS_READ)])
def show_wall(view: Page, connection: Reading, look: Literal["map", "table"] = "map", sort: str = "") -> Response:
    """The wall, as tiles or as a table."""
    return view.page("wall.html", {**wall.wall(connection, sort), "look": look})


@router.get("/platforms", dependencies=[requires(Scope.OPS_READ)])
def list_platforms(view: Page, connection: Reading, query: Annotated[lists.Narrowing, Query()]) -> Response:
    """Platforms x days."""
    return view.page("platforms.html", lists.heat(connection, query))


@router.get("/platforms/{code}", dependencies=[requires(Scope.OPS_READ)])
def show_platform(view: Page, connection: Reading, code: str) -> Response:
    """One platform."""
    return view.page("platform.html", members.platform(connection, code))


@router.get("/platforms/{code}/do/{action}", dependencies=[requires(Scope.OPS_READ)])
def confirm_on_platform(view: Page, connection: Reading, code: str, action: str) -> Response:
    """What an action will do to a platform, before it is done."""
    return view.page("platform_action.html", platform_actions.confirmation(connection, code, action))


@router.get("/feeds", dependencies=[requires(Scope.OPS_READ)])
def list_feeds(view: Page, connection: Reading, query: Annotated[lists.Narrowing, Query()]) -> Response:
    """All feeds."""
    return view.page("feeds.html", lists.feed_list(connection, query))


@router.get("/feeds/{feed_id}", dependencies=[requires(Scope.OPS_READ)])
def show_feed(view: Page, connection: Reading, feed_id: int) -> Response:
    """One feed."""
    return view.page("feed.html", members.feed(connection, feed_id))


@router.get("/feeds/{feed_id}/mapping", dependencies=[requires(Scope.OPS_READ)])
def show_mapping(view: Page, connection: Reading, feed_id: int, way: Annotated[mapping.Way, Query()]) -> Response:
    """A feed's mapping, to be changed and tried."""
    return view.page("mapping.html", mapping.editor(connection, feed_id, way, view.lang))


@router.get("/feeds/{feed_id}/do/{action}", dependencies=[requires(Scope.OPS_READ)])
def confirm(view: Page, connection: Reading, feed_id: int, action: str) -> Response:
    """What an action will do, before it is done."""
    return view.page("feed_action.html", feed_actions.confirmation(connection, feed_id, action))


@router.get("/runs", dependencies=[requires(Scope.OPS_READ)])
def list_runs(view: Page, connection: Reading, query: Annotated[work.RunFilter, Query()]) -> Response:
    """The latest runs."""
    return view.page("runs.html", work.run_list(connection, query))


@router.get("/runs/{run_id}", dependencies=[requires(Scope.OPS_READ)])
def show_run(view: Page, connection: Reading, run_id: int) -> Response:
    """One run, live while it runs."""
    return view.page("run.html", work.run(connection, run_id))


@router.get("/quarantine", dependencies=[requires(Scope.OPS_READ)])
def list_quarantine(view: Page, connection: Reading, query: Annotated[work.RefusalFilter, Query()]) -> Response:
    """What was refused, by rule and feed."""
    return view.page("quarantine.html", work.quarantine(connection, query))


@router.get("/quarantine/{number}", dependencies=[requires(Scope.OPS_READ)])
def show_refusal(view: Page, connection: Reading, number: int) -> Response:
    """One refused entry."""
    return view.page("refusal.html", work.refusal(connection, number))


@router.get("/held", dependencies=[requires(Scope.OPS_READ)])
def list_held(view: Page, connection: Reading) -> Response:
    """Removals that wait for a person."""
    return view.page("held.html", held.held_list(connection))


@router.get("/held/{held_id}", dependencies=[requires(Scope.OPS_READ)])
def show_held(view: Page, connection: Reading, held_id: int) -> Response:
    """One held change."""
    return view.page("held_change.html", held.held_change(connection, held_id))


@router.get("/search", dependencies=[requires(Scope.CATALOGUE_READ)])
def search(view: Page, connection: Reading, query: Annotated[records.Search, Query()]) -> Response:
    """The public catalogue."""
    return view.page("search.html", records.search(connection, query, view.lang))


@router.get("/r/{id:path}", dependencies=[requires(Scope.CATALOGUE_READ)])
def show_record(view: Page, connection: Reading, id: str) -> Response:
    """A record's public page."""
    context, status = records.record(connection, id, view.settings.public_url, view.lang)
    return view.page("record.html", context, status)


@router.get("/records/{id:path}", dependencies=[requires(Scope.OPS_READ)])
def show_lineage(view: Page, connection: Reading, id: str) -> Response:
    """A record as operators see it."""
    return view.page("lineage.html", lineage.lineage(connection, id))


@router.get("/system", dependencies=[requires(Scope.OPS_READ)])
def show_system(view: Page, connection: Reading) -> Response:
    """The hub itself."""
    return view.page("system.html", {"system": system(connection, view.settings.data_dir)})


@router.get("/audit", dependencies=[requires(Scope.AUDIT_READ)])
def search_audit(view: Page, connection: Reading, query: Annotated[audit.AuditFilter, Query()]) -> Response:
    """Who did what, for the auditor."""
    return view.page("audit.html", audit.chain(connection, query))


@router.get("/problems/{kind}", dependencies=[public()])
def show_problem(view: Page, kind: str) -> Response:
    """What a kind of problem means: a page for people, Markdown for programs."""
    if (found := problems().get(kind)) is None:
        raise NotFound(f"there is no kind of problem {kind}")
    if "text/html" not in view.request.headers.get("accept", ""):
        return Response(found.markdown, media_type="text/markdown; charset=utf-8")
    return view.page("problem.html", {"problem": found})


@router.get("/events", dependencies=[requires(Scope.OPS_READ)])
async def events(request: Request) -> StreamingResponse:
    """Server-sent events: something changed."""
    return live.events(request)
