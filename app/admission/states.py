"""How content that is kept back stands (`candidate.state`)."""

from typing import Final

PUBLIC: Final = "public"  # admitted a moment ago, kept for an undo
WAITING: Final = "waiting"
REJECTED: Final = "rejected"
WITHDRAWN: Final = "withdrawn"
NARROW: Final = "narrow"
DECIDED: Final = (REJECTED, WITHDRAWN)
RAMP: Final = "ramp"  # beyond its feed's step (`ramp.py`)

# Put aside: its link leads to another host than the live record's (`hosts.py`).
MOVED: Final = "moved"  # until its run's end
OLDER: Final = "older"  # not for its host: its stamp is older than the live record's, which may come yet in this run
BRAKED: Final = "braked"  # too many at once: a person decides on the set
DECLINED: Final = "declined"  # decided: the record stays as it is while its source says this
ASIDE: Final = (MOVED, OLDER, BRAKED, DECLINED)
TILL_THE_END: Final = (MOVED, OLDER)

UNDECIDED: Final = (WAITING, NARROW, RAMP, *ASIDE)
"""What a source takes back with its record."""
EACH_BY_ITSELF: Final = (WAITING, NARROW, RAMP, REJECTED, WITHDRAWN)
"""What reviewers look through, one record at a time."""
BEYOND: Final = "admission.ramp"
"""The cause of what lies beyond its feed's step; before those that wait for a reviewer behind it."""
