"""Every route's declaration: `requires(Scope.X)`, `signed_in()` or `public()`. The only HTTP side of checking callers.

A declaration puts the principal on `request.state.principal`; the database dependencies of `app.web` take it from
there and fail without it, so a route without a declaration answers nothing (a test fails first).
"""

import hmac
from typing import Any
from urllib.parse import parse_qs, urlsplit

from fastapi import Depends, Request, Response
from fastapi.params import Depends as Declaration
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from app.access import audit, certificates, sessions
from app.access.audit import Act
from app.access.gate import Caller, Gate, bearer
from app.access.multipart import parts
from app.access.principal import Principal
from app.access.quotas import Left, address_of
from app.access.scopes import Scope
from app.access.sessions import SignedIn
from app.db import Database
from app.protocol.errors import Forbidden, HutongError, Unauthorized, Unavailable

COOKIE = "__Host-hutong"
_SAFE = ("GET", "HEAD", "OPTIONS")


class Needs:
    """What a route needs: a scope, a signed-in person, or nothing."""

    def __init__(self, scope: Scope | None = None, *, person: bool = False, whole: bool = False) -> None:
        self.scope, self.person, self.whole = scope, person, whole

    @property
    def public(self) -> bool:
        """Open to anybody."""
        return self.scope is None and not self.person

    async def __call__(self, request: Request) -> None:
        caller = _caller(request)
        try:
            request.state.principal = await self._admitted(request, caller)
        except SQLAlchemyError:
            raise Unavailable("who asks cannot be checked now; nothing was done") from None

    async def _admitted(self, request: Request, caller: Caller) -> Principal:
        gate: Gate = request.app.state.gate
        known, refusal = gate.nobody(caller), None
        try:
            known = await _known(request, gate, caller)
        except Unauthorized as error:
            refusal = error
        stranger = _stranger(request, gate, known)
        request.state.caller = known  # a page that refuses says to whom
        request.state.left = _counted(request, gate, known)
        if self.public:
            return gate.nobody(caller) if stranger else known
        try:
            if refusal:
                raise refusal
            if stranger:
                raise stranger
            self._check(known)
            await _from_our_page(request, gate, caller)
        except HutongError as error:
            if (count := gate.tally.refused(known)) is not None:
                await run_in_threadpool(_note_refusal, request, known, error, count)
            raise
        return known

    def _check(self, principal: Principal) -> None:
        if self.person and principal.session:
            return
        if self.scope is not None and principal.has(self.scope):
            if self.whole and not principal.rows.everything:
                raise Forbidden("this is about the whole hub; your rights are about a part of it")
            return
        if principal.name == "anonymous" or self.scope is None:
            raise Unauthorized()
        raise Forbidden(f"this needs the scope {self.scope}")


def requires(scope: Scope, *, whole: bool = False) -> Any:
    """A dependency for a route that needs this scope, with `whole` over every platform: for what belongs to none.

    Raises Unauthorized, Forbidden, QuotaExceeded, Unavailable.
    """
    return Depends(Needs(scope, whole=whole))


def signed_in() -> Any:
    """A dependency for a route that any signed-in person may use, for their own account."""
    return Depends(Needs(person=True))


def public() -> Any:
    """A dependency for a route open to anybody; a credential that does not hold counts as none."""
    return Depends(Needs())


def declared(dependencies: list[Declaration]) -> list[Needs]:
    """The declarations among a route's dependencies; exactly one is right."""
    return [found.dependency for found in dependencies if isinstance(found.dependency, Needs)]


def principal_of(request: Request) -> Principal:
    """Who asks, in a route that has declared what it needs; of a refused request as well, for the page that says so."""
    found: Principal = request.state.caller
    return found


def token_of(request: Request) -> str:
    """What a page of this request's session puts into its forms; empty without a session."""
    cookie = request.cookies.get(COOKIE, "")
    return sessions.csrf(request.app.state.gate.ring, cookie) if principal_of(request).session else ""


def set_cookie(answer: Response, begun: SignedIn) -> None:
    """`__Host-`: bound to this host, whole, over TLS (or loopback), out of reach of scripts."""
    answer.set_cookie(COOKIE, begun.cookie, path="/", secure=True, httponly=True, samesite="lax")


def drop_cookie(answer: Response) -> None:
    """Takes the session's cookie back."""
    answer.delete_cookie(COOKIE, path="/", secure=True, httponly=True)


def _caller(request: Request) -> Caller:
    gate: Gate = request.app.state.gate
    peer = request.client.host if request.client else ""
    address = address_of(peer, request.headers.getlist("x-forwarded-for"), gate.proxies)
    kind, credential = bearer(request.headers.get("authorization", ""))
    if not kind and COOKIE in request.cookies:
        kind, credential = "session", request.cookies[COOKIE]
    return Caller(kind, credential, address, getattr(request.state, "request_id", ""))


def _stranger(request: Request, gate: Gate, known: Principal) -> Forbidden | None:
    """Why a key or token that came without its platform's certificate does not count, where the platform has one."""
    if not known.certificates:
        return None
    name = gate.settings.client_cert_header
    by_proxy = bool(name) and gate.listed(request.client.host if request.client else "")
    said = request.headers.getlist(name) if by_proxy else []
    # More than one: the proxy left what its client sent, and nobody can say which is which.
    shown = certificates.shown(request.scope.get("state", {}), said[0] if len(said) == 1 else "", by_proxy)
    try:
        certificates.demand(known.certificates, shown)
    except Forbidden as error:
        return error
    return None


def _counted(request: Request, gate: Gate, known: Principal) -> Left | None:
    """Takes from the caller's bucket, unless the turnstile did. Raises QuotaExceeded."""
    tenant, left = getattr(request.state, "taken", ("", None))
    return left if tenant and tenant == known.tenant else gate.take(known.tenant, known.address)


async def _known(request: Request, gate: Gate, caller: Caller) -> Principal:
    if not caller.kind:
        return gate.nobody(caller)
    if found := gate.remembered(caller):
        return found
    return await run_in_threadpool(gate.principal, request.app.state.database, caller)


async def _from_our_page(request: Request, gate: Gate, caller: Caller) -> None:
    """CSRF: what a cookie alone would allow must come from our own page, with the token of its session."""
    if caller.kind != "session" or request.method in _SAFE:
        return
    same_origin(request)
    token = request.headers.get("x-csrf-token", "")
    if not token and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        token = parse_qs((await request.body()).decode("utf-8", "replace")).get("csrf_token", [""])[0]
    if not token and "csrf_token" in (sent := await parts(request)):
        token = sent["csrf_token"].content.decode("ascii", "replace")
    if not _equal(token, sessions.csrf(gate.ring, caller.credential)):
        raise _forged("the request lacks the token of its session (X-CSRF-Token, or the field csrf_token)")


def same_origin(request: Request) -> None:
    """Refuses a request that another site's page sent (ASVS 3.5.1). Raises Forbidden (`auth.csrf`)."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "same-origin")
    ours = {request.headers.get("host", ""), urlsplit(request.app.state.settings.public_url).netloc}
    if (origin is not None and urlsplit(origin).netloc not in ours) or site not in ("same-origin", "none"):
        raise _forged("the request was sent by a page of another site")


def _forged(detail: str) -> Forbidden:
    error = Forbidden(detail)
    error.kind = "auth.csrf"
    return error


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _note_refusal(request: Request, principal: Principal, error: HutongError, count: int) -> None:
    database: Database = request.app.state.database
    with database.acting(principal).write() as connection:
        audit.note(
            connection, Act.REFUSED, f"{request.method} {request.url.path}", "refused", why=error.kind, count=count
        )
