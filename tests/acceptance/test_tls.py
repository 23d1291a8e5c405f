"""`hutong serve --tls-cert`: nothing older than TLS 1.2, and with --tls-client-ca nobody without a certificate."""

import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

PATIENCE_S = 120


class Authority:
    """A certificate authority of one test."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.file = folder / f"{name}.pem"
        self.file.write_bytes(self._made(self.name, self.key, authority=True).public_bytes(Encoding.PEM))

    def _made(self, subject: x509.Name, key: Any, *, authority: bool) -> x509.Certificate:
        at = datetime.datetime.now(datetime.UTC)
        built = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(at - datetime.timedelta(hours=1))
            .not_valid_after(at + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        )  # fmt: skip
        return built.sign(self.key, SHA256())

    def issue(self, name: str) -> tuple[Path, Path]:
        """A certificate and its key, as files."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        cert, file = self.folder / f"{name}.crt", self.folder / f"{name}.key"
        cert.write_bytes(self._made(subject, key, authority=False).public_bytes(Encoding.PEM))
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return cert, file


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    """The authority that the hub trusts."""
    return Authority(tmp_path, "ours")


def _port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def hub(tmp_path: Path, ours: Authority) -> Iterator[str]:
    """A hub that asks its clients for a certificate."""
    cert, key = ours.issue("hub")
    environment = {**os.environ, "HUTONG_DATA_DIR": str(tmp_path / "data"), "HUTONG_HARVEST": "false"}
    port = _port()
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(ours.file), "--port", str(port)]
    with subprocess.Popen([sys.executable, "-m", "app.cli", "serve", *options], env=environment) as process:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"https://127.0.0.1:{port}"
        process.terminate()


def _context(trusted: Authority, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(trusted.file))
    if files:
        context.load_cert_chain(*files)
    return context


def test_who_has_no_certificate_or_an_old_protocol_gets_no_answer(hub: str, ours: Authority, tmp_path: Path) -> None:
    good = ours.issue("platform")
    with httpx.Client(verify=_context(ours, good), timeout=PATIENCE_S) as client:
        assert client.get(f"{hub}/healthz").json() == {"status": "alive"}
    foreign = Authority(tmp_path, "foreign").issue("stranger")
    for files in (None, foreign):
        with (
            httpx.Client(verify=_context(ours, files), timeout=PATIENCE_S) as client,
            pytest.raises(httpx.TransportError),
        ):
            client.get(f"{hub}/healthz")
    old = _context(ours, good)
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1"):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with httpx.Client(verify=old, timeout=PATIENCE_S) as client, pytest.raises(httpx.TransportError):
        client.get(f"{hub}/healthz")


def test_half_of_the_options_is_refused(tmp_path: Path) -> None:
    environment = {**os.environ, "HUTONG_DATA_DIR": str(tmp_path)}
    run = [sys.executable, "-m", "app.cli", "serve", "--tls-cert", "x.pem"]
    done = subprocess.run(run, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "--tls-key" in done.stderr) == (2, True)
