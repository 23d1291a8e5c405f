"""`sm2-sm3`: what the OpenSSL command signs holds; what is altered, or of another key or encoding, does not."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from app.access.signatures import ALGORITHMS, signer
from app.access.sm2 import Sm2Sm3, load
from app.db import Database
from app.protocol.errors import Unauthorized
from tests.app.access.test_signatures import key_of, signed

gmssl_pyx = pytest.importorskip("gmssl_pyx", reason="the extra sm2-sm3 is not installed")
PUBLIC, PRIVATE = gmssl_pyx.sm2_key_generate()
MESSAGE = "互通".encode()


class _Signs(Sm2Sm3):
    """A platform's side."""

    def __init__(self, public_key: object = None, private_key: object = None, password: object = None) -> None:
        super().__init__(public_key)

    def sign(self, message: bytes) -> bytes:
        return gmssl_pyx.sm2_sign(PRIVATE, PUBLIC, message)


def test_a_request_signed_with_sm2_holds_for_its_enrolled_key_once_and_for_no_other(database: Database) -> None:
    request = signed(key=PRIVATE, algorithm=_Signs)
    other = gmssl_pyx.sm2_key_generate()[0]
    with database.write() as connection:
        for name, key in (("sm2-sm3", other), ("sm2-sm3", b"x"), ("sm2-sm3", bytes(64)), ("ed25519", PUBLIC[:32])):
            with pytest.raises(Unauthorized):
                signer(connection, request, lambda _, key=key: key, name)
        with pytest.raises(Unauthorized):
            signer(connection, signed(), key_of, "sm2-sm3")
        assert signer(connection, request, lambda _: b"\x04" + PUBLIC, "sm2-sm3") == "P-440000-01#1"
        with pytest.raises(Unauthorized):
            signer(connection, request, lambda _: PUBLIC, "sm2-sm3")


def test_only_the_one_encoding_of_the_right_signature_holds() -> None:
    good = gmssl_pyx.sm2_sign(PRIVATE, PUBLIC, MESSAGE)
    verifier = Sm2Sm3(load(PUBLIC))
    verifier.verify(good, MESSAGE)
    r, s = decode_dss_signature(good)
    flipped = [good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :] for at in range(len(good))]
    raw = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    for bad in (b"", b"\x30\x00", good + b"\x00", good[:-1], raw, *flipped):
        with pytest.raises(ValueError):
            verifier.verify(bad, MESSAGE)
    with pytest.raises(ValueError):
        verifier.verify(good, MESSAGE + b" ")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the OpenSSL command is not installed")
def test_what_openssl_signs_holds_here(tmp_path: Path) -> None:
    def openssl(*words: str) -> bytes:
        return subprocess.run(["openssl", *words], cwd=tmp_path, capture_output=True, check=True).stdout  # noqa: S607

    (tmp_path / "message").write_bytes(MESSAGE)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", "key.pem")
    point = openssl("pkey", "-in", "key.pem", "-pubout", "-outform", "DER")[-65:]
    words = "-sign -rawin -digest sm3 -inkey key.pem -in message -pkeyopt distid:1234567812345678"
    signature = openssl("pkeyutl", *words.split())
    ALGORITHMS["sm2-sm3"].verifies(ALGORITHMS["sm2-sm3"].load(point)).verify(signature, MESSAGE)
