"""JSON lines: one file that is the whole catalogue, a record a line (docs/connectors/ndjson.md)."""

from typing import ClassVar

from pydantic import HttpUrl

from app.protocol import shapes
from app.protocol.connector import Evidence, Response
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

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """Lines that are objects, two or more: a single one is JSON like any other."""
        found = shapes.of_records(cls.sampled(response.body)) if response.status == 200 else None
        return found and Evidence({"url": response.url, **found.config}, 65, ("a JSON object a line", *found.reasons))
