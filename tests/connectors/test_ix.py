"""IX/1: changes, lost cursors, snapshots, and what a platform may get wrong (protocol sections 2 to 4)."""

import gzip
import json
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.canonical import canonical, content_hash
from app.protocol.connector import Entry, Fault, Page, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from connectors import ix
from connectors.ix import Ix

FEED = Ix(base_url="https://peer.example.org/hub/", limit=3)
ROOT = "https://peer.example.org/hub/ix/v1/all"


def item(number: int, **other: Any) -> dict[str, Any]:
    """One item of a page of changes."""
    id = f"ix:P-440000-01:r{number}"
    record = {"id": id, "title": f"第{number}课"}
    made = {"id": id, "op": "put", "version": 1, "hash": content_hash(canonical(record)), "seq": number, "path": []}
    return {**made, "record": record, **other}


def page(items: list[Any], following: Any, more: Any) -> bytes:
    """A page of changes."""
    return json.dumps({"epoch": "e", "items": items, "next": following, "more": more}, ensure_ascii=False).encode()


class Peer:
    """A platform with numbered items; cursors below `kept` are gone."""

    def __init__(self, count: int, kept: int = 0) -> None:
        self.items = [item(n) for n in range(count)]
        self.kept, self.limit, self.part = kept, 3, 4
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []

    def get(self, url: str) -> Response:
        """The answer to a GET."""
        self.asked.append(url)
        if url in self.files:
            return Response.of(self.files[url], url=url)
        if url == f"{ROOT}/snapshots/latest":
            return Response.of(json.dumps(self.manifest()).encode(), url=url)
        if "/changes?" not in url:
            return Response.of(b"{}", url=url, status=404)
        at = int(url.split("cursor=")[1].split("&")[0] or 0)
        if at < self.kept:
            gone = {"code": "cursor_gone", "snapshot": f"{ROOT}/snapshots/latest"}
            return Response.of(json.dumps(gone).encode(), url=url, status=410)
        end = min(at + self.limit, len(self.items))
        return Response.of(page(self.items[at:end], str(end), end < len(self.items)), url=url)

    def manifest(self) -> dict[str, Any]:
        """A snapshot of all items but the last."""
        told, parts = self.items[:-1], []
        for start in range(0, len(told), self.part):
            lines = [json.dumps(one).encode() + b"\n" for one in told[start : start + self.part]]
            # Two members in one file, as a tool that appends writes them.
            content = gzip.compress(lines[0], mtime=0) + gzip.compress(b"".join(lines[1:]), mtime=0)
            name = sha256(content).hexdigest()
            self.files[f"{ROOT}/snapshots/parts/{name}.ndjson.gz"] = content
            parts.append({"href": f"parts/{name}.ndjson.gz", "sha256": name, "records": len(lines), "bytes": 1})
        return {"epoch": "e", "cursor": str(len(told)), "count": len(told), "root": "", "parts": parts}


def run(peer: Peer, checkpoint: Any = None, stop: int = 1000) -> list[Page]:
    """The pages of a run, cut off after `stop` of them."""
    found: list[Page] = []
    at: Any = checkpoint or {}
    while not (found and found[-1].done):
        for one in FEED.read(at, peer.get(FEED.request(at).url)):
            at = json.loads(json.dumps(one.checkpoint))
            found.append(one)
            if len(found) == stop:
                return found
    return found


def names(pages: list[Page]) -> list[str]:
    """The local names of all pages' entries."""
    return [entry.identifier.removeprefix("ix:P-440000-01:") for one in pages for entry in one.entries]


def rules(items: list[Any]) -> list[str]:
    """What becomes of each item: the record's id, or the rule that refuses it."""
    (one,) = FEED.read({}, Response.of(page(items, "9", False)))
    assert len(one.entries) == len(items)
    return [found.rule if isinstance(found, Fault) else found["id"] for found in FEED.parse(one.entries, b"")]


