"""The door to uploaded files: answers a feed's request from DATA_DIR instead of from the network."""

from io import BytesIO
from pathlib import Path

from app.db import Database
from app.feeds import uploads
from app.harvest.fetch import Fetched
from app.protocol.connector import Request, Response
from app.protocol.errors import FileMissing


def stored(database: Database, folder: Path, feed_id: int, request: Request) -> Fetched:
    """The feed's newest file as an answer: 304 when it is the one named by If-None-Match, or when there is none.

    Raises FileMissing: the row is there and the file is not.
    """
    with database.read() as connection:
        row = uploads.latest(connection, feed_id)
    if row is None or request.headers.get("if-none-match") == f'"{row.sha256}"':
        return Fetched(Response(request.url, 304, {}, BytesIO()), 0, 0.0, 0)
    path = uploads.place(folder, row.sha256)
    try:
        body = path.open("rb")
    except FileNotFoundError:
        raise FileMissing(f"{row.name} was uploaded, but {path} is not on this machine: share DATA_DIR") from None
    return Fetched(Response(request.url, 200, {"etag": f'"{row.sha256}"'}, body), row.bytes, 0.0, 0)
