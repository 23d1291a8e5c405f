"""Which URLs and addresses the hub may connect to.

Own tables, since `ipaddress.is_global` calls compatible, translated and deprecated forms of private addresses
public. IPv6 is allowed by list, IPv4 denied by list; what is left out here is opened only by HUTONG_FETCH_ALLOW.
Sources: IANA special-purpose address registries (RFC 6890), RFC 5771 (multicast), RFC 1112 (240.0.0.0/4).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import httpx

from app.protocol.errors import AddressForbidden

Resolver = Callable[[str, int], Sequence[str]]
"""(host, port) -> every address of the host as text; raises OSError when there is none."""

PORTS = frozenset({80, 443, 8080, 8443})
SCHEMES = {"http": 80, "https": 443}

DENIED_V4 = tuple(
    IPv4Network(net)
    for net in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
ALLOWED_V6 = IPv6Network("2000::/3")
DENIED_V6 = tuple(IPv6Network(net) for net in ("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"))

_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})(\.[a-z0-9_]([a-z0-9_-]{0,62}))*")
_NUMBER = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_UNSAFE = re.compile(r"[\x00-\x20\x7f\\]")
_ENTRY = re.compile(
    r"\[(?P<v6>[^\]]+)\](?::(?P<v6port>\d+))?|(?P<rest>[^:]+)(?::(?P<port>\d+))?|(?P<bare>[0-9a-f:./]+)"
)


def check_address(ip: str) -> bool:
    """True when the address is a public one. False for text that is no canonical address (zone ids included)."""
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    if address.version == 4:
        return not any(address in net for net in DENIED_V4)
    return address in ALLOWED_V6 and "%" not in ip and not any(address in net for net in DENIED_V6)


def plain(host: str) -> str:
    """The host as it is compared: lower case, without brackets and without the root's dot."""
    return host.lower().strip("[]").removesuffix(".")


@dataclass(frozen=True, slots=True)
class Entry:
    """One exception of the allow list: a network or a host name, on one port or on all."""

    network: IPv4Network | IPv6Network | None
    name: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "Entry":
        """`10.0.0.0/8`, `10.0.0.1:8080`, `::1`, `[fd00::/8]:443`, `host.example:8443`; else ValueError."""
        found = _ENTRY.fullmatch(text)
        if not found:
            raise ValueError(f"not an address, network or host: {text!r}")
        target = found["v6"] or found["bare"] or found["rest"]
        digits = found["v6port"] or found["port"]
        port = int(digits) if digits else None
        if port is not None and not 0 < port < 65536:
            raise ValueError(f"not a port: {text!r}")
        if ":" in target or "/" in target or _NUMBER.fullmatch(target):
            return cls(ip_network(target), "", port)
        if not _NAME.fullmatch(plain(target)):
            raise ValueError(f"not a host name: {text!r}")
        return cls(None, plain(target), port)

    def permits(self, host: str, ip: str, port: int) -> bool:
        """True when this entry opens the address `ip`, reached under the name `host`, on this port."""
        if self.port not in (None, port):
            return False
        if self.network is None:
            return self.name == plain(host)
        try:
            return "%" not in ip and ip_address(ip) in self.network
        except ValueError:
            return False


@dataclass(frozen=True, slots=True)
class Allow:
    """The operator's exceptions (HUTONG_FETCH_ALLOW): private platforms that are meant to be reached."""

    entries: tuple[Entry, ...] = ()

    @classmethod
    def parse(cls, text: str) -> "Allow":
        """Entries apart by commas or spaces. Raises ValueError naming the entry that cannot be read."""
        return cls(tuple(Entry.parse(part) for part in re.split(r"[,\s]+", text.lower()) if part))

    def permits(self, host: str, ip: str, port: int) -> bool:
        """True when some entry opens this address or name on this port."""
        return any(entry.permits(host, ip, port) for entry in self.entries)

    def may_permit(self, host: str, port: int) -> bool:
        """True when an entry opens the name, or may open it once its address is known."""
        return any(e.port in (None, port) and (e.network or e.name == plain(host)) for e in self.entries)


def is_address(host: str) -> bool:
    """True for a canonical IPv4 or IPv6 literal."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def port_of(url: httpx.URL) -> int:
    """The port, or the scheme's own."""
    return SCHEMES[url.scheme] if url.port is None else url.port


def parse_url(text: str) -> httpx.URL:
    """The URL, read by the parser that also sends it. Raises AddressForbidden when it is not http(s) to a host."""
    if _UNSAFE.search(text):
        raise AddressForbidden("the URL has a space, control character or backslash")
    try:
        url = httpx.URL(text)
    except (httpx.InvalidURL, ValueError, UnicodeError) as error:
        raise AddressForbidden(f"not a URL: {error}") from error
    if url.scheme not in SCHEMES:
        raise AddressForbidden(f"the scheme must be http or https, not {url.scheme!r}")
    if url.userinfo or "@" in text.split("://", 1)[-1].split("/", 1)[0].split("?", 1)[0].split("#", 1)[0]:
        raise AddressForbidden("the URL carries a user name or password")
    return url


def check_url(url: str, allow: Allow) -> None:
    """What can be said before a name is resolved. Raises AddressForbidden: scheme, userinfo, port, literal."""
    parsed = parse_url(url)
    host, port = parsed.raw_host.decode("ascii").strip("[]"), port_of(parsed)
    if is_address(host):
        _check_answer(host, host, port, allow)
    elif not _NAME.fullmatch(plain(host)) or _NUMBER.fullmatch(plain(host)):
        raise AddressForbidden(f"not a host name or a plain address: {host!r}")
    elif port not in PORTS and not allow.may_permit(host, port):
        raise AddressForbidden(f"port {port} is not open to the hub")


def check_answers(host: str, port: int, answers: Sequence[str], allow: Allow) -> None:
    """Raises AddressForbidden when ANY of the addresses of a name is forbidden and not allowed."""
    for ip in answers:
        _check_answer(host, ip, port, allow)


def _check_answer(host: str, ip: str, port: int, allow: Allow) -> None:
    if allow.permits(host, ip, port):
        return
    if not check_address(ip):
        raise AddressForbidden(f"{host} is at {ip}, which is not a public address (HUTONG_FETCH_ALLOW can open it)")
    if port not in PORTS:
        raise AddressForbidden(f"port {port} of {host} is not open to the hub")
