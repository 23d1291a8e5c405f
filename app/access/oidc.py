"""An OpenID provider: its discovery document, its keys, the code exchange, the ID token (OpenID Connect Core 1.0).

All that is asked of it goes through `ask`, the hub's guarded client, handed in by app/main.py. Claims are checked here
and not left to the library (see tokens.py). Every fault raises SignOnRefused with a word for the audit chain.
"""

import base64
import hmac
from collections.abc import Callable
from hashlib import sha256
from threading import BoundedSemaphore, Lock
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from joserfc import jwk, jwt
from joserfc.errors import JoseError

from app.clock import ticks
from app.protocol import json
from app.protocol.connector import Request
from app.protocol.errors import HutongError, SignOnRefused

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
KEPT_S, AGAIN_S = 3600.0, 10.0
"""How long discovery and keys are kept; how soon they are asked for again, after a failure or for an unknown key."""
AT_ONCE, TURN_S = 4, 2.0
LONGEST = 16_384
BYTES, DEADLINE_S = 1 << 20, 10.0
"""Of one answer of the provider."""
SKEW_S, OLDEST_S = 60, 600
_EMBEDDED = frozenset({"jwk", "jku", "x5u", "x5c", "crit", "b64"})

Ask = Callable[[Request], tuple[int, bytes]]
"""Status and body of the answer. Raises HutongError."""


class Provider:
    """One provider and our client there."""

    def __init__(self, issuer: str, client: str, secret: str, ask: Ask) -> None:
        self.issuer, self.client = issuer, client
        self._secret, self._ask = secret, ask
        self._turns = BoundedSemaphore(AT_ONCE)
        self._kept: dict[str, tuple[float, dict[str, Any]]] = {}
        self._tried: dict[str, float] = {}
        self._lock = Lock()

    def authorize(self, redirect: str, state: str, nonce: str, verifier: str) -> str:
        """Where the browser is sent (3.1.2.1, with PKCE S256)."""
        challenge = base64.urlsafe_b64encode(sha256(verifier.encode()).digest()).decode().rstrip("=")
        query = {
            "response_type": "code", "client_id": self.client, "redirect_uri": redirect, "scope": "openid profile email",
            "state": state, "nonce": nonce, "code_challenge": challenge, "code_challenge_method": "S256",
        }  # fmt: skip
        address = self._endpoint("authorization_endpoint")
        return f"{address}{'&' if urlsplit(address).query else '?'}{urlencode(query)}"

    def claims(self, code: str, verifier: str, redirect: str, nonce: str, at: int) -> dict[str, Any]:
        """The claims of the ID token that the code is worth at `at` (seconds). Raises SignOnRefused."""
        token = self._exchanged(code, verifier, redirect)
        try:
            found = jwt.decode(token, self._key, algorithms=ALGORITHMS)
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            raise SignOnRefused("token.signature") from None
        if fault := _fault(found.claims, self.issuer, self.client, nonce, at):
            raise SignOnRefused(fault)
        return dict(found.claims)

    def _exchanged(self, code: str, verifier: str, redirect: str) -> str:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect, "code_verifier": verifier}
        headers = {"content-type": "application/x-www-form-urlencoded", "accept": "application/json"}
        methods = self._discovered().get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if "client_secret_basic" in methods:
            pair = f"{quote(self.client, safe='')}:{quote(self._secret, safe='')}".encode()
            headers["authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        else:
            form |= {"client_id": self.client, "client_secret": self._secret}
        body = urlencode(form).encode()
        answer = self._json(Request(self._endpoint("token_endpoint"), headers, "POST", body), "token.endpoint")
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > LONGEST:
            raise SignOnRefused("token.missing")
        return token

    def _key(self, signed: Any) -> Any:
        """The provider's key that the header names, never one that the token brings."""
        header = signed.headers()
        if _EMBEDDED & set(header):
            raise SignOnRefused("token.header")
        for fresh in (False, True):
            for key in _usable(self._document("jwks_uri", again=fresh)):
                if header.get("kid") in (None, key.get("kid")):
                    return jwk.import_key(key)
        raise SignOnRefused("token.key")

    def _endpoint(self, name: str) -> str:
        address = self._discovered().get(name)
        if not isinstance(address, str) or urlsplit(address).scheme not in ("https", urlsplit(self.issuer).scheme):
            raise SignOnRefused("provider.discovery")
        return address

    def _discovered(self) -> dict[str, Any]:
        found = self._document("")
        if found.get("issuer") != self.issuer:
            raise SignOnRefused("provider.issuer")
        return found

    def _document(self, name: str, *, again: bool = False) -> dict[str, Any]:
        """Discovery (no name), or the document at one of its endpoints; kept for an hour."""
        with self._lock:
            until, kept = self._kept.get(name, (0.0, {}))
            if until > ticks() and not again:
                return kept
            if self._tried.get(name, 0.0) > ticks():
                raise SignOnRefused("token.key" if again else "provider.unavailable")
            if again:
                self._tried[name] = ticks() + AGAIN_S
        address = self._endpoint(name) if name else f"{self.issuer.rstrip('/')}/.well-known/openid-configuration"
        try:
            found = self._json(Request(address, {"accept": "application/json"}), "provider.unavailable")
        except SignOnRefused:
            self._tried[name] = ticks() + AGAIN_S
            raise
        with self._lock:
            self._kept[name] = (ticks() + KEPT_S, found)
        return found

    def _json(self, request: Request, why: str) -> dict[str, Any]:
        if not self._turns.acquire(timeout=TURN_S):
            raise SignOnRefused("provider.busy")
        try:
            status, body = self._ask(request)
            found = json.loads(body, max_bytes=BYTES, strict=True)
        except HutongError:
            raise SignOnRefused(why) from None
        finally:
            self._turns.release()
        if status != 200 or not isinstance(found, dict):
            raise SignOnRefused(why)
        return found


def _usable(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Public keys for signatures; a shared secret among them would make everybody who reads it an issuer."""
    keys = document.get("keys")
    found = [key for key in keys if isinstance(key, dict)] if isinstance(keys, list) else []
    return [key for key in found if key.get("kty") in ("RSA", "EC", "OKP") and key.get("use", "sig") == "sig"]


def _fault(claims: dict[str, Any], issuer: str, client: str, nonce: str, at: int) -> str:
    """What is wrong with the claims (3.1.3.7), empty when nothing is."""
    audience, said, subject = claims.get("aud"), claims.get("nonce"), claims.get("sub")
    begins, ends, party = claims.get("iat"), claims.get("exp"), claims.get("azp", client)
    if claims.get("iss") != issuer:
        return "token.issuer"
    several = isinstance(audience, list) and len(audience) != 1
    if party != client or not (audience == client or audience == [client] or (several and _among(claims, client))):
        return "token.audience"
    if type(begins) is not int or type(ends) is not int or not (begins <= at + SKEW_S and at < ends + SKEW_S):
        return "token.time"
    if at - begins > OLDEST_S or not _begun(claims, at):
        return "token.time"
    if not isinstance(said, str) or not hmac.compare_digest(said.encode("utf-8", "replace"), nonce.encode()):
        return "token.nonce"
    good = isinstance(subject, str) and 1 <= len(subject) <= 255 and subject.isprintable()
    return "" if good else "token.subject"


def _among(claims: dict[str, Any], client: str) -> bool:
    return client in claims["aud"] and claims.get("azp") == client


def _begun(claims: dict[str, Any], at: int) -> bool:
    since = claims.get("nbf", at)
    return type(since) is int and since <= at + SKEW_S
