"""The only HTTP client of the hub: guarded addresses, bounded bodies, one deadline for everything.

A connection is made to an address that has been checked, never to a name that is resolved a second time; the
name stays in Host and SNI. Bodies are decoded here, since httpx decodes without a limit (zlib and zstd chunks of
a gigabyte). Nothing is kept between requests but idle connections: no cookies, no environment, no log of URLs.
"""

import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass, field, replace
from datetime import UTC
from email.utils import formatdate, parsedate_to_datetime
from errno import EDQUOT, ENOSPC
from functools import cache
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, cast
from weakref import WeakValueDictionary

import httpcore
import httpx

from app.harvest.guard import Allow, Resolver, check_answers, check_url, is_address, parse_url, plain, port_of
from app.protocol.connector import Request, Response
from app.protocol.errors import DiskFull, OutOfBounds, PeerThrottled, PeerUnavailable, PeerUnreachable, PeerViolation

HOPS = 3
PER_HOST = 2
IN_ALL = 64
SPOOL = 8 << 20
CHUNK = 64 << 10
HEADER_BYTES = 256 << 10
RATIO_FROM = 1 << 20
WAIT_DEFAULT_S = 60.0
WAIT_CAP_S = 86_400.0
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


class _Current(threading.local):
    """The budget of the fetch this thread is making: a kept connection serves many fetches, one at a time."""

    budget: Budget | None = None

    def get(self) -> Budget:
        if self.budget is None:
            raise RuntimeError("no fetch under way")
        return self.budget


class _Stream(httpcore.NetworkStream):
    """A socket whose every operation is bounded by the budget of the fetch under way."""

    def __init__(self, inner: httpcore.NetworkStream, current: _Current) -> None:
        self._inner = inner
        self._current = current

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = self._current.get()
        data = self._inner.read(max_bytes, budget.left(timeout))
        budget.took(len(data))
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        for start in range(0, len(buffer), CHUNK):
            self._inner.write(buffer[start : start + CHUNK], self._current.get().left(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._current.get().left(timeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left), self._current)

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)

    def close(self) -> None:
        self._inner.close()


class _Backend(httpcore.NetworkBackend):
    """Dials: resolves a name once, checks every answer, connects to a checked address."""

    def __init__(self, allow: Allow, resolver: Resolver, current: _Current) -> None:
        self._allow = allow
        self._resolver = resolver
        self._current = current
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """A connection to the first address that answers. Raises AddressForbidden, PeerUnreachable, PeerUnavailable."""
        budget = self._current.get()
        answers = [host] if is_address(host) else self._resolve(host, port, budget.left(timeout))
        check_answers(host, port, answers, self._allow)
        last: Exception | None = None
        for ip in answers:
            try:
                stream = self._sockets.connect_tcp(ip, port, budget.left(timeout), local_address, socket_options)
                return _Stream(stream, self._current)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                last = error
        # A refused connection was answered: the machine is there, its service is not.
        refused = last is not None and isinstance(last.__cause__, ConnectionRefusedError)
        failure = PeerUnavailable if refused else PeerUnreachable
        raise failure(f"{host}:{port} cannot be reached: {last or 'the name has no address'}") from last

    def _resolve(self, host: str, port: int, seconds: float) -> list[str]:
        """Every address of the name, once. Raises PeerUnreachable: none, or none in time."""
        found: list[list[str] | Exception] = []
        thread = threading.Thread(target=_keep, args=(found, self._resolver, host, port), daemon=True)
        thread.start()
        thread.join(seconds)
        if not found:
            raise PeerUnreachable(f"{host} could not be resolved within {seconds:.0f} s")
        if isinstance(found[0], Exception):
            raise PeerUnreachable(f"{host} could not be resolved: {found[0]}") from found[0]
        return found[0]


def _keep(found: list[list[str] | Exception], resolver: Resolver, host: str, port: int) -> None:
    try:
        found.append(list(dict.fromkeys(resolver(host, port))))
    except Exception as error:
        found.append(error)


