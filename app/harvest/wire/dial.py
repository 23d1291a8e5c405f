"""Connections for `fetch`: a name is resolved once, every answer is checked, a checked address is dialled.

The name stays in Host and SNI. Whatever a socket does is bounded by the budget of the fetch under way.
"""

import socket
import ssl
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from app.harvest.guard import Allow, Resolver, check_answers, is_address
from app.harvest.wire.budget import Current
from app.protocol.errors import PeerUnavailable, PeerUnreachable

IN_ALL = 64
CHUNK = 64 << 10
OF_BODY = 128 << 10  # of a body at once: each piece passes through many hands, and a larger one is memory of its own


class _Stream(httpcore.NetworkStream):
    """A socket whose every operation is bounded by the budget of the fetch under way."""

    def __init__(self, inner: httpcore.NetworkStream, current: Current) -> None:
        self._inner = inner
        self._current = current

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        budget = self._current.get()
        size = max_bytes if budget.body_since is None else max(max_bytes, OF_BODY)
        data = self._inner.read(size, budget.left(timeout))
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


class Dialler(httpcore.NetworkBackend):
    """Dials: resolves a name once, checks every answer, connects to a checked address."""

    def __init__(self, allow: Allow, resolver: Resolver, current: Current) -> None:
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