def violation(checkpoint: Any, content: bytes, status: int = 200) -> PeerError:
    """The error an answer gives."""
    with pytest.raises(PeerError) as caught:
        list(FEED.read(checkpoint, Response.of(content, url=f"{ROOT}/x", status=status)))
    return caught.value


def test_changes_from_the_beginning() -> None:
    peer = Peer(8)
    pages = run(peer)
    assert names(pages) == [f"r{n}" for n in range(8)]
    assert peer.asked[0] == f"{ROOT}/changes?cursor=&limit=3"
    assert pages[-1].complete is None
    assert pages[-1].checkpoint == {"cursor": "8"}
    quiet = run(peer, pages[-1].checkpoint)
    assert (names(quiet), len(quiet), quiet[-1].done) == ([], 1, True)


def test_raw_is_the_exact_bytes_and_a_new_version_is_no_repeat() -> None:
    raw = b'{ "id":"ix:P-440000-01:r","op":"put","version":%d,"hash":"x","record":{"n":1.50} }'
    body = b'{"items":[%b , %b],"next":"1","more":false}' % (raw % 1, raw % 2)
    (one,) = FEED.read({}, Response.of(body))
    assert [entry.raw for entry in one.entries] == [raw % 1, raw % 2]
    assert [entry.version for entry in one.entries] == [1, 2]


def test_deletions_and_departures() -> None:
    items = [item(1, op="delete", record=None), item(2, op="leave", record=None, path=["N-000000-01", 7])]
    (one,) = FEED.read({}, Response.of(page(items, "2", False)))
    assert [entry.deleted for entry in one.entries] == [True, True]
    assert one.entries[1].path == ("N-000000-01",)


def test_bad_items_are_refused_alone() -> None:
    bad: list[Any] = [
        item(1, id="oai:example.org:1"),
        item(1, id="ix:Q-440000-01:r1"),
        item(1, id="ix:P-440000-01:"),
        item(1, id="ix:P-440000-01:a b"),
        item(1, id=7),
        item(1, id="ix:P-440000-01:other"),
        item(1, op="delete", id="x"),
        item(1, op="merge"),
        item(1, record=None),
        item(1, version="1"),
        item(1, version=0),
        item(1, version=True),
        item(1, hash="0" * 64),
        item(1, hash=None),
        item(1, path=7),
        7,
        None,
    ]
    shape = "record.shape"
    expected = ["ix.id"] * 7 + [shape] * 2 + ["ix.shape"] * 3 + ["ix.hash"] * 2
    expected += ["ix:P-440000-01:r1", shape, shape]
    assert rules([*bad, item(2)]) == [*expected, "ix:P-440000-01:r2"]


def test_a_bad_text_spoils_its_own_item_only() -> None:
    body = page([item(1), item(2)], "2", False).replace("第1课".encode(), rb"\ud800")
    (one,) = FEED.read({}, Response.of(body))
    first, second = FEED.parse(one.entries, b"")
    assert isinstance(first, Fault)
    assert first.rule == "json.text"
    assert not isinstance(second, Fault)


@pytest.mark.parametrize("count", [1, 2, 5, 6, 9])
def test_a_lost_cursor_is_healed_by_the_snapshot_and_what_follows(count: int) -> None:
    peer = Peer(count, kept=count - 1)
    pages = run(peer, {"cursor": "-1"})
    assert names(pages) == [f"r{n}" for n in range(count)]
    listed = [one for one in pages if one.listing]
    assert [one.complete for one in pages if one.complete is not None] == [frozenset({listed[0].listing})]
    assert len({one.listing for one in listed}) == 1
    assert pages[-1].checkpoint == {"cursor": str(count)}
    for stop in range(1, len(pages)):
        begun = run(peer, {"cursor": "-1"}, stop=stop)
        assert names(begun + run(peer, begun[-1].checkpoint)) == names(pages)


def _in_parts(peer: Peer) -> Any:
    return run(peer, {"cursor": "-1"}, stop=2)[-1].checkpoint


