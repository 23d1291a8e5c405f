"""A file of metadata records cut into them: a collection of MARC or MODS, a LOM document, a page of an OAI-PMH list."""

from collections.abc import Iterator
from typing import Final

from lxml import etree

from app.protocol import xml

_ROOTS: Final = {
    "http://www.loc.gov/MARC21/slim": ("marcxml", "record"), "info:lc/xmlns/marcxchange-v1": ("marcxchange", "record"),
    "info:lc/xmlns/marcxchange-v2": ("marcxchange", "record"), "http://www.loc.gov/mods/v3": ("mods", "mods"),
    "http://ltsc.ieee.org/xsd/LOM": ("lom", "lom"), "http://www.imsglobal.org/xsd/imsmd_v1p2": ("lom", "lom"),
    "http://www.openarchives.org/OAI/2.0/oai_dc/": ("oai_dc", "dc"),
    "http://ns.nsdl.org/nsdl_dc_v1.02/": ("nsdl_dc", "nsdl_dc"),
}  # fmt: skip
"""By namespace: the reader, and the element that is one record."""
_BARE: Final = {name: (reader, name) for reader, name in (("lom", "lom"), ("mods", "mods"), ("oai_dc", "dc"))}
_OPEN: Final = b'<record xmlns="http://www.openarchives.org/OAI/2.0/"><metadata>'
_CLOSE: Final = b"</metadata></record>"


def cut(content: bytes) -> tuple[str, list[bytes]] | None:
    """The reader's name and each record as an OAI-PMH record; None for XML of another kind. Raises PeerViolation."""
    root = xml.document(content, expect="file")
    for node in root.iter("*"):
        name = etree.QName(node)
        known = _ROOTS.get(name.namespace or "") or (_BARE.get(name.localname) if name.namespace is None else None)
        if known is not None:
            reader, record = known
            return reader, [_OPEN + raw + _CLOSE for raw in _records(root, name.namespace, record)]
    return None


def _records(root: etree._Element, namespace: str | None, name: str) -> Iterator[bytes]:
    """Outermost records only: MODS holds related items in itself, but no `mods`."""
    for node in root.iter(f"{{{namespace}}}{name}" if namespace else name):
        yield etree.tostring(node, encoding="utf-8", with_tail=False)
