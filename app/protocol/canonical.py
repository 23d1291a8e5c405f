"""Canonical bytes, hashes and elements: what equality of two catalogues rests on (IX/1 section 2).

A record holds no floats and only ASCII keys, so orjson's sorted output is its RFC 8785 form; a test compares
the two with the `rfc8785` package.
"""

from hashlib import sha256
from typing import Any

import orjson

MODULUS = 1 << 256


def canonical(content: Any) -> bytes:
    """RFC 8785 bytes of a record's content."""
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS)


def content_hash(document: bytes) -> str:
    """SHA-256 of canonical bytes, 64 hex digits."""
    return sha256(document).hexdigest()


def element(id: str, version: int, hash: str) -> bytes:
    """The 32 bytes that stand for one live record in one version: SHA-256(`ix1` 00 id 00 version 00 hash)."""
    return sha256(b"ix1\0%s\0%d\0%s" % (id.encode(), version, hash.encode())).digest()


def root(total: int, count: int) -> str:
    """Fingerprint of a set: first 16 bytes of SHA-256(sum mod 2^256, count), hex (IX/1 section 6)."""
    return sha256(total.to_bytes(32, "big") + count.to_bytes(8, "big")).hexdigest()[:32]
