"""IX/1 changes; cursors are plain numbers here, opaque to the reader."""

from typing import Any

import orjson

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import DATE, Answer, Face, query, spoiled
from app.protocol.canonical import canonical, content_hash

NAME = "IX/1 增量目录"
MAPPING: dict[str, Any] | None = None


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The platform's address."""
    return {"base_url": base}


def face(platform: DemoPlatform) -> Face:
    """Whatever is asked, the changes after its cursor."""
    items = [_item(platform, number, record) for number, record in enumerate(records(platform))]

    def answer(path: str) -> Answer:
        asked = query(path)
        at, limit = int(asked.get("cursor", "0")), int(asked.get("limit", "500"))
        shown, last = items[at : at + limit], min(at + limit, len(items))
        more = b"true" if last < len(items) else b"false"
        tail = b'],"next":"%d","more":%s,"state":{"seq":%d}}' % (last, more, len(items))
        return 200, {"Content-Type": "application/json"}, b'{"epoch":"demo","items":[' + b",".join(shown) + tail

    return answer


def _item(platform: DemoPlatform, number: int, record: dict[str, Any]) -> bytes:
    content = {**record, "id": f"ix:{platform.code}:{record['local']}"}
    del content["local"]
    if spoiled(platform, number):
        content["title"] = content["title"] + "\x03"
    head = {
        "id": content["id"], "op": "put", "version": 1, "hash": content_hash(canonical(content)), "seq": number + 1,
        "modified": DATE, "origin": platform.code, "path": [], "sig": None, "record": content,
    }  # fmt: skip
    return orjson.dumps(head)
