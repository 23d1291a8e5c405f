"""A client certificate bound to its platform, over real TLS and behind a proxy that says it in a header."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from app import schema
from app.access import certificates, keys
from app.db import Database
from app.platforms import service as platforms
from app.protocol.errors import BadRequest, Conflict, NotFound
from tests.acceptance.tls import PATIENCE_S, Authority, context, serving
from tests.app.access.desk import Desk, desk

ONE, OTHER = "P-440000-01", "P-330000-01"
Files = tuple[Path, Path]


def _pem(files: Files) -> str:
    return files[0].read_text()


def _sha256(files: Files) -> str:
    return x509.load_pem_x509_certificate(files[0].read_bytes()).fingerprint(SHA256()).hex()


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority that the hub trusts."""
    return Authority(tmp_path, "ours")


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def hub(request: pytest.FixtureRequest, tmp_path: Path, ours: Authority) -> Iterator[tuple[str, Database]]:
    """A hub that takes certificates of those who have one; its address and database."""
    database = Database(f"sqlite:///{tmp_path / 'data' / 'hutong.db'}")
    schema.upgrade(database)
    with serving(tmp_path / "data", ours, "--tls-client-optional", "--workers", str(request.param)) as url:
        yield url, database
    database.close()


def test_a_key_counts_only_with_its_platforms_certificate(hub: tuple[str, Database], ours: Authority) -> None:
    url, database = hub
    mine, others = ours.issue("mine"), ours.issue("others")
    with database.write() as connection:
        for code in (ONE, OTHER):
            platforms.register(connection, code, code)
        key, free = keys.issue(connection, ONE).key, keys.issue(connection, OTHER).key
        certificates.register(connection, ONE, _pem(mine), "2027")

    def asked(credential: str, files: Files | None) -> httpx.Response:
        bearer = {"Authorization": f"Bearer {credential}"} if credential else {}
        with httpx.Client(verify=context(ours, files), timeout=PATIENCE_S, headers=bearer) as client:
            return client.get(f"{url}/api/v1/feeds")

    assert asked(key, mine).status_code == 200
    for files, seen in ((None, "no client certificate"), (others, _sha256(others))):
        refused = asked(key, files)
        assert (refused.status_code, refused.json()["kind"]) == (403, "auth.certificate")
        assert seen in refused.json()["detail"]
    assert asked(free, None).status_code == 200, "who has none registered needs none"
    assert asked(free, mine).status_code == 200
    assert asked("", mine).status_code == 401, "a certificate alone opens nothing"
    form = {"grant_type": "client_credentials", "client_id": ONE, "client_secret": key}
    with httpx.Client(verify=context(ours, mine), timeout=PATIENCE_S) as client:
        token = client.post(f"{url}/oauth/token", data=form).json()["access_token"]
    assert [asked(token, files).status_code for files in (mine, others, None)] == [200, 403, 403]
    with database.write() as connection:
        certificates.register(connection, ONE, _pem(others))
        certificates.drop(connection, ONE, _sha256(mine))
    time.sleep(1)
    assert [asked(key, files).status_code for files in (others, mine)] == [200, 403]


@pytest.fixture
def behind(database: Database, tmp_path: Path, ours: Authority) -> Iterator[tuple[Desk, str, Files]]:
    """A hub behind a proxy at loopback; a key, and the certificate that it needs."""
    with desk(database, tmp_path, trusted_proxies="127.0.0.1", client_cert_header="Client-Cert") as made:
        files, key = ours.issue("mine"), made.platform(ONE)
        admin = made.person("sun", "security-administrator")
        bound = admin.post("/api/v1/certificates", json={"platform": ONE, "certificate": _pem(files), "label": "2027"})
        assert (bound.status_code, bound.json()["sha256"], bound.json()["subject"]) == (201, _sha256(files), "CN=mine")
        yield made, key, files


def _asked(hub: Desk, key: str, said: list[str]) -> int:
    headers = [("Authorization", f"Bearer {key}"), *(("Client-Cert", one) for one in said)]
    return httpx.get(f"{hub.url}/api/v1/feeds", headers=headers, timeout=PATIENCE_S).status_code


def test_a_listed_proxy_says_the_certificate_in_any_of_three_ways(
    behind: tuple[Desk, str, Files], ours: Authority
) -> None:
    hub, key, files = behind
    der = "".join(_pem(files).splitlines()[1:-1])
    digits = _sha256(files)
    pairs = ":".join(digits[at : at + 2] for at in range(0, 64, 2)).upper()
    assert [_asked(hub, key, [said]) for said in (digits, pairs, f":{der}:", quote(_pem(files)))] == [200] * 4
    other = ours.issue("other")
    for said in ([], [""], [_sha256(other)], [quote(_pem(other))], ["x" * 64], [":AAAA:"], [":"], ["::"], ["%"]):
        assert _asked(hub, key, said) == 403
    assert _asked(hub, key, [digits, digits]) == 403, "a proxy that adds to what its client sent says nothing"


def test_nobody_but_a_listed_proxy_says_a_certificate(database: Database, tmp_path: Path, ours: Authority) -> None:
    files = ours.issue("mine")
    with desk(database, tmp_path, trusted_proxies="192.0.2.1", client_cert_header="Client-Cert") as hub:
        key = hub.platform(ONE)
        with database.write() as connection:
            certificates.register(connection, ONE, _sha256(files))
        assert _asked(hub, key, [_sha256(files)]) == 403


def test_who_binds_and_frees_is_the_security_administrator(behind: tuple[Desk, str, Files]) -> None:
    hub, key, files = behind
    admin, vendor = hub.sign_in("sun"), hub.person("chen", "platform-manager", platforms=(ONE,))
    path = f"/api/v1/certificates/{ONE}/{_sha256(files)}"
    assert vendor.delete(path).status_code == 403, "a platform does not free itself"
    assert vendor.get("/api/v1/feeds").status_code == 200, "people sign in without a certificate"
    listed: list[Any] = admin.get("/api/v1/certificates", params={"platform": ONE}).json()["items"]
    assert [(one["sha256"], one["label"], one["by"]) for one in listed] == [(_sha256(files), "2027", "person:sun")]
    strange = {"platform": OTHER, "certificate": _sha256(files)}
    assert admin.post("/api/v1/certificates", json=strange).status_code == 404
    assert admin.post("/api/v1/certificates", json=strange | {"platform": ONE}).status_code == 409
    assert admin.post("/api/v1/certificates", json={"platform": ONE, "certificate": "z" * 70}).status_code == 422
    assert admin.delete(path).status_code == 200
    time.sleep(1)
    assert _asked(hub, key, []) == 200


def test_what_is_no_certificate_is_refused_with_a_reason(database: Database) -> None:
    with database.write() as connection:
        for given in ("", "x", "ab" * 31, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"):
            with pytest.raises(BadRequest):
                certificates.register(connection, ONE, given)
        for number in range(certificates.MOST):
            certificates.register(connection, ONE, f"{number:064x}")
        with pytest.raises(Conflict):
            certificates.register(connection, ONE, "ff" * 32)
        with pytest.raises(NotFound):
            certificates.drop(connection, OTHER, f"{1:064x}")
