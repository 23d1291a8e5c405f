"""The mappings of docs/examples on the real corpora they were written for: harvested, changed, and never asked again."""

import gzip
import json
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import select

from app.catalogue.tables import record
from app.db import Database
from app.feeds import service as feeds
from app.harvest import explain, look, remap
from app.harvest.fetch import Fetcher
from tests.hub import Hub
from tests.peers.replay import Answer, ReplayServer

MAPPINGS = Path(__file__).resolve().parents[2] / "docs" / "examples" / "mappings"
PART, PARTS = 1000, 8


def _mapping(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((MAPPINGS / f"{name}.json").read_text())
    return found


def _poems(data: Path) -> tuple[list[bytes], bytes]:
    lines = gzip.decompress((data / "chinese-poetry" / "poet.tang.jsonl.gz").read_bytes()).splitlines()
    parts = [b"[" + b",".join(lines[start : start + PART]) + b"]" for start in range(0, PART * PARTS, PART)]
    urls = [f"/part/{number}.json" for number in range(len(parts))]
    return parts, orjson.dumps({"module": "poems", "module_version": 1, "urls": urls})


def test_8000_poems_are_mapped_then_mapped_anew_from_kept_bytes(sqlite: Database, data: Path) -> None:
    parts, manifest = _poems(data)

    def answer(path: str) -> Answer:
        return 200, {}, manifest if "manifest" in path else parts[int(path.split("/")[-1].removesuffix(".json"))]

    full, hub, server = _mapping("chinese-poetry"), Hub(sqlite), ReplayServer(answer)
    plain = {"version": 1, "fields": {name: full["fields"][name] for name in ("title", "description", "contributors")}}
    with server as url:
        feed = hub.feed("static-parts", {"manifest_url": f"{url}/manifest.json"}, mapping=plain)
        first = hub.harvest(feed)
        asked = len(server.asked)
        with sqlite.read() as connection:
            trial = remap.trial(sqlite, feeds.by_id(connection, feed), full)
        applied = remap.apply(sqlite, feed, full)
        assert len(server.asked) == asked == 1 + len(parts)
    hub.check()
    assert first["seen"] == PART * PARTS
    assert (trial["changed"], trial["same"], trial["refused"]) == (first["created"], 0, 0)
    # Poems without a title: refused at first, named by the mapping's default afterwards.
    assert trial["mended"] == applied["quarantined"]["created"] == first["rejected"] > 0
    assert applied["live"]["changed"] == first["created"]
    assert hub.live() == first["created"] + trial["mended"]
    with sqlite.read() as connection:
        id, document = connection.execute(select(record.c.id, record.c.document).limit(1)).one()
        told = {item["field"]: item for item in explain.explain(connection, id)["fields"]}
    assert orjson.loads(bytes(document))["edition"] == "全唐诗"
    assert told["edition"]["from"][0]["path"] == "_file"
    assert told["system"]["how"] == "default"


def test_the_real_poems_are_probed_mapped_and_validated_without_a_word_from_us(data: Path) -> None:
    parts, _ = _poems(data)
    manifest = orjson.dumps({"module": "poems", "module_version": 1, "urls": "/part/0.json"})

    def answer(path: str) -> Answer:
        body = {"/manifest.json": manifest, "/part/0.json": parts[0]}.get(path)
        return (200, {}, body) if body else (404, {}, b"")

    fetcher = Fetcher(allow="127.0.0.0/8")
    with ReplayServer(answer) as url:
        subject = look.proposed(fetcher, f"{url}/manifest.json")
        report, _ = look.validate(fetcher, subject, 1000, "")
    fetcher.close()
    assert subject.mapping is not None
    assert set(subject.mapping["fields"]) == {"title", "description", "keywords", "contributors", "languages"}
    assert subject.mapping["fields"]["languages"] == {"constant": ["zh-Hant"]}
    assert (report["seen"], report["refused"]) == (1000, 0)


LESSON = {
    "id": "0e9b", "title": " 草原 ", "description": None, "language": "zh-CN", "resource_type_code": "lesson_plandesign",
    "provider_list": [{"name": "教研室"}], "online_time": "2024-03-15T14:30:20.742+0800",
    "custom_properties": {"preview": "https://a.cn/1", "thumbnails": ["https://r1.a.cn/1.jpg"]},
    "tag_list": [
        {"tag_dimension_id": "zxxxd", "tag_name": "小学（五•四学制）", "order_num": 1},
        {"tag_dimension_id": "zxxxk", "tag_name": "艺术·音乐", "order_num": 2},
        {"tag_dimension_id": "zxxnj", "tag_name": "五年级", "order_num": 3},
    ],
}  # fmt: skip


def test_the_national_layout_says_five_four_and_empty_means_six_three(tmp_path: Path) -> None:
    plain = {**LESSON, "id": "0e9c", "tag_list": [{"tag_dimension_id": "zxxxd", "tag_name": "小学", "order_num": 1}]}
    (tmp_path / "lessons.json").write_bytes(orjson.dumps([LESSON, plain]))
    fetcher = Fetcher()
    found = look.preview(fetcher, look.file(tmp_path / "lessons.json", 10, _mapping("national-layout")), 10, "")
    fetcher.close()
    first, second = (item["record"] for item in found["records"])
    assert (first["system"], second["system"]) == ("五·四", "六·三")
    assert (first["stage"], first["subject"], first["grade"], first["title"]) == ("2", "24", ["P5"], "草原")
    assert first["published"] == "2024-03-15T14:30:20+08:00"
    assert first["type"] == ["lesson_plan"]


def test_a_yunnan_catalogue_keeps_its_languages_apart(tmp_path: Path) -> None:
    row = {"id": 1, "tm": "傣语课本", "yz": "th,zh", "zz": "岩温、玉香", "cbs": "云南民族出版社", "fbsj": "2019年9月", "isbn": "9787536700001",
           "jj": "<p>小学<b>一年级</b></p>", "xk": "民族语文"}  # fmt: skip
    (tmp_path / "yn.ndjson").write_bytes(orjson.dumps(row))
    fetcher = Fetcher()
    found = look.preview(fetcher, look.file(tmp_path / "yn.ndjson", 10, _mapping("yunnan-bilingual")), 10, "")
    fetcher.close()
    made, rules = found["records"][0]["record"], [item["rule"] for item in found["records"][0]["findings"]]
    assert made["languages"] == ["tdd", "zh"]
    assert [person["name"] for person in made["contributors"]] == ["岩温", "玉香", "云南民族出版社"]
    assert (made["published"], made["description"]) == ("2019-09", "小学一年级")
    assert "id.isbn" in rules
