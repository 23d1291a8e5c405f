"""Who asks: a key, a token, a session or nobody. One gate a process, no HTTP in it.

A credential that held is remembered for half a second, so that revocation takes effect within a second in every
process without a look-up for every request. Nothing that failed is remembered.
"""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from hashlib import sha256
from threading import Lock
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.access import certificates, keys, sessions, tokens
from app.access.keyring import Keyring, keyring
from app.access.principal import Principal, Rows
from app.access.quotas import Buckets, Left, Rate, bucket_of, listed, networks
from app.access.scopes import KEY_SCOPES, Scope, scopes_of
from app.access.tally import Tally
from app.clock import ticks
from app.db import Database, now
from app.protocol.errors import QuotaExceeded, Unauthorized, Unavailable
from app.settings import Settings

REMEMBERED_S, REMEMBERED = 0.5, 10_000
_TOUCH_US = 60_000_000


class Caller(NamedTuple):
    """What a request shows of its sender: `kind` is `key`, `token`, `session`, or empty for nobody."""

    kind: str
    credential: str
    address: str
    request: str


class Gate:
    """Knows callers and counts their requests."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.proxies = networks(settings.trusted_proxies)
        self.anonymous = scopes_of(settings.anonymous_scopes.replace(",", " ").split(), KEY_SCOPES)
        self.tally = Tally()
        self._tenants = Buckets(Rate.of(settings.quota_tenant))
        self._addresses = Buckets(Rate.of(settings.quota_anonymous))
        self._known: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._tenant_of: OrderedDict[bytes, str] = OrderedDict()
        self._lock = Lock()

    @cached_property
    def ring(self) -> Keyring:
        """Made at the first use: describing the API needs no secret."""
        return keyring(self.settings)

    def nobody(self, caller: Caller) -> Principal:
        """The anonymous caller. With `ops:read` among HUTONG_ANONYMOUS_SCOPES (a demonstration) it sees all rows."""
        rows = Rows(everything=Scope.OPS_READ in self.anonymous)
        return Principal("anonymous", self.anonymous, rows, address=caller.address, request=caller.request)

    def listed(self, peer: str) -> bool:
        """Whether this is a proxy whose word counts (HUTONG_TRUSTED_PROXIES)."""
        return listed(peer, self.proxies)

    def remembered(self, caller: Caller) -> Principal | None:
        """The principal of a credential that held half a second ago."""
        with self._lock:
            until, principal = self._known.get(_print(caller.kind, caller.credential), (0.0, None))
        if principal is None or until < ticks():
            return None
        return replace(principal, address=caller.address, request=caller.request)

    def principal(self, database: Database, caller: Caller) -> Principal:
        """Who this is, from the database. Raises Unauthorized, for every fault alike."""
        mark = _print(caller.kind, caller.credential)
        try:
            with database.read() as connection:
                found, touch = self._checked(connection, caller)
        except Unauthorized:
            with self._lock:
                self._tenant_of.pop(mark, None)
            raise
        if touch:
            # A note of use, not of a change: whoever only reads is let in although nothing can be written now.
            with suppress(Unavailable), database.write() as connection:
                _touch(connection, caller.kind, touch)
        self._remember(mark, caller.kind, found)
        return replace(found, address=caller.address, request=caller.request)

    def _remember(self, mark: bytes, kind: str, found: Principal) -> None:
        with self._lock:
            self._known[mark] = (ticks() + REMEMBERED_S, found)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
            if kind != "session":  # a person's tenant can change, that of a key cannot
                self._tenant_of[mark] = found.tenant
                self._tenant_of.move_to_end(mark)
                if len(self._tenant_of) > REMEMBERED:
                    self._tenant_of.popitem(last=False)

    def tenant(self, kind: str, credential: str) -> str:
        """Whose key or token this was when it last held; empty when unknown. Says nothing of whether it still holds."""
        return self._tenant_of.get(_print(kind, credential), "")

    def forget(self) -> None:
        """Forgets what it remembers: in this process a revocation holds from the next request."""
        with self._lock:
            self._known.clear()

    def _checked(self, connection: Connection, caller: Caller) -> tuple[Principal, str]:
        """The principal, and what to note the use of (empty when noted a minute ago)."""
        at = now(connection)
        if caller.kind == "session":
            found = sessions.find(connection, self.settings, caller.credential)
            return found, found.session
        if caller.kind == "key":
            row, scope = keys.found(connection, caller.credential), None
        else:
            claims = tokens.verified(self.ring, caller.credential, issuer=self.settings.public_url, at=at // 1_000_000)
            row, scope = keys.living(connection, claims["cid"]), claims["scope"]
        if row is None:
            raise Unauthorized()
        stale = caller.kind == "key" and at - (row.used_at or 0) > _TOUCH_US
        known = _of_key(row, scope)
        bound = certificates.of(connection, row.platform) if row.platform else frozenset()
        return replace(known, certificates=bound), row.prefix if stale else ""

    def take(self, tenant: str, address: str = "") -> Left | None:
        """Counts a request of a tenant, else of an address; None where no limit applies. Raises QuotaExceeded."""
        bucket = tenant or bucket_of(address)
        if not bucket:
            return None
        try:
            return (self._tenants if tenant else self._addresses).take(bucket, ticks())
        except QuotaExceeded:
            self.tally.throttled(tenant, address)
            raise


def _of_key(row: Any, scope: str | None) -> Principal:
    held = frozenset(Scope(name) for name in row.scopes.split())
    scopes = held if scope is None else held & {Scope(name) for name in scope.split() if name in set(Scope)}
    rows = Rows(platforms=frozenset({row.platform})) if row.platform else Rows(everything=True)
    return Principal(f"key:{row.prefix}", scopes, rows, row.platform or "hub")


def _touch(connection: Connection, kind: str, name: str) -> None:
    (sessions.seen if kind == "session" else keys.used)(connection, name)


def _print(kind: str, credential: str) -> bytes:
    return sha256(f"{kind} {credential}".encode("utf-8", "surrogatepass")).digest()


def bearer(authorization: str) -> tuple[str, str]:
    """Kind (`key`, `token`, empty for none) and credential of the header; another scheme is a token that never holds."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "bearer":
        return ("token", scheme) if scheme else ("", "")
    credential = given.strip()
    return "key" if credential.startswith("hk_") else "token", credential
