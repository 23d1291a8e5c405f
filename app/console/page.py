"""One page: language, layout, headers, compression; errors as pages. Pages run no script but our own files."""

import json
from collections.abc import Callable, Coroutine, Mapping
from functools import cache, partial
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import urlencode

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context, select_autoescape
from jinja2.runtime import Context
from markdown_it import MarkdownIt
from markupsafe import Markup

from app.access.door import principal_of
from app.clock import iso
from app.console import formats
from app.console.catalogue import LANGUAGES, Words, chosen, direction
from app.console.regions import region_name, region_path
from app.console.scripts import language_of
from app.console.viewer import Viewer, viewer
from app.monitor.days import Outcome
from app.monitor.problems import sentence
from app.monitor.states import State
from app.protocol.errors import BadRequest, Forbidden, HutongError, Unauthorized
from app.settings import Settings
from app.web import packed, settings

STATIC: Final = Path(__file__).parent / "static"
# No inline script or style and nothing from other hosts, whatever a record's title says.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin", "Vary": "Cookie", "Cache-Control": "no-store",
}  # fmt: skip
CLASSES: Final = {
    State.FAILING: "fail", State.HELD: "held", State.LATE: "late", State.CATCHING_UP: "run", State.NEVER_RUN: "new",
    State.RUNNING: "run", State.HEALTHY: "ok", State.PAUSED: "off",
}  # fmt: skip
DAY_CLASSES: Final = {
    Outcome.FAILED: "fail", Outcome.HELD: "held", Outcome.MIXED: "late", Outcome.REFUSED: "ok", Outcome.GOOD: "ok",
    Outcome.NONE: "none",
}  # fmt: skip
RUN_CLASSES: Final = {"running": "run", "done": "ok", "partial": "late", "held": "held", "failed": "fail"}
NAVIGATION: Final = (
    ("wall", "/"), ("platforms", "/platforms"), ("feeds", "/feeds"), ("runs", "/runs"), ("quarantine", "/quarantine"),
    ("held", "/held"), ("admission", "/admission"), ("alerts", "/alerts"), ("search", "/search"), ("report", "/report"),
    ("system", "/system"),
)  # fmt: skip
EVERYBODY: Final = (("search", "/search"), ("coverage", "/coverage"), ("status", "/status"))
"""The navigation of who may see nothing of the hub's work."""


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("app.console"),
        autoescape=select_autoescape(disabled_extensions=("txt",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(
        address=_address, asset=asset, classes=CLASSES, run_classes=RUN_CLASSES, day_classes=DAY_CLASSES, languages=LANGUAGES, iso=iso,
        navigation=NAVIGATION, everybody=EVERYBODY, number=formats.number, percent=formats.percent, signed=formats.signed, size=formats.size, moment=formats.moment,
        day=formats.day, date=formats.date, language_of=language_of, direction=direction, pretty=_pretty, compact=_compact, web=_web,
        markdown=_markdown, visible=formats.pictures, region_name=region_name, region_path=region_path,
    )  # fmt: skip
    return made


@cache
def asset(name: str) -> str:
    """The address of a static file, with its content's hash so that browsers may keep it for ever."""
    return f"/static/{name}?v={sha256((STATIC / name).read_bytes()).hexdigest()[:12]}"


@pass_context
def _address(context: Context, **changes: Any) -> str:
    """This page's address with some of its query changed; None takes a parameter out. Filters live in the address."""
    request: Request = context["request"]
    query = {name: value for name, value in request.query_params.items() if name not in ("lang", "cursor")}
    query = {name: value for name, value in {**query, **changes}.items() if value not in (None, "")}
    return f"{request.url.path}?{urlencode(query)}" if query else request.url.path


def _pretty(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)


def _compact(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _web(url: str) -> bool:
    """Whether an address may become a link: nothing but http and https."""
    return url.lower().startswith(("https://", "http://"))


@cache
def _renderer() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": False})


def _markdown(text: str) -> Markup:
    """Our own documentation as HTML; raw HTML in it stays text."""
    return Markup(_renderer().render(text))  # noqa: S704


class View:
    """What a route needs to answer with a page."""

    def __init__(self, request: Request, config: Annotated[Settings, Depends(settings)]) -> None:
        self.request, self.settings = request, config
        self.asked = request.query_params.get("lang")
        self.lang = chosen(self.asked, request.cookies.get("lang"), config.locale)

    @property
    def viewer(self) -> Viewer:
        """Who looks."""
        return viewer(self.request)

    @property
    def headers(self) -> dict[str, str]:
        """What every page carries."""
        return {**HEADERS, "Content-Language": self.lang}

    def page(self, template: str, context: dict[str, Any], status: int = 200) -> Response:
        """The template as an answer."""
        shown = {"request": self.request, "settings": self.settings, "viewer": self.viewer, **context}
        answer = Response(render(template, self.lang, shown), status, self.headers, "text/html; charset=utf-8")
        if self.asked in LANGUAGES:
            answer.set_cookie("lang", self.lang, max_age=31_536_000, httponly=True, samesite="lax")
        return packed(self.request, answer)


def render(template: str, lang: str, context: Mapping[str, Any]) -> str:
    """A template in a language; also for what is no page: letters, badges, reports in files."""
    return _environment().get_template(template).render(
        t=Words(lang), lang=lang, label_lang="en" if lang == "en" else "zh",
        duration=partial(formats.duration, lang=lang), ago=partial(formats.ago, lang=lang),
        brief=partial(formats.brief, lang=lang), sentence=partial(sentence, lang=lang), **context,
    )  # fmt: skip


Page = Annotated[View, Depends()]


class PageRoute(APIRoute):
    """Answers errors with a page instead of a problem document: people read it."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The route's handler, its errors caught."""
        handler = super().get_route_handler()

        async def answered(request: Request) -> Response:
            try:
                return await handler(request)
            except Unauthorized as error:
                if "text/html" not in request.headers.get("accept", ""):
                    raise
                return _sign_in_page(request, error)
            except HutongError as error:
                if isinstance(error, Forbidden) and viewer(request).person and not principal_of(request).scopes:
                    return RedirectResponse("/account", 303)  # the password or the second factor comes first
                if isinstance(error, Forbidden) and viewer(request).member and request.url.path == "/":
                    return RedirectResponse("/vendor", 303)  # who has only applied has no wall
                return _error_page(request, error)
            except RequestValidationError as error:
                named = "; ".join(f"{e['loc'][-1]}: {e['msg']}" for e in error.errors())
                return _error_page(request, BadRequest(named))

        return answered


def told(error: HutongError) -> int:
    """The status of a page that shows an error beside its form: another machine's fault is no failure of the hub."""
    return error.status if error.status < 500 else 422


def _error_page(request: Request, error: HutongError) -> Response:
    detail = error.detail.encode("utf-8", "replace").decode()
    context = {"status": error.status, "kind": error.kind, "detail": detail}
    answer = View(request, request.app.state.settings).page("error.html", context, error.status)
    if error.wait_s is not None:
        answer.headers["Retry-After"] = str(ceil(error.wait_s))
    return answer


def _sign_in_page(request: Request, error: HutongError) -> Response:
    """Where the page would have been, with the way back to it."""
    to = f"{request.url.path}?{request.url.query}".rstrip("?") if request.method == "GET" else "/"
    view = View(request, request.app.state.settings)
    return view.page(
        "login.html",
        {
            "to": to,
            "name": "",
            "problem": None,
            "needed": True,
            "first": False,
            "sign_on": bool(view.settings.oidc_issuer),
        },
        error.status,
    )
