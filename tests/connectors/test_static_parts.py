"""A part that changes between two of its pages is read again from its top."""

import json

from pydantic import HttpUrl

from app.protocol.connector import Response
from connectors.static_parts import StaticParts

URL = "https://a.example/part.json"


def _part(host: str) -> Response:
    return Response.of(json.dumps([{"id": str(n), "cdn": host} for n in range(900)]).encode(), url=URL)


def test_other_bytes_on_resume_leave_no_entry_outside_the_complete_listing() -> None:
    connector = StaticParts(manifest_url=HttpUrl("https://a.example/data_version.json"))
    begun = {"versions": {}, "next": {"": 1}, "parts": {}, "queue": [URL], "offset": 0}
    first = next(iter(connector.read(begun, _part("r1"))))
    for host, expected in (("r1", 400), ("r2", 900)):
        pages = list(connector.read(first.checkpoint, _part(host)))
        assert sum(len(page.entries) for page in pages) == expected
        assert pages[-1].complete == {pages[-1].listing}
        covered = {e.identifier for page in pages if page.listing in pages[-1].complete for e in page.entries}
        assert len(covered | ({e.identifier for e in first.entries} if host == "r1" else set())) == 900
    assert "part" not in pages[-1].checkpoint
