"""Tokens: one good one is accepted, every bad one is refused with one and the same body; revocation holds at once."""

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OctKey, OKPKey

from app.access import keys, tokens
from app.access.keyring import Keyring, keyring
from app.db import now
from app.platforms import service as platforms
from tests.app.access.desk import Desk

CODE = "P-440000-01"


def _b64(value: Any) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


class _Forge:
    """Signs what it is told to, with the hub's own key: only the claim or header under test is wrong."""

    def __init__(self, hub: Desk, prefix: str) -> None:
        seed = keyring(hub.settings).seeds("token")[0]
        self.private, self.issuer, self.prefix = (
            Ed25519PrivateKey.from_private_bytes(seed),
            hub.settings.public_url,
            prefix,
        )
        self.kid = tokens.jwks(keyring(hub.settings))["keys"][0]["kid"]

    def __call__(self, header: dict[str, Any] | None = None, drop: str = "", **claims: Any) -> str:
        at = int(time.time())
        good = {
            "iss": self.issuer, "aud": self.issuer, "sub": CODE, "cid": self.prefix, "scope": "ops:read",
            "iat": at, "exp": at + 600, "jti": "x",
        }  # fmt: skip
        body = {name: value for name, value in (good | claims).items() if name != drop}
        top = {"alg": "Ed25519", "kid": self.kid, "typ": "at+jwt"} | (header or {})
        signed = f"{_b64(top)}.{_b64(body)}"
        return f"{signed}.{_b64(self.private.sign(signed.encode()))}"


def _other_key(forge: _Forge) -> str:
    return forge_with(forge, Ed25519PrivateKey.generate())


def forge_with(forge: _Forge, private: Ed25519PrivateKey, **header: Any) -> str:
    kept, forge.private = forge.private, private
    made = forge(header)
    forge.private = kept
    return made


def _embedded(forge: _Forge) -> str:
    private = Ed25519PrivateKey.generate()
    jwk = {"kty": "OKP", "crv": "Ed25519", "x": _b64(private.public_key().public_bytes_raw())}
    return forge_with(forge, private, jwk=jwk)


def _hmac_of_public_key(forge: _Forge) -> str:
    public = forge.private.public_key().public_bytes_raw()
    claims = json.loads(base64.urlsafe_b64decode(forge().split(".")[1] + "=="))
    header = {"alg": "HS256", "kid": forge.kid, "typ": "at+jwt"}
    return jwt.encode(header, claims, OctKey.import_key(public), algorithms=["HS256"])


def _es256(forge: _Forge) -> str:
    claims = json.loads(base64.urlsafe_b64decode(forge().split(".")[1] + "=="))
    return jwt.encode({"alg": "ES256", "kid": forge.kid, "typ": "at+jwt"}, claims, ECKey.generate_key("P-256"))


BAD: dict[str, Callable[[_Forge], str]] = {
    "none": lambda f: ".".join([_b64({"alg": "none", "kid": f.kid, "typ": "at+jwt"}), f().split(".")[1], ""]),
    "signature stripped": lambda f: f().rsplit(".", 1)[0] + ".",
    "two parts": lambda f: f().rsplit(".", 1)[0],
    "signature altered": lambda f: f()[:-4] + "AAAA",
    "another key": _other_key,
    "embedded key": _embedded,
    "embedded key of ours": lambda f: f({"jwk": {"kty": "OKP", "crv": "Ed25519", "x": "AA"}}),
    "hmac with the public key": _hmac_of_public_key,
    "another algorithm": _es256,
    "deprecated name of the algorithm": lambda f: f({"alg": "EdDSA"}),
    "crit": lambda f: f({"crit": ["b64"], "b64": True}),
    "key address": lambda f: f({"jku": "https://evil.example/jwks.json"}),
    "another type": lambda f: f({"typ": "JWT"}),
    "unknown key id": lambda f: f({"kid": "x"}),
    "number as key id": lambda f: f({"kid": 7}),
    "expired": lambda f: f(iat=int(time.time()) - 700, exp=int(time.time()) - 100),
    "future": lambda f: f(iat=int(time.time()) + 900, exp=int(time.time()) + 1500),
    "lives too long": lambda f: f(exp=int(time.time()) + 7200),
    "exp as text": lambda f: f(exp=str(int(time.time()) + 600)),
    "exp as fraction": lambda f: f(exp=time.time() + 600),
    "exp as true": lambda f: f(exp=True),
    "exp without end": lambda f: f(exp=10**400),
    "exp null": lambda f: f(exp=None),
    "no exp": lambda f: f(drop="exp"),
    "no iat": lambda f: f(drop="iat"),
    "one claim more": lambda f: f(admin=True),
    "foreign issuer": lambda f: f(iss="https://evil.example"),
    "foreign audience": lambda f: f(aud="https://evil.example"),
    "audience as list": lambda f: f(aud=[f.issuer]),
    "unknown client": lambda f: f(cid="hk_00000000"),
    "client as list": lambda f: f(cid=["hk_00000000"]),
    "claims that are no object": lambda f: ".".join([f().split(".")[0], _b64([1]), f().split(".")[2]]),
    "huge": lambda f: f(scope="x" * 9000),
    "not a token": lambda f: "nonsense",
    "empty parts": lambda f: "..",
    "not ascii": lambda f: "é.é.é",
    "a key that is none": lambda f: "hk_00000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
}


