"""JSON lines: one file that is the whole catalogue, a record a line (docs/connectors/ndjson.md)."""

from typing import ClassVar

from pydantic import HttpUrl

from app.protocol.documents import Lines
from app.protocol.files import FileFeed


class Ndjson(Lines, FileFeed):
    """A file of JSON lines, read as a stream."""

    name: ClassVar[str] = "ndjson"
    title_zh: ClassVar[str] = "JSON Lines 文件"
    title_en: ClassVar[str] = "JSON lines file"
    needs_mapping: ClassVar[bool] = True
    url: HttpUrl

    def address(self) -> str:
        """The file's own."""
        return str(self.url)
