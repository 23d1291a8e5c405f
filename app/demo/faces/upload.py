"""A vendor without a server for its catalogue: it makes a workbook, and its clerk uploads it."""

from typing import Any

from app.demo.catalogue import DemoPlatform
from app.demo.faces import excel, table
from app.demo.faces.answers import Face

NAME = "上传的资源目录"
MAPPING = table.MAPPING


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """What kind of file it is; there is no address to ask."""
    return {"file": {"format": "excel", "id_columns": [table.COLUMNS[0]]}}


def face(platform: DemoPlatform) -> Face:
    """`/catalogue.xlsx`, from where the demonstration takes the file that the clerk uploads."""
    return excel.face(platform)
