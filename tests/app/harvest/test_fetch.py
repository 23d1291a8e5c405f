"""The HTTP client against real sockets on loopback: each attack and fault, and its exact outcome."""

import gzip
import resource
import socket
import ssl
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path

import pytest

from app.harvest.fetch import Fetched, Fetcher
from app.harvest.wire.answers import retry_after
from app.protocol.connector import Request
from app.protocol.errors import AddressForbidden, PeerThrottled, PeerUnavailable, PeerViolation

Script = Callable[[socket.socket, bytes], None]


class Server:
    """A scripted peer: each request's head is handed to `script`, which writes what it likes."""

    def __init__(self, script: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> None:
        self.script, self.tls = script, tls
        self.connections = 0
        self.heads: list[bytes] = []
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://{host}:{self.port}/"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self.connections += 1
                threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer: socket.socket) -> None:
        with suppress(OSError):
            peer = self.tls.wrap_socket(peer, server_side=True) if self.tls else peer
            while head := self._head(peer):
                self.heads.append(head)
                self.script(peer, head)
        peer.close()

    def _head(self, peer: socket.socket) -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            data = peer.recv(65536)
            if not data:
                return b""
            head += data
        return head

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def serving(script: Script, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> Iterator[Server]:
    server = Server(script, host, tls)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def fetching(allow: str = "127.0.0.0/8", **options: object) -> Iterator[Fetcher]:
    fetcher = Fetcher(allow=allow, **options)  # type: ignore[arg-type]
    try:
        yield fetcher
    finally:
        fetcher.close()


def answer(body: bytes = b"", status: int = 200, *headers: str) -> Script:
    lines = "".join(f"{header}\r\n" for header in headers)
    raw = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n{lines}\r\n".encode() + body
    return lambda peer, head: peer.sendall(raw)


def raw(data: bytes) -> Script:
    """Send exactly this, then close."""

    def script(peer: socket.socket, head: bytes) -> None:
        peer.sendall(data)
        peer.shutdown(socket.SHUT_RDWR)

    return script


def content(fetched: Fetched) -> bytes:
    with fetched.response.body as body:
        return body.read()


def get(script: Script, **options: object) -> Fetched:
    with serving(script) as server, fetching(**options) as fetcher:
        return fetcher.fetch(Request(server.url))


def test_plain_answer() -> None:
    fetched = get(answer(b"hello", 200, "X-A: 1", "X-A: 2", "Content-Type: text/plain"))
    assert content(fetched) == b"hello"
    assert (fetched.bytes, fetched.requests, fetched.response.status) == (5, 1, 200)
    date = parsedate_to_datetime(fetched.response.headers.pop("date"))
    assert abs(date.timestamp() - time.time()) < 60, "a server that tells no time is given ours"
    assert fetched.response.headers == {"x-a": "1, 2", "content-type": "text/plain"}


def test_a_date_ahead_of_us_is_ours_and_an_earlier_one_is_the_servers() -> None:
    def date(stated: str) -> str:
        fetched = get(answer(b"x", 200, f"Date: {stated}"))
        content(fetched)
        return fetched.response.headers["date"]

    past = "Mon, 01 Jan 2024 00:00:00 GMT"
    assert date(past) == past
    for stated in ("Fri, 31 Dec 2999 23:59:59 GMT", "nonsense"):
        assert abs(parsedate_to_datetime(date(stated)).timestamp() - time.time()) < 60


def test_request_as_sent() -> None:
    with serving(answer(b"x")) as server, fetching() as fetcher:
        headers = {"X-Key": "k", "Host": "evil", "Accept-Encoding": "br", "User-Agent": "mine"}
        content(fetcher.fetch(Request(server.url + "a?b=c", headers, "POST", b"body")))
        head = server.heads[0].lower()
    assert head.startswith(b"post /a?b=c http/1.1\r\n")
    assert f"host: 127.0.0.1:{server.port}\r\n".encode() in head
    assert b"accept-encoding: gzip\r\n" in head
    assert b"x-key: k" in head
    assert b"user-agent: mine" in head
    assert b"evil" not in head


@pytest.mark.parametrize("status", [204, 304, 401, 404, 422, 500, 502])
def test_statuses_are_not_judged(status: int) -> None:
    body = b"" if status in (204, 304) else b"<error/>"
    fetched = get(answer(body, status))
    assert (fetched.response.status, content(fetched)) == (status, body)


@pytest.mark.parametrize(
    "body",
    [
        gzip.compress(b"hi" * 100_000, mtime=0),
        gzip.compress(b"hi" * 50_000, mtime=0) + gzip.compress(b"hi" * 50_000, mtime=0),
        gzip.compress(b"hi" * 50_000, mtime=0)
        + gzip.compress(b"", mtime=0)
        + gzip.compress(b"hi" * 50_000, mtime=0)
        + b"\0" * 512,
    ],
)
@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "GZIP"])
def test_gzip(body: bytes, coding: str) -> None:
    fetched = get(answer(body, 200, f"Content-Encoding: {coding}"))
    assert content(fetched) == b"hi" * 100_000
    assert fetched.bytes == len(body)
    assert "content-encoding" not in fetched.response.headers


