"""Status for everybody: a page, a page of each platform, a badge for its own site. Kept ready-made for visitors."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from threading import Lock
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from app.console import badge
from app.console.catalogue import LANGUAGES, chosen
from app.console.page import Page, PageRoute, View
from app.console.pages import bulletin
from app.monitor.board import Board

router = APIRouter(route_class=PageRoute, include_in_schema=False)
KEPT: Final = 256  # ready-made pages; what has a search word is made anew
LASTS: Final = "public, max-age=30"
_kept: OrderedDict[tuple[Any, ...], tuple[bytes, str]] = OrderedDict()
_lock = Lock()


def board(request: Request) -> Board:
    """The hub's board."""
    found: Board = request.app.state.board
    return found


@router.get("/status")
def show_status(view: Page, query: Annotated[bulletin.Wanted, Query()]) -> Response:
    """Every platform in one word, and what happened lately."""
    present = board(view.request).bulletin()
    key = None if query.q else (present.at, *query.model_dump().values())
    return ready(view, key, "bulletin.html", lambda: bulletin.listed(present, query))


@router.get("/status/{code}")
def show_plate(view: Page, code: str) -> Response:
    """One platform with its 90 days and its badge."""
    at = board(view.request).plate(code).at
    return ready(view, (at, code), "plate.html", lambda: bulletin.plate(board(view.request), code))


@router.get("/status/{code}/badge.svg")
def show_badge(request: Request, code: str, lang: str = "") -> Response:
    """The word as a picture, for the platform's own pages."""
    word = board(request).plate(code).shown.word
    content = badge.badge(word, lang if lang in LANGUAGES else chosen(None, None, request.app.state.settings.locale))
    mark = f'"{sha256(content.encode()).hexdigest()[:16]}"'
    headers = {"Cache-Control": badge.LASTS, "ETag": mark, "Cross-Origin-Resource-Policy": "cross-origin"}
    if request.headers.get("if-none-match") == mark:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers, media_type="image/svg+xml")


def ready(view: View, key: tuple[Any, ...] | None, template: str, made: Callable[[], dict[str, Any]]) -> Response:
    """The page. A visitor who is nobody gets the one that was made for the last; caches on the way may keep it too."""
    nobody = not view.viewer.name and not view.viewer.reads and view.asked is None
    if key is None or not nobody:
        return view.page(template, made())
    whole = (str(view.settings.data_dir), template, view.lang, "gzip" in view.request.headers.get("accept-encoding", ""), *key)  # fmt: skip
    with _lock:
        found = _kept.get(whole)
    if found is None:
        answer = view.page(template, made())
        found = bytes(answer.body), answer.headers.get("content-encoding", "")
        _keep(whole, found)
    body, encoding = found
    answer = Response(body, 200, view.headers, "text/html; charset=utf-8")
    answer.headers["Cache-Control"] = LASTS
    if encoding:
        answer.headers["Content-Encoding"] = encoding
    return answer


def _keep(key: tuple[Any, ...], found: tuple[bytes, str]) -> None:
    with _lock:
        _kept[key] = found
        if len(_kept) > KEPT:
            _kept.popitem(last=False)
