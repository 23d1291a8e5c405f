"""A platform whose catalogue changes its shape between two harvests: the operator's day begins with it."""

from typing import Any

import orjson

from tests.peers.replay import Answer

MAPPING: dict[str, Any] = {
    "version": 1,
    "fields": {
        "title": {"path": "title"}, "languages": {"path": "lang"}, "subject": {"path": "subject"}, "stage": {"path": "stage"},
        "keywords": {"path": "tags", "split": ["、", "；"]}, "type": {"constant": ["courseware"]}, "audience": {"constant": ["学生"]},
        "contributors": {"path": "teacher", "each": {"role": "creator"}}, "location": {"path": "url"},
        "rights.statement": {"constant": "免费开放"},
    },
    "terms": {"subject": {"国文": "13"}},
}  # fmt: skip
LESSONS = ("背影", "荷塘月色", "草原", "桂林山水", "古诗三首", "丝绸之路")


class BrokenFeed:
    """A static manifest with one part; after `breaks()` new lessons come with `name` for `title`, and with other terms."""

    def __init__(self, old: int = 30, new: int = 40) -> None:
        self.old, self.new, self.broken = old, new, False

    def breaks(self) -> None:
        """From now on the manifest names a second part in another shape."""
        self.broken = True

    def __call__(self, path: str) -> Answer:
        """The manifest, or a part of it."""
        if path == "/part-1":
            return 200, {}, orjson.dumps([_lesson(n) for n in range(self.old)])
        if path == "/part-2":
            return 200, {}, orjson.dumps([_renamed(n) for n in range(self.old, self.old + self.new)])
        urls = ["/part-1", "/part-2"] if self.broken else ["/part-1"]
        return 200, {}, orjson.dumps({"module_version": 2 if self.broken else 1, "urls": urls})


def _lesson(n: int) -> dict[str, Any]:
    return {
        "id": f"gz-{n:04d}", "title": f"第{n + 1}课 {LESSONS[n % 6]}", "lang": "zh-Hans", "subject": "国文" if n % 3 else "国学诵读",
        "stage": "初级中学段" if n % 2 else "高中", "tags": f"阅读、{LESSONS[n % 6]}", "teacher": "王老师",
        "url": f"https://res.example.edu.cn/gz/{n}",
    }  # fmt: skip


def _renamed(n: int) -> dict[str, Any]:
    lesson = _lesson(n)
    return {"id": lesson.pop("id"), "name": lesson.pop("title"), **lesson}
