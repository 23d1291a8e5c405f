"""Workbooks: one XLSX, XLS or ODS file that is the whole catalogue (docs/connectors/excel.md)."""

from typing import ClassVar

from pydantic import HttpUrl

from app.protocol.files import FileFeed
from app.protocol.tables.workbook import Workbook


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
