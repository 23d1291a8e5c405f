"""A hub behind TLS as its operator starts it, and an authority that issues certificates for one test."""

import datetime
import ipaddress
import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.ports import free

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


@contextmanager
def serving(folder: Path, ours: Authority, *more: str) -> Iterator[str]:
    """`hutong serve` over TLS that asks its clients for a certificate of `ours`; its address."""
    cert, key = ours.issue("hub")
    environment = {**os.environ, "HUTONG_DATA_DIR": str(folder), "HUTONG_HARVEST": "false"}
    port = free()
    options = ["--tls-cert", str(cert), "--tls-key", str(key), "--tls-client-ca", str(ours.file), "--port", str(port)]
    with subprocess.Popen([sys.executable, "-m", "app.cli", "serve", *options, *more], env=environment) as process:
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"https://127.0.0.1:{port}"
        process.terminate()


def context(trusted: Authority, files: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    """A client's side: whom it trusts, and its own certificate and key."""
    made = ssl.create_default_context(cafile=str(trusted.file))
    if files:
        made.load_cert_chain(*files)
    return made
