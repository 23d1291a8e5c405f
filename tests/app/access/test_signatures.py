"""RFC 9421: a right signature opens once; what is altered, stripped, stale, replayed or half covered does not."""

import datetime
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

from app.access.signatures import ALGORITHMS, Algorithm, Signed, signer
from app.db import Database
from app.protocol.errors import Unauthorized

KEY = Ed25519PrivateKey.from_private_bytes(b"p" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"q" * 32)
URL = "https://hub.example/ix/v1/inbox"
BODY = b'{"items":[]}'
COVERED = ("@method", "@authority", "@path", "content-digest")


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, key: Any) -> None:
        self.key = key

    def resolve_private_key(self, key_id: str) -> Any:
        return self.key


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def signed(
    *, key: Any = KEY, url: str = URL, body: bytes = BODY, covered: tuple[str, ...] = COVERED, nonce: str | None = "n" * 22,
    age_s: int = 0, life_s: int | None = 300, tag: str | None = "ix-push", algorithm: Any = algorithms.ED25519, **more: Any,
) -> Signed:  # fmt: skip
    """A request signed by the library that others use."""
    request = httpx.Request("POST", url, content=body)
    created = _now() - datetime.timedelta(seconds=age_s)
    expires = created + datetime.timedelta(seconds=life_s) if life_s is not None else None
    HTTPMessageSigner(signature_algorithm=algorithm, key_resolver=_Keys(key)).sign(
        request, key_id="P-440000-01#1", created=created, expires=expires, nonce=nonce, tag=tag, covered_component_ids=covered,
        body=body if "content-digest" in covered else None, **more,
    )  # fmt: skip
    return Signed("POST", url, request.headers, body)


def key_of(key_id: str) -> bytes | None:
    return KEY.public_key().public_bytes_raw() if key_id == "P-440000-01#1" else None


def test_a_right_signature_names_its_key_and_counts_once(database: Database) -> None:
    request = signed()
    with database.write() as connection:
        assert signer(connection, request, key_of) == "P-440000-01#1"
    with database.write() as connection, pytest.raises(Unauthorized):
        signer(connection, request, key_of)
    with database.write() as connection:
        assert signer(connection, signed(nonce="m" * 22), key_of)


def _with(request: Signed, **headers: str) -> Signed:
    changed = httpx.Headers(request.headers)
    for name, value in headers.items():
        changed[name.replace("_", "-")] = value
    return request._replace(headers=changed)


def _without(name: str) -> Signed:
    request = signed()
    return request._replace(headers=httpx.Headers([(n, v) for n, v in request.headers.items() if n != name]))


BAD: dict[str, Callable[[], Signed]] = {
    "another key": lambda: signed(key=OTHER),
    "another body": lambda: signed()._replace(body=b'{"items":[1]}'),
    "another body with its digest": lambda: _with(
        signed()._replace(body=b"x"), content_digest=signed(body=b"x").headers["content-digest"]
    ),
    "another path": lambda: signed()._replace(url=URL + "/x"),
    "another host": lambda: signed()._replace(url=URL.replace("hub.example", "evil.example")),
    "another method": lambda: signed()._replace(method="DELETE"),
    "a query that was not signed": lambda: signed()._replace(url=URL + "?to=evil"),
    "a query left out of the signature": lambda: signed(url=URL + "?a=1"),
    "no signature": lambda: _without("signature"),
    "no signature input": lambda: _without("signature-input"),
    "no digest": lambda: _without("content-digest"),
    "digest not covered": lambda: signed(covered=("@method", "@authority", "@path")),
    "path not covered": lambda: signed(covered=("@method", "@authority", "content-digest")),
    "authority not covered": lambda: signed(covered=("@method", "@path", "content-digest")),
    "no nonce": lambda: signed(nonce=None),
    "short nonce": lambda: signed(nonce="x"),
    "huge nonce": lambda: signed(nonce="x" * 300),
    "no expiry": lambda: signed(life_s=None),
    "long life": lambda: signed(life_s=3600),
    "expired": lambda: signed(age_s=400),
    "old, with a long life": lambda: signed(age_s=400, life_s=3600),
    "from the future": lambda: signed(age_s=-120),
    "no tag": lambda: signed(tag=None),
    "another tag": lambda: signed(tag="other"),
    "another algorithm": lambda: signed(algorithm=algorithms.HMAC_SHA256, key=KEY.public_key().public_bytes_raw()),
    "an algorithm that lies": lambda: _with(
        signed(algorithm=algorithms.HMAC_SHA256, key=b"x" * 32, include_alg=False), x="y"
    ),
    "unknown key id": lambda: _with(
        signed(), signature_input=signed().headers["signature-input"].replace("P-44", "P-45")
    ),
    "not structured": lambda: _with(signed(), signature_input="((("),
    "a control character": lambda: _with(signed(), signature="pyhms=:\x01:"),
    "a signature that is a word": lambda: _with(signed(), signature="pyhms=word"),
}


@pytest.mark.parametrize("how", BAD)
def test_every_bad_signature_is_refused_with_the_same_words(sqlite: Database, how: str) -> None:
    with sqlite.write() as connection, pytest.raises(Unauthorized) as refusal:
        signer(connection, BAD[how](), key_of)
    assert (refusal.value.kind, refusal.value.detail) == ("auth.required", Unauthorized().detail)


def test_a_signed_query_is_accepted(sqlite: Database) -> None:
    with sqlite.write() as connection:
        assert signer(connection, signed(url=URL + "?a=1", covered=(*COVERED, "@query")), key_of)


def test_a_refused_request_uses_up_no_nonce(sqlite: Database) -> None:
    with sqlite.write() as connection:
        with pytest.raises(Unauthorized):
            signer(connection, signed(key=OTHER), key_of)
        assert signer(connection, signed(), key_of)


def test_the_algorithm_is_the_enrolled_one_and_another_can_take_its_place(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    p256 = ec.generate_private_key(ec.SECP256R1())
    point = p256.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    request = signed(key=p256, algorithm=algorithms.ECDSA_P256_SHA256)
    with sqlite.write() as connection:
        for name in ("ed25519", "sm2-sm3", "none", ""):
            with pytest.raises(Unauthorized):
                signer(connection, request, lambda _: point, name)
        added = Algorithm(
            algorithms.ECDSA_P256_SHA256, lambda raw: ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), raw)
        )
        monkeypatch.setitem(ALGORITHMS, "p256", added)
        assert signer(connection, request, lambda _: point, "p256") == "P-440000-01#1"
        with pytest.raises(Unauthorized):
            signer(connection, signed(nonce="o" * 22), key_of, "p256")
