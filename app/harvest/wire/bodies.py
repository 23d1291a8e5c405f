"""The body of an answer: its one content coding undone under limits, spooled to a file (RFC 9110 8.4, RFC 1952).

httpx would decode without a limit: zlib and zstd make chunks of a gigabyte.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from io import BytesIO
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import httpx

from app.harvest.wire.budget import Budget, Limits
from app.protocol.errors import PeerUnavailable, PeerViolation

SPOOL = 8 << 20
CHUNK = 64 << 10
TOGETHER = 32  # pieces, of 4 MB at most: a buffer that grows by each of them is moved again and again
RATIO_FROM = 1 << 20


def read(answer: httpx.Response, budget: Budget) -> tuple[BinaryIO, int]:
    """The decoded body, rewound, and its bytes on the wire. Raises PeerViolation, PeerUnavailable."""
    counted = _Counted(answer, budget.limits.wire_max_bytes)
    size, pieces = 0, list[bytes]()
    spool: BinaryIO | None = None
    try:
        for piece in _decoder(answer)(counted):
            budget.left()
            size += len(piece)
            _check_size(size, counted.wire, budget.limits)
            pieces.append(piece)
            if len(pieces) == TOGETHER or size > SPOOL:
                spool = spool or cast(BinaryIO, SpooledTemporaryFile(max_size=SPOOL))  # noqa: SIM115 - the caller closes it
                spool.write(b"".join(pieces))
                pieces.clear()
        whole = b"".join(pieces)
        if spool is None:
            return BytesIO(whole), counted.wire  # which shares the bytes with whoever reads them at once
        spool.write(whole)
    except BaseException:
        if spool is not None:
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
