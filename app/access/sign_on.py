"""Signing in through the organisation's identity provider: authorization code with PKCE, state and nonce.

A person exists already and keeps the roles given here: no claim makes an account or a right. What the browser must
bring back lies sealed in a cookie of its own for ten minutes, and each state counts once (table `nonce`).
"""

import base64
import hmac
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, select

from app.access import links, second_factor, sessions
from app.access.audit import Act, note
from app.access.keyring import Keyring
from app.access.oidc import Provider
from app.access.principal import acting
from app.access.sessions import SignedIn
from app.access.tables import nonce, person
from app.access.tally import Tally
from app.db import Database, now
from app.protocol.errors import Conflict, HutongError, QuotaExceeded, SecretLost, SignOnRefused, Unauthorized
from app.settings import Settings
from app.statements import insert_missing

BACK = "/login/oidc/callback"
LASTS_S = 600
_WHO, _CODE = "sign-on", "sign-on code"


class Begun(NamedTuple):
    """Where the browser goes, and the cookie it brings back."""

    url: str
    cookie: str


class CodeNeeded(NamedTuple):
    """The provider's word holds; the person's second factor is ours to ask for. `cookie` says for whom."""

    cookie: str


class Arrived(NamedTuple):
    """A session, and the page that was asked for."""

    session: SignedIn
    to: str


