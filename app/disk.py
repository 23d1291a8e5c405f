"""The disk that everything is stored on: how much is free, and below which mark nothing more is taken in."""

import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from app.protocol.errors import DiskFull

BALLAST = "ballast"
BALLAST_BYTES = 64 << 20


class Usage(NamedTuple):
    """Bytes in all and free."""

    total: int
    free: int


class Disk:
    """The disk of a folder with a reserve: max(bytes, fraction of the disk)."""

    def __init__(self, folder: Path, reserve: tuple[int, float]) -> None:
        self.folder, self.floor, self.fraction = folder, *reserve

    def usage(self) -> Usage:
        """The disk where the folder is, or would be made."""
        found = next((place for place in (self.folder, *self.folder.resolve().parents) if place.exists()), Path("/"))
        usage = shutil.disk_usage(found)
        return Usage(usage.total, usage.free)

    def reserved(self) -> int:
        """Bytes that must stay free."""
        return int(max(self.floor, self.fraction * self.usage().total))

    @property
    def low(self) -> bool:
        """Whether nothing more may be taken in."""
        return self.usage().free < self.reserved()

    def check(self) -> None:
        """Raises DiskFull below the reserve."""
        usage, reserved = self.usage(), self.reserved()
        if usage.free < reserved:
            detail = f"{usage.free >> 20} MiB are free on the hub's disk, less than its reserve of {reserved >> 20} MiB"
            raise DiskFull(f"{detail}; nothing is taken in until there is room (HUTONG_DISK_RESERVE)", wait_s=60)

    def weigh(self) -> bool:
        """Keeps 64 MiB in a file that an operator may delete when the disk is full; False where there is no room."""
        file = self.folder / BALLAST
        if file.exists() and file.stat().st_size == BALLAST_BYTES:
            return True
        if self.usage().free < self.reserved() + 2 * BALLAST_BYTES:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with file.open("wb") as ballast:
                _allocate(ballast.fileno())
        except OSError:
            with suppress(OSError):
                file.unlink()
            return False
        return True


def _allocate(descriptor: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, BALLAST_BYTES)
        return
    for _ in range(BALLAST_BYTES >> 20):  # macOS
        os.write(descriptor, bytes(1 << 20))