def test_gzip_in_single_bytes() -> None:
    body = gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0)
    chunks = b"".join(b"1\r\n" + body[i : i + 1] + b"\r\n" for i in range(len(body))) + b"0\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert content(get(raw(head + chunks))) == b"onetwo"


def test_empty_gzip_answer() -> None:
    assert content(get(answer(b"", 200, "Content-Encoding: gzip"))) == b""


def zeros(size: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(size >> 20)) + packer.flush()


def test_gzip_bomb() -> None:
    bomb = zeros(256 << 20)
    assert len(bomb) < 300_000
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.monotonic()
    with pytest.raises(PeerViolation) as caught:
        get(answer(bomb, 200, "Content-Encoding: gzip"))
    assert caught.value.kind == "body.bomb"
    assert time.monotonic() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


@pytest.mark.parametrize("coding", ["gzip, gzip", "gzip, identity", "zstd", "br", "deflate", "compress", "x"])
def test_other_codings(coding: str) -> None:
    with pytest.raises(PeerViolation) as caught:
        get(answer(gzip.compress(zeros(4 << 20), mtime=0), 200, f"Content-Encoding: {coding}"))
    assert caught.value.kind == "body.coding_not_allowed"


def test_codings_in_two_headers() -> None:
    with pytest.raises(PeerViolation) as caught:
        get(answer(b"x", 200, "Content-Encoding: gzip", "Content-Encoding: gzip"))
    assert caught.value.kind == "body.coding_not_allowed"


@pytest.mark.parametrize(
    ("script", "options"),
    [
        (answer(b"x" * 2000), {"wire_max_bytes": 1000}),
        (raw(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 2000), {"wire_max_bytes": 1000}),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999\r\n\r\n"), {}),
        (answer(b"x" * 2000), {"max_bytes": 1000}),
        (answer(gzip.compress(b"x" * 200_000, mtime=0), 200, "Content-Encoding: gzip"), {"max_bytes": 100_000}),
    ],
)
def test_too_large(script: Script, options: dict[str, object]) -> None:
    with pytest.raises(PeerViolation) as caught:
        get(script, **options)
    assert caught.value.kind == "body.too_large"


# Without a time in it: the bytes name tests, and two workers must name them alike.
GZ = gzip.compress(b"hello" * 1000, mtime=0)
GZ_HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"not http at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        GZ_HEAD + b"\r\n" + GZ[:-1],
        GZ_HEAD + b"\r\n" + GZ[:20],
        GZ_HEAD + b"\r\n" + GZ + GZ[:12],
        GZ_HEAD + b"\r\n" + GZ + b"garbage",
        GZ_HEAD + b"\r\n" + GZ[:-8] + b"\1" * 8,
        GZ_HEAD + b"\r\nplain text",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 500_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50_000,
    ],
)
def test_broken_answers(data: bytes) -> None:
    with pytest.raises(PeerUnavailable):
        get(raw(data))


def drip(head: bytes, piece: bytes) -> Script:
    def script(peer: socket.socket, _: bytes) -> None:
        peer.sendall(head)
        while True:
            peer.sendall(piece)
            time.sleep(0.05)

    return script


