"""How content that is kept back stands (`candidate.state`)."""

from typing import Final

PUBLIC: Final = "public"  # admitted a moment ago, kept for an undo
WAITING: Final = "waiting"
REJECTED: Final = "rejected"
WITHDRAWN: Final = "withdrawn"
NARROW: Final = "narrow"
DECIDED: Final = (REJECTED, WITHDRAWN)

# Its link leads to another host than the live record's (`hosts.py`).
MOVED: Final = "moved"  # until its run's end
BRAKED: Final = "braked"  # too many at once: a person decides on the set
DECLINED: Final = "declined"  # decided: the record stays as it is while its source says this
ASIDE: Final = (MOVED, BRAKED, DECLINED)

UNDECIDED: Final = (WAITING, NARROW, *ASIDE)
"""What a source takes back with its record."""
EACH_BY_ITSELF: Final = (WAITING, NARROW, REJECTED, WITHDRAWN)
"""What reviewers look through, one record at a time."""
