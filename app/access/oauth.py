"""The token endpoint's answer: client credentials only (RFC 6749 4.4, errors as in 5.2)."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from fastapi import Request

from app.access import keys, tokens
from app.access.audit import Act, note
from app.access.gate import Gate
from app.access.principal import acting
from app.db import now
from app.protocol.words import PLATFORM_CODE
from app.web import database

Answer = tuple[int, dict[str, Any]]


def answer(request: Request, form: Mapping[str, str]) -> Answer:
    """Status and body. One and the same refusal for a wrong client, a wrong secret, a revoked or suspended one."""
    if form.get("grant_type") != "client_credentials":
        return 400, {"error": "unsupported_grant_type", "error_description": "send grant_type=client_credentials"}
    client, secret = _client(request.headers.get("authorization", ""), form)
    gate: Gate = request.app.state.gate
    with database(request).write() as connection:
        row = keys.found(connection, secret)
        if row is None or (row.platform or "hub") != client:
            known = client if PLATFORM_CODE.match(client) else "unknown"
            if (count := gate.tally.refused(acting(connection))) is not None:
                note(connection, Act.TOKEN, f"client:{known}", "refused", count=count)
            return 401, {"error": "invalid_client", "error_description": "client_id and client_secret do not hold"}
        held, wanted = set(row.scopes.split()), form.get("scope", row.scopes).split()
        if not set(wanted) <= held:
            return 400, {"error": "invalid_scope", "error_description": f"this client has {row.scopes}"}
        keys.used(connection, row.prefix)
        note(connection, Act.TOKEN, f"client:{client}", key=row.prefix, scope=" ".join(wanted))
        at = now(connection) // 1_000_000
    life, scope = gate.settings.token_s, " ".join(sorted(wanted))
    made = tokens.make(
        gate.ring, issuer=gate.settings.public_url, subject=client, key=row.prefix, scope=scope, at=at, life_s=life
    )
    return 200, {"access_token": made, "token_type": "Bearer", "expires_in": life, "scope": scope}


def _client(authorization: str, form: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", "")[:64], form.get("client_secret", "")
    try:
        name, _, secret = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return "", ""
    return name[:64], secret