def resolve(host: str, port: int) -> list[str]:
    """Every address the system's resolver gives. Raises OSError when there is none."""
    return [str(answer[4][0]) for answer in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


class _Body(httpx.SyncByteStream):
    """The raw body of an answer, and the way to give its connection back."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream

    def close(self) -> None:
        self._stream.close()


class GuardedTransport(httpx.BaseTransport):
    """A pool of kept HTTP/1.1 connections, each dialled by the guard. Raises httpcore's errors as they are."""

    def __init__(self, backend: httpcore.NetworkBackend, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls, max_connections=IN_ALL, max_keepalive_connections=IN_ALL // 2, keepalive_expiry=5.0,
            network_backend=backend,
        )  # fmt: skip

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """The answer with its body unread."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme, host=request.url.raw_host, port=request.url.port, target=request.url.raw_path
        )
        answer = self._pool.handle_request(
            httpcore.Request(
                request.method, url, headers=request.headers.raw, content=request.stream, extensions=request.extensions
            )
        )
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer.stream), request=request)

    def close(self) -> None:
        self._pool.close()


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
        self._current = _Current()
        self._slots = _Slots()
        backend = _Backend(self.allow, resolver or resolve, self._current)
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
                    _check_load(answer)
                    body, wire = self._read(answer, budget)
                    response = Response(str(hop.url), answer.status_code, _headers(answer), body)
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

    def _read(self, answer: httpx.Response, budget: Budget) -> tuple[BinaryIO, int]:
        """The decoded body, rewound, and its bytes on the wire. Raises PeerViolation, PeerUnavailable."""
        counted = _Counted(answer, budget.limits.wire_max_bytes)
        spool = cast(BinaryIO, SpooledTemporaryFile(max_size=SPOOL))  # noqa: SIM115 - the caller closes it
        try:
            size = 0
            for piece in _decoder(answer)(counted):
                budget.left()
                size += len(piece)
                _check_size(size, counted.wire, budget.limits)
                spool.write(piece)
        except BaseException:
            spool.close()
            raise
        spool.seek(0, os.SEEK_SET)
        return spool, counted.wire


def _check_size(size: int, wire: int, limits: Limits) -> None:
    """Raises PeerViolation `body.bomb` or `body.too_large`; called before a piece is kept."""
    if size > RATIO_FROM and size > limits.ratio * wire:
        raise PeerViolation("body.bomb", f"{wire} bytes decode to more than {limits.ratio} times as much")
    if size > limits.max_bytes:
        raise PeerViolation("body.too_large", f"the body decodes to more than {limits.max_bytes} bytes")


class _Counted:
    """The raw pieces of a body, counted; raises PeerViolation `body.too_large` past the limit, or before it."""

    def __init__(self, answer: httpx.Response, limit: int) -> None:
        self._answer = answer
        self._limit = limit
        self.wire = 0

    def __iter__(self) -> Iterator[bytes]:
        declared = self._answer.headers.get("content-length", "")
        self._check(int(declared) if declared.isdecimal() and len(declared) < 20 else 0)
        for piece in self._answer.iter_raw():
            self.wire += len(piece)
            self._check(self.wire)
            yield piece

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise PeerViolation("body.too_large", f"the body has more than {self._limit} bytes on the wire")


def _decoder(answer: httpx.Response) -> Callable[[Iterable[bytes]], Iterable[bytes]]:
    """What undoes the one content coding. Raises PeerViolation `body.coding_not_allowed`."""
    codings = [part.strip().lower() for part in answer.headers.get("content-encoding", "").split(",") if part.strip()]
    if codings in ([], ["identity"]):
        return iter
    if codings in (["gzip"], ["x-gzip"]):
        return _gunzip
    raise PeerViolation(
        "body.coding_not_allowed", f"content coding {', '.join(codings)[:80]!r}; only gzip was asked for"
    )


def _gunzip(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The content of one or more gzip members (RFC 1952), at most CHUNK at a time; zeros after the last are padding.

    Raises PeerUnavailable when the data is damaged or cut short.
    """
    member = zlib.decompressobj(wbits=31)
    fed = False
    for piece in pieces:
        data = piece
        while data:
            if member.eof:
                data = data.lstrip(b"\0")
                member, fed = zlib.decompressobj(wbits=31), False
                continue
            fed = True
            yield _inflate(member, data)
            data = member.unused_data if member.eof else member.unconsumed_tail
    if fed and not member.eof:
        raise PeerUnavailable("the gzip body is cut short")


def _inflate(member: "zlib._Decompress", data: bytes) -> bytes:
    try:
        return member.decompress(data, CHUNK)
    except zlib.error as error:
        raise PeerUnavailable(f"the gzip body is damaged: {error}") from error


def _headers(answer: httpx.Response) -> dict[str, str]:
    """Headers in lower case, repeated ones joined; without those that describe the body before it was decoded."""
    dropped = {"content-encoding", "content-length", "transfer-encoding"}
    found: dict[str, str] = {}
    for raw_name, raw_value in answer.headers.raw:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        if name not in dropped:
            found[name] = f"{found[name]}, {value}" if name in found else value
    return {**found, "date": _date(found.get("date", ""), time.time())}


def _date(stated: str, now: float) -> str:
    """The server's Date, this machine's time where that is earlier or there is none: no checkpoint lies ahead of us."""
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        date = parsedate_to_datetime(stated)
        if date.tzinfo is not None and date.timestamp() <= now:
            return stated
    return formatdate(now, usegmt=True)


def _check_load(answer: httpx.Response) -> None:
    """Raises PeerThrottled (429; 503 with Retry-After) or PeerUnavailable (503 without)."""
    if answer.status_code not in (429, 503):
        return
    wait = retry_after(answer.headers.get("retry-after", ""), time.time())
    if answer.status_code == 503 and wait is None:
        raise PeerUnavailable("503 without Retry-After")
    wait_s = WAIT_DEFAULT_S if wait is None else wait
    raise PeerThrottled(f"{answer.status_code}: asked to wait {wait_s:.0f} s", wait_s=wait_s)


def retry_after(value: str, now: float) -> float | None:
    """Seconds to wait, 0 to 24 h, from seconds or an HTTP date (RFC 9110 10.2.3); None when it is neither."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:12]), WAIT_CAP_S)
    with suppress(ValueError, TypeError, IndexError, OverflowError):
        date = parsedate_to_datetime(text)
        seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        return min(max(seconds, 0.0), WAIT_CAP_S)
    return None