def test_a_part_with_other_bytes_is_refused_and_the_next_run_asks_for_the_latest_snapshot() -> None:
    peer = Peer(6, kept=5)
    at = _in_parts(peer)
    pages = FEED.read(at, Response.of(b"{}", url=f"{ROOT}/x"))
    assert next(pages).checkpoint == {"lost": True}
    with pytest.raises(PeerViolation) as caught:
        next(pages)
    assert caught.value.kind == "ix.part_hash"
    assert names(run(peer, {"lost": True})) == [f"r{n}" for n in range(6)]


@pytest.mark.parametrize("status", [404, 410])
def test_a_part_that_is_gone_may_come_back_under_another_name(status: int) -> None:
    pages = FEED.read(_in_parts(Peer(6, kept=5)), Response.of(b"", status=status))
    assert next(pages).checkpoint == {"lost": True}
    with pytest.raises(PeerUnavailable):
        next(pages)


def _part(content: bytes, records: int = 1) -> dict[str, Any]:
    part = {"href": f"{ROOT}/x", "sha256": sha256(content).hexdigest(), "records": records}
    return {"lost": True, "cursor": "5", "parts": [part]}


def test_a_part_is_unpacked_within_bounds() -> None:
    bomb = gzip.compress(b" " * (ix.FLOOR * 4), mtime=0)
    assert violation(_part(bomb), bomb).kind == "body.bomb"
    many = gzip.compress(b"", mtime=0) + gzip.compress(b" " * ix.FLOOR, mtime=0) * 3
    assert violation(_part(many), many).kind == "body.bomb"
    whole = gzip.compress(json.dumps(item(1)).encode(), mtime=0)
    for content in (whole[:-3], whole + b"rubbish", b"\x1f\x8brubbish"):
        assert violation(_part(content), content).kind == "ix.part_gzip"


def test_a_part_holds_as_many_records_as_its_manifest_says() -> None:
    line = json.dumps(item(1)).encode()
    assert len(next(FEED.read(_part(line), Response.of(line))).entries) == 1
    assert violation(_part(line, 2), line).kind == "ix.shape"
    assert violation(_part(b"{", 1), b"{").kind == "json.malformed"


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        None,
        {"cursor": "1", "count": 0},
        {"cursor": "1", "count": 1, "parts": []},
        {"cursor": "1", "count": 1, "parts": [{"href": "file:///x", "sha256": "", "records": 1}]},
        {"cursor": "1", "count": 1, "parts": [{"href": "http://[", "sha256": "", "records": 1}]},
        {"cursor": "1", "count": 1, "parts": [{"href": 7, "sha256": "", "records": 1}]},
        {"cursor": "1", "count": 1, "parts": [{"href": "x", "sha256": "", "records": "1"}]},
    ],
)
def test_manifests_that_are_none(body: Any) -> None:
    assert violation({"lost": True}, json.dumps(body).encode()).kind == "ix.shape"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"{}", "ix.shape"),
        (b"[]", "json.malformed"),
        (b"<html>", "page.html"),
        (b'{"items":[', "json.malformed"),
        (b'{"items":{},"next":"1","more":false}', "json.malformed"),
        (b'{"items":[],"next":1,"more":false}', "ix.shape"),
        (b'{"items":[],"next":"1","more":0}', "ix.shape"),
        (b'{"items":[],"items":[],"next":"1","more":false}', "json.duplicate_key"),
    ],
)
def test_pages_that_are_none(content: bytes, kind: str) -> None:
    assert violation({}, content).kind == kind


def test_a_cursor_that_does_not_move_twice_is_a_loop() -> None:
    content = page([], "7", True)
    (one,) = FEED.read({"cursor": "7"}, Response.of(content))
    assert not one.done
    assert violation(one.checkpoint, content).kind == "page.loop"
    moved = next(FEED.read(one.checkpoint, Response.of(page([], "8", True))))
    assert moved.checkpoint == {"cursor": "8"}


