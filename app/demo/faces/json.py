"""A JSON API: an envelope, a total, a cursor in the body, 100 records a page."""

from typing import Any

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import DATE, Answer, Face, as_json, query, spoiled
from app.protocol import vocab

NAME = "JSON 接口目录"
PAGE = 100
MAPPING: dict[str, Any] | None = {
    "version": 1,
    "fields": {
        "title": {"path": "name"}, "description": {"path": "intro", "html": True}, "subject": {"path": "book.subject"},
        "grade": {"path": "book.grade"}, "volume": {"path": "book.volume"}, "edition": {"path": "book.press"},
        "stage": {"path": "book.period"}, "type": {"path": "kind"}, "keywords": {"path": "tags", "split": ","},
        "contributors": {"path": "authors", "object": {"name": "name"}, "each": {"role": "creator"}},
        "languages": {"path": "lang"}, "audience": {"constant": ["教师", "学生"]}, "location": {"path": "link"},
        "published": {"path": "created", "date": ["yyyy-MM-dd"]}, "rights.statement": {"constant": "免费开放，仅限教育用途"},
    },
    "terms": {"stage": {"primary": "2", "junior": "3", "senior": "4"}},
}  # fmt: skip
_PERIODS = {"2": "primary", "3": "junior", "4": "senior"}


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """Where the list, the total and the next cursor stand in an answer."""
    return {
        "url": f"{base}/api/resources", "items_path": "data.list", "total_path": "data.total", "id_paths": ["rid"],
        "stamp_path": "updated", "paging": {"by": "cursor", "parameter": "after", "path": "data.after"},
    }  # fmt: skip


def face(platform: DemoPlatform) -> Face:
    """`/api/resources?after=...`."""
    made = [_item(platform, number, record) for number, record in enumerate(records(platform))]

    def answer(path: str) -> Answer:
        start = int(query(path).get("after", "0"))
        after = str(start + PAGE) if start + PAGE < len(made) else None
        return as_json({"code": 0, "data": {"total": len(made), "after": after, "list": made[start : start + PAGE]}})

    return answer


def _item(platform: DemoPlatform, number: int, record: dict[str, Any]) -> dict[str, Any]:
    book = {name: vocab.label(field, record[field]) for name, field in
            (("subject", "subject"), ("volume", "volume"), ("press", "edition"))}  # fmt: skip
    book |= {"grade": vocab.label("grade", record["grade"][0]), "period": _PERIODS[record["stage"]]}
    return {
        "rid": int(record["local"]) + 100_000, "name": None if spoiled(platform, number) else record["title"],
        "intro": f"<p>{record['description']}</p>", "book": book, "kind": vocab.label("type", record["type"][0]),
        "tags": ",".join(record["keywords"]), "authors": [{"name": record["contributors"][0]["name"]}],
        "lang": record["languages"][0], "link": record["location"][0], "created": record["published"], "updated": DATE,
    }  # fmt: skip
