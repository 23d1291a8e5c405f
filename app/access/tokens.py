"""Access tokens (RFC 9068, `at+jwt`) of the client credentials grant (RFC 6749 4.4), signed with Ed25519 (RFC 9864).

A token rests on an API key: it carries the key's prefix and dies with it. Claims are checked here and not left to
the library: libraries have taken `exp` as a string and as 10^400.
"""

import base64
import hmac
import secrets
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from app.access.keyring import Keyring
from app.protocol.errors import Unauthorized

ALGORITHM = "Ed25519"
LIFETIME_S = 3600
SKEW_S = 60
LONGEST = 4096
_HEADER = {"alg", "kid", "typ"}
_CLAIMS = {"iss", "aud", "sub", "cid", "scope", "iat", "exp", "jti"}


def make(ring: Keyring, *, issuer: str, subject: str, key: str, scope: str, at: int, life_s: int) -> str:
    """A token for `life_s` seconds from `at` (seconds): `sub` is the platform, `cid` the prefix of its key."""
    signing = _key(ring.seeds("token")[0])
    claims = {
        "iss": issuer, "aud": issuer, "sub": subject, "cid": key, "scope": scope, "iat": at, "exp": at + life_s,
        "jti": secrets.token_urlsafe(12),
    }  # fmt: skip
    header = {"alg": ALGORITHM, "kid": signing.thumbprint(), "typ": "at+jwt"}
    return jwt.encode(header, claims, signing, algorithms=[ALGORITHM])


def verified(ring: Keyring, token: str, *, issuer: str, at: int) -> dict[str, Any]:
    """The claims of a token of this hub that is good at `at` (seconds). Raises Unauthorized, for every fault alike."""
    if len(token) > LONGEST:
        raise Unauthorized()
    for seed in ring.seeds("token"):
        key = _key(seed)
        try:
            found = jwt.decode(token, key, algorithms=[ALGORITHM])
        except (JoseError, ValueError, TypeError, KeyError, RecursionError):
            continue
        if _header_holds(found.header, key.thumbprint()) and _claims_hold(found.claims, issuer, at):
            return dict(found.claims)
    raise Unauthorized()


def _header_holds(header: dict[str, Any], key_id: str) -> bool:
    """Exactly our three members: no embedded key, no key address, no `crit`."""
    kid = header.get("kid")
    known = isinstance(kid, str) and hmac.compare_digest(kid.encode(), key_id.encode())
    return set(header) == _HEADER and known and header["typ"] == "at+jwt"


def _claims_hold(claims: dict[str, Any], issuer: str, at: int) -> bool:
    if set(claims) != _CLAIMS or not all(isinstance(claims[name], str) for name in _CLAIMS - {"iat", "exp"}):
        return False
    begins, ends = claims["iat"], claims["exp"]
    if type(begins) is not int or type(ends) is not int or not 0 < ends - begins <= LIFETIME_S:
        return False
    return claims["iss"] == claims["aud"] == issuer and begins <= at + SKEW_S and at < ends


def jwks(ring: Keyring) -> dict[str, Any]:
    """The public keys, today's first (RFC 7517)."""
    keys = [_key(seed) for seed in ring.seeds("token")]
    return {"keys": [{**key.as_dict(private=False), "kid": key.thumbprint()} for key in keys]}


@cache
def _key(seed: bytes) -> OKPKey:
    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    parts = {"kty": "OKP", "crv": "Ed25519", "alg": ALGORITHM, "use": "sig"}
    return OKPKey.import_key({**parts, "x": _b64(public), "d": _b64(seed)})


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
