"""CSV and TSV: one file that is the whole catalogue (docs/connectors/csv.md)."""

from typing import ClassVar

from pydantic import HttpUrl

from app.protocol.connector import Evidence, Response
from app.protocol.files import FileFeed
from app.protocol.tables import proposal
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

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """Rows of texts under a header; surer where the address or the media type says so."""
        table = proposal.of_text(response.body, response.charset) if response.status == 200 else None
        if table is None:
            return None
        said = response.headers.get("content-type", "").lower(), response.url.split("?")[0].lower()
        named = "csv" in said[0] or "tab-separated" in said[0] or said[1].endswith((".csv", ".tsv"))
        return Evidence({"url": response.url, "id_columns": table.key.names}, 85 if named else 60, table.reasons)
