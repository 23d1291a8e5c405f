"""Everything that a page of the console changes. Each answers with the page that shows what was done."""

from typing import Annotated, Any, Literal, NamedTuple

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.access.door import principal_of, requires
from app.access.scopes import Scope
from app.console.form import Posted
from app.console.page import Page, PageRoute
from app.console.pages import feed_actions, held, mapping, platform_actions, ramp
from app.db import Database
from app.feeds import service as feeds
from app.harvest import quarantine, runs, undo
from app.harvest.engine import Engine
from app.web import Tx, database

router = APIRouter(route_class=PageRoute, include_in_schema=False)


class Bench(NamedTuple):
    """What work on a feed's kept bytes needs: the feed, found among the caller's rows, and the hub's own database, on
    which what is done is noted as the caller's."""

    feed: dict[str, Any]
    database: Database
    rules: str
    level: str
    by: str


def _bench(request: Request, feed_id: int) -> Bench:
    engine: Engine = request.app.state.engine
    with database(request).read() as connection:
        feed = feeds.by_id(connection, feed_id)
    who = principal_of(request).widened()
    return Bench(feed, engine.database.acting(who), engine.rules, engine.level, who.said)


At = Annotated[Bench, Depends(_bench)]


@router.post("/held/{held_id}/{decision}", dependencies=[requires(Scope.OPS_WRITE)])
def decide(connection: Tx, form: Posted, held_id: int, decision: Literal["approve", "reject", "split"]) -> Response:
    """Carries removals out or keeps the records; back to the page, which says what was decided, by whom and why."""
    held.decide(connection, held_id, decision, form)
    return RedirectResponse(f"/held/{held_id}", 303)


@router.post("/runs/{run_id}/undo", dependencies=[requires(Scope.OPS_WRITE)])
def undo_run(request: Request, form: Posted, run_id: int) -> Response:
    """Brings back what a run removed, or a decision about its removals; on to the run that did it."""
    made = undo.undo(database(request), run_id, runs.Asked(principal_of(request).said, form.reason()))
    return RedirectResponse(f"/runs/{made['run']}", 303)


@router.post("/platforms/{code}/do/{action}", dependencies=[requires(Scope.OPS_WRITE)])
def act_on_platform(view: Page, connection: Tx, form: Posted, code: str, action: str) -> Response:
    """Suspends a platform, lets it go on, or announces its end."""
    platform_actions.act(connection, code, action, form, view.settings)
    return RedirectResponse(f"/platforms/{code}", 303)


@router.post("/feeds/{feed_id}/mapping", dependencies=[requires(Scope.FEEDS_MANAGE)])
def edit_mapping(view: Page, bench: At, form: Posted, feed_id: int) -> Response:
    """Tries a mapping on kept bytes, shows it in its other form, or gives it to the feed."""
    if form.one("do") == "apply":
        live, replayed = mapping.applied(bench.database, bench.rules, bench.level, feed_id, form, bench.by)
        return RedirectResponse(f"/feeds/{feed_id}/mapping?live={live}&replayed={replayed}", 303)
    return view.page("mapping.html", *mapping.posted(bench.database, bench.rules, bench.feed, form, view.lang))


@router.post("/feeds/{feed_id}/replay", dependencies=[requires(Scope.FEEDS_MANAGE)])
def replay(bench: At, form: Posted) -> Response:
    """Runs quarantined bytes (of one rule, or all) through today's mapping; on to the run that did it."""
    asked = runs.Asked(bench.by, form.reason())
    done = quarantine.replay(bench.database, bench.feed, form.one("rule") or None, bench.rules, asked, bench.level)
    return RedirectResponse(f"/runs/{done['run']}", 303)


@router.post("/feeds/{feed_id}/ramp", dependencies=[requires(Scope.FEEDS_MANAGE)])
def move_ramp(view: Page, connection: Tx, form: Posted, feed_id: int) -> Response:
    """Raises, lowers, stops or resumes a feed's ramp; back to the feed."""
    ramp.act(connection, view.settings, feed_id, form)
    return RedirectResponse(f"/feeds/{feed_id}#ramp", 303)


@router.post("/feeds/{feed_id}/do/{action}", dependencies=[requires(Scope.FEEDS_MANAGE)])
def act(connection: Tx, form: Posted, feed_id: int, action: str) -> Response:
    """Runs, pauses, resumes or retires a feed."""
    return RedirectResponse(feed_actions.act(connection, feed_id, action, form), 303)
