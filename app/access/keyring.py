"""Everything that is derived from the hub's one secret (HUTONG_SECRET_KEY): sealing, signing, session tokens.

Each use has its own key, HKDF-SHA256 (RFC 5869) of the secret with the use's name. Earlier secrets
(HUTONG_SECRET_KEY_PREVIOUS) still open and verify, but nothing new is made with them.
"""

import hmac
import secrets
from collections.abc import Sequence
from functools import cache
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from app.protocol.errors import SecretLost
from app.settings import Settings


class Keyring:
    """Keys of today and of before."""

    def __init__(self, secrets_: Sequence[bytes]) -> None:
        self._secrets = tuple(secrets_)
        self.ids = tuple(sha256(b"hutong key id" + one).hexdigest()[:16] for one in self._secrets)

    def seeds(self, use: str) -> list[bytes]:
        """32 bytes for a use, of today's secret first."""
        return [_derived(one, use) for one in self._secrets]

    def seal(self, use: str, plain: bytes) -> tuple[str, bytes]:
        """(key id, nonce + AES-256-GCM ciphertext); bound to `use`, so it opens nowhere else."""
        nonce = secrets.token_bytes(12)
        return self.ids[0], nonce + AESGCM(self.seeds("seal")[0]).encrypt(nonce, plain, use.encode())

    def open(self, use: str, key_id: str, sealed: bytes) -> bytes:
        """The plain bytes. Raises SecretLost when no key of this ring made them, or they were altered."""
        if key_id in self.ids:
            key = self.seeds("seal")[self.ids.index(key_id)]
            try:
                return AESGCM(key).decrypt(sealed[:12], sealed[12:], use.encode())
            except (InvalidTag, ValueError):
                pass
        raise SecretLost(
            f"what was sealed with key {key_id} does not open; put its key into HUTONG_SECRET_KEY_PREVIOUS"
        )

    def mac(self, use: str, text: str) -> str:
        """A token that only this hub can make for a text, 64 hex digits."""
        return hmac.new(self.seeds(use)[0], text.encode(), sha256).hexdigest()


def keyring(settings: Settings) -> Keyring:
    """The deployment's keyring."""
    before = [part.strip().encode() for part in settings.secret_key_previous.split(",") if part.strip()]
    return Keyring([settings.secret, *before])


@cache
def _derived(secret: bytes, use: str) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=f"hutong {use}".encode()).derive(secret)
