"""Refusals, bounded: nobody can fill the audit chain with them, and no refusal goes uncounted.

Of each anonymous address (IPv4, or /64 of IPv6) the first 5 refusals of an hour are rows of their own, of each tenant
the first 500; then each count that is a power of two. What is counted and on no row yet follows when the clerk comes,
every hour and at the end; a process that is killed takes at most half of a count along. Addresses beyond the first 500 of an hour are counted together.
"""

from threading import Lock

from app.access.principal import Principal
from app.access.quotas import bucket_of

EACH, EACH_OF_TENANT = 5, 500
ADDRESSES = 500
OTHERS = "others"


class Tally:
    """The counts of one process since the clerk last took them."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}  # tenant or address: counted, of these on a row
        self._lock = Lock()

    def refused(self, who: Principal) -> int | None:
        """Counts one more; the count so far where a row is due, else None."""
        each = EACH_OF_TENANT if who.tenant else EACH
        key = (who.tenant, "" if who.tenant else bucket_of(who.address) or "loopback")
        with self._lock:
            if key not in self._counts and not who.tenant and len(self._counts) >= ADDRESSES:
                key = ("", OTHERS)
            count, written = self._counts.get(key, (0, 0))
            count += 1
            due = count <= each or count & (count - 1) == 0
            self._counts[key] = (count, count if due else written)
        return count if due else None

    def rest(self) -> list[tuple[str, str, int]]:
        """(tenant, address, count) of those whose count is on no row yet; begins again."""
        with self._lock:
            counts, self._counts = self._counts, {}
        return [(*key, count) for key, (count, written) in counts.items() if count > written]
