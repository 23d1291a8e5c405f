"""OAI-PMH 2.0: pages cut and rendered (openarchives.org/OAI/openarchivesprotocol.html, cited by section)."""

from app.protocol.oaipmh.answers import Identity, Listing
from app.protocol.oaipmh.flat import elements
from app.protocol.oaipmh.reading import NAMESPACE, cut, formats, identity, metadata
from app.protocol.oaipmh.rendering import (
    envelope,
    error,
    header,
    identify,
    metadata_format,
    record,
    render_dc,
    resumption,
    set_named,
)

__all__ = [
    "NAMESPACE", "Identity", "Listing", "cut", "elements", "envelope", "error", "formats", "header", "identify", "identity",
    "metadata", "metadata_format", "record", "render_dc", "resumption", "set_named",
]  # fmt: skip
