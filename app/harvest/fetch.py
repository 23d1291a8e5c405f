"""The only HTTP client of the hub: guarded addresses, bounded bodies, one deadline for everything.

A connection is made to an address that has been checked, never to a name that is resolved a second time (`wire.dial`);
bodies are decoded here and not by httpx (`wire.bodies`). Nothing is kept between requests but idle connections: no
cookies, no environment, no log of URLs.
"""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from errno import EDQUOT, ENOSPC
from functools import cache
from weakref import WeakValueDictionary

import httpcore
import httpx

from app.harvest.guard import Allow, Resolver, check_url, parse_url, plain, port_of
from app.harvest.wire import answers, bodies
from app.harvest.wire.budget import Budget, Current, Limits
from app.harvest.wire.dial import Dialler, GuardedTransport, resolve
from app.protocol.connector import Request, Response
from app.protocol.errors import DiskFull, OutOfBounds, PeerUnavailable, PeerViolation

HOPS = 3
PER_HOST = 2
REDIRECTS = frozenset({301, 302, 303, 307, 308})
ABROAD = frozenset({"accept", "accept-language", "content-type", "user-agent"})
"""The headers another origin may see: whatever else a connector sets may be a credential."""
OURS = frozenset({"host", "accept-encoding", "connection", "content-length", "transfer-encoding", "te", "upgrade"})
"""The headers this layer sets; a connector's are dropped."""


@dataclass(slots=True)
class Fetched:
    """A response, the bytes of its body on the wire, the seconds it took and the requests it needed."""

    response: Response
    bytes: int
    seconds: float
    requests: int


class _Slots:
    """At most PER_HOST requests to a host at once; a host nobody asks is forgotten."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hosts: WeakValueDictionary[str, threading.BoundedSemaphore] = WeakValueDictionary()

    @contextmanager
    def one(self, host: str, seconds: float) -> Iterator[None]:
        """Hold one slot of the host. Raises PeerUnavailable when none is free in time."""
        with self._lock:
            slot = self._hosts.setdefault(host, threading.BoundedSemaphore(PER_HOST))
        if not slot.acquire(timeout=seconds):
            raise PeerUnavailable(f"{PER_HOST} requests to {host} are still under way")
        try:
            yield
        finally:
            slot.release()


@dataclass(slots=True)
class _Hop:
    """Where a fetch stands: what is asked next, and whether it is still the first origin."""

    url: httpx.URL
    method: str
    headers: dict[str, str]
    body: bytes | None


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that are trusted, read once for all clients of this process: 30 ms and a megabyte each."""
    return httpx.create_ssl_context(trust_env=False)


