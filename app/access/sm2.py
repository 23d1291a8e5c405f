"""`sm2-sm3`: SM2 signatures over SM3 (GB/T 32918.2, the identity of GM/T 0009: 1234567812345678) for signed requests.

The arithmetic comes with the extra `sm2-sm3` (gmssl_pyx); without it the algorithm is not installed and nothing holds.
A signature is the DER sequence of r and s, a public key the 64 bytes x and y, or 65 beginning with 04.
"""

from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from http_message_signatures import HTTPSignatureAlgorithm

try:
    import gmssl_pyx
except ImportError:
    gmssl_pyx = None

INSTALLED = gmssl_pyx is not None
POINT_BYTES = 64


class Sm2Sm3(HTTPSignatureAlgorithm):
    """Verifies only: the hub holds no SM2 key. `public_key` is what `load` gave."""

    algorithm_id = "sm2-sm3"

    def __init__(self, public_key: Any = None, private_key: Any = None, password: bytes | None = None) -> None:
        self.public_key = public_key

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raises ValueError. The library is shown no damaged DER: it writes about it to standard error."""
        r, s = decode_dss_signature(signature)
        if encode_dss_signature(r, s) != signature or not 0 < r < 1 << 256 or not 0 < s < 1 << 256:
            raise ValueError("not the one encoding of r and s")
        try:
            right = gmssl_pyx.sm2_verify(self.public_key, message, signature)
        except gmssl_pyx.GmsslInnerError as error:
            raise ValueError("not a key or a signature of SM2") from error
        if not right:
            raise ValueError("the signature does not hold")


def load(raw: bytes) -> bytes:
    """The point of an enrolled key. Raises ValueError for another length."""
    point = raw[1:] if len(raw) == POINT_BYTES + 1 and raw[:1] == b"\x04" else raw
    if len(point) != POINT_BYTES:
        raise ValueError("a public key of SM2 has 64 bytes, or 65 that begin with 04")
    return point