@pytest.mark.parametrize(
    "script",
    [
        drip(b"", b"H"),
        drip(b"HTTP/1.1 200 OK\r\nX: ", b"x"),
        drip(b"", b"HTTP/1.1 103 Early\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;"),
        lambda peer, head: time.sleep(1.5),
    ],
)
def test_deadline(script: Script) -> None:
    started = time.monotonic()
    with pytest.raises(PeerUnavailable):
        get(script, deadline_s=0.4)
    assert time.monotonic() - started < 0.8


def test_slow_body() -> None:
    started = time.monotonic()
    with pytest.raises(PeerUnavailable, match="slower"):
        get(drip(b"HTTP/1.1 200 OK\r\n\r\n", b"x"), grace_s=0.3)
    assert 0.25 < time.monotonic() - started < 1


def test_read_gap() -> None:
    started = time.monotonic()
    with pytest.raises(PeerUnavailable):
        get(lambda peer, head: time.sleep(1), read_s=0.2)
    assert time.monotonic() - started < 0.6


def test_fast_enough_body() -> None:
    def script(peer: socket.socket, head: bytes) -> None:
        peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        for _ in range(5):
            time.sleep(0.05)
            peer.sendall(b"x" * 1000)

    assert len(content(get(script, grace_s=0.1))) == 5000


def test_refused_and_slow_names() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    with fetching() as fetcher, pytest.raises(PeerUnavailable):
        fetcher.fetch(Request(f"http://127.0.0.1:{port}/"))
    with fetching(resolver=lambda host, port: time.sleep(1) or [], deadline_s=0.2) as fetcher:
        started = time.monotonic()
        with pytest.raises(PeerUnavailable):
            fetcher.fetch(Request("http://slow.example/"))
        assert time.monotonic() - started < 0.6


def no_such_name(host: str, port: int) -> list[str]:
    raise socket.gaierror("no such name")


@pytest.mark.parametrize("resolver", [no_such_name, lambda host, port: []])
def test_unknown_name(resolver: Callable[[str, int], list[str]]) -> None:
    with fetching(resolver=resolver) as fetcher, pytest.raises(PeerUnavailable):
        fetcher.fetch(Request("http://host.example/"))


def test_second_address_is_tried() -> None:
    with serving(answer(b"x")) as server, fetching(resolver=lambda h, p: ["127.0.0.9", "127.0.0.1"]) as fetcher:
        assert content(fetcher.fetch(Request(f"http://host.example:{server.port}/"))) == b"x"
        assert f"host: host.example:{server.port}".encode() in server.heads[0].lower()


def redirect(*locations: str, status: int = 302) -> Script:
    """The n-th request is answered with the n-th location, `{port}` filled in; after the last, 200."""
    rest = iter(locations)

    def script(peer: socket.socket, head: bytes) -> None:
        location = next(rest, None)
        if location is None:
            return answer(b"end")(peer, head)
        port = str(peer.getsockname()[1])
        return answer(b"x" * 100, status, f"Location: {location.replace('{port}', port)}")(peer, head)

    return script


def test_three_redirects() -> None:
    fetched = get(redirect("/a", "b?c", "http://127.0.0.1:{port}/d"))
    assert content(fetched) == b"end"
    assert fetched.requests == 4
    assert fetched.response.url.endswith("/d")


@pytest.mark.parametrize("location", ["/", "http://127.0.0.1:{port}/", "?x"])
def test_redirect_loop(location: str) -> None:
    with serving(redirect(*[location] * 50)) as server, fetching() as fetcher:
        with pytest.raises(PeerViolation) as caught:
            fetcher.fetch(Request(server.url))
        assert caught.value.kind == "net.redirects"
        assert len(server.heads) == 4


def test_redirect_bomb_is_not_read() -> None:
    bomb = answer(b"x" * 1000, 302, "Location: /end", "Content-Encoding: gzip, gzip")
    ends = answer(b"end")
    fetched = get(lambda peer, head: (ends if b"GET /end" in head else bomb)(peer, head))
    assert content(fetched) == b"end"


