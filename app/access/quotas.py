"""Token buckets: one for each tenant (all its keys together), one for each anonymous address; and how much of a
platform the hub holds.

Buckets live in this process: several processes each give the whole rate. Anonymous callers on this machine's
loopback are not limited; a proxy on the same machine must be listed, and then its callers are.
"""

import re
from collections import OrderedDict
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from threading import Lock
from typing import NamedTuple

from app.protocol.errors import QuotaExceeded

BUCKETS = 100_000
_RATE = re.compile(r"(\d{1,9})/([smhd])\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
Network = IPv4Network | IPv6Network


class Rate(NamedTuple):
    """`burst` requests at once, refilled evenly in `period_s`."""

    burst: int
    period_s: int

    @classmethod
    def of(cls, text: str) -> "Rate":
        """`600/m`; `0/s` lets nothing through. Raises ValueError."""
        if not (found := _RATE.match(text)):
            raise ValueError(f"a rate is written 20/s, 600/m, 1000/h or 5000/d, not {text!r}")
        return cls(int(found[1]), _SECONDS[found[2]])


class Quotas(NamedTuple):
    """What a platform may have in the hub: feeds that are not retired, live records of all of them, bytes of files
    uploaded within 24 hours, refused entries kept of one feed."""

    feeds: int = 1_000
    records: int = 20_000_000
    upload_bytes: int = 100 << 30
    rejections: int = 100_000


STANDARD = Quotas()


class Left(NamedTuple):
    """What remains after a request was taken: for the RateLimit headers."""

    limit: int
    remaining: int
    reset_s: int


class Buckets:
    """Buckets of one rate, the least recently used forgotten first (a forgotten bucket is a full one)."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = Lock()

    def take(self, name: str, at_s: float) -> Left:
        """Takes one. Raises QuotaExceeded with the seconds until the next."""
        burst, speed = self.rate.burst, self.rate.burst / self.rate.period_s
        with self._lock:
            level, since = self._held.pop(name, (float(burst), at_s))
            level = min(float(burst), level + max(0.0, at_s - since) * speed)
            self._held[name] = (level - 1 if level >= 1 else level, at_s)
            if len(self._held) > BUCKETS:
                self._held.popitem(last=False)
        if level < 1:
            wait = (1 - level) / speed if speed else float(self.rate.period_s)
            raise QuotaExceeded(f"more than {burst} requests in {self.rate.period_s} s", wait_s=wait, limit=burst)
        return Left(burst, int(level - 1), round((burst - level + 1) / speed))


def networks(text: str) -> tuple[Network, ...]:
    """CIDRs or addresses, separated by commas. Raises ValueError."""
    return tuple(ip_network(part.strip(), strict=False) for part in text.split(",") if part.strip())


def address_of(peer: str, forwarded: Sequence[str], proxies: Sequence[Network]) -> str:
    """Who really asks: the peer, or, behind listed proxies only, the last X-Forwarded-For hop that is none of them."""
    hops = [hop.strip() for line in forwarded for hop in line.split(",")]
    at = peer
    while listed(at, proxies) and hops:
        at = hops.pop()
    return at[:64]


def listed(address: str, proxies: Sequence[Network]) -> bool:
    """Whether an address is among these networks."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    return any(found in network for network in proxies if network.version == found.version)


def bucket_of(address: str) -> str | None:
    """The bucket of an anonymous address: an IPv4 address, an IPv6 /64; None on loopback."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.is_loopback:
        return None
    return str(found) if found.version == 4 else str(ip_network((found, 64), strict=False))
