"""A paged Atom feed (RFC 4287, RFC 5005 section 3), 100 entries a page."""

from typing import Any

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import DATE, Answer, Face, identifier, query
from app.protocol import syndication

NAME = "Atom 更新订阅"
MAPPING: dict[str, Any] | None = None
PAGE = 100


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The feed, and as many pages as it can have."""
    return {"feed_url": f"{base}/feed.atom", "max_pages": 1000}


def face(platform: DemoPlatform) -> Face:
    """The newest entries, and a link to older ones on every page but the last."""
    entries = [({**record, "id": f"tag:{identifier(platform, record)}"}, DATE) for record in records(platform)]
    head = {"id": platform.code, "title": platform.name, "updated": DATE, "self": "/feed.atom", "author": platform.name}

    def answer(path: str) -> Answer:
        number = int(query(path).get("page", "0"))
        start = number * PAGE
        content = syndication.render(head, entries[start : start + PAGE])
        if start + PAGE < len(entries):
            content = content.replace(
                b"<entry>", b'<link rel="next" href="/feed.atom?page=%d"/><entry>' % (number + 1), 1
            )
        return 200, {"Content-Type": "application/atom+xml; charset=utf-8"}, content

    return answer
