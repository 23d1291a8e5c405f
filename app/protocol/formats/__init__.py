"""Metadata formats inside OAI-PMH, read into drafts of native records. What a source does not say stays unsaid."""

from collections.abc import Callable, Mapping
from typing import Final

from lxml import etree

from app.protocol.connector import Draft, Fault
from app.protocol.formats.dublin_core import draft, read_nsdl_dc, read_oai_dc
from app.protocol.formats.files import cut
from app.protocol.formats.lom import read_lom, render_lom
from app.protocol.formats.marc import read_marc21, read_marcxml, read_unimarc
from app.protocol.formats.mods import read_mods
from app.protocol.formats.native import read_ix, render_ix

READERS: Final[Mapping[str, Callable[[etree._Element], Draft | Fault]]] = {
    "oai_dc": read_oai_dc, "nsdl_dc": read_nsdl_dc, "mods": read_mods,
    "lom": read_lom, "oai_lom": read_lom, "lomfr": read_lom, "oai_lomfr": read_lom, "normetic": read_lom,
    "marcxml": read_marcxml, "marcxchange": read_marcxml, "marc21": read_marc21, "unimarc": read_unimarc,
    "cnmarc": read_unimarc, "ix": read_ix,
}  # fmt: skip
"""Readers by the prefix that repositories usually give the format (OAI-PMH 3.4); a feed may name one for any prefix."""

RICHEST: Final = (
    "ix", "lomfr", "oai_lomfr", "normetic", "lom", "oai_lom", "nsdl_dc", "mods", "cnmarc", "unimarc", "marc21",
    "marcxml", "marcxchange", "oai_dc",
)  # fmt: skip
"""The readers by how much their formats say of a learning resource, the most first."""
_NAMESPACES: Final = {
    "http://ltsc.ieee.org/xsd/LOM": "lom", "http://www.imsglobal.org/xsd/imsmd_v1p2": "lom",
    "http://www.imsproject.org/xsd/imsmd_rootv1p2p1": "lom", "http://ns.nsdl.org/nsdl_dc_v1.02/": "nsdl_dc",
    "http://www.loc.gov/mods/v3": "mods", "http://www.loc.gov/MARC21/slim": "marcxml",
    "info:lc/xmlns/marcxchange-v1": "marcxchange", "info:lc/xmlns/marcxchange-v2": "marcxchange",
    "http://www.openarchives.org/OAI/2.0/oai_dc/": "oai_dc",
}  # fmt: skip


def known_as(name: str, namespace: str) -> str | None:
    """The reader for a format by the prefix a repository gives it, else by its namespace; None for an unknown one."""
    return name if name in READERS else _NAMESPACES.get(namespace.strip())


# Formats whose records are lists of childless elements: read from local names and texts without a tree.
FLAT: Final[Mapping[str, Callable[[tuple[str, ...], list[str], bool], Draft]]] = {"oai_dc": draft, "nsdl_dc": draft}

__all__ = [
    "FLAT", "READERS", "RICHEST", "cut", "known_as", "read_ix", "read_lom", "read_marc21", "read_marcxml", "read_mods", "read_nsdl_dc", "read_oai_dc",
    "read_unimarc", "render_ix", "render_lom",
]  # fmt: skip