def _ask(hub: Desk, token: str) -> httpx.Response:
    return httpx.get(f"{hub.url}/api/v1/feeds", headers={"Authorization": f"Bearer {token}".encode()})


def test_a_good_token_opens_and_every_bad_one_gets_the_same_words(hub: Desk) -> None:
    key = hub.platform(CODE)
    forge = _Forge(hub, key[:11])
    assert _ask(hub, forge()).status_code == 200
    answers = {name: _ask(hub, bad(forge)) for name, bad in BAD.items()}
    assert {name: answer.status_code for name, answer in answers.items() if answer.status_code != 401} == {}
    assert len({answer.content for answer in answers.values()}) == 1
    assert httpx.get(f"{hub.url}/api/v1/feeds").content == answers["none"].content


def test_a_client_gets_a_short_token_that_others_can_check(hub: Desk) -> None:
    key = hub.platform(CODE)
    answer = hub.token(CODE, key, scope="ops:read").json()
    assert (answer["token_type"], answer["expires_in"], answer["scope"]) == ("Bearer", 900, "ops:read")
    public = httpx.get(f"{hub.url}/.well-known/jwks.json").json()
    assert all("d" not in one for one in public["keys"])
    claims = jwt.decode(answer["access_token"], KeySet.import_key_set(public), algorithms=["Ed25519"]).claims
    assert (claims["sub"], claims["exp"] - claims["iat"]) == (CODE, 900)
    with hub.key_client(answer["access_token"]) as client:
        assert client.get("/api/v1/feeds").status_code == 200
        refused = client.post("/api/v1/feeds", json={})
        assert (refused.status_code, refused.json()["kind"]) == (403, "auth.forbidden")


def test_the_token_endpoint_refuses_as_rfc_6749_says(hub: Desk) -> None:
    key = hub.platform(CODE)
    other = hub.platform("P-110000-01")
    wrong = [hub.token(CODE, "hk_wrong"), hub.token(CODE, other), hub.token("", key), hub.token("E-1", "\ud7ff")]
    assert {(answer.status_code, answer.content) for answer in wrong} == {(401, wrong[0].content)}
    assert wrong[0].json()["error"] == "invalid_client"
    assert hub.token(CODE, key, scope="ops:write").json()["error"] == "invalid_scope"
    assert hub.token(CODE, key, grant_type="password").json()["error"] == "unsupported_grant_type"
    basic = httpx.post(f"{hub.url}/oauth/token", auth=(CODE, key), data={"grant_type": "client_credentials"})
    assert basic.status_code == 200
    broken = httpx.post(
        f"{hub.url}/oauth/token", headers={"Authorization": "Basic %%"}, data={"grant_type": "client_credentials"}
    )
    assert broken.status_code == 401


def test_a_token_dies_with_its_key_within_a_second(hub: Desk) -> None:
    key = hub.platform(CODE)
    token = hub.token(CODE, key).json()["access_token"]
    with hub.key_client(token) as client, hub.key_client(key) as direct:
        assert (client.get("/api/v1/feeds").status_code, direct.get("/api/v1/feeds").status_code) == (200, 200)
        with hub.database.write() as connection:  # as another process does it: this one is not told
            keys.revoke(connection, key[:11])
        time.sleep(0.9)
        assert (client.get("/api/v1/feeds").status_code, direct.get("/api/v1/feeds").status_code) == (401, 401)


