"""schema.org in JSON-LD: LearningResource, LRMI and AMB blocks read into drafts, records rendered.

A context is never fetched: a term means what schema.org says it means, under whatever prefix it is written. A
processor that loads contexts would let any page send this hub to any address.
"""

from app.protocol.jsonld.choosing import choose
from app.protocol.jsonld.nodes import texts
from app.protocol.jsonld.reading import Profile, read
from app.protocol.jsonld.rendering import render, script

__all__ = ["Profile", "choose", "read", "render", "script", "texts"]
