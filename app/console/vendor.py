"""The pages of who wants to join, or has: the form, one's own home, and everything that is done there."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Response
from fastapi.responses import RedirectResponse

from app.access import keys
from app.access.door import public, requires, same_origin
from app.access.multipart import Part, Sent
from app.access.scopes import Scope
from app.console.form import Form, Posted
from app.console.page import Page, PageRoute, View, told
from app.console.pages import diagnosis, joining, new_feed, own_feed, vendor
from app.harvest import attach, look
from app.platforms import applications, credentials, documents, notices, proof, queries
from app.platforms.schemas import Submission
from app.protocol.errors import BadRequest, HutongError, NotFound
from app.web import Reading, Tx, database

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Reference = Annotated[str, Path(max_length=16)]
CHECKED = 200
NO_FILE = Part("", b"")
_OWN = requires(Scope.ENROL)
_FEEDS = requires(Scope.FEEDS_MANAGE)


@router.get("/join", dependencies=[public()])
def show_join(view: Page) -> Response:
    """What joining means, and its form."""
    return view.page("join.html", joining.page(view.settings, Form({}), {}))


@router.post("/join", dependencies=[public()])
def join(view: Page, form: Posted) -> Response:
    """An application and its first account; or the form again, with what is wrong beside each field."""
    same_origin(view.request)
    try:
        found, secret = joining.asked(form, view.settings), joining.password(form)
        with database(view.request).write() as connection:
            made = joining.join(connection, found, secret, view.settings)
    except joining.Wrong as wrong:
        return view.page("join.html", joining.page(view.settings, form, wrong.faults), 422)
    except HutongError as error:
        return view.page("join.html", joining.page(view.settings, form, {}, error.kind), error.status)
    return view.page("joined.html", joining.joined(made, found), 201)


@router.get("/vendor", dependencies=[_OWN])
def show_mine(view: Page, connection: Reading) -> Response:
    """One's own enrolment; the choice where there are several."""
    found = vendor.mine(connection)
    if len(found) == 1:
        return RedirectResponse(f"/vendor/{found[0]['id']}", 303)
    return view.page("vendors.html", {"mine": found})


@router.get("/vendor/{reference}", dependencies=[_OWN])
def show_home(view: Page, connection: Reading, reference: Reference) -> Response:
    """Where it stands and what is next."""
    return view.page("vendor.html", vendor.home(connection, reference))


def _again(view: View, reference: str, status: int = 200, **more: object) -> Response:
    with database(view.request).read() as connection:
        return view.page("vendor.html", vendor.home(connection, reference, **more), status)


@router.get("/vendor/{reference}/application", dependencies=[_OWN])
def show_application(view: Page, connection: Reading, reference: Reference) -> Response:
    """The draft, to be put right."""
    row = queries.shown(connection, reference)
    shown = joining.page(view.settings, joining.filled(row), {})
    return view.page("join.html", {**shown, "where": reference})


@router.post("/vendor/{reference}/application", dependencies=[_OWN])
def amend(view: Page, form: Posted, reference: Reference) -> Response:
    """Puts a draft right; another domain must be proved anew."""
    faults, problem = {}, ""
    try:
        found = joining.asked(form, view.settings)
        with database(view.request).write() as connection:
            applications.amend(connection, reference, found, view.settings)
        return RedirectResponse(f"/vendor/{reference}", 303)
    except joining.Wrong as wrong:
        faults = wrong.faults
    except BadRequest as error:
        problem = error.detail
    return view.page(
        "join.html", {**joining.page(view.settings, form, faults), "where": reference, "problem": problem}, 422
    )


@router.post("/vendor/{reference}/proof", dependencies=[_OWN])
def prove(view: Page, form: Posted, reference: Reference) -> Response:
    """Looks for the challenge now; what was found instead stands on the page."""
    state, by = view.request.app.state, "dns" if form.one("by") == "dns" else "file"
    try:
        proof.prove(database(view.request), reference, by, state.engine.fetcher, state.texts, state.attempts)
    except BadRequest as error:
        return _again(view, reference, 422, failed=("proof", error))
    return RedirectResponse(f"/vendor/{reference}", 303)


@router.post("/vendor/{reference}/submit", dependencies=[_OWN])
def submit(view: Page, form: Posted, reference: Reference) -> Response:
    """To the reviewers, for the first time or again."""
    try:
        with database(view.request).write() as connection:
            applications.submit(connection, reference, Submission(note=form.reason()), view.settings)
    except HutongError as error:
        if error.status not in (409, 422):
            raise
        return _again(view, reference, error.status, failed=("submit", error))
    return RedirectResponse(f"/vendor/{reference}", 303)


@router.post("/vendor/{reference}/withdraw", dependencies=[_OWN])
def withdraw(view: Page, connection: Tx, form: Posted, reference: Reference) -> Response:
    """Ends one's own application, before anything of it was harvested."""
    applications.withdraw(connection, reference, form.reason(needed=True))
    view.request.app.state.gate.forget()
    return RedirectResponse("/status", 303)


@router.post("/vendor/{reference}/key", dependencies=[_OWN])
def issue_key(view: Page, reference: Reference) -> Response:
    """A key as the stage allows, shown in this answer and never again."""
    try:
        with database(view.request).write() as connection:
            made = credentials.credential(connection, reference)
    except HutongError as error:
        if error.status != 409:
            raise
        return _again(view, reference, error.status, failed=("key", error))
    return _again(view, reference, 201, shown_once=made)


