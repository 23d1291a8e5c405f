"""Refusals, bounded: nobody can fill the audit chain with them, and no refusal goes uncounted.

Of each anonymous address (IPv4, or /64 of IPv6) the first 5 refusals of an hour are rows of their own, of each tenant
the first 500; then each count that is a power of two. What is counted and on no row yet follows when the clerk comes,
every hour and at the end; a process that is killed takes at most half of a count along. Addresses beyond the first 500 of an hour are counted together.

Requests over a rate are counted only, apart from the others, and told by the clerk: refusing them must cost nothing.
"""

from collections.abc import Mapping
from threading import Lock
from typing import Any

from app.access.principal import Principal
from app.access.quotas import bucket_of

EACH, EACH_OF_TENANT = 5, 500
ADDRESSES = 500
OTHERS = "others"


class Tally:
    """The counts of one process since the clerk last took them."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}  # tenant or address: counted, of these on a row
        self._throttled: dict[tuple[str, str], int] = {}
        self._lock = Lock()

    def refused(self, who: Principal) -> int | None:
        """Counts one more; the count so far where a row is due, else None."""
        each = EACH_OF_TENANT if who.tenant else EACH
        key = (who.tenant, "" if who.tenant else bucket_of(who.address) or "loopback")
        with self._lock:
            key = _bounded(key, self._counts)
            count, written = self._counts.get(key, (0, 0))
            count += 1
            due = count <= each or count & (count - 1) == 0
            self._counts[key] = (count, count if due else written)
        return count if due else None

    def throttled(self, tenant: str, address: str = "") -> None:
        """Counts one request over the rate of a tenant, or of an anonymous address."""
        key = (tenant, "" if tenant else bucket_of(address) or "loopback")
        with self._lock:
            key = _bounded(key, self._throttled)
            self._throttled[key] = self._throttled.get(key, 0) + 1

    def throttles(self) -> list[tuple[str, str, int]]:
        """(tenant, address, count) of requests over a rate; begins again."""
        with self._lock:
            counts, self._throttled = self._throttled, {}
        return [(*key, count) for key, count in counts.items()]

    def rest(self) -> list[tuple[str, str, int]]:
        """(tenant, address, count) of those whose count is on no row yet; begins again."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return [(*key, count) for key, (count, written) in counts.items() if count > written]


def _bounded(key: tuple[str, str], counts: Mapping[tuple[str, str], Any]) -> tuple[str, str]:
    return ("", OTHERS) if key not in counts and not key[0] and len(counts) >= ADDRESSES else key
