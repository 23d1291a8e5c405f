"""Metadata formats inside OAI-PMH, read into drafts of native records. What a source does not say stays unsaid."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from lxml import etree

from app.protocol.connector import Draft, Fault
from app.protocol.formats.dublin_core import draft, read_nsdl_dc, read_oai_dc
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

# Formats whose records are lists of childless elements: read from (local name, text) without a tree.
FLAT: Final[Mapping[str, Callable[[Iterable[tuple[str, str]]], Draft]]] = {"oai_dc": draft, "nsdl_dc": draft}

__all__ = [
    "FLAT", "READERS", "read_ix", "read_lom", "read_marc21", "read_marcxml", "read_mods", "read_nsdl_dc", "read_oai_dc",
    "read_unimarc", "render_ix", "render_lom",
]  # fmt: skip