@router.post("/vendor/{reference}/keys/{prefix}/{deed}", dependencies=[requires(Scope.KEYS_MANAGE)])
def change_key(
    view: Page, form: Posted, reference: Reference, prefix: str, deed: Literal["rotate", "revoke"]
) -> Response:
    """A successor with seven days of overlap, or the end at once."""
    with database(view.request).write() as connection:
        queries.enrolment_of(connection, reference)
        if deed == "revoke":
            keys.revoke(connection, prefix, form.reason(needed=True))
        made = keys.rotate(connection, prefix)._asdict() if deed == "rotate" else None
    view.request.app.state.gate.forget()
    return _again(view, reference, 201, shown_once=made) if made else RedirectResponse(f"/vendor/{reference}", 303)


@router.post("/vendor/{reference}/notices/{number}", dependencies=[_OWN])
def acknowledge(connection: Tx, form: Posted, reference: Reference, number: int) -> Response:
    """One's own word on a notice."""
    row = queries.enrolment_of(connection, reference)
    notices.acknowledge(connection, number, row.code or "", form.reason())
    return RedirectResponse(f"/vendor/{reference}", 303)


@router.get("/vendor/{reference}/documents/{sha256}", dependencies=[_OWN])
def my_document(view: Page, connection: Reading, reference: Reference, sha256: str) -> Response:
    """The bytes of a document of one's own."""
    name, content = documents.content(connection, view.settings.documents, reference, sha256)
    headers = {"Content-Disposition": f'attachment; filename="{documents.plain(name)}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.post("/vendor/{reference}/documents", dependencies=[_OWN])
def attach_document(view: Page, sent: Sent, reference: Reference) -> Response:
    """Keeps a file with the enrolment."""
    file, kind = sent.get("file", NO_FILE), sent.get("kind", NO_FILE).content.decode("ascii", "replace")
    try:
        with database(view.request).write() as connection:
            documents.keep(connection, view.settings.documents, reference, kind, file.name, file.content)
    except NotFound:
        raise
    except HutongError as error:
        return _again(view, reference, told(error), failed=("document", error))
    return RedirectResponse(f"/vendor/{reference}", 303)


@router.get("/vendor/{reference}/feeds/new", dependencies=[_FEEDS])
def show_new_feed(view: Page, connection: Reading, reference: Reference) -> Response:
    """An address or a kind."""
    return view.page("new_feed.html", new_feed.page(connection, reference, Form({}), view.lang))


@router.post("/vendor/{reference}/feeds/new", dependencies=[_FEEDS])
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


@router.get("/vendor/{reference}/feeds/{feed_id}", dependencies=[_OWN])
def show_own_feed(view: Page, connection: Reading, reference: Reference, feed_id: int) -> Response:
    """How it stands, and how complete its records are."""
    return view.page("own_feed.html", own_feed.page(connection, reference, feed_id))


@router.post("/vendor/{reference}/feeds/{feed_id}/files", dependencies=[_FEEDS])
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


@router.post("/vendor/{reference}/feeds/look", dependencies=[_FEEDS])
def look_at_file(view: Page, sent: Sent, reference: Reference) -> Response:
    """What a file holds, as it would be shown; the questions and the mapping that fit it."""
    shown, status = new_feed.of_file(view.request, reference, sent.get("file", NO_FILE), view.lang)
    return view.page("new_feed.html", shown, status)


@router.post("/vendor/{reference}/feeds/{feed_id}/move", dependencies=[_FEEDS])
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


@router.post("/vendor/{reference}/leave", dependencies=[_OWN])
def leave(view: Page, connection: Tx, form: Posted, reference: Reference) -> Response:
    """Announces one's own end, with the grace period; what was harvested is relied on by others."""
    applications.leave(connection, reference, view.settings, form.reason(needed=True))
    return RedirectResponse(f"/vendor/{reference}", 303)


@router.post("/vendor/{reference}/stay", dependencies=[_OWN])
def stay(connection: Tx, form: Posted, reference: Reference) -> Response:
    """Takes one's own announcement back; the hub's stays."""
    applications.stay(connection, reference, form.reason(needed=True))
    return RedirectResponse(f"/vendor/{reference}", 303)


@router.post("/vendor/{reference}/feeds/{feed_id}/validate", dependencies=[_FEEDS])
def validate(view: Page, reference: Reference, feed_id: int) -> Response:
    """Looks at two hundred records of a feed and keeps the report with the enrolment: what a submission rests on."""
    base, engine = database(view.request), view.request.app.state.engine
    with base.read() as connection:
        queries.enrolment_of(connection, reference)
        subject, eyes = look.registered(engine, connection, feed_id), attach.eyes(connection, engine.fetcher)
    try:
        report = look.validate(eyes, subject, CHECKED, engine.rules)[0]
    except HutongError as error:
        return _again(view, reference, told(error), failed=("validate", error))
    with base.write() as connection:
        attach.attach(connection, view.settings.documents, feed_id, report)
    return RedirectResponse(f"/vendor/{reference}", 303)


@router.get("/vendor/{reference}/diagnosis", dependencies=[_OWN])
def show_diagnosis(view: Page, connection: Reading, reference: Reference) -> Response:
    """What is wrong, in three levels."""
    return view.page("diagnosis.html", diagnosis.page(connection, reference))


@router.get("/vendor/{reference}/diagnosis.csv", dependencies=[_OWN])
def diagnosis_table(view: Page, connection: Reading, reference: Reference) -> Response:
    """The same as a table."""
    headers = {"Content-Disposition": 'attachment; filename="diagnosis.csv"'}
    return Response(
        diagnosis.table(connection, reference, view.lang), media_type="text/csv; charset=utf-8", headers=headers
    )
