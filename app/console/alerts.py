"""Incidents and who is told of them, as one page; each of its forms says what it will do and is plain HTML."""

from typing import Annotated, Final, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.access.door import principal_of, requires
from app.access.scopes import Scope
from app.console.form import Posted
from app.console.page import Page, PageRoute, View
from app.console.pages import alerts
from app.monitor import alert_routes, incidents
from app.monitor.alerts import test
from app.protocol.errors import HutongError
from app.web import Reading, Tx, database

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
STATES: Final = {"pause": "paused", "resume": "active"}
_READS = requires(Scope.OPS_READ, whole=True)
_WRITES = requires(Scope.OPS_WRITE, whole=True)


@router.get("/alerts", dependencies=[_READS])
def show_alerts(view: Page, connection: Reading, query: Annotated[alerts.AlertFilter, Query()]) -> Response:
    """Incidents, routes and rules."""
    return view.page("alerts.html", alerts.board(connection, query, view.lang))


@router.post("/alerts/{incident_id}/ack", dependencies=[_WRITES])
def acknowledge(request: Request, connection: Tx, form: Posted, incident_id: Number) -> Response:
    """Somebody has it in hand: what is not told yet is told no more."""
    incidents.acknowledge(connection, incident_id, principal_of(request).said, form.reason())
    return RedirectResponse("/alerts", 303)


@router.post("/alerts/routes", dependencies=[_WRITES])
def add_route(view: Page, form: Posted) -> Response:
    """A new route; a key that the hub made is shown in this answer and never again."""
    try:
        with database(view.request).write() as connection:
            made = alerts.add(connection, view.request.app.state.gate.ring, form)
    except HutongError as error:
        return _board(view, error.status, draft=form, error=error.detail)
    return _board(view, 201, made=made)


@router.post("/alerts/routes/{route_id}/test", dependencies=[_WRITES])
def test_route(view: Page, route_id: Number) -> Response:
    """Sends a message that says it is a test; what came of it stands on the page."""
    try:
        told = test(database(view.request), view.request.app.state.courier, route_id)
    except HutongError as error:
        return _board(view, error.status, error=error.detail)
    return _board(view, told=told)


@router.post("/alerts/routes/{route_id}/{deed}", dependencies=[_WRITES])
def change_route(connection: Tx, route_id: Number, deed: Literal["pause", "resume", "remove"]) -> Response:
    """Pauses a route, goes on with it, or forgets it with its secret."""
    if deed == "remove":
        alert_routes.remove(connection, route_id)
    else:
        alert_routes.move(connection, route_id, STATES[deed])
    return RedirectResponse("/alerts", 303)


def _board(view: View, status: int = 200, **more: object) -> Response:
    with database(view.request).read() as connection:
        return view.page("alerts.html", alerts.board(connection, alerts.AlertFilter(), view.lang, **more), status)
