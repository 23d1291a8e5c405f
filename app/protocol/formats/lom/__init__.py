"""LOM (IEEE 1484.12.1, adopted as GB/T 21365): read from every XML binding in use, rendered in IEEE 1484.12.3.

One reader serves the IEEE binding (`string`, camelCase), IMS Meta-Data 1.2 (`langstring`, lower case) and the
profiles that add elements in a namespace of their own (LOMFR, ScoLOMFR) or terms of their own (Normetic): names are
compared without namespace and case.
"""

from app.protocol.formats.lom.reading import read_lom
from app.protocol.formats.lom.rendering import NAMESPACE, SCHEMA, render_lom

__all__ = ["NAMESPACE", "SCHEMA", "read_lom", "render_lom"]
