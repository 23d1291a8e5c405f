"""A web site with a sitemap whose pages describe their resource in JSON-LD."""

from html import escape
from typing import Any

from app.demo.catalogue import DemoPlatform, records
from app.demo.faces.answers import DATE, Answer, Face, as_xml, missing
from app.protocol import jsonld, sitemaps

NAME = "网站资源页面"
MAPPING: dict[str, Any] | None = None


def config(platform: DemoPlatform, base: str) -> dict[str, Any]:
    """The sitemap."""
    return {"sitemap_url": f"{base}/sitemap.xml"}


def face(platform: DemoPlatform) -> Face:
    """`/sitemap.xml`, and a page for each resource; addresses are relative, since the site does not know its port."""
    pages = {f"/lesson/{record['local']}.html": _page(record) for record in records(platform)}
    listing = sitemaps.render(sitemaps.Document(tuple(sitemaps.Item(path, DATE[:10]) for path in pages)))

    def answer(path: str) -> Answer:
        if path == "/sitemap.xml":
            return as_xml(listing)
        if path not in pages:
            return missing()
        return 200, {"Content-Type": "text/html; charset=utf-8"}, pages[path]

    return answer


def _page(record: dict[str, Any]) -> bytes:
    block = jsonld.script(jsonld.render(record))
    title = escape(record["title"])
    return (
        f'<!DOCTYPE html><html lang="zh"><head><meta charset="utf-8"><title>{title}</title>'
        f'<script type="application/ld+json">{block}</script></head><body><h1>{title}</h1></body></html>'
    ).encode()
