"""A catalogue as rows under Chinese headings, the way counties and vendors keep it, and the mapping that reads it."""

from collections.abc import Iterator
from typing import Any

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import spoiled
from app.protocol import vocab

COLUMNS = (
    "资源编号",
    "资源名称",
    "学段",
    "年级",
    "册次",
    "学科",
    "版本",
    "类型",
    "作者",
    "单位",
    "语种",
    "对象",
    "网址",
    "发布日期",
    "简介",
)
MAPPING: dict[str, Any] | None = {
    "version": 1,
    "fields": {
        "title": {"path": "资源名称"}, "stage": {"path": "学段"}, "grade": {"path": "年级"}, "volume": {"path": "册次"},
        "subject": {"path": "学科"}, "edition": {"path": "版本"}, "type": {"path": "类型"},
        "contributors": [
            {"path": "作者", "each": {"role": "creator"}}, {"path": "单位", "each": {"role": "publisher"}},
        ],
        "languages": {"path": "语种", "split": "、"}, "audience": {"path": "对象"}, "location": {"path": "网址"},
        "published": {"path": "发布日期", "date": ["yyyy年M月d日"]}, "description": {"path": "简介"},
        "rights.statement": {"constant": "免费开放，仅限教育用途"},
    },
    "terms": {"stage": {"初中": "3", "高中": "4"}, "languages": {"汉语": "zh-Hans"}},
}  # fmt: skip
_STAGES = {"2": "小学", "3": "初中", "4": "高中"}


def rows(platform: DemoPlatform) -> Iterator[tuple[str, ...]]:
    """The cells of each record, all of them texts; a bad record has lost its name."""
    for number, record in enumerate(records(platform)):
        labels = {name: vocab.label(name, record[name]) for name in ("volume", "subject", "edition")}
        year, month, day = (int(part) for part in record["published"].split("-"))
        yield (
            f"{platform.code}-{record['local']}", "" if spoiled(platform, number) else record["title"],
            _STAGES[record["stage"]], vocab.label("grade", record["grade"][0]), labels["volume"], labels["subject"],
            labels["edition"], vocab.label("type", record["type"][0]), record["contributors"][0]["name"], platform.name,
            "汉语", record["audience"][0], record["location"][0], f"{year}年{month}月{day}日", record["description"],
        )  # fmt: skip
