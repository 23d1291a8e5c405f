"""Time, read in one place. Times are integers: microseconds since 1970 UTC; leases use the database's clock."""

import time
from datetime import UTC, datetime


def now() -> int:
    """This machine's time in microseconds, UTC."""
    return time.time_ns() // 1000


def ticks() -> float:
    """Seconds that never go back; only differences mean something."""
    return time.monotonic()


def iso(at: int) -> str:
    """`2026-11-24T05:00:00Z`, to the second."""
    return datetime.fromtimestamp(at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
