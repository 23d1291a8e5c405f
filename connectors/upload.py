"""A file that a vendor uploads: any of the file formats, kept by the hub (docs/connectors/upload.md)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, BinaryIO, ClassVar, Literal

from pydantic import Field

from app.protocol.connector import Draft, Entry, Fault
from app.protocol.documents import Array, Lines
from app.protocol.files import UPLOADED, Cut, FileFeed
from app.protocol.tables.delimited import Delimited
from app.protocol.tables.workbook import Workbook


class CsvFile(Delimited):
    """CSV or TSV."""

    format: Literal["csv"]


class ExcelFile(Workbook):
    """XLSX, XLS or ODS."""

    format: Literal["excel"]


class JsonFile(Array):
    """One JSON document: an array, or an envelope around one."""

    format: Literal["json"]


class NdjsonFile(Lines):
    """JSON lines."""

    format: Literal["ndjson"]


class Upload(FileFeed):
    """The file last uploaded to the feed; until there is one, nothing is new."""

    name: ClassVar[str] = "upload"
    title_zh: ClassVar[str] = "上传文件（CSV、电子表格、JSON）"
    title_en: ClassVar[str] = "Uploaded file (CSV, workbook, JSON)"
    needs_mapping: ClassVar[bool] = True
    file: Annotated[CsvFile | ExcelFile | JsonFile | NdjsonFile, Field(discriminator="format")]

    def address(self) -> str:
        """Answered by the hub from its own folder, without the network."""
        return UPLOADED

    def cut(self, body: BinaryIO, at: Mapping[str, Any], charset: str | None) -> Iterator[Cut]:
        """As the format does."""
        return self.file.cut(body, at, charset)

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """As the format does."""
        return self.file.parse(entries, context)
