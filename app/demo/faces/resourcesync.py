"""ResourceSync: a description, a capability list, and resource dumps of 500 records as JSON-LD."""

import re
from typing import Any

import orjson

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import DATE, Answer, Face, as_xml, identifier, missing
from app.protocol import jsonld, resourcesync, sitemaps
from app.protocol.sitemaps import Item

NAME = "ResourceSync 资源转储"
MAPPING: dict[str, Any] | None = None
DUMP = 500


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The site; a dump is asked for before single resources."""
    return {"base_url": base, "prefer": "dump"}


def face(platform: DemoPlatform) -> Face:
    """Addresses are relative, since the site does not know its port."""
    made = [(identifier(platform, record), orjson.dumps(jsonld.render(record))) for record in records(platform)]
    dumps = [_dump(made[start : start + DUMP]) for start in range(0, len(made), DUMP)]
    lists = {
        resourcesync.WELL_KNOWN: _list("description", [Item("/caps.xml", md={"capability": "capabilitylist"})]),
        "/caps.xml": _list("capabilitylist", [Item("/dumps.xml", md={"capability": "resourcedump"})]),
        "/dumps.xml": _list("resourcedump", [Item(f"/dump/{number}.zip") for number in range(len(dumps))], at=DATE),
    }

    def answer(path: str) -> Answer:
        if found := re.fullmatch(r"/dump/(\d+)\.zip", path):
            return 200, {"Content-Type": "application/zip"}, dumps[int(found[1])]
        return as_xml(lists[path]) if path in lists else missing()

    return answer


def _list(capability: str, items: list[Item], at: str = "") -> bytes:
    return sitemaps.render(resourcesync.document(capability, items, at=at))


def _dump(stretch: list[tuple[str, bytes]]) -> bytes:
    files = {f"{name.rpartition(':')[2]}.json": content for name, content in stretch}
    items = [
        resourcesync.listed(f"urn:{name}", content, DATE, path=path, type="application/ld+json")
        for (name, content), path in zip(stretch, files, strict=True)
    ]
    return resourcesync.dump(resourcesync.document("resourcedump-manifest", items, at=DATE), files)
