"""CKAN's Action API: packages by search, 200 a page at the most."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import DATE, Answer, Face, as_json, query
from app.protocol import vocab

NAME = "CKAN 数据目录"
MAPPING: dict[str, Any] | None = None


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The site."""
    return {"base_url": base}


def face(platform: DemoPlatform) -> Face:
    """`package_search` by identifier; a filter by time finds nothing, for nothing has changed."""
    packages = sorted((_package(platform, record) for record in records(platform)), key=lambda package: package["id"])

    def answer(path: str) -> Answer:
        asked = query(path)
        found = [] if "metadata_modified" in asked.get("fq", "") else packages
        start, rows = int(asked.get("start", "0")), min(int(asked.get("rows", "200")), 200)
        return as_json({"success": True, "result": {"count": len(found), "results": found[start : start + rows]}})

    return answer


def _package(platform: DemoPlatform, record: dict[str, Any]) -> dict[str, Any]:
    url, words = record["location"][0], [vocab.label("subject", record["subject"]), *record["keywords"]]
    return {
        "id": str(uuid5(NAMESPACE_URL, url)), "name": f"lesson-{record['local']}", "title": record["title"],
        "notes": record["description"], "author": record["contributors"][0]["name"], "url": url, "state": "active",
        "organization": {"title": platform.name}, "metadata_modified": DATE.rstrip("Z"), "license_title": "CC BY 4.0",
        "license_url": "https://creativecommons.org/licenses/by/4.0/", "private": False,
        "tags": [{"name": word, "display_name": word} for word in dict.fromkeys(words)],
        "extras": [{"key": "language", "value": record["languages"][0]}, {"key": "issued", "value": record["published"]}],
        "resources": [{"url": url, "format": "MP4", "mimetype": "video/mp4"}],
    }  # fmt: skip
