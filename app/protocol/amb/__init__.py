"""AMB, the profile of schema.org for learning resources (dini-ag-kim, version 20231019), as declarations of our own.

Each property is declared once, by what it may hold; each broken declaration is a rule with a name of its own. A block
is judged to its end, so that its owner sees everything at once. No context and no schema is fetched.
"""

from app.protocol.amb.checks import CONTEXT
from app.protocol.amb.profile import LIMIT, faults

__all__ = ["CONTEXT", "LIMIT", "faults"]
