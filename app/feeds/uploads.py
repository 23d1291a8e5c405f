"""Files that vendors upload: kept under DATA_DIR/files by the SHA-256 of their bytes, never changed, read again at will.

A file is complete on the disk before a row names it; a row is never without its file, a file without a row is
at worst an upload that was not finished.
"""

import os
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

from sqlalchemy import Connection, desc, select, update

from app.access.audit import Act, note
from app.access.quotas import STANDARD
from app.db import now
from app.feeds import service
from app.feeds.tables import feed, upload
from app.protocol.errors import BadRequest, QuotaExceeded, TooLarge
from app.statements import plain

KIND = "upload"
_DAY_US = 86_400_000_000
_UNPRINTED = re.compile(r"[^\w.()\[\] +@=,-]")


class Staged(NamedTuple):
    """A received file that no row names yet."""

    path: Path
    sha256: str
    bytes: int


class Receiver:
    """Takes a file in pieces and bounds it; leaves nothing behind unless `done` is reached."""

    def __init__(self, folder: Path, limit: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._limit, self._size, self._digest = limit, 0, sha256()
        self._file = NamedTemporaryFile(dir=folder, prefix="incoming-", delete=False)  # noqa: SIM115

    def take(self, piece: bytes) -> None:
        """One piece. Raises TooLarge."""
        self._size += len(piece)
        if self._size > self._limit:
            raise TooLarge(f"the file has more than {self._limit} bytes (HUTONG_FETCH_FILE_MAX_BYTES)")
        self._digest.update(piece)
        self._file.write(piece)

    def done(self) -> Staged:
        """The file, safe on the disk. Raises BadRequest for an empty one."""
        if not self._size:
            raise BadRequest("the file is empty")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        return Staged(Path(self._file.name), self._digest.hexdigest(), self._size)

    def discard(self) -> None:
        """Forgets what has come."""
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._file.name)


def staged(folder: Path, pieces: Iterable[bytes], limit: int) -> Staged:
    """A file from pieces at hand. Raises TooLarge, BadRequest."""
    receiver = Receiver(folder, limit)
    try:
        for piece in pieces:
            receiver.take(piece)
        return receiver.done()
    except BaseException:
        receiver.discard()
        raise


async def received(folder: Path, pieces: AsyncIterator[bytes], limit: int) -> Staged:
    """A file from the network; pieces are small, so that writing one does not hold up the others."""
    receiver = Receiver(folder, limit)
    try:
        async for piece in pieces:
            receiver.take(piece)
        return receiver.done()
    except BaseException:
        receiver.discard()
        raise


def keep(
    connection: Connection, folder: Path, file: Staged, reference: int | str, name: str,
    quota: int = STANDARD.upload_bytes,
) -> dict[str, Any]:  # fmt: skip
    """Makes a received file the feed's newest and lets the feed be harvested now; the file's row.

    Raises NotFound (the feed), BadRequest (its connector reads no uploads), TooLarge, QuotaExceeded when the platform's feeds
    would have taken more than `quota` bytes within 24 hours.
    """
    found = service.by_id(connection, reference)
    if found["connector"] != KIND:
        raise BadRequest(f"feed {found['id']} is of the kind {found['connector']!r}; only {KIND!r} feeds take files")
    _bound(connection, found["platform"], file.bytes, quota)
    target = place(folder, file.sha256)
    target.parent.mkdir(parents=True, exist_ok=True)
    os.replace(file.path, target)
    row = {
        "feed_id": found["id"], "name": _UNPRINTED.sub("_", Path(name).name)[:255] or "file", "sha256": file.sha256,
        "bytes": file.bytes, "uploaded_at": now(connection),
    }  # fmt: skip
    row["id"] = connection.execute(upload.insert().returning(upload.c.id), row).scalar_one()
    due = update(feed).where(feed.c.id == found["id"]).values(next_at=0)
    connection.execute(service.mine(connection, due))
    note(connection, Act.FILE_UPLOADED, service.owner(found["id"]), sha256=file.sha256, bytes=file.bytes)
    return row


def _bound(connection: Connection, platform: str, more: int, quota: int) -> None:
    if more > quota:
        raise TooLarge(f"the file has more bytes than a platform may upload in 24 hours: {quota}")
    at = now(connection)
    query = select(upload.c.bytes, upload.c.uploaded_at).join(feed, feed.c.id == upload.c.feed_id)
    query = query.where(feed.c.platform == platform, upload.c.uploaded_at > at - _DAY_US).order_by(upload.c.id)
    recent = connection.execute(service.mine(connection, query)).all()
    over, ends_at = sum(row.bytes for row in recent) + more - quota, at + _DAY_US
    if over <= 0:
        return
    for row in recent:  # the oldest leave the 24 hours first
        over -= row.bytes
        if over <= 0:
            ends_at = row.uploaded_at + _DAY_US
            break
    detail = f"platform {platform} may upload {quota} bytes in 24 hours (HUTONG_QUOTA_UPLOAD_BYTES)"
    raise QuotaExceeded(detail, wait_s=(ends_at - at) / 1_000_000, limit=quota)


def place(folder: Path, digest: str) -> Path:
    """Where the file with these bytes is."""
    return folder / digest[:2] / digest


def uploads(connection: Connection, feed_id: int) -> list[dict[str, Any]]:
    """A feed's files, the newest first."""
    query = select(upload).where(upload.c.feed_id == feed_id).order_by(desc(upload.c.id))
    return [plain(row) for row in connection.execute(service.mine(connection, query, upload.c.feed_id))]


def latest(connection: Connection, feed_id: int) -> Any:
    """The row of the feed's newest file, or None."""
    return connection.execute(
        select(upload).where(upload.c.feed_id == feed_id).order_by(desc(upload.c.id)).limit(1)
    ).first()
