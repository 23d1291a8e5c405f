"""A workbook behind an address: a sheet for each stage, a title above the heading (ECMA-376, inline strings)."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from typing import Any

from app.demo.catalogue import DemoPlatform
from app.demo.faces import table
from app.demo.faces.answers import Answer, Face, missing
from app.protocol.xml import escape

NAME = "XLSX 资源目录表"
MAPPING = table.MAPPING
_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_RELATIONS = "application/vnd.openxmlformats-package.relationships+xml"


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The file and the column that identifies a row; sheets and headings are found out."""
    return {"url": f"{base}/catalogue.xlsx", "id_columns": [table.COLUMNS[0]]}


def face(platform: DemoPlatform) -> Face:
    """`/catalogue.xlsx`."""
    content = book(platform)

    def answer(path: str) -> Answer:
        return (200, {"Content-Type": f"{_SHEET}.sheet"}, content) if path == "/catalogue.xlsx" else missing()

    return answer


def book(platform: DemoPlatform) -> bytes:
    """The rows by stage."""
    rows, at = list(table.rows(platform)), table.COLUMNS.index("学段")
    head = [(f"{platform.name}资源目录（2026年11月）",), table.COLUMNS]
    sheets = {stage: [*head, *(row for row in rows if row[at] == stage)] for stage in ("小学", "初中", "高中")}
    return workbook(sheets)


def workbook(sheets: dict[str, list[tuple[str, ...]]]) -> bytes:
    """Sheets of texts as an XLSX file."""
    numbers = range(1, len(sheets) + 1)
    named = "".join(
        f'<sheet name="{escape(name)}" sheetId="{n}" r:id="rId{n}"/>' for n, name in zip(numbers, sheets, strict=True)
    )
    types = f'<Default Extension="rels" ContentType="{_RELATIONS}"/>'
    types += f'<Override PartName="/xl/workbook.xml" ContentType="{_SHEET}.sheet.main+xml"/>'
    types += "".join(f'<Override PartName="/xl/sheet{n}.xml" ContentType="{_SHEET}.worksheet+xml"/>' for n in numbers)
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">{types}</Types>',
        "_rels/.rels": _relations([("officeDocument", "xl/workbook.xml")]),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{named}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": _relations([("worksheet", f"sheet{n}.xml") for n in numbers]),
        **{f"xl/sheet{n}.xml": _sheet(rows) for n, rows in zip(numbers, sheets.values(), strict=True)},
    }
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in parts.items():
            archive.writestr(path, f'<?xml version="1.0" encoding="UTF-8"?>{content}')
    return body.getvalue()


def _relations(targets: Sequence[tuple[str, str]]) -> str:
    inner = "".join(
        f'<Relationship Id="rId{n}" Type="{_OFFICE}/{kind}" Target="{target}"/>'
        for n, (kind, target) in enumerate(targets, 1)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{inner}</Relationships>'


def _sheet(rows: Iterable[tuple[str, ...]]) -> str:
    return f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(map(_row, rows))}</sheetData></worksheet>'


def _row(cells: tuple[str, ...]) -> str:
    inner = "".join(f'<c t="inlineStr"><is><t>{escape(cell)}</t></is></c>' for cell in cells)
    return f"<row>{inner}</row>"
