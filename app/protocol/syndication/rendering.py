"""Atom as string templates: no tree is built for what is only sent."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.protocol import xml
from app.protocol.syndication.cutting import ATOM


def render(feed: Mapping[str, str], entries: Sequence[tuple[Mapping[str, Any], str]]) -> bytes:
    """An Atom feed: `feed` has id, title, updated, self, author; each entry is a record with the time it changed.

    What Atom can carry comes back from `read` as it was: title, description, location, contributors, keywords,
    languages, published (a day) and rights.
    """
    head = (
        f'<?xml version="1.0" encoding="utf-8"?>\n<feed xmlns="{ATOM}" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f"<id>{xml.escape(feed['id'])}</id><title>{xml.escape(feed['title'])}</title><updated>{feed['updated']}</updated>"
        f'<link rel="self" href="{xml.escape(feed["self"])}"/><author><name>{xml.escape(feed["author"])}</name></author>'
    )
    return f"{head}{''.join(_rendered(record, at) for record, at in entries)}</feed>\n".encode()


def _rendered(record: Mapping[str, Any], updated: str) -> str:
    parts = [f"<id>{xml.escape(record['id'])}</id>", f"<updated>{updated}</updated>", _typed("title", record["title"])]
    parts += [f'<link rel="alternate" href="{xml.escape(url)}"/>' for url in record.get("location", ())]
    for person in record.get("contributors", ()):
        name = "author" if person.get("role") == "creator" else "contributor"
        parts.append(f"<{name}><name>{xml.escape(person['name'])}</name></{name}>")
    parts += [f'<category term="{xml.escape(word)}"/>' for word in record.get("keywords", ())]
    parts += [f"<dc:language>{xml.escape(tag)}</dc:language>" for tag in record.get("languages", ())[:1]]
    if re.fullmatch(r"\d{4}-\d\d-\d\d", record.get("published", "")):
        parts.append(f"<published>{record['published']}T00:00:00Z</published>")
    rights = record.get("rights", {})
    if "statement" in rights:
        parts.append(_typed("rights", rights["statement"]))
    if "licence_uri" in rights:
        parts.append(f'<link rel="license" href="{xml.escape(rights["licence_uri"])}"/>')
    if "description" in record:
        parts.append(_typed("summary", record["description"]))
    return f"<entry>{''.join(parts)}</entry>"


def _typed(name: str, text: str) -> str:
    """A text construct as escaped HTML (RFC 4287 3.1.1.2): the one form in which `<` and `&` mean themselves everywhere."""
    inner = xml.escape(text).replace("\n", "<br/>")
    return f'<{name} type="html">{xml.escape(inner)}</{name}>'
