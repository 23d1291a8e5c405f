"""What one fetch may take, and what of it is left."""

import threading
import time
from dataclasses import dataclass, field

from app.protocol.errors import PeerUnavailable

HEADER_BYTES = 256 << 10


@dataclass(frozen=True, slots=True)
class Limits:
    """What one fetch may take."""

    deadline_s: float = 120.0
    max_bytes: int = 64 << 20
    wire_max_bytes: int = 16 << 20
    ratio: int = 200
    min_rate: int = 1024
    grace_s: float = 10.0
    connect_s: float = 10.0
    read_s: float = 30.0


@dataclass(slots=True)
class Budget:
    """The time and bytes one fetch has left; asked before and after each socket operation."""

    limits: Limits
    started: float = field(default_factory=time.monotonic)
    body_since: float | None = None
    received: int = 0

    def elapsed(self) -> float:
        """Seconds since the fetch began."""
        return time.monotonic() - self.started

    def left(self, cap: float | None = None) -> float:
        """Seconds the next operation may take. Raises PeerUnavailable when the deadline has passed."""
        left = self.limits.deadline_s - self.elapsed()
        if left <= 0:
            raise PeerUnavailable(f"no complete answer within {self.limits.deadline_s:g} s")
        return left if cap is None else min(left, cap)

    def head(self) -> None:
        """A new answer begins."""
        self.body_since, self.received = None, 0

    def body(self) -> None:
        """The headers are in; from now on the slowest rate counts."""
        self.body_since, self.received = time.monotonic(), 0

    def took(self, size: int) -> None:
        """Count bytes off the socket. Raises PeerUnavailable: too slow a body, endless headers or 1xx answers."""
        self.received += size
        if self.body_since is None:
            if self.received > HEADER_BYTES:
                raise PeerUnavailable("the headers of the answer have no end")
            return
        spent = time.monotonic() - self.body_since
        if size and spent > self.limits.grace_s and self.received < self.limits.min_rate * spent:
            raise PeerUnavailable(f"the body came slower than {self.limits.min_rate} bytes a second")


class Current(threading.local):
    """The budget of the fetch this thread is making: a kept connection serves many fetches, one at a time."""

    budget: Budget | None = None

    def get(self) -> Budget:
        if self.budget is None:
            raise RuntimeError("no fetch under way")
        return self.budget
