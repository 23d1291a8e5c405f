"""The reviewers' pages: the queue, a record under review, verdicts and undo, policies. Plain forms, no scripts."""

from typing import Annotated
from urllib.parse import parse_qs

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import RedirectResponse

from app.access.door import requires
from app.access.principal import acting
from app.access.scopes import Scope
from app.admission import policy, queue
from app.admission.decide import decide
from app.admission.undo import undo
from app.console.page import Page, PageRoute
from app.console.pages import admission as pages
from app.web import Reading, Tx

router = APIRouter(prefix="/admission", route_class=PageRoute, include_in_schema=False)
DECIDES = requires(Scope.ADMISSION_DECIDE)
FORM_BYTES = 1_000_000  # a batch of the longest identifiers


async def _form(request: Request) -> pages.Form:
    """The fields of a form with all their values."""
    text = (await request.body())[:FORM_BYTES].decode("utf-8", "replace")
    return parse_qs(text, keep_blank_values=True, max_num_fields=2000)


Form = Annotated[pages.Form, Depends(_form)]


@router.get("", dependencies=[DECIDES])
def show_queue(view: Page, connection: Reading, query: Annotated[pages.Narrowing, Query()]) -> Response:
    """What is kept back, to claim and to decide on in a batch."""
    return view.page("admission.html", pages.queue_page(connection, query))


@router.get("/record/{id:path}", dependencies=[DECIDES])
def show_candidate(view: Page, connection: Reading, id: str) -> Response:
    """A record under review, as everybody would see it, with its verdicts so far."""
    return view.page("candidate.html", pages.candidate(connection, id, view.settings, view.lang))


@router.post("/claims", dependencies=[DECIDES])
def claim(connection: Tx, form: Form) -> Response:
    """The next records for this person; back to what they have claimed."""
    queue.claim(connection, acting(connection).name, platform=pages.one(form, "platform"))
    return RedirectResponse("/admission?mine=yes", 303)


@router.post("/release", dependencies=[DECIDES])
def release(connection: Tx) -> Response:
    """Gives one's claims back."""
    queue.release(connection, acting(connection).name)
    return RedirectResponse("/admission", 303)


@router.post("/decisions", dependencies=[DECIDES])
def give_verdict(view: Page, connection: Tx, form: Form) -> Response:
    """Carries a batch out; each record with its result, and the way back."""
    made = decide(connection, pages.decision(form, acting(connection).name), view.settings.platform_code)
    return view.page("verdicts.html", {**made, "undone": False})


@router.post("/undo/{batch}", dependencies=[DECIDES])
def take_back(view: Page, connection: Tx, batch: str) -> Response:
    """Takes one's own batch back within a minute."""
    made = undo(connection, batch, acting(connection).name, view.settings.platform_code)
    return view.page("verdicts.html", {**made, "undone": True})


@router.get("/policies", dependencies=[requires(Scope.OPS_READ)])
def list_policies(view: Page, connection: Reading, query: Annotated[pages.Chosen, Query()]) -> Response:
    """The policies that bear on one's platforms; one of them in the form."""
    return view.page("policies.html", pages.policies(connection, query, view.settings))


@router.post("/policies", dependencies=[requires(Scope.OPS_WRITE)])
def set_policy(connection: Tx, form: Form) -> Response:
    """Sets a policy for what comes from now on, or takes it back."""
    if "drop" in form:
        policy.drop(connection, pages.one(form, "platform"), pages.one(form, "kind"))
    else:
        policy.choose(connection, pages.wanted(form))
    return RedirectResponse("/admission/policies", 303)
