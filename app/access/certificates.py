"""Client certificates bound to platforms (等保 8.1.4.1 c, ASVS 12.1.3): whose key or token comes with which certificate.

A platform that has one registered is known by its key and its certificate together; to register the first is the
demand. The hub sees the certificate where it ends TLS itself (`serve --tls-client-ca`), or is told of it by a listed
proxy in the header that HUTONG_CLIENT_CERT_HEADER names. That it was issued by the right authority and has not
expired is checked by who ends TLS.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from sqlalchemy import Connection, delete, select

from app.access.audit import Act, note
from app.access.principal import acting, within
from app.access.tables import certificate
from app.db import now
from app.protocol.errors import BadRequest, Conflict, Forbidden, NotFound
from app.statements import plain

STATE: Final = "certificate"  # the certificate of a connection in the state of its requests
MOST: Final = 10
_HEX = re.compile(r"[0-9a-f]{64}\Z")


def register(connection: Connection, platform: str, given: str, label: str = "") -> dict[str, Any]:
    """Binds a certificate (PEM, or its SHA-256 in hexadecimal) to a platform's keys and tokens; the row.

    Raises BadRequest, Conflict where the platform has it, or ten, already.
    """
    sha256, subject = _read(given)
    known = of(connection, platform)
    if sha256 in known or len(known) >= MOST:
        raise Conflict(f"{platform} has {'this certificate' if sha256 in known else f'{MOST} certificates'} already")
    by, at = acting(connection).name[:200], now(connection)
    row = {"platform": platform, "sha256": sha256, "subject": subject[:500], "label": label, "by": by, "at": at}
    connection.execute(certificate.insert(), row)
    note(connection, Act.CERTIFICATE_BOUND, platform, sha256=sha256, subject=subject, label=label)
    return row


def drop(connection: Connection, platform: str, sha256: str, reason: str = "") -> None:
    """Takes a certificate back; with the last one the demand ends. Raises NotFound."""
    mine = delete(certificate).where(certificate.c.platform == platform, certificate.c.sha256 == sha256)
    if not connection.execute(within(connection, mine, certificate.c.platform)).rowcount:
        raise NotFound(f"{platform} has no certificate {sha256[:64]}")
    note(connection, Act.CERTIFICATE_FREED, platform, sha256=sha256, reason=reason)


def certificates(connection: Connection, platform: str = "") -> list[dict[str, Any]]:
    """All of them by platform, or a platform's."""
    query = select(certificate).order_by(certificate.c.platform, certificate.c.at, certificate.c.sha256)
    if platform:
        query = query.where(certificate.c.platform == platform)
    return [plain(row) for row in connection.execute(within(connection, query, certificate.c.platform))]


def of(connection: Connection, platform: str) -> frozenset[str]:
    """The fingerprints of a platform's certificates."""
    return frozenset(row["sha256"] for row in certificates(connection, platform))


def demand(bound: frozenset[str], shown: str) -> None:
    """What a platform has bound must be shown. Raises Forbidden (`auth.certificate`)."""
    if bound and shown not in bound:
        seen = f"the certificate {shown}" if shown else "no client certificate"
        error = Forbidden(
            f"this key counts only together with its platform's client certificate; the hub was shown {seen}. Send the "
            "registered one, or let the hub's security administrator register this one"
        )
        error.kind = "auth.certificate"
        raise error


def shown(state: Mapping[str, Any], header: str, by_proxy: bool) -> str:
    """The fingerprint of the certificate behind a request; empty for none.

    `header` is what a listed proxy said (`by_proxy`); from anybody else it counts for nothing.
    """
    if not by_proxy or not header:
        return "" if by_proxy else str(state.get(STATE, ""))
    try:
        return _read(_der(header[1:-1]) if header[:1] == header[-1:] == ":" else unquote(header))[0]
    except BadRequest:
        return ""


def _der(text: str) -> str:
    """RFC 9440 (`Client-Cert`): the certificate's bytes in Base64, between colons."""
    return f"-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"


def _read(given: str) -> tuple[str, str]:
    """SHA-256 and subject (empty where only the SHA-256 was given)."""
    plain_text = given.strip()
    if _HEX.match(digits := plain_text.replace(":", "").lower()):
        return digits, ""
    try:
        found = x509.load_pem_x509_certificate(plain_text.encode())
    except ValueError:
        raise BadRequest("a certificate in PEM, or its SHA-256 as 64 hexadecimal digits, is needed") from None
    return fingerprint(found), found.subject.rfc4514_string()


def fingerprint(found: x509.Certificate) -> str:
    """The SHA-256 of a certificate, as a platform's are kept."""
    return found.fingerprint(SHA256()).hex()
