"""The pages of a member's feeds: adding one by sample, how it stands, moving it, files, the report that a submission
rests on."""

from typing import Final

from fastapi import APIRouter, Response
from fastapi.responses import RedirectResponse

from app.access.door import requires
from app.access.multipart import Sent
from app.access.scopes import Scope
from app.console.form import Form, Posted
from app.console.page import Page, PageRoute, told
from app.console.pages import new_feed, own_feed, ramp
from app.console.vendor import NO_FILE, Reference, again
from app.harvest import attach, look
from app.platforms import queries
from app.protocol.errors import HutongError, NotFound
from app.web import Reading, Tx, database

router = APIRouter(prefix="/vendor/{reference}/feeds", route_class=PageRoute, include_in_schema=False)
CHECKED: Final = 200
_OWN = requires(Scope.ENROL)
_FEEDS = requires(Scope.FEEDS_MANAGE)


@router.get("/new", dependencies=[_FEEDS])
def show_new_feed(view: Page, connection: Reading, reference: Reference) -> Response:
    """An address or a kind."""
    return view.page("new_feed.html", new_feed.page(connection, reference, Form({}), view.lang))


@router.post("/new", dependencies=[_FEEDS])
def add_feed(view: Page, form: Posted, reference: Reference) -> Response:
    """Probes, asks the questions of a kind, looks at twenty records, or registers."""
    if form.one("do") != "register":
        return view.page("new_feed.html", *new_feed.tried(view.request, reference, form, view.lang))
    try:
        with database(view.request).write() as connection:
            to = new_feed.register(connection, view.request, view.settings, reference, form)
    except HutongError as error:
        if error.status not in (409, 422):
            raise
        with database(view.request).read() as connection:
            shown = new_feed.page(connection, reference, form, view.lang, error=error)
        return view.page("new_feed.html", shown, error.status)
    return RedirectResponse(to, 303)


@router.get("/{feed_id}", dependencies=[_OWN])
def show_own_feed(view: Page, connection: Reading, reference: Reference, feed_id: int) -> Response:
    """How it stands, and how complete its records are."""
    return view.page("own_feed.html", own_feed.page(connection, reference, feed_id))


@router.post("/{feed_id}/files", dependencies=[_FEEDS])
def upload_file(view: Page, sent: Sent, reference: Reference, feed_id: int) -> Response:
    """Makes a file the feed's newest; it is harvested at once."""
    try:
        own_feed.keep_file(view.request, view.settings, reference, feed_id, sent.get("file", NO_FILE))
    except NotFound:
        raise
    except HutongError as error:
        with database(view.request).read() as connection:
            return view.page("own_feed.html", own_feed.page(connection, reference, feed_id, None, error), told(error))
    return RedirectResponse(f"/vendor/{reference}/feeds/{feed_id}", 303)


@router.post("/look", dependencies=[_FEEDS])
def look_at_file(view: Page, sent: Sent, reference: Reference) -> Response:
    """What a file holds, as it would be shown; the questions and the mapping that fit it."""
    shown, status = new_feed.of_file(view.request, reference, sent.get("file", NO_FILE), view.lang)
    return view.page("new_feed.html", shown, status)


@router.post("/{feed_id}/move", dependencies=[_FEEDS])
def move_feed(view: Page, form: Posted, reference: Reference, feed_id: int) -> Response:
    """Goes on from another address, once that brings the same records."""
    try:
        own_feed.move(view.request, reference, feed_id, form)
    except NotFound:
        raise
    except HutongError as error:
        with database(view.request).read() as connection:
            return view.page("own_feed.html", own_feed.page(connection, reference, feed_id, form, error), told(error))
    return RedirectResponse(f"/vendor/{reference}/feeds/{feed_id}", 303)


@router.post("/{feed_id}/ramp", dependencies=[_FEEDS])
def move_ramp(view: Page, connection: Tx, form: Posted, reference: Reference, feed_id: int) -> Response:
    """Raises, lowers, stops or resumes the ramp of one's own feed."""
    ramp.act(connection, view.settings, feed_id, form)
    return RedirectResponse(f"/vendor/{reference}/feeds/{feed_id}#ramp", 303)


@router.post("/{feed_id}/validate", dependencies=[_FEEDS])
def validate(view: Page, reference: Reference, feed_id: int) -> Response:
    """Looks at two hundred records of a feed and keeps the report with the enrolment: what a submission rests on."""
    base, engine = database(view.request), view.request.app.state.engine
    with base.read() as connection:
        queries.enrolment_of(connection, reference)
        subject, eyes = look.registered(engine, connection, feed_id), attach.eyes(connection, engine.fetcher)
    try:
        report = look.validate(eyes, subject, CHECKED, engine.rules)[0]
    except HutongError as error:
        return again(view, reference, told(error), failed=("validate", error))
    with base.write() as connection:
        attach.attach(connection, view.settings.documents, feed_id, report)
    return RedirectResponse(f"/vendor/{reference}", 303)
