"""The pages of those who decide on enrolments."""

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response
from fastapi.responses import RedirectResponse

from app.access.door import requires
from app.access.scopes import Scope
from app.console.form import Posted
from app.console.page import Page, PageRoute
from app.console.pages import enrolments
from app.platforms import documents
from app.protocol.errors import HutongError
from app.web import Reading, database

router = APIRouter(prefix="/enrolments", route_class=PageRoute, include_in_schema=False)
Reference = Annotated[str, Path(max_length=16)]
_DECIDES = requires(Scope.OPS_WRITE)


@router.get("", dependencies=[_DECIDES])
def show_queue(view: Page, connection: Reading, query: Annotated[enrolments.Queue, Query()]) -> Response:
    """Who waits for the hub."""
    return view.page("enrolments.html", enrolments.queue(connection, query))


@router.get("/{reference}", dependencies=[_DECIDES])
def show_enrolment(view: Page, connection: Reading, reference: Reference) -> Response:
    """One enrolment with its evidence."""
    return view.page("enrolment.html", enrolments.enrolment(connection, reference, view.settings))


@router.get("/{reference}/documents/{sha256}", dependencies=[_DECIDES])
def show_document(view: Page, connection: Reading, reference: Reference, sha256: str) -> Response:
    """The bytes of a document."""
    name, content = documents.content(connection, view.settings.documents, reference, sha256)
    headers = {"Content-Disposition": f'attachment; filename="{documents.plain(name)}"'}
    return Response(content, media_type="application/octet-stream", headers=headers)


@router.post("/{reference}/{deed}", dependencies=[_DECIDES])
def decide(view: Page, form: Posted, reference: Reference, deed: Literal["approve", "refuse"]) -> Response:
    """One stage on, or back with a reason."""
    try:
        with database(view.request).write() as connection:
            enrolments.decide(connection, reference, deed, form, view.settings)
    except HutongError as error:
        if error.status not in (403, 409, 422):
            raise
        with database(view.request).read() as connection:
            shown = enrolments.enrolment(connection, reference, view.settings, error)
        return view.page("enrolment.html", shown, error.status)
    view.request.app.state.gate.forget()
    return RedirectResponse(f"/enrolments/{reference}", 303)
