"""What a move rests on: documents kept under DATA_DIR/documents by the SHA-256 of their bytes, never changed.

The bytes are on the disk before a row names them. Reports of BY_HUB are the hub's own work: nobody uploads one.
"""

import os
import re
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Final

from sqlalchemy import Connection

from app.access.audit import Act, note
from app.access.principal import acting
from app.db import now
from app.platforms import queries
from app.platforms.stages import named
from app.platforms.tables import document
from app.protocol.errors import BadRequest, Conflict, NotFound

KINDS: Final = ("licence", "agreement", "grading", "conformance", "report", "other")
VALIDATION, TRIAL = BY_HUB = ("validation", "trial")
BYTES: Final = 16 << 20
MOST: Final = 200
BYTES_UNPROVED: Final = 8 << 20
"""In all, before the domain is proved: whoever applies is nobody yet."""
BYTES_IN_ALL: Final = 256 << 20
_UNPRINTED = re.compile(r"[^\w.()\[\] +@=,-]")


def keep(
    connection: Connection, folder: Path, reference: str, kind: str, name: str, content: bytes, *, by_hub: bool = False
) -> dict[str, Any]:
    """Keeps a document with an enrolment; its row. Raises BadRequest, Conflict when there are too many."""
    row = queries.enrolment_of(connection, reference)
    if kind not in KINDS and not (by_hub and kind in BY_HUB):
        raise BadRequest(
            f"kind: one of {', '.join(KINDS)}; reports on validation and trial are written by the hub itself"
        )
    if not content:
        raise BadRequest("the document is empty")
    _room(row, queries.documents(connection, row.id), len(content))
    found = {
        "enrolment": row.id, "kind": kind, "name": _UNPRINTED.sub("_", Path(name).name)[:255] or "document",
        "sha256": _written(folder, content), "bytes": len(content), "by": acting(connection).name, "at": now(connection),
    }  # fmt: skip
    number = connection.execute(document.insert().returning(document.c.id), found).scalar_one()
    note(connection, Act.DOCUMENT_KEPT, row.code or row.id, sha256=found["sha256"], kind=kind)
    return {"id": number, **found}


def _room(row: Any, kept: list[dict[str, Any]], size: int) -> None:
    if len(kept) >= MOST:
        raise named(Conflict(f"an enrolment keeps {MOST} documents at most"), "enrol.documents")
    limit = BYTES_IN_ALL if row.proved_at or row.code else BYTES_UNPROVED
    if sum(one["bytes"] for one in kept) + size > limit:
        until = "" if limit == BYTES_IN_ALL else " before its domain is proved"
        raise named(Conflict(f"an enrolment keeps {limit >> 20} MiB of documents at most{until}"), "enrol.documents")


def _written(folder: Path, content: bytes) -> str:
    digest = sha256(content).hexdigest()
    place = _place(folder, digest)
    place.parent.mkdir(parents=True, exist_ok=True)
    if not place.exists():
        with NamedTemporaryFile(dir=folder, prefix="incoming-", delete=False) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, place)
    return digest


def _place(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / digest


def plain(name: str) -> str:
    """A name that fits into a header."""
    return name.encode("ascii", "replace").decode().replace("?", "_").replace('"', "_")


def content(connection: Connection, folder: Path, reference: str, digest: str) -> tuple[str, bytes]:
    """Name and bytes of a document of this enrolment, which are still what their hash says. Raises NotFound."""
    row = queries.enrolment_of(connection, reference)
    kept = next((item for item in queries.documents(connection, row.id) if item["sha256"] == digest), None)
    place = _place(folder, digest)
    if kept is None or not place.is_file():
        raise NotFound(f"there is no document {digest[:12]} of {reference} here")
    found = place.read_bytes()
    if sha256(found).hexdigest() != digest:
        raise named(Conflict("the kept bytes are no longer what was uploaded: restore the file"), "enrol.altered")
    return str(kept["name"]), found
