"""A record as schema.org LearningResource in JSON-LD: what search engines read on its public page."""

from collections.abc import Mapping
from typing import Any

import orjson

from app.protocol import vocab


def document(record: Mapping[str, Any], url: str, platform: str, lang: str) -> str:
    """JSON for a data block in HTML: no `<`, `>` or `&` stands in it, so that no title can end the block."""
    labels = "en" if lang == "en" else "zh"
    people = record.get("contributors", ())
    made: dict[str, Any] = {
        "@context": "https://schema.org",
        "@type": "LearningResource",
        "@id": url,
        "name": record["title"],
        "alternateName": record.get("alt_titles"),
        "description": record.get("description"),
        "inLanguage": record.get("languages"),
        "keywords": record.get("keywords"),
        "learningResourceType": [vocab.label("type", code, labels) for code in record.get("type", ())],
        "educationalLevel": [
            *(vocab.label("stage", code, labels) for code in filter(None, [record.get("stage")])),
            *(vocab.label("grade", code, labels) for code in record.get("grade", ())),
        ],
        "about": vocab.label("subject", record["subject"], labels) if record.get("subject") else None,
        "author": [{"@type": "Person", "name": p["name"]} for p in people if p.get("role") != "publisher"],
        "publisher": [{"@type": "Organization", "name": p["name"]} for p in people if p.get("role") == "publisher"],
        "provider": {"@type": "Organization", "name": platform},
        "license": (record.get("rights") or {}).get("licence_uri"),
        "datePublished": record.get("published"),
        "url": [
            address for address in record.get("location", ()) if address.lower().startswith(("http://", "https://"))
        ],
    }
    text = orjson.dumps({name: value for name, value in made.items() if value not in (None, "", [], {})}).decode()
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
