"""Which encoding a text file is in, from an allow list; nothing is guessed outside of it (safety 1.11).

GB2312 and GBK are read as GB18030, which holds both (GB 18030-2022, annex A); Big5 as Microsoft's code page 950,
which is what spreadsheets in Taiwan write.
"""

import codecs
import os
import re
from typing import BinaryIO, Final, NamedTuple

from app.protocol.errors import PeerViolation

BLOCK: Final = 1 << 20
WINDOW: Final = 256 << 10
SURE: Final = 64
"""Bytes beyond ASCII that must have read as UTF-8 before one that does not counts as damage and not as a proof."""
NAMES: Final = {
    "utf-8": "utf-8", "utf8": "utf-8", "ascii": "utf-8", "us-ascii": "utf-8", "gb18030": "gb18030", "gbk": "gb18030",
    "gb2312": "gb18030", "cp936": "gb18030", "x-gbk": "gb18030", "big5": "cp950", "cp950": "cp950",
    "utf-16": "utf-16-le", "utf-16le": "utf-16-le", "utf-16-le": "utf-16-le", "utf-16be": "utf-16-be",
    "utf-16-be": "utf-16-be",
}  # fmt: skip
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_PAIR: Final = re.compile(rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]")
_GB2312: Final = re.compile(rb"[\xa1-\xf7][\xa1-\xfe]")


class Encoding(NamedTuple):
    """A codec of Python's and the bytes of the mark that stand before the text."""

    codec: str
    mark: int


def allowed(name: str) -> str:
    """The codec behind an encoding's name. Raises PeerViolation `table.encoding` for one outside the allow list."""
    if found := NAMES.get(name.strip().strip("\"'").lower().replace("_", "-")):
        return found
    raise PeerViolation("table.encoding", f"{name[:40]!r} is not read; export as UTF-8, UTF-16, GB18030, GBK or Big5")


def detect(body: BinaryIO, declared: str | None = None) -> Encoding:
    """The encoding of a whole file: its mark, else its bytes, and last what its sender says of them.

    Reads the file once in blocks. Bytes come before the declaration because servers send one charset for every
    file. Raises PeerViolation `table.encoding`: nothing of the allow list fits, or UTF-32.
    """
    body.seek(0)
    head = body.read(4096)
    if head.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        raise PeerViolation("table.encoding", "the file is UTF-32; export as UTF-8")
    for mark, codec in _MARKS:
        if head.startswith(mark):
            return Encoding(codec, len(mark))
    if wide := _wide(head):
        return Encoding(wide, 0)
    damage = _first_damage(body)
    if damage is None:
        return Encoding("utf-8", 0)
    return Encoding(_chinese(body, damage, declared), 0)


def _wide(head: bytes) -> str | None:
    """UTF-16 without a mark: texts with delimiters and digits in them have NUL at every other byte."""
    odd, even = head[1::2].count(0), head[::2].count(0)
    if max(odd, even) * 10 < len(head):
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _first_damage(body: BinaryIO) -> int | None:
    """Where the file stops being UTF-8; None where it is UTF-8, or UTF-8 with some bad bytes in it."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    body.seek(0)
    at = beyond = 0
    while block := body.read(BLOCK):
        held = len(decoder.getstate()[0])
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            beyond += _beyond_ascii(block[: max(error.start - held, 0)])
            return None if beyond >= SURE else at + max(error.start - held, 0)
        beyond += 0 if block.isascii() else _beyond_ascii(block)
        if beyond >= SURE:
            return None
        at += len(block)
    # A character cut off at the very end is damage of its row, not another encoding.
    return None


def _beyond_ascii(block: bytes) -> int:
    return len(block) - len(block.decode("ascii", "ignore"))


def _chinese(body: BinaryIO, damage: int, declared: str | None) -> str:
    """GB18030 or Big5, by the bytes around the first that are not UTF-8."""
    body.seek(max(0, damage - 4096), os.SEEK_SET)
    sample = body.read(WINDOW)
    # Cut at line ends, so that no character is cut.
    start, end = sample.find(b"\n", 0, min(4096, damage)) + 1, sample.rfind(b"\n") + 1
    sample = sample[start : end or len(sample)]
    fitting = [codec for codec in ("gb18030", "cp950") if _reads(sample, codec)]
    if declared and (codec := NAMES.get(declared.strip().lower())) in fitting and codec:
        return codec
    if len(fitting) == 2:
        # Almost all of a simplified text stands in the GB2312 block; a Big5 text read as GBK leaves it all the time.
        pairs = _PAIR.findall(sample)
        return "gb18030" if sum(1 for p in pairs if _GB2312.match(p)) >= 0.9 * len(pairs) else "cp950"
    if not fitting:
        raise PeerViolation(
            "table.encoding",
            f"byte {damage} is not UTF-8 and its neighbours are neither GB18030 nor Big5; export as UTF-8",
        )
    return fitting[0]


def _reads(sample: bytes, codec: str) -> bool:
    """Whether the sample is text in this encoding but for a damaged line or two."""
    lines = [line for line in sample.splitlines() if not line.isascii()]
    bad = 0
    for line in lines:
        try:
            line.decode(codec)
        except UnicodeDecodeError:
            bad += 1
    return bad * 20 <= len(lines) and bad < max(len(lines), 1)