@pytest.mark.parametrize(
    "location",
    ["http://127.0.0.2:{canary}/", "http://2130706434:{canary}/", "http://[::ffff:127.0.0.2]:{canary}/", "file:///x",
     "http://canary.example:{canary}/", "http://u@127.0.0.1:{canary}/", "//127.0.0.2:{canary}/", "ftp://127.0.0.1/"],
)  # fmt: skip
def test_redirect_to_forbidden_address(location: str) -> None:
    with serving(answer(b"secret"), "127.0.0.2") as canary:
        script = redirect(location.replace("{canary}", str(canary.port)))
        with serving(script) as server, fetching("127.0.0.1", resolver=lambda h, p: ["127.0.0.2"]) as fetcher:
            request = Request(server.url)
            with pytest.raises(AddressForbidden):
                fetcher.fetch(request)
        time.sleep(0.02)
        assert canary.connections == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_stay_home(status: int) -> None:
    with serving(answer(b"end"), "127.0.0.2") as other:
        with serving(redirect(other.url, status=status)) as server, fetching() as fetcher:
            headers = {"Authorization": "Bearer s3", "Cookie": "s3", "X-Api-Key": "s3", "Accept": "text/xml"}
            content(fetcher.fetch(Request(server.url, headers)))
            assert server.heads[0].count(b"s3") == 3
        assert b"s3" not in other.heads[0]
        assert b"text/xml" in other.heads[0]


def test_posts_and_redirects() -> None:
    with serving(redirect("/a", status=303)) as server, fetching() as fetcher:
        content(fetcher.fetch(Request(server.url, {}, "POST", b"body")))
        assert server.heads[1].startswith(b"GET /a")
    with serving(redirect("http://localhost:{port}/", status=307)) as server, fetching() as fetcher:
        request = Request(server.url, {}, "POST", b"body")
        with pytest.raises(PeerViolation):
            fetcher.fetch(request)


