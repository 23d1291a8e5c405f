"""A nightly export as JSON lines."""

from typing import Any

import orjson

from app.demo.catalogue import DemoPlatform
from app.demo.faces import table
from app.demo.faces.answers import Answer, Face, missing

NAME = "JSON Lines 夜间导出"
MAPPING = table.MAPPING


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The file and the member that identifies a record."""
    return {"url": f"{base}/export.ndjson", "id_paths": [table.COLUMNS[0]]}


def face(platform: DemoPlatform) -> Face:
    """`/export.ndjson`: the columns of the table as members."""
    lines = (orjson.dumps(dict(zip(table.COLUMNS, row, strict=True))) for row in table.rows(platform))
    content = b"\n".join(lines) + b"\n"

    def answer(path: str) -> Answer:
        return (200, {"Content-Type": "application/x-ndjson"}, content) if path == "/export.ndjson" else missing()

    return answer
