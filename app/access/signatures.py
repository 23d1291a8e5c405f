"""Signed requests: RFC 9421 with Ed25519, what IX/1's push stands on (protocol.md section 3.7).

The server decides what must be covered: method, authority, path, body digest, and the query when there is one.
`created` and `expires` lie at most 300 s apart, a nonce counts once, the tag is `ix-push`.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureAlgorithm,
    HTTPSignatureKeyResolver,
    algorithms,
)
from sqlalchemy import Connection

from app.access import sm2
from app.access.tables import nonce
from app.db import now
from app.protocol.errors import Unauthorized
from app.statements import insert_missing

TAG = "ix-push"
WINDOW_S = 300
SKEW_S = 60
COVERED = ("@method", "@authority", "@path", "content-digest")

KeyOf = Callable[[str], bytes | None]
"""The 32 bytes of a platform's public key by key id, None when there is no such key."""


class Algorithm(NamedTuple):
    """How a signature is verified: the library's algorithm, and a public key from its enrolled bytes."""

    verifies: type[HTTPSignatureAlgorithm]
    load: Callable[[bytes], Any]


ALGORITHMS: dict[str, Algorithm] = {"ed25519": Algorithm(algorithms.ED25519, Ed25519PublicKey.from_public_bytes)}
"""By the name that a platform enrolled with its key; `sm2-sm3` is there when its extra is installed."""
if sm2.INSTALLED:
    ALGORITHMS[sm2.Sm2Sm3.algorithm_id] = Algorithm(sm2.Sm2Sm3, sm2.load)


class Signed(NamedTuple):
    """A request as it arrived: upper-case method, absolute URL, headers with `items()` over all lines, the whole body."""

    method: str
    url: str
    headers: Any
    body: bytes


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, key_of: KeyOf, load: Callable[[bytes], Any]) -> None:
        self._key_of, self._load = key_of, load

    def resolve_public_key(self, key_id: str) -> Any:
        raw = self._key_of(key_id)
        return None if raw is None else self._load(raw)


class _Verifier(HTTPMessageVerifier):
    max_clock_skew = timedelta(seconds=SKEW_S)


def signer(connection: Connection, request: Signed, key_of: KeyOf, algorithm: str = "ed25519") -> str:
    """The key id that signed the request. Its nonce is used up in the caller's transaction.

    `algorithm` is the one that was enrolled with the key; what the request says of its own (`alg`) decides nothing.
    Raises Unauthorized, with the same words whatever the fault, also for an algorithm that is not installed.
    """
    if (chosen := ALGORITHMS.get(algorithm)) is None:
        raise Unauthorized()
    verifier = _Verifier(signature_algorithm=chosen.verifies, key_resolver=_Keys(key_of, chosen.load))
    query = ("@query",) if "?" in request.url else ()
    try:
        found = verifier.verify(
            request, max_age=timedelta(seconds=WINDOW_S), expect_tag=TAG, require_components=(*COVERED, *query),
            body=request.body,
        )  # fmt: skip
    except (HTTPMessageSignaturesException, ValueError, TypeError, KeyError):
        raise Unauthorized() from None
    if len(found) != 1 or not _bounded(found[0].parameters):
        raise Unauthorized()
    key_id, value = str(found[0].parameters["keyid"]), str(found[0].nonce)
    used = {"key_id": key_id[:200], "value": value, "seen_at": now(connection)}
    fresh = insert_missing(connection, nonce).returning(nonce.c.value)
    if connection.execute(fresh, used).first() is None:
        raise Unauthorized()
    return key_id


def _bounded(parameters: dict[str, Any]) -> bool:
    created, expires, value = (parameters.get(name) for name in ("created", "expires", "nonce"))
    if not (isinstance(created, int) and isinstance(expires, int) and isinstance(value, str)):
        return False
    return 0 < expires - created <= WINDOW_S and 16 <= len(value) <= 200
