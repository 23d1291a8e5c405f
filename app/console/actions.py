"""Everything that a page of the console changes. Each answers with the page that shows what was done."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.console.form import Posted
from app.console.page import Page, PageRoute
from app.console.pages import feed_actions, held, mapping
from app.feeds import service as feeds
from app.harvest import quarantine, runs
from app.harvest.loop import Engine
from app.web import Admin, Tx

router = APIRouter(route_class=PageRoute, include_in_schema=False)


def _engine(request: Request) -> Engine:
    found: Engine = request.app.state.engine
    return found


Running = Annotated[Engine, Depends(_engine)]


@router.post("/held/{held_id}/{decision}", dependencies=[Admin])
def decide(
    view: Page, connection: Tx, form: Posted, held_id: int, decision: Literal["approve", "reject", "split"]
) -> Response:
    """Carries removals out or keeps the records; back to the page, which says what was decided, by whom and why."""
    held.decide(connection, held_id, decision, form, view.viewer)
    return RedirectResponse(f"/held/{held_id}", 303)


@router.post("/feeds/{feed_id}/mapping", dependencies=[Admin])
def edit_mapping(view: Page, engine: Running, form: Posted, feed_id: int) -> Response:
    """Tries a mapping on kept bytes, shows it in its other form, or gives it to the feed."""
    if form.one("do") == "apply":
        live, replayed = mapping.applied(engine.database, engine.rules, feed_id, form, view.viewer)
        return RedirectResponse(f"/feeds/{feed_id}/mapping?live={live}&replayed={replayed}", 303)
    return view.page("mapping.html", *mapping.posted(engine.database, engine.rules, feed_id, form, view.lang))


@router.post("/feeds/{feed_id}/replay", dependencies=[Admin])
def replay(view: Page, engine: Running, form: Posted, feed_id: int) -> Response:
    """Runs quarantined bytes (of one rule, or all) through today's mapping; on to the run that did it."""
    with engine.database.read() as connection:
        feed = feeds.by_id(connection, feed_id)
    asked = runs.Asked(view.viewer.name, form.reason())
    done = quarantine.replay(engine.database, feed, form.one("rule") or None, engine.rules, asked)
    return RedirectResponse(f"/runs/{done['run']}", 303)


@router.post("/feeds/{feed_id}/do/{action}", dependencies=[Admin])
def act(view: Page, connection: Tx, form: Posted, feed_id: int, action: str) -> Response:
    """Runs, pauses, resumes or retires a feed."""
    return RedirectResponse(feed_actions.act(connection, feed_id, action, form, view.viewer), 303)
