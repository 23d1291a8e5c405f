"""A small OpenID provider over a real socket: discovery, authorize, token, keys; it misbehaves on order."""

import base64
import json
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

CLIENT, SECRET = "hutong", "a secret:of the client/%"
BACK = "http://127.0.0.1:8000/login/oidc/callback"
FAULTS = (
    "nonce", "no_nonce", "audience", "audience_among_others", "party", "expired", "future", "old", "exp_text", "exp_float",
    "not_yet", "issuer", "no_subject", "subject_nul", "alg_none", "unsigned", "hmac_with_public_key", "foreign_key",
    "embedded_key", "critical", "altered", "no_token", "garbage", "not_json", "server_error", "denied", "other_iss",
)  # fmt: skip


class Provider:
    """`claims` go into the next tokens; `fault` is one of FAULTS; `impostor`: discovery names another issuer; `asked`
    are the paths that were asked for."""

    def __init__(self) -> None:
        self.url, self.fault, self.algorithm, self.impostor = "", "", "RS256", False
        self.claims: dict[str, Any] = {"sub": "248289761001", "preferred_username": "wang"}
        self.asked: list[str] = []
        self.keys = {
            "RS256": RSAKey.generate_key(2048, {"kid": "r1"}),
            "ES256": ECKey.generate_key("P-256", {"kid": "e1"}),
        }
        self._codes: dict[str, dict[str, str]] = {}

    def rotate(self) -> None:
        """Signs with a key that nobody has seen."""
        self.keys["RS256"] = RSAKey.generate_key(2048, {"kid": f"r{secrets.token_hex(2)}"})

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to. Raises AssertionError for a request that is none."""
        assert query["response_type"] == "code"
        assert "openid" in query["scope"].split()
        assert (query["client_id"], query["redirect_uri"], query["code_challenge_method"]) == (CLIENT, BACK, "S256")
        if self.fault == "denied":
            return f"{BACK}?{urlencode({'error': 'access_denied', 'state': query['state']})}"
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        issuer = "https://evil.example" if self.fault == "other_iss" else self.url
        return f"{BACK}?{urlencode({'code': code, 'state': query['state'], 'iss': issuer})}"

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, bytes]:
        """The token endpoint: a code counts once, for the client that asked and who knows the verifier."""
        if self.fault == "server_error":
            return 500, b"{}"
        if self.fault == "not_json":
            return 200, b"<html>"
        asked = self._codes.pop(form.get("code", ""), None)
        pair = base64.b64decode(authorization.removeprefix("Basic "))
        verifier = sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).decode().rstrip("=")
        if (
            pair != b"hutong:a%20secret%3Aof%20the%20client%2F%25"
            or asked is None
            or asked["code_challenge"] != challenge
        ):
            return 400, b'{"error":"invalid_grant"}'
        if self.fault == "no_token":
            return 200, b'{"access_token":"x","token_type":"Bearer"}'
        return 200, json.dumps({"access_token": "x", "token_type": "Bearer", "id_token": self._signed(asked)}).encode()

    def _signed(self, asked: dict[str, str]) -> str:
        at = int(time.time())
        claims = {"iss": self.url, "aud": CLIENT, "iat": at, "exp": at + 300, "nonce": asked["nonce"], **self.claims}
        changed: dict[str, dict[str, Any]] = {
            "nonce": {"nonce": "another"}, "audience": {"aud": "another"}, "audience_among_others": {"aud": [CLIENT, "x"]},
            "party": {"azp": "another"}, "expired": {"iat": at - 400, "exp": at - 100}, "old": {"iat": at - 7200},
            "future": {"iat": at + 900, "exp": at + 1200}, "exp_text": {"exp": str(at + 300)}, "exp_float": {"exp": 1e30},
            "not_yet": {"nbf": at + 900}, "issuer": {"iss": "https://evil.example"}, "subject_nul": {"sub": "a\0b"},
        }  # fmt: skip
        claims |= changed.get(self.fault, {})
        for gone in {"no_nonce": ["nonce"], "no_subject": ["sub"]}.get(self.fault, []):
            del claims[gone]
        return self._token(claims)

    def _token(self, claims: dict[str, Any]) -> str:
        key: Any = self.keys[self.algorithm]
        header: dict[str, Any] = {"alg": self.algorithm, "kid": key.kid}
        good = jwt.encode(header, claims, key, algorithms=[self.algorithm])
        head, body, signature = good.split(".")
        match self.fault:
            case "alg_none":
                return f"{_b64({'alg': 'none'})}.{body}."
            case "unsigned":
                return f"{head}.{body}."
            case "altered":
                return f"{head}.{_b64({**claims, 'sub': 'another'})}.{signature}"
            case "garbage":
                return "a.b.c"
            case "hmac_with_public_key":
                shared = OctKey.import_key(self.keys["RS256"].as_pem(private=False).hex())
                return jwt.encode({"alg": "HS256", "kid": key.kid}, claims, shared, algorithms=["HS256"])
            case "foreign_key":
                return jwt.encode(header, claims, RSAKey.generate_key(2048), algorithms=["RS256"])
            case "embedded_key":
                own = ECKey.generate_key("P-256")
                brought = {"alg": "ES256", "jwk": own.as_dict(private=False)}
                return jwt.encode(brought, claims, own, algorithms=["ES256"])
            case "critical":
                return f"{_b64({**header, 'crit': ['x'], 'x': 1})}.{body}.{signature}"
        return good

    def document(self, path: str) -> dict[str, Any] | None:
        """Discovery or the keys."""
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": "https://evil.example" if self.impostor else self.url,
                "authorization_endpoint": f"{self.url}/authorize", "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/keys", "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            }  # fmt: skip
        if path == "/keys":
            shared = {"kty": "oct", "k": "c2VjcmV0", "kid": "o1"}
            return {"keys": [shared, *(key.as_dict(private=False) for key in self.keys.values())]}
        return None


def _b64(content: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@contextmanager
def provider() -> Iterator[Provider]:
    """A provider that is serving."""
    made = Provider()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            made.asked.append(parts.path)
            if parts.path == "/authorize":
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                self._answer(302, b"", made.authorize(query))
                return
            found = made.document(parts.path)
            self._answer(200 if found else 404, json.dumps(found).encode())

        def do_POST(self) -> None:
            made.asked.append(self.path)
            text = self.rfile.read(int(self.headers["content-length"])).decode()
            form = {name: values[0] for name, values in parse_qs(text).items()}
            self._answer(*made.token(form, self.headers.get("authorization", "")))

        def _answer(self, status: int, body: bytes, location: str = "") -> None:
            self.send_response(status)
            if location:
                self.send_header("location", location)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
