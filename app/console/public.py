"""Pages for everybody beside search: coverage with its gaps, and a search as a feed to subscribe to."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from app.console.page import Page, PageRoute
from app.console.pages import coverage, records
from app.web import Reading

router = APIRouter(route_class=PageRoute, include_in_schema=False)


@router.get("/coverage")
def show_coverage(view: Page, connection: Reading, query: Annotated[coverage.Chosen, Query()]) -> Response:
    """Subjects by grades."""
    return view.page("coverage.html", coverage.matrix(connection, query, view.lang))


@router.get("/search.atom")
def subscribe(view: Page, connection: Reading, query: Annotated[records.Search, Query()]) -> Response:
    """The newest hits of a search as Atom (RFC 4287)."""
    content = records.atom(connection, query, str(view.request.url.query), view.settings)
    return Response(content, media_type="application/atom+xml")