class Fetcher:
    """Fetches for all worker threads. One `fetch` is one page: redirects, limits and the guard included."""

    def __init__(
        self,
        *,
        allow: str = "",
        deadline_s: float = 120.0,
        max_bytes: int = 64 << 20,
        wire_max_bytes: int = 16 << 20,
        ratio: int = 200,
        min_rate: int = 1024,
        grace_s: float = 10.0,
        connect_s: float = 10.0,
        read_s: float = 30.0,
        resolver: Resolver | None = None,
        file_max_bytes: int = 2 << 30,
        file_deadline_s: float = 3600.0,
        user_agent: str = "Hutong/0.1 (+https://github.com/hutong)",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Raises ValueError when `allow` cannot be read."""
        self.allow = Allow.parse(allow)
        self.limits = Limits(
            deadline_s, max_bytes, wire_max_bytes, ratio, min_rate, grace_s, connect_s, read_s
        )  # fmt: skip
        # A file is spooled to disk and read as a stream: it may be larger and take longer than a page.
        self.file_limits = replace(
            self.limits,
            deadline_s=max(deadline_s, file_deadline_s),
            max_bytes=max(max_bytes, file_max_bytes),
            wire_max_bytes=max(wire_max_bytes, file_max_bytes),
        )
        self.only: str | None = None
        self._user_agent = user_agent
        self._current = Current()
        self._slots = _Slots()
        backend = Dialler(self.allow, resolver or resolve, self._current)
        self._transport = GuardedTransport(backend, tls or _trust())

    def fetch(self, request: Request) -> Fetched:
        """The final answer of at most three redirects, its body decoded and rewound; the caller closes the body.

        Raises AddressForbidden; PeerThrottled (429, 503 with Retry-After); PeerUnavailable (503, no answer, cut
        short, too slow); PeerViolation `body.bomb`, `body.too_large`, `body.coding_not_allowed`, `net.redirects`.
        """
        budget = self._current.budget = Budget(self.file_limits if request.file else self.limits)
        try:
            return self._follow(self._first(request), budget)
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise PeerUnavailable(f"no usable answer: {error or type(error).__name__}") from error
        except OSError as error:
            if error.errno not in (ENOSPC, EDQUOT):
                raise
            raise DiskFull("there is no room for the answer in the directory of temporary files (TMPDIR)") from error
        finally:
            self._current.budget = None

    def within(self, host: str) -> "Fetcher":
        """The same client for one host and those below it, redirects too. Raises OutOfBounds for any other."""
        bound = copy(self)
        bound.only = plain(host.partition(":")[0])
        return bound

    def close(self) -> None:
        """Close the kept connections."""
        self._transport.close()

    def _check(self, url: str) -> None:
        check_url(url, self.allow)
        if self.only is not None and not f".{plain(parse_url(url).raw_host.decode('ascii'))}".endswith(f".{self.only}"):
            raise OutOfBounds(f"this key looks at {self.only or 'a proved domain'} and below only")

    def _first(self, request: Request) -> _Hop:
        self._check(request.url)
        headers = {"user-agent": self._user_agent, "accept": "*/*"}
        headers |= {name.lower(): value for name, value in request.headers.items() if name.lower() not in OURS}
        return _Hop(parse_url(request.url), request.method, headers, request.body)

    def _follow(self, hop: _Hop, budget: Budget) -> Fetched:
        for requests in range(1, HOPS + 2):
            with self._slots.one(hop.url.host, budget.left()), self._ask(hop, budget) as answer:
                target = answer.headers.get("location") if answer.status_code in REDIRECTS else None
                if target is None:
                    answers.check_load(answer)
                    body, wire = bodies.read(answer, budget)
                    response = Response(str(hop.url), answer.status_code, answers.headers(answer), body)
                    return Fetched(response, wire, budget.elapsed(), requests)
            hop = self._redirected(hop, target, answer.status_code)
        raise PeerViolation("net.redirects", f"more than {HOPS} redirects")

    @contextmanager
    def _ask(self, hop: _Hop, budget: Budget) -> Iterator[httpx.Response]:
        """The answer with its headers read; the connection is given back, or closed with what was not read."""
        budget.head()
        timeout = {"connect": self.limits.connect_s, "read": self.limits.read_s, "write": self.limits.read_s}
        request = httpx.Request(
            hop.method,
            hop.url,
            headers={**hop.headers, "accept-encoding": "gzip"},
            content=hop.body,
            extensions={"timeout": {**timeout, "pool": budget.left()}},
        )
        answer = self._transport.handle_request(request)
        budget.body()
        try:
            yield answer
        finally:
            answer.close()

    def _redirected(self, hop: _Hop, location: str, status: int) -> _Hop:
        """The next hop. Raises PeerViolation `net.redirects` (https to http), AddressForbidden."""
        try:
            url = hop.url.join(location)
        except (httpx.InvalidURL, ValueError) as error:
            raise PeerViolation("net.redirects", f"redirected to no URL: {error}") from error
        self._check(str(url))
        if hop.url.scheme == "https" and url.scheme == "http":
            raise PeerViolation("net.redirects", "redirected from https to http")
        same = (hop.url.scheme, hop.url.host, port_of(hop.url)) == (url.scheme, url.host, port_of(url))
        turned = status == 303 or (status in (301, 302) and hop.method == "POST")
        method, body = ("GET", None) if turned else (hop.method, hop.body)
        if body and not same:
            raise PeerViolation("net.redirects", "a request with a body was redirected to another origin")
        headers = hop.headers if same else {name: hop.headers[name] for name in hop.headers if name in ABROAD}
        return _Hop(url, method, headers, body)
