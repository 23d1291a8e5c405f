"""Workbooks: one XLSX, XLS or ODS file that is the whole catalogue (docs/connectors/excel.md)."""

from typing import ClassVar

from pydantic import HttpUrl

from app.protocol.connector import Evidence, Response
from app.protocol.files import FileFeed
from app.protocol.tables import proposal
from app.protocol.tables.workbook import Workbook, samples


class Excel(Workbook, FileFeed):
    """A workbook: the identifying columns are declared, sheets and headers are found."""

    name: ClassVar[str] = "excel"
    title_zh: ClassVar[str] = "电子表格（XLSX、XLS、ODS）"
    title_en: ClassVar[str] = "Workbook (XLSX, XLS, ODS)"
    needs_mapping: ClassVar[bool] = True
    url: HttpUrl

    def address(self) -> str:
        """The file's own."""
        return str(self.url)

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """A workbook with a sheet of rows under a header."""
        table = proposal.of_sheets(samples(response.body)) if response.status == 200 else None
        if table is None:
            return None
        return Evidence({"url": response.url, "id_columns": table.key.names}, 95, table.reasons)