def test_a_snapshot_whose_own_cursor_is_gone_is_a_loop() -> None:
    with pytest.raises(PeerViolation) as caught:
        run(Peer(6, kept=9))
    assert caught.value.kind == "page.loop"


@pytest.mark.parametrize(
    ("status", "checkpoint", "kind"),
    [
        (503, {}, PeerUnavailable),
        (500, {"lost": True}, PeerUnavailable),
        (401, {}, PeerRefused),
        (404, {}, PeerRefused),
        (410, {"lost": True}, PeerRefused),
    ],
)
def test_statuses(status: int, checkpoint: Any, kind: type[PeerError]) -> None:
    assert type(violation(checkpoint, b"", status)) is kind


def test_a_scope_cannot_leave_its_place_in_the_address() -> None:
    feed = Ix(base_url="https://peer.example.org", scope="platform:P-440000-01/../?x")
    address = "https://peer.example.org/ix/v1/platform:P-440000-01%2F..%2F%3Fx/changes?cursor=a%26b&limit=500"
    assert feed.request({"cursor": "a&b"}).url == address


STATES: list[dict[str, Any]] = [{}, {"cursor": "1"}, {"lost": True}, _part(b"", 0)]


@given(
    st.binary(max_size=80) | st.text(alphabet='[]{}",:idnextmor1 \\u', max_size=80).map(str.encode), st.integers(0, 3)
)
def test_hostile_bytes_raise_only_what_is_foreseen(content: bytes, state: int) -> None:
    with suppress(PeerError):
        list(FEED.read(STATES[state], Response.of(content, url=ROOT)))
    assert len(list(FEED.parse([Entry("x", content)], b""))) == 1


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "op", "record"]), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from(list(item(1))), JSON))
def test_no_item_can_stop_its_page(other: dict[str, Any]) -> None:
    assert rules([item(1, **other), item(2)])[1] == "ix:P-440000-01:r2"


def test_real_poems_through_changes_and_snapshot(data: Path) -> None:
    poems = json.loads((data / "chinese-poetry" / "poet.tang.0.json").read_bytes())
    for kept in (0, len(poems) - 1):
        peer = Peer(0, kept)
        peer.limit = peer.part = 300
        for poem in poems:
            id = f"ix:P-440000-01:{poem['id']}"
            record = {"id": id, "title": poem["title"], "description": "\n".join(poem["paragraphs"])}
            peer.items.append(item(0, id=id, record=record, hash=content_hash(canonical(record))))
        drafts = [draft for one in run(peer) for draft in FEED.parse(one.entries, b"")]
        assert [draft["title"] for draft in drafts if not isinstance(draft, Fault)] == [p["title"] for p in poems]


STATIC = Ix(base_url="https://peer.example.org/hub/", level="L0")


def test_a_platform_of_files_is_read_whole_and_only_when_its_manifest_changed() -> None:
    peer = Peer(9)
    manifest = json.dumps(peer.manifest()).encode()
    first = next(iter(STATIC.read({}, Response.of(manifest, url=f"{ROOT}/snapshots/latest"))))
    checkpoint, seen = first.checkpoint, 0
    while not first.done:
        request = STATIC.request(checkpoint)
        for first in STATIC.read(checkpoint, peer.get(request.url)):
            checkpoint, seen = first.checkpoint, seen + len(list(first.entries))
    assert (seen, first.complete, set(checkpoint)) == (8, frozenset({first.listing}), {"cursor"})
    assert STATIC.request(checkpoint).url == f"{ROOT}/snapshots/latest"
    (same,) = STATIC.read(checkpoint, Response.of(manifest, url=f"{ROOT}/snapshots/latest"))
    assert (same.done, same.complete, same.checkpoint) == (True, None, checkpoint)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_files_that_are_not_there_are_a_refusal_and_no_lost_cursor(status: int) -> None:
    with pytest.raises(PeerRefused):
        list(STATIC.read({}, Response.of(b"", url=f"{ROOT}/snapshots/latest", status=status)))
