"""CSV and TSV: one file that is the whole catalogue (docs/connectors/csv.md)."""

from typing import ClassVar

from pydantic import HttpUrl

from app.protocol.files import FileFeed
from app.protocol.tables.delimited import Delimited


class Csv(Delimited, FileFeed):
    """A table as text: delimiter, encoding and header are found out, the identifying columns are declared."""

    name: ClassVar[str] = "csv"
    title_zh: ClassVar[str] = "CSV/TSV 表格文件"
    title_en: ClassVar[str] = "CSV or TSV file"
    needs_mapping: ClassVar[bool] = True
    url: HttpUrl

    def address(self) -> str:
        """The file's own."""
        return str(self.url)