def test_a_suspended_platform_is_refused_within_a_second_and_let_in_again(hub: Desk) -> None:
    key = hub.platform(CODE)
    token = hub.token(CODE, key).json()["access_token"]
    for state, status in (("suspended", 401), ("active", 200)):
        with hub.database.write() as connection:
            platforms.transition(connection, CODE, state, "test")
        time.sleep(0.9)
        for credential in (key, token):
            with hub.key_client(credential) as client:
                assert client.get("/api/v1/feeds").status_code == status
    assert hub.token(CODE, key).status_code == 200


def test_a_former_secret_still_verifies_and_a_foreign_one_does_not() -> None:
    made = tokens.make(
        Keyring([b"old"]), issuer="https://hub", subject=CODE, key="hk_1", scope="ops:read", at=1000, life_s=600
    )
    for ring in (Keyring([b"old"]), Keyring([b"new", b"old"])):
        assert tokens.verified(ring, made, issuer="https://hub", at=1100)["sub"] == CODE
    with pytest.raises(tokens.Unauthorized):
        tokens.verified(Keyring([b"new"]), made, issuer="https://hub", at=1100)
    assert [one["kid"] for one in tokens.jwks(Keyring([b"new", b"old"]))["keys"]][1] == OKPKey.import_key(
        tokens.jwks(Keyring([b"old"]))["keys"][0]
    ).thumbprint()


@pytest.mark.parametrize("at", [999 - 60, 1600, 5000])
def test_a_token_holds_only_within_its_time(at: int) -> None:
    ring = Keyring([b"secret"])
    made = tokens.make(ring, issuer="i", subject=CODE, key="hk_1", scope="", at=1000, life_s=600)
    with pytest.raises(tokens.Unauthorized):
        tokens.verified(ring, made, issuer="i", at=at)


def test_keys_rotate_with_an_overlap_and_only_two_live(hub: Desk) -> None:
    key = hub.platform(CODE)
    with hub.database.write() as connection:
        second = keys.rotate(connection, key[:11], 3600)
        with pytest.raises(keys.Conflict):
            keys.rotate(connection, second.prefix, 3600)
        with pytest.raises(keys.Conflict):
            keys.issue(connection, CODE)
        with pytest.raises(keys.BadRequest):
            keys.rotate(connection, key[:11], 31 * 86_400)
        assert keys.found(connection, key) is not None
        assert keys.found(connection, second.key) is not None
        assert [one["days_left"] for one in keys.keys(connection)] == [None, 0]
        third = keys.rotate(connection, _ended(connection, key[:11], second.prefix), 0)
        assert keys.found(connection, second.key) is None
        assert keys.found(connection, third.key) is not None


def _ended(connection: Any, old: str, prefix: str) -> str:
    keys.revoke(connection, old)
    return prefix


def test_rotation_under_load_loses_no_request(hub: Desk) -> None:
    import threading

    held = {"key": hub.platform(CODE)}
    statuses: list[int] = []
    stop = threading.Event()

    def load() -> None:
        with httpx.Client(base_url=hub.url) as client:
            while not stop.is_set():
                headers = {"Authorization": f"Bearer {held['key']}"}
                statuses.append(client.get("/api/v1/feeds", headers=headers).status_code)

    threads = [threading.Thread(target=load) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(5):
        with hub.database.write() as connection:
            made = keys.rotate(connection, held["key"][:11], 3600)
        former, held["key"] = held["key"], made.key
        time.sleep(0.4)
        with hub.database.write() as connection:
            keys.revoke(connection, former[:11])
    stop.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 50
    assert set(statuses) == {200}


def test_an_expired_key_does_not_open_and_use_is_noted(hub: Desk) -> None:
    key = hub.platform(CODE)
    with hub.key_client(key) as client:
        assert client.get("/api/v1/feeds").status_code == 200
    with hub.database.write() as connection:
        shown = keys.keys(connection, CODE)[0]
        assert now(connection) - (shown["used_at"] or 0) < 60_000_000
        assert key not in str(shown)
        connection.execute(keys.update(keys.api_key).values(expires_at=now(connection) - 1))
    time.sleep(0.6)
    with hub.key_client(key) as client:
        assert client.get("/api/v1/feeds").status_code == 401
