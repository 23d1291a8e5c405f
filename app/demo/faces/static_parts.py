"""Versioned static parts, as the national platform lays them out: a manifest, and JSON arrays of a thousand records."""

from typing import Any

import orjson

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import Answer, Face, as_json, missing, spoiled
from app.protocol import vocab

NAME = "静态分片目录"
PART = 1000
MAPPING: dict[str, Any] | None = {
    "version": 1,
    "fields": {
        "title": {"path": "title"}, "description": {"path": "description"}, "languages": {"path": "language", "list": True},
        "subject": {"path": "tag_list[tag_dimension_id=zxxxk].tag_name", "first": True},
        "stage": {"path": "tag_list[tag_dimension_id=zxxxd].tag_name", "first": True},
        "grade": {"path": "tag_list[tag_dimension_id=zxxnj].tag_name", "list": True},
        "edition": {"path": "tag_list[tag_dimension_id=zxxbb].tag_name", "first": True},
        "volume": {"path": "tag_list[tag_dimension_id=zxxcc].tag_name", "first": True},
        "type": {"path": "resource_type_code", "list": True},
        "contributors": {"path": "provider_list[].name", "each": {"role": "creator"}},
        "audience": {"constant": ["学生"]}, "rights": {"constant": {"statement": "免费开放"}},
        "location": {"path": "custom_properties.preview", "list": True},
    },
    "terms": {"stage": {"初中": "3", "高中": "4"}},
    "defaults": {},
}  # fmt: skip


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The manifest."""
    return {"manifest_url": f"{base}/data_version.json"}


def face(platform: DemoPlatform) -> Face:
    """A manifest and JSON arrays; `urls` is one comma-joined string on every other platform."""
    made = [_record(platform, number, record) for number, record in enumerate(records(platform))]
    chunks = [orjson.dumps(made[start : start + PART]) for start in range(0, len(made), PART)]
    reads = {"manifest": 0}

    def answer(path: str) -> Answer:
        if path.startswith("/data_version.json"):
            reads["manifest"] += 1
            empty = platform.fault == "vanishes" and reads["manifest"] > 1
            urls: Any = [] if empty else [f"/part_{n}.json" for n in range(len(chunks))]
            if not empty and int(platform.code[2:4]) % 2:
                urls = ",".join(urls)
            return as_json({"module": "national_lesson", "module_version": 1 + empty, "urls": urls})
        if path.startswith("/part_"):
            part = chunks[int(path.removeprefix("/part_").removesuffix(".json"))]
            return 200, {"Content-Type": "application/json"}, part
        return missing()

    return answer


def _record(platform: DemoPlatform, number: int, record: dict[str, Any]) -> dict[str, Any]:
    tags = (("zxxxd", "stage"), ("zxxxk", "subject"), ("zxxbb", "edition"), ("zxxcc", "volume"))
    made = {
        "id": f"{platform.code}-{record['local']}", "title": record["title"], "description": record["description"],
        "language": record["languages"][0], "resource_type_code": record["type"][0],
        "update_time": "2026-11-01T16:00:00.742+0800", "provider_list": [{"name": record["contributors"][0]["name"]}],
        "tag_list": [
            {"tag_dimension_id": tag, "tag_id": record[name], "tag_name": vocab.label(name, record[name]), "order_num": n}
            for n, (tag, name) in enumerate(tags)
        ] + [{"tag_dimension_id": "zxxnj", "tag_id": record["grade"][0], "tag_name": vocab.label("grade", record["grade"][0]), "order_num": 9}],
        "custom_properties": {"preview": record["location"][0], "thumbnails": [f"https://r{number % 3 + 1}-img.example/{number}.jpg"]},
    }  # fmt: skip
    if spoiled(platform, number):
        made["title"] = None
    return made
