"""A CSV file behind an address; the platform's `form` is its encoding. Spreadsheets in China save GB18030."""

import csv
import io
from typing import Any

from app.demo.catalogue import DemoPlatform
from app.demo.faces import table
from app.demo.faces.answers import Answer, Face, missing

NAME = "CSV 资源目录表"
MAPPING = table.MAPPING


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The file and the column that identifies a row; delimiter and encoding are found out."""
    return {"url": f"{base}/catalogue.csv", "id_columns": [table.COLUMNS[0]]}


def face(platform: DemoPlatform) -> Face:
    """`/catalogue.csv`, without a word about its encoding, as most servers have it."""
    content = text(platform).encode(platform.form or "utf-8-sig")

    def answer(path: str) -> Answer:
        return (200, {"Content-Type": "text/csv"}, content) if path == "/catalogue.csv" else missing()

    return answer


def text(platform: DemoPlatform) -> str:
    """The heading and the rows."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([table.COLUMNS, *table.rows(platform)])
    return out.getvalue()
