"""HTTP/1.1 at the hub's own door: uvicorn's on llhttp, with which a request that is refused costs less than half (docs/dependencies.md).

Two things are added. The head of a request is bounded, which the parser leaves to others (ASVS 4.2.1, RFC 6585 section
5); and requests know the certificate that their client has shown, for which ASGI has no word that uvicorn speaks.
"""

from typing import Any, Final

from cryptography import x509
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.access.certificates import STATE, fingerprint

HEAD_BYTES: Final = 64 << 10


class Http(HttpToolsProtocol):
    """One connection."""

    _heading = False  # a head has begun and has not ended
    _held = 0  # its bytes, without those of the read in which it began

    def connection_made(self, transport: Any) -> None:
        """Begins a connection; its requests carry the SHA-256 of the client's certificate in their state."""
        super().connection_made(transport)
        session = transport.get_extra_info("ssl_object")
        shown = session.getpeercert(binary_form=True) if session else None
        if shown:
            self.app_state = {**self.app_state, STATE: fingerprint(x509.load_der_x509_certificate(shown))}

    def data_received(self, data: bytes) -> None:
        """Parses what came; a head that has not ended after HEAD_BYTES (and one read) is refused, and the line cut."""
        waited = self._heading
        super().data_received(data)
        if waited and self._heading:
            self._held += len(data)
            if self._held > HEAD_BYTES and not self.transport.is_closing():
                self.send_400_response(f"The head of a request is at most {HEAD_BYTES} bytes.")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._heading, self._held = True, 0

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._heading = False
        super().on_headers_complete()
