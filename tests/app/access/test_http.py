"""The hub's door on the wire: heads without end, requests that mean two things, bytes that are no request."""

import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app import schema
from app.access.http import HEAD_BYTES
from app.db import Database
from app.settings import Settings
from tests.served import served

GOOD = b"GET /healthz HTTP/1.1\r\nHost: hub\r\n\r\n"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Where a hub listens."""
    folder: Path = tmp_path_factory.mktemp("hub")
    settings = Settings(data_dir=folder)
    database = Database(settings.url)
    schema.upgrade(database)
    database.close()
    with served(settings) as url:
        yield int(url.rpartition(":")[2])


def _said(port: int, *pieces: bytes) -> bytes:
    """What the hub answers to these pieces, until it hangs up or has nothing more to say."""
    found = b""
    with socket.create_connection(("127.0.0.1", port), 10) as line:
        try:
            for piece in pieces:
                line.sendall(piece)
            line.settimeout(2)
            while got := line.recv(1 << 16):
                found += got
        except (ConnectionResetError, BrokenPipeError, TimeoutError):
            pass
    return found


def _statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("begun", [b"GET / HTTP/1.1\r\nX: ", b"GET /"], ids=["header", "address"])
def test_a_head_without_end_is_refused_and_its_line_cut(port: int, begun: bytes) -> None:
    sent, end = 0, 64 * HEAD_BYTES
    with socket.create_connection(("127.0.0.1", port), 10) as line, suppress(ConnectionResetError, BrokenPipeError):
        line.sendall(begun)
        while sent < end:
            line.sendall(b"a" * 16_384)
            sent += 16_384
    assert sent < end
    assert _statuses(_said(port, GOOD)) == [200]


def test_what_is_long_but_no_head_is_not_counted(port: int) -> None:
    body = b"x" * (4 * HEAD_BYTES)
    post = b"POST /api/v1/feeds HTTP/1.1\r\nHost: hub\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert _statuses(_said(port, post + body[:10], body[10:])) == [401]
    assert _statuses(_said(port, GOOD * 40)) == [200] * 40
    long = b"GET /search?q=%s HTTP/1.1\r\nHost: hub\r\n\r\n" % (b"a" * 40_000)
    assert all(status < 500 for status in _statuses(_said(port, long)))


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        b"Content-Length: 5\r\nContent-Length: 6",
        b"Content-Length: +5",
        b"Transfer-Encoding: chunked, identity",
        b"Transfer-Encoding : chunked",
        b"X: a\r\n folded: b",
        b"X\x00: a",
    ],
)
def test_a_request_that_means_two_things_is_refused(port: int, head: bytes) -> None:
    asked = b"POST /api/v1/feeds HTTP/1.1\r\nHost: hub\r\n" + head + b"\r\n\r\n0\r\n\r\n" + GOOD
    assert _statuses(_said(port, asked)) == [400]


@pytest.mark.parametrize(
    "asked",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        "GET /查 HTTP/1.1\r\n\r\n".encode(),
        b"\x00" * 99,
    ],
)
def test_bytes_that_are_no_request_are_none_of_ours(port: int, asked: bytes) -> None:
    assert all(400 <= status < 500 for status in _statuses(_said(port, asked)))
    assert _statuses(_said(port, GOOD)) == [200]
