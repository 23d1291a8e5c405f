"""The bytes of several records in one piece, compressed together: records of one source share most of what they say.

A pack is a Zstandard frame (RFC 8878) of a count, as many lengths and the bytes themselves; numbers have four bytes,
big-endian. Each record has its place, and one whose record has gone is left empty, so that the others keep theirs.
"""

import sys
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate, pairwise
from struct import pack as packed
from struct import unpack_from
from typing import Final, NamedTuple

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

RECORDS: Final = 16  # of a pack, at most: more shrink better, and one that changes alone has more to write again
BYTES: Final = 256 << 10  # of their records together, unless one alone has more: to read one is to read them all
# One for all threads, which it lets in one by one: to make one for each pack costs more than to pack (docs/performance.md).
_COMPRESSOR: Final = zstd.ZstdCompressor(level=1)


class Pack(NamedTuple):
    """A pack that is ready to be kept; `marks` are the source hashes of its records in the order of their places."""

    marks: tuple[bytes, ...]
    body: bytes


def packs(marks: Sequence[bytes], raws: Sequence[bytes]) -> list[Pack]:
    """Records in as few packs as they need, in their order; of each its source hash and its bytes."""
    return [Pack(tuple(marks[part]), body(raws[part])) for part in parts(raws)]


def parts(raws: Sequence[bytes]) -> Iterator[slice]:
    """What goes into a pack together."""
    start, size = 0, 0
    for at, raw in enumerate(raws):
        if at > start and (at - start == RECORDS or size + len(raw) > BYTES):
            yield slice(start, at)
            start, size = at, 0
        size += len(raw)
    if start < len(raws):
        yield slice(start, len(raws))


def body(raws: Sequence[bytes]) -> bytes:
    """The pack of these."""
    head = packed(f">{len(raws) + 1}I", len(raws), *map(len, raws))
    return _COMPRESSOR.compress(head + b"".join(raws), zstd.ZstdCompressor.FLUSH_FRAME)


def raws(body: bytes) -> list[bytes]:
    """What a pack holds, by place."""
    whole = zstd.decompress(body)
    (count,) = unpack_from(">I", whole)
    lengths = unpack_from(f">{count}I", whole, 4)
    return [whole[start:end] for start, end in pairwise(accumulate(lengths, initial=4 * (count + 1)))]


def without(body_: bytes, places: Collection[int]) -> bytes:
    """The same pack with these places empty."""
    return body([b"" if place in places else raw for place, raw in enumerate(raws(body_))])
