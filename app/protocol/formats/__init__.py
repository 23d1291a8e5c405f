"""Metadata formats inside OAI-PMH, read into drafts of native records. What a source does not say stays unsaid."""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from lxml import etree

from app.protocol.connector import Draft
from app.protocol.formats.dublin_core import draft, read_nsdl_dc, read_oai_dc
from app.protocol.formats.mods import read_mods

READERS: Final[Mapping[str, Callable[[etree._Element], Draft]]] = {
    "oai_dc": read_oai_dc,
    "nsdl_dc": read_nsdl_dc,
    "mods": read_mods,
}

# Formats whose records are lists of childless elements: read from (local name, text) without a tree.
FLAT: Final[Mapping[str, Callable[[Iterable[tuple[str, str]]], Draft]]] = {"oai_dc": draft, "nsdl_dc": draft}

__all__ = ["FLAT", "READERS", "read_mods", "read_nsdl_dc", "read_oai_dc"]
