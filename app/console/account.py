"""Signing in and one's own account: plain forms, which work without scripts."""

from math import ceil
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from app.access import people, second_factor, sessions
from app.access.door import drop_cookie, principal_of, public, same_origin, set_cookie, signed_in
from app.console.page import Page, PageRoute, View
from app.protocol.errors import BadRequest, HutongError, SignOnRefused
from app.web import Reading, Tx, database

router = APIRouter(route_class=PageRoute, include_in_schema=False)
FORM_BYTES = 10_000


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, urlencoded as browsers send them without being told."""
    text = (await request.body())[:FORM_BYTES].decode("utf-8", "replace")
    return dict(parse_qsl(text, keep_blank_values=True))


Form = Annotated[dict[str, str], Depends(_form)]


def local(address: str) -> str:
    """An address of this hub to go on with; the wall for anything else, so that no link leads away after a sign-in."""
    plain = address.isascii() and address.isprintable() and "\\" not in address
    return address if plain and address.startswith("/") and not address.startswith("//") else "/"


@router.get("/login", dependencies=[public()])
def show_login(view: Page, connection: Reading, to: str = "/", sign_on: str = "") -> Response:
    """The form; `sign_on=refused` after a way through the identity provider that led nowhere."""
    refusal = SignOnRefused("") if sign_on == "refused" else None
    return _login(view, to, first=people.nobody(connection), error=refusal)


@router.post("/login", dependencies=[public()])
def sign_in(view: Page, form: Form) -> Response:
    """A session and the page that was asked for; the form again, with why, when it is refused."""
    same_origin(view.request)
    try:
        return _signed_in(view, form)
    except HutongError as error:
        return _login(view, form.get("to", ""), name=form.get("name", ""), error=error)


def _signed_in(view: View, form: dict[str, str]) -> Response:
    request, given = view.request, {key: form.get(key, "")[:256] for key in ("name", "password", "code")}
    if not (given["name"] and given["password"]):
        raise BadRequest("name and password are needed")
    gate = request.app.state.gate
    begun = sessions.sign_in(database(request), gate.ring, view.settings, gate.tally, **given)
    answer = RedirectResponse("/account" if begun.must else local(form.get("to", "")), 303)
    set_cookie(answer, begun)
    return answer


def _login(view: View, to: str, *, name: str = "", first: bool = False, error: HutongError | None = None) -> Response:
    shown = {"to": local(to), "name": name[:64], "problem": error and error.kind, "needed": False, "first": first}
    shown |= {"sign_on": bool(view.settings.oidc_issuer)}
    answer = view.page("login.html", shown, error.status if error else 200)
    if error and error.wait_s is not None:
        answer.headers["Retry-After"] = str(ceil(error.wait_s))
    return answer


@router.post("/logout", dependencies=[signed_in()])
def sign_out(request: Request, connection: Tx) -> Response:
    """Ends the session."""
    sessions.end(connection, principal_of(request).session)
    request.app.state.gate.forget()
    answer = RedirectResponse("/login", 303)
    drop_cookie(answer)
    return answer


@router.get("/first", dependencies=[public()])
def show_first(view: Page, connection: Reading) -> Response:
    """The form for the first administrator; afterwards the way to sign in."""
    return _first(view) if people.nobody(connection) else RedirectResponse("/login", 303)


@router.post("/first", dependencies=[public()])
def make_first(view: Page, form: Form) -> Response:
    """The first administrator, by the one-time code of `hutong init`."""
    same_origin(view.request)
    code, name, password = (form.get(key, "")[:256] for key in ("code", "name", "password"))
    try:
        people.first(database(view.request), view.request.app.state.gate.tally, code, name, password)
    except HutongError as error:
        return _first(view, name, error)
    return RedirectResponse("/login", 303)


def _first(view: View, name: str = "", error: HutongError | None = None) -> Response:
    # 422 also for a wrong code: nobody is asked to sign in where nobody can.
    shown = {"name": name[:64], "problem": error and error.kind, "detail": error.detail if error else ""}
    return view.page("first.html", shown, 422 if error else 200)


@router.get("/account", dependencies=[signed_in()])
def show_account(view: Page) -> Response:
    """Roles, rows, password, second factor."""
    return _account(view)


@router.post("/account/password", dependencies=[signed_in()])
def change_password(view: Page, form: Form) -> Response:
    """A new password; every session ends, this one too."""
    old, new = form.get("old", "")[:256], form.get("new", "")[:257]
    try:
        sessions.change_password(database(view.request), _name(view.request), old, new)
    except HutongError as error:
        return _account(view, error)
    view.request.app.state.gate.forget()
    return RedirectResponse("/login", 303)


@router.post("/account/second-factor", dependencies=[signed_in()])
def begin_second_factor(view: Page) -> Response:
    """A secret for the authenticator; in force after a first right code."""
    with database(view.request).write() as connection:
        begun = second_factor.begin(connection, view.request.app.state.gate.ring, _name(view.request))
    return _account(view, enrolling=begun)


@router.post("/account/second-factor/confirm", dependencies=[signed_in()])
def confirm_second_factor(view: Page, form: Form) -> Response:
    """Ten recovery codes, shown once."""
    gate = view.request.app.state.gate
    try:
        with database(view.request).write() as connection:
            codes = second_factor.confirm(connection, gate.ring, _name(view.request), form.get("code", "")[:64])
    except BadRequest as error:
        return _account(view, error)
    gate.forget()
    return _account(view, codes=codes)


def _name(request: Request) -> str:
    return principal_of(request).name.removeprefix("person:")


def _account(view: View, error: HutongError | None = None, *, enrolling: Any = None, codes: Any = ()) -> Response:
    with database(view.request).read() as connection:
        person = people.by_name(connection, _name(view.request))
    blocked = not principal_of(view.request).scopes and not codes
    shown = {"problem": error and error.kind, "detail": error.detail if error else "", "blocked": blocked}
    shown |= {"person": person, "enrolling": enrolling, "codes": codes}
    return view.page("account.html", shown, 422 if error else 200)
