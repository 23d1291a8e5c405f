"""A text file as its physical lines with their exact bytes; memory is bounded by the longest line."""

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from app.protocol.errors import PeerViolation

BLOCK: Final = 256 << 10
LINE_LIMIT: Final = 1 << 20
LINE: Final = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")


def lines(body: BinaryIO, codec: str, offset: int, number: int, limit: int = LINE_LIMIT) -> Iterator[bytes]:
    """The lines from an offset, each with its end (LF, CR LF or CR); `number` is the first one's.

    Raises PeerViolation `file.line_too_long`, naming the line, before a longer one is held.
    """
    body.seek(offset)
    split = _wide(codec) if codec.startswith("utf-16") else bytes.splitlines
    rest = b""
    while block := body.read(BLOCK):
        found = split(rest + block, True)
        # The last one may go on in the next block, and a CR at its end may be half of a CR LF.
        rest = found.pop()
        number += len(found)
        yield from found
        if len(rest) > limit:
            raise PeerViolation("file.line_too_long", f"line {number} has more than {limit} bytes")
    if rest:
        # Only a file that ends in CR leaves more than one line here.
        yield from split(rest, True)


def decoded(line: bytes, codec: str) -> str:
    """The line's text; bytes that are none stand there as lone surrogates, so that the row keeps its cells."""
    try:
        return line.decode(codec)
    except UnicodeDecodeError:
        if codec.startswith("utf-16"):
            return line[: len(line) & ~1].decode(codec, "surrogatepass") + "\udcff" * (len(line) & 1)
        return line.decode(codec, "surrogateescape")


def _wide(codec: str) -> Callable[[bytes, bool], list[bytes]]:
    """`bytes.splitlines` for UTF-16: cut as text, so that 0A in U+0A0D or U+4E0A is no line end."""

    def split(data: bytes, _: bool) -> list[bytes]:
        whole = len(data) & ~1
        found = [
            line.encode(codec, "surrogatepass") for line in LINE.findall(data[:whole].decode(codec, "surrogatepass"))
        ]
        if whole < len(data):
            ended = not found or found[-1][-2:].strip(b"\0") in (b"\n", b"\r")
            found = [*found, data[whole:]] if ended else [*found[:-1], found[-1] + data[whole:]]
        return found

    return split
