"""Signing in with the organisation's account: out to the identity provider and back."""

from math import ceil

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from app.access.door import public, same_origin, set_cookie
from app.access.sign_on import BACK, LASTS_S, Arrived, CodeNeeded, SignOn
from app.console.account import Form, local
from app.console.page import Page, PageRoute, View
from app.protocol.errors import HutongError, NotFound, SignOnRefused
from app.web import database

router = APIRouter(route_class=PageRoute, include_in_schema=False)
COOKIE = "__Host-hutong-sign-on"
_CODE = "/login/oidc/code"


def _way(request: Request) -> SignOn:
    found: SignOn | None = request.app.state.sign_on
    if found is None:
        raise NotFound("this hub has no identity provider")
    return found


@router.get("/login/oidc", dependencies=[public()])
def go_out(view: Page, to: str = "/") -> Response:
    """To the provider, with a cookie to recognise the browser by."""
    way = _way(view.request)
    try:
        begun = way.begin(database(view.request), local(to))
    except SignOnRefused:
        return _turned_away()
    return _with(RedirectResponse(begun.url, 303), begun.cookie)


@router.get(BACK, dependencies=[public()])
def come_back(view: Page) -> Response:
    """A session, the question for a code, or `/login` with one sentence whatever the fault.

    Never a page of its own: its address has the provider's code in it.
    """
    request, way = view.request, _way(view.request)
    query = {name: value[:4096] for name, value in request.query_params.items()}
    try:
        found = way.arrive(database(request), request.cookies.get(COOKIE, ""), query)
    except SignOnRefused:
        return _turned_away()
    return _with(RedirectResponse(_CODE, 303), found.cookie) if isinstance(found, CodeNeeded) else _arrived(found)


@router.get(_CODE, dependencies=[public()])
def ask_code(view: Page) -> Response:
    """The form for the second factor."""
    _way(view.request)
    return _code_page(view)


@router.post(_CODE, dependencies=[public()])
def give_code(view: Page, form: Form) -> Response:
    """The second factor of who came back from the provider."""
    same_origin(view.request)
    way, cookie = _way(view.request), view.request.cookies.get(COOKIE, "")
    try:
        return _arrived(way.confirm(database(view.request), cookie, form.get("code", "")[:64]))
    except SignOnRefused:
        return _turned_away()
    except HutongError as error:
        return _code_page(view, error)


def _arrived(found: Arrived) -> Response:
    answer = RedirectResponse("/account" if found.session.must else local(found.to), 303)
    set_cookie(answer, found.session)
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True)
    return answer


def _code_page(view: View, error: HutongError | None = None) -> Response:
    answer = view.page("code.html", {"problem": error and error.kind}, error.status if error else 200)
    if error and error.wait_s is not None:
        answer.headers["Retry-After"] = str(ceil(error.wait_s))
    return answer


def _turned_away() -> Response:
    answer = RedirectResponse("/login?sign_on=refused", 303)
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True)
    return answer


def _with(answer: Response, cookie: str) -> Response:
    answer.set_cookie(COOKIE, cookie, max_age=LASTS_S, path="/", secure=True, httponly=True, samesite="lax")
    answer.headers["Cache-Control"] = "no-store"
    return answer
