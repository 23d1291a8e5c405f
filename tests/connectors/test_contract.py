"""What the hub relies on in every kind: configurations from its page, hostile answers, bytes that are replayed."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.harvest.discovery import configured, kinds
from app.protocol.connector import Connector, Entry, Fault, Response
from app.protocol.errors import PeerError, PeerViolation

PAGES = Path(__file__).resolve().parents[2] / "docs" / "connectors"
KINDS = sorted(kinds())
SCRAPS = [
    b"", b"{}", b"[]", b"[{}]", b'{"id":', b"null", b"\xff\xfe", b"\0", b"<", b"<?xml version='1.0'?>", b"<!DOCTYPE x>",
    b"<html>", b"<rss/>", b"<urlset/>", b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"id,name\n", "编号,名称\n".encode("gb18030"),
    b'{"data":[{"id":1}]}', b'{"success":true,"result":{}}', b'{"items":[],"next":"","more":false}', b'{"urls":"a","module_version":1}',
    b"<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'>", b"\x1f\x8b\x08", b"1e999", b'"\\ud800"',
]  # fmt: skip


@cache
def connectors(kind: str) -> list[Connector]:
    """The kind with each configuration that its page shows."""
    page = (PAGES / f"{kind}.md").read_text()
    found = re.findall(rf"--connector {kind}\b[^`]*?--config\s+'([^']*)'", page)
    return [configured(kind, json.loads(config)) for config in found]


def tried(made: Connector, checkpoint: Any, response: Response) -> None:
    """Reads and parses; whatever comes is foreseen, and what is stored is JSON and text."""
    try:
        for page in made.read(checkpoint, response):
            json.dumps(page.checkpoint)
            live = [entry for entry in page.entries if not entry.deleted]
            assert len(list(made.parse(live, page.context))) == len(live)
            [entry.identifier.encode() for entry in page.entries]
    except PeerError:
        pass


@pytest.mark.parametrize("kind", KINDS)
@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary(max_size=80) | st.lists(st.sampled_from(SCRAPS), max_size=4).map(b"".join),
    st.sampled_from([200, 200, 200, 204, 304, 401, 404, 410, 422, 500, 503]),
    st.sampled_from(["", "text/html", "application/json; charset=gbk", "text/csv; charset=none", "application/xml"]),
)
def test_no_answer_raises_what_is_not_foreseen(kind: str, content: bytes, status: int, media: str) -> None:
    for made in connectors(kind):
        asked = made.request({})
        tried(made, {}, Response.of(content, url=asked.url, status=status, content_type=media))
        for fresh in (made.fresh({}), made.fresh({"unknown": 1})):
            made.request(fresh)


@pytest.mark.parametrize("kind", KINDS)
@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.binary(max_size=60) | st.sampled_from(SCRAPS),
)
def test_bytes_of_any_kind_that_are_replayed_give_a_draft_or_a_fault_each(kind: str, name: str, raw: bytes) -> None:
    for made in connectors(kind):
        entry = Entry(name, raw)
        try:
            entry = made.again(entry)
        except PeerViolation:
            continue
        [found] = made.parse([entry], b"")
        assert isinstance(found, dict | Fault)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_raises_what_is_not_foreseen_when_it_is_recognised(kind: str) -> None:
    for content in SCRAPS:
        try:
            found = kinds()[kind].recognise(Response.of(content, url="https://x.example.org/a"))
        except PeerViolation:
            continue
        assert found is None or (1 <= found.certainty <= 100 and all(found.reasons))
