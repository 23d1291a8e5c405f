"""Who sends more than its share is turned away here: before routes, threads, the database and the audit chain.

The tenant of a key or token that held before is known from memory, so a refused request costs the event loop a hash, a
bucket and an answer. A credential seen for the first time, a session and an anonymous address come to their bucket in
`door.Needs`.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.access.gate import Gate, bearer
from app.protocol.errors import QuotaExceeded
from app.web import refusal


class Turnstile:
    """ASGI layer inside of `app.web.Answers`; leaves `taken` (tenant, what is left) in the state of what it lets pass."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self.app, self.gate = app, gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._count(scope)
        except QuotaExceeded as error:
            await refusal(error)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _count(self, scope: Scope) -> None:
        if scope["type"] != "http":
            return
        kind, credential = bearer(Headers(scope=scope).get("authorization", ""))
        tenant = self.gate.tenant(kind, credential) if kind else ""
        if tenant:
            scope["state"]["taken"] = tenant, self.gate.take(tenant)
