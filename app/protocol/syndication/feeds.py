"""What a connector takes from a feed: its items as they came."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a feed: the source's identifier (a digest of the item where it has none) and its own bytes."""

    identifier: str
    raw: bytes
    stamp: str | None
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed cut into items. `context` is what an item needs to be read alone; `next` the address of older items."""

    items: Sequence[Item]
    context: bytes
    next: str | None = None
