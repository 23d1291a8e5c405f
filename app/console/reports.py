"""A platform's weekly digest as it is sent, who is sent it, and the month of the federation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import RedirectResponse

from app.access.door import requires
from app.access.scopes import Scope
from app.console import letters
from app.console.account import Form
from app.console.page import Page, PageRoute
from app.console.pages import reports
from app.monitor import digest, report
from app.web import Reading, Tx

router = APIRouter(route_class=PageRoute, include_in_schema=False)
_READS = requires(Scope.OPS_READ)
# A letter is looked at as it will be, with the styles that mail needs and nothing that could run.
LETTER_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; sandbox allow-top-navigation-by-user-activation"  # fmt: skip
Wanted = Annotated[str, Query(max_length=10)]


def _digest(connection: Reading, code: str, week: Wanted = "") -> digest.Digest:
    """The digest of a platform and a week, or of the last whole week."""
    return digest.digest(connection, code, digest.monday(week) if week else digest.last_week(connection))


Wanting = Annotated[digest.Digest, Depends(_digest)]


@router.get("/platforms/{code}/digest", dependencies=[_READS])
def show_digest(view: Page, connection: Reading, found: Wanting) -> Response:
    """The digest before it is sent, and who gets it."""
    return view.page("digest.html", reports.digest_page(connection, found, view.settings, view.lang))


@router.get("/platforms/{code}/digest.html", dependencies=[_READS])
def show_letter(view: Page, found: Wanting) -> Response:
    """The letter as mail programs get it."""
    headers = {"Content-Security-Policy": LETTER_POLICY, "Cache-Control": "no-store"}
    return Response(letters.letter(found, view.lang, view.settings).html, headers=headers, media_type="text/html; charset=utf-8")  # fmt: skip


@router.post("/platforms/{code}/digest", dependencies=[requires(Scope.FEEDS_MANAGE)])
def choose_readers(connection: Tx, code: str, form: Form) -> Response:
    """Who gets it from now on; nobody where the field is empty."""
    reports.choose(connection, code, form)
    return RedirectResponse(f"/platforms/{code}/digest", 303)


@router.get("/report", dependencies=[_READS])
def show_report(view: Page, connection: Reading, month: Wanted = "") -> Response:
    """A month, to be read or printed."""
    return view.page("report.html", reports.report_page(report.report(connection, month), view.lang))


@router.get("/report.csv", dependencies=[_READS])
def table(connection: Reading, month: Wanted = "") -> Response:
    """All platforms of a month as a table."""
    found = report.report(connection, month)
    name = f'attachment; filename="hutong-{found.month.name}.csv"'
    return Response(report.table(found), media_type="text/csv; charset=utf-8", headers={"Content-Disposition": name})