def test_rebinding() -> None:
    """A name that is public when first asked and loopback afterwards; the dialled address is the one checked."""
    asked: list[str] = []

    def resolver(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.2"]

    with serving(answer(b"x", 200, "Connection: close")) as server, fetching("127.0.0.1", resolver=resolver) as fetcher:
        url = f"http://host.example:{server.port}/"
        assert content(fetcher.fetch(Request(url))) == b"x"
        with pytest.raises(AddressForbidden):
            fetcher.fetch(Request(url))
        assert (len(asked), server.connections) == (2, 1)


@pytest.mark.parametrize("bad", ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%lo", "10.0.0.1"])
def test_one_bad_answer_is_enough(bad: str) -> None:
    for answers in ([bad], ["8.8.8.8", bad], [bad, "8.8.8.8"]):
        with fetching("", resolver=lambda h, p, answers=answers: answers) as fetcher, pytest.raises(AddressForbidden):
            fetcher.fetch(Request("http://host.example:8080/"))


def test_rebinding_a_thousand_times() -> None:
    with (
        serving(answer(b"x")) as canary,
        fetching("8.8.8.8", resolver=lambda h, p: ["8.8.8.8", "127.0.0.1"]) as fetcher,
    ):
        for _ in range(1000):
            with pytest.raises(AddressForbidden):
                fetcher.fetch(Request(f"http://host.example:{canary.port}/"))
        assert canary.connections == 0


def test_odd_port_of_a_name_is_judged_at_its_address() -> None:
    with fetching("127.0.0.1", resolver=lambda h, p: ["8.8.8.8"]) as fetcher, pytest.raises(AddressForbidden):
        fetcher.fetch(Request("http://host.example:4711/"))


@pytest.mark.parametrize(
    ("status", "header", "low", "high"),
    [
        (429, "Retry-After: 7", 7, 7),
        (503, "Retry-After: 120", 120, 120),
        (503, "Retry-After: 999999999", 86400, 86400),
        (429, "X: y", 60, 60),
        (429, "Retry-After: soon", 60, 60),
        (503, f"Retry-After: {formatdate(time.time() + 7200, usegmt=True)}", 3600, 7200),
        (429, "Retry-After: Sun, 06 Nov 1994 08:49:37 GMT", 0, 0),
    ],
    ids=["seconds", "minutes", "capped", "no header", "words", "date", "past date"],
)
def test_throttled(status: int, header: str, low: float, high: float) -> None:
    with pytest.raises(PeerThrottled) as caught:
        get(answer(b"later", status, header))
    assert caught.value.wait_s is not None
    assert low <= caught.value.wait_s <= high


@pytest.mark.parametrize("header", ["X: y", "Retry-After: soon", "Retry-After: -1"])
def test_503_without_a_time(header: str) -> None:
    with pytest.raises(PeerUnavailable):
        get(answer(b"", 503, header))


@pytest.mark.parametrize("value", ["", "x", "-5", "1.5", "٣", "Sun, 99 Nov 1994 08:49:37 GMT", "0, 1"])
def test_retry_after_nonsense(value: str) -> None:
    assert retry_after(value, 0) is None


def test_connections_are_kept() -> None:
    with serving(answer(b"x")) as server, fetching() as fetcher:
        for _ in range(5):
            assert content(fetcher.fetch(Request(server.url))) == b"x"
        assert (server.connections, len(server.heads)) == (1, 5)


def test_threads_share_two_connections_a_host() -> None:
    busy, most, lock = [0], [0], threading.Lock()

    def script(peer: socket.socket, head: bytes) -> None:
        with lock:
            busy[0] += 1
            most[0] = max(most[0], busy[0])
        time.sleep(0.02)
        with lock:
            busy[0] -= 1
        answer(head.split()[1])(peer, head)

    def work(number: int) -> None:
        bodies.append((number, content(fetcher.fetch(Request(f"{server.url}{number}")))))

    bodies: list[tuple[int, bytes]] = []
    with serving(script) as server, fetching() as fetcher:
        threads = [threading.Thread(target=work, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(bodies) == [(number, f"/{number}".encode()) for number in range(20)]
        assert (most[0], server.connections) == (2, 2)


def test_aborted_fetches_leave_nothing_behind() -> None:
    """More failures than the pool has connections; then it still works."""
    bad = answer(b"x" * 200_000)
    good = answer(b"x")
    peer = serving(lambda peer, head: (good if b"/good" in head else bad)(peer, head))
    with peer as server, fetching(max_bytes=1000) as fetcher:
        for _ in range(100):
            with pytest.raises(PeerViolation):
                fetcher.fetch(Request(server.url))
        assert content(fetcher.fetch(Request(server.url + "good"))) == b"x"


def test_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(answer(b"proxied")) as proxy, serving(answer(b"x")) as server:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        with fetching() as fetcher:
            assert content(fetcher.fetch(Request(server.url))) == b"x"
        assert proxy.connections == 0


def test_no_cookies() -> None:
    with serving(answer(b"x", 200, "Set-Cookie: a=b")) as server, fetching() as fetcher:
        for _ in range(2):
            content(fetcher.fetch(Request(server.url)))
        assert b"cookie" not in server.heads[1].lower()


def certificate(folder: Path) -> Path:
    """A key and a self-signed certificate for host.example, made for this test."""
    file = folder / "host.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=host.example"
    names = ["-addext", "subjectAltName=DNS:host.example", "-keyout", str(file), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *names], check=True, capture_output=True)
    file.write_text(file.read_text() + (folder / "cert.pem").read_text())
    return file


def test_tls_keeps_the_name(tmp_path: Path) -> None:
    """The checked address is dialled; SNI and the certificate check keep the name; https never turns to http."""
    file = certificate(tmp_path)
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(file)
    asked: list[str] = []
    server_tls.sni_callback = lambda sock, name, context: asked.append(name)
    client_tls = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    peer = serving(redirect("http://host.example:{port}/"), tls=server_tls)
    with peer as server, fetching(resolver=lambda h, p: ["127.0.0.1"], tls=client_tls) as fetcher:
        request = Request(f"https://host.example:{server.port}/")
        with pytest.raises(PeerViolation) as caught:
            fetcher.fetch(request)
        assert caught.value.kind == "net.redirects"
        assert content(fetcher.fetch(request)) == b"end"
        with pytest.raises(PeerUnavailable):
            fetcher.fetch(Request(f"https://other.example:{server.port}/"))
    assert set(asked) == {"host.example", "other.example"}
