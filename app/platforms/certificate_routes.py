"""Client certificates of platforms over HTTP: the security administrator's, a platform cannot bind or free itself."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from pydantic import Field

from app.access import certificates
from app.access.door import requires
from app.access.scopes import Scope
from app.platforms.queries import by_code
from app.platforms.schemas import Body, Code
from app.web import Reading, Tx, json

router = APIRouter(prefix="/api/v1", tags=["access"])


class Certificate(Body):
    """A certificate in PEM, or its SHA-256 in hexadecimal."""

    platform: Code
    certificate: str = Field(min_length=64, max_length=20_000)
    label: str = Field(default="", max_length=64, examples=["2027"])


@router.get("/certificates", dependencies=[requires(Scope.KEYS_MANAGE, whole=True)])
def list_certificates(connection: Reading, platform: Annotated[str, Query(max_length=16)] = "") -> Response:
    """The client certificates that are bound to platforms."""
    return json({"items": certificates.certificates(connection, platform), "next": None})


@router.post("/certificates", status_code=201, dependencies=[requires(Scope.KEYS_MANAGE, whole=True)])
def bind_certificate(connection: Tx, body: Certificate) -> Response:
    """Binds a certificate: from now on the platform's keys and tokens count only together with one of its own."""
    by_code(connection, body.platform)
    return json(certificates.register(connection, body.platform, body.certificate, body.label), 201)


@router.delete("/certificates/{code}/{sha256}", dependencies=[requires(Scope.KEYS_MANAGE, whole=True)])
def free_certificate(connection: Tx, code: str, sha256: str) -> Response:
    """Takes a certificate back; without any the keys count alone again."""
    certificates.drop(connection, code, sha256)
    return json({"platform": code, "sha256": sha256, "state": "freed"})
