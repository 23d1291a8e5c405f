"""The cyclic collector of a process that lives long.

What a hub has imported and mounted, some hundred thousand objects, stays as long as it does. To look through all of it
again and again is what the slowest answers of a quiet hub were waiting for (docs/performance.md).
"""

import gc

# A page of records or of rows makes many objects and hardly a cycle.
THRESHOLDS = (20_000, 10, 10)


def seldom() -> None:
    """Has the collector look less often; may be said more than once."""
    gc.set_threshold(*THRESHOLDS)


def settled() -> None:
    """Takes what stands now out of every later look; for a process that is ready to begin its work."""
    gc.collect()
    gc.freeze()
    seldom()