class SignOn:
    """The way through one provider."""

    def __init__(self, settings: Settings, ring: Keyring, tally: Tally, provider: Provider) -> None:
        self._settings, self._ring, self._tally, self._provider = settings, ring, tally, provider
        self._redirect = settings.public_url.rstrip("/") + BACK

    def begin(self, database: Database, to: str) -> Begun:
        """Raises SignOnRefused, on record, when the provider cannot be asked."""
        kept = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
        try:
            url = self._provider.authorize(self._redirect, kept["state"], kept["nonce"], kept["verifier"])
        except SignOnRefused as refusal:
            self._refused(database, None, refusal.why)
            raise
        return Begun(url, self._sealed(database, _WHO, {**kept, "to": to}))

    def arrive(self, database: Database, cookie: str, query: Mapping[str, str]) -> Arrived | CodeNeeded:
        """What the answer of the provider is worth. Raises SignOnRefused for every fault, each on record."""
        name = None
        try:
            kept, at = self._opened(database, _WHO, cookie)
            _fits(query, kept["state"], self._provider.issuer)
            self._once(database, kept["state"])
            claims = self._provider.claims(query["code"], kept["verifier"], self._redirect, kept["nonce"], at)
            with database.write() as connection:
                name = self._person(connection, claims)
            return self._let_in(database, name, claims, kept["to"])
        except SignOnRefused as refusal:
            self._refused(database, name, refusal.why)
            raise

    def confirm(self, database: Database, cookie: str, code: str) -> Arrived:
        """The session for a right code of the authenticator; wrong ones count like wrong passwords.

        Raises Unauthorized for a wrong code, QuotaExceeded (`auth.locked`), SignOnRefused for a cookie that is none.
        """
        try:
            kept, _ = self._opened(database, _CODE, cookie)
        except SignOnRefused as foreign:
            self._refused(database, None, foreign.why)
            raise
        name = kept["name"]
        with database.write() as connection:
            wait, row = sessions.reserve(connection, name), _active(connection, name)
            right = not wait and row is not None and self._code_holds(connection, row, code)
            if right:
                return Arrived(sessions.begin(connection, self._ring, self._settings, row, "oidc"), kept["to"])
            refusal: HutongError = sessions.locked(wait) if wait else Unauthorized()
            note(connection, Act.LOGIN, f"person:{name}", "refused", why=refusal.kind, means="oidc")
        raise refusal

    def _code_holds(self, connection: Connection, row: Any, code: str) -> bool:
        return bool(row.totp_on) and second_factor.holds(connection, self._ring, row, code)

    def _person(self, connection: Connection, claims: dict[str, Any]) -> str:
        """Whom the subject stands for; linked now where a claim that the operator trusts names an unlinked person."""
        issuer, subject = self._provider.issuer, claims["sub"]
        if name := links.person_of(connection, issuer, subject):
            return name
        claim = self._settings.oidc_name_claim
        said = claims.get(claim) if claim else None
        if (
            not isinstance(said, str)
            or not said.isprintable()
            or (claim == "email" and claims.get("email_verified") is not True)
        ):
            raise SignOnRefused("person.unknown")
        if _active(connection, said) is None or links.linked(connection, issuer, said):
            raise SignOnRefused("person.unknown")
        try:
            links.link(connection, said, issuer, subject)
        except Conflict:
            raise SignOnRefused("person.unknown") from None
        return said

    def _let_in(self, database: Database, name: str, claims: dict[str, Any], to: str) -> Arrived | CodeNeeded:
        asked = self._settings.oidc_second_factor.replace(",", " ").split()
        methods = claims.get("amr")
        strong = bool(set(asked) & {str(one) for one in methods}) if isinstance(methods, list) else False
        with database.write() as connection:
            row = _active(connection, name)
            if row is None:
                raise SignOnRefused("person.disabled")
            if sessions.locked_s(connection, name):
                raise SignOnRefused(QuotaExceeded.kind)
            if not row.totp_on or strong:
                means = "oidc-mfa" if strong else "oidc"
                return Arrived(sessions.begin(connection, self._ring, self._settings, row, means), to)
        return CodeNeeded(self._sealed(database, _CODE, {"name": name, "to": to}))

    def _once(self, database: Database, state: str) -> None:
        with database.write() as connection:
            used = {"key_id": _WHO, "value": state, "seen_at": now(connection)}
            fresh = insert_missing(connection, nonce).returning(nonce.c.value)
            if connection.execute(fresh, used).first() is None:
                raise SignOnRefused("state.used")

    def _sealed(self, database: Database, use: str, kept: dict[str, str]) -> str:
        with database.read() as connection:
            until = now(connection) // 1_000_000 + LASTS_S
        key_id, sealed = self._ring.seal(use, orjson.dumps({**kept, "until": until}))
        return f"{key_id}.{base64.urlsafe_b64encode(sealed).decode()}"

    def _opened(self, database: Database, use: str, cookie: str) -> tuple[dict[str, Any], int]:
        """What was sealed for this use, and the time in seconds."""
        key_id, _, sealed = cookie.partition(".")
        try:
            kept = orjson.loads(self._ring.open(use, key_id, base64.urlsafe_b64decode(sealed)))
        except (SecretLost, ValueError):
            raise SignOnRefused("cookie.missing") from None
        with database.read() as connection:
            at = now(connection) // 1_000_000
        if at >= kept["until"]:
            raise SignOnRefused("cookie.expired")
        return kept, at

    def _refused(self, database: Database, name: str | None, why: str) -> None:
        with database.write() as connection:
            count = 1 if name else self._tally.refused(acting(connection))
            if count is not None:
                shown = f"person:{name or 'unknown'}"
                note(connection, Act.LOGIN, shown, "refused", why=why, means="oidc", count=count)


def _fits(query: Mapping[str, str], state: str, issuer: str) -> None:
    """The answer belongs to this browser's question, comes from this provider (RFC 9207) and brings a code."""
    if not hmac.compare_digest(query.get("state", "").encode("utf-8", "replace"), state.encode()):
        raise SignOnRefused("state.foreign")
    if query.get("iss", issuer) != issuer:
        raise SignOnRefused("provider.issuer")
    if "error" in query or not query.get("code"):
        raise SignOnRefused("provider.denied")


def _active(connection: Connection, name: str) -> Any:
    return connection.execute(select(person).where(person.c.name == name, person.c.state == "active")).first()
