"""Versioned static parts: manifests of every shape, paging and resumption, real poems (data sections 0, 1 and 6)."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.connector import Entry, Fault, Page, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from connectors.static_parts import StaticParts

BASE = "https://catalogue.example.org/v/"
FEED = StaticParts(manifest_url=BASE + "data_version.json")


def manifest(urls: Any, version: Any = 1, module: str = "lessons") -> dict[str, Any]:
    """A manifest of one module."""
    return {"module": module, "module_version": version, "urls": urls}


def records(start: int, count: int) -> list[dict[str, Any]]:
    """Records with ids from `start`."""
    return [{"id": f"r{n}", "title": f"第{n}课"} for n in range(start, start + count)]


class Site:
    """Files by URL, and the requests that were made."""

    def __init__(self, **files: Any) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        for name, content in files.items():
            self.put(name, content)

    def put(self, name: str, content: Any) -> None:
        """A file beside the manifest, or the manifest itself under the name `manifest`."""
        path = "data_version.json" if name == "manifest" else f"{name}.json"
        self.files[BASE + path] = content if isinstance(content, bytes) else json.dumps(content).encode()

    def get(self, url: str) -> Response:
        """The file, or 404."""
        self.asked.append(url.removeprefix(BASE))
        if url not in self.files:
            return Response.of(b"<html>", url=url, status=404)
        return Response.of(self.files[url], url=url)


def run(
    site: Site, checkpoint: Any = None, feed: StaticParts = FEED, stop: int = 1000, stored: Any = None
) -> list[Page]:
    """The pages of a run, cut off after `stop` of them; `stored` keeps those before an error."""
    found: list[Page] = [] if stored is None else stored
    at: Any = checkpoint or {}
    while not (found and found[-1].done):
        for page in feed.read(at, site.get(feed.request(at).url)):
            # What is stored must be JSON.
            at = json.loads(json.dumps(page.checkpoint))
            found.append(page)
            if len(found) == stop:
                return found
    return found


def names(pages: list[Page]) -> list[str]:
    """The identifiers of all pages."""
    return [entry.identifier for page in pages for entry in page.entries]


def refused(content: Any, checkpoint: Any = None, status: int = 200) -> PeerError:
    """The error an answer gives."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(PeerError) as caught:
        list(FEED.read(checkpoint or {}, Response.of(body, url=BASE + "x.json", status=status)))
    return caught.value


QUEUED = {"versions": {}, "next": {"lessons": 1}, "parts": {}, "queue": [BASE + "x.json"]}


@pytest.mark.parametrize(
    "document",
    [
        manifest(["a.json", "b.json"]),
        manifest("a.json, b.json,"),
        manifest(["/v/a.json", BASE + "b.json"]),
        {"lessons": {"module_version": 3.5, "urls": ["a.json"]}, "books": {"module_version": "7", "urls": "b.json"}},
        [manifest("a.json"), manifest(["b.json"], module="books")],
    ],
)
def test_every_shape_of_manifest_gives_the_same_records(document: Any) -> None:
    site = Site(manifest=document, a=records(0, 3), b=records(3, 2))
    pages = run(site)
    assert names(pages) == ["r0", "r1", "r2", "r3", "r4"]
    assert pages[-1].complete == frozenset(page.listing for page in pages if page.listing)
    assert len(pages[-1].complete or ()) == 2


@pytest.mark.parametrize("urls", [[], ""])
def test_a_module_that_says_it_is_empty_is_a_complete_listing_of_nothing(urls: Any) -> None:
    """The brake decides whether that is believed; an answer without any module is refused here already."""
    last = run(Site(manifest=manifest(urls)))[-1]
    assert (last.entries, last.complete) == ((), frozenset())


def test_one_module_of_several() -> None:
    document = [manifest("a.json"), manifest("b.json", module="books")]
    books = StaticParts(manifest_url=BASE + "data_version.json", module="books")
    assert names(run(Site(manifest=document, b=records(3, 2)), feed=books)) == ["r3", "r4"]
    with pytest.raises(PeerViolation) as caught:
        run(Site(manifest=manifest("a.json")), feed=books)
    assert caught.value.kind == "parts.manifest"


@pytest.mark.parametrize(
    ("document", "rule"),
    [
        (manifest({"a": 1}), "parts.urls_shape"),
        (manifest(7), "parts.urls_shape"),
        (manifest(None), "parts.urls_shape"),
        (manifest(["a.json", 7]), "parts.urls_shape"),
        (manifest("file:///etc/passwd"), "parts.manifest"),
        (manifest("http://[::1"), "parts.manifest"),
        (manifest("a.json", version=None), "parts.manifest"),
        (manifest("a.json", version=[1]), "parts.manifest"),
        ([manifest("a.json"), manifest("b.json")], "parts.manifest"),
        ({}, "parts.manifest"),
        ([], "parts.manifest"),
        ({"error": "maintenance"}, "parts.manifest"),
        ({"lessons": {"module_version": 1}}, "parts.manifest"),
        ([7], "parts.manifest"),
        (None, "parts.manifest"),
        (b"<html>maintenance</html>", "page.html"),
        (b'{"module_version":1,"urls":"a","urls":"b"}', "json.duplicate_key"),
    ],
)
def test_manifests_that_are_none(document: Any, rule: str) -> None:
    """Above all: nothing here may pass for an empty catalogue."""
    assert refused(document).kind == rule


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"[{}", "json.malformed"),
        (b"{}", "json.malformed"),
        (b"", "json.malformed"),
        (b"<html>", "page.html"),
        (b"[{'id': 1}]", "json.malformed"),
        (b'["\xff"]', "json.text"),
        (b"[" * 100_000, "json.too_deep"),
    ],
)
def test_parts_that_are_none(content: bytes, rule: str) -> None:
    assert refused(content, QUEUED).kind == rule


@pytest.mark.parametrize(
    ("status", "checkpoint", "kind"),
    [
        (404, QUEUED, PeerUnavailable),
        (502, QUEUED, PeerUnavailable),
        (401, QUEUED, PeerRefused),
        (403, QUEUED, PeerRefused),
        (404, {}, PeerRefused),
        (403, {}, PeerRefused),
        (500, {}, PeerUnavailable),
    ],
)
def test_statuses(status: int, checkpoint: Any, kind: type[PeerError]) -> None:
    assert type(refused(b"no", checkpoint, status)) is kind


def test_nothing_is_fetched_while_versions_are_equal() -> None:
    site = Site(manifest=manifest("a.json", 5), a=records(0, 3))
    first = run(site)
    site.asked.clear()
    again = run(site, first[-1].checkpoint)
    assert (site.asked, names(again), again[-1].complete) == (["data_version.json"], [], None)
    assert again[-1].checkpoint == first[-1].checkpoint


@pytest.mark.parametrize("version", [4, 6, "5", None])
def test_versions_are_compared_for_equality_only(version: Any) -> None:
    site = Site(manifest=manifest("a.json", 5), a=records(0, 3))
    first = run(site)
    site.put("manifest", manifest("a.json", version or 4.5))
    site.put("a", records(1, 3))
    assert names(run(site, first[-1].checkpoint)) == ["r1", "r2", "r3"]


def test_only_changed_bytes_are_read_again_and_old_listings_stay() -> None:
    site = Site(manifest=manifest("a.json,b.json", 1), a=records(0, 3), b=records(3, 2))
    first = run(site)
    site.put("manifest", manifest("a.json,b.json", 2))
    site.put("b", records(3, 1))
    again = run(site, first[-1].checkpoint)
    assert names(again) == ["r3"]
    assert frozenset(page.listing for page in again if page.listing) == again[-1].complete
    assert len((again[-1].complete or frozenset()) & (first[-1].complete or frozenset())) == 1


def test_an_unchanged_module_is_not_fetched_but_stays_part_of_everything() -> None:
    site = Site(manifest=[manifest("a.json"), manifest("b.json", 1, "books")], a=records(0, 3), b=records(3, 2))
    first = run(site)
    site.put("manifest", [manifest("a.json"), manifest("b.json", 2, "books")])
    site.asked.clear()
    again = run(site, first[-1].checkpoint)
    assert site.asked == ["data_version.json", "b.json"]
    assert again[-1].complete == first[-1].complete


def test_a_part_that_left_the_manifest_leaves_everything() -> None:
    site = Site(manifest=manifest("a.json,b.json", 1), a=records(0, 3), b=records(3, 2))
    first = run(site)
    site.put("manifest", manifest("b.json", 2))
    last = run(site, first[-1].checkpoint)[-1]
    assert [name.removeprefix(BASE).split("#")[0] for name in last.complete or ()] == ["b.json"]


def test_a_full_run_reads_everything_again_under_the_same_names() -> None:
    site = Site(manifest=manifest("a.json", 5), a=records(0, 3))
    first = run(site)
    again = run(site, FEED.fresh(first[-1].checkpoint))
    assert (names(again), again[-1].complete) == (names(first), first[-1].complete)


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1001])
def test_a_run_cut_after_any_page_goes_on_without_loss_or_repeat(count: int) -> None:
    site = Site(manifest=manifest("a.json,b.json"), a=records(0, count), b=records(5000, 600))
    whole = run(site)
    assert max(len(page.entries) for page in whole) <= 500
    for stop in range(1, len(whole)):
        begun = run(site, stop=stop)
        rest = run(site, begun[-1].checkpoint)
        assert names(begun + rest) == names(whole)
        assert rest[-1].complete == whole[-1].complete
        assert {p.listing for p in begun + rest if p.entries} == {p.listing for p in whole if p.entries}


def test_a_part_that_changed_between_two_pages_is_read_from_its_beginning() -> None:
    site = Site(manifest=manifest("a.json"), a=records(0, 1200))
    begun = run(site, stop=2)
    site.put("a", records(1, 1200))
    rest = run(site, begun[-1].checkpoint)
    assert names(rest) == [f"r{n}" for n in range(1, 1201)]
    assert begun[-1].listing not in (rest[-1].complete or ())


@pytest.mark.parametrize("spoil", [lambda site: site.files.pop(BASE + "b.json"), lambda site: site.put("b", b"[{")])
def test_a_queue_does_not_outlive_its_release(spoil: Callable[[Site], Any]) -> None:
    """A part that can never be had again must not hold the feed for ever: the manifest is asked anew."""
    site = Site(manifest=manifest("a.json,b.json"), a=records(0, 3), b=records(3, 2))
    spoil(site)
    stored: list[Page] = []
    with pytest.raises(PeerError):
        run(site, stored=stored)
    at = stored[-1].checkpoint
    site.put("manifest", manifest("a.json,c.json", 2))
    site.put("c", records(3, 2))
    assert names(run(site, at)) == ["r3", "r4"]


@pytest.mark.parametrize(
    ("stamp", "text"),
    [
        ("2024-03-15T14:30:20.742+0800", "2024-03-15T06:30:20.742000Z"),
        ("2024-03-15T14:30:20+08:00", "2024-03-15T06:30:20.000000Z"),
        ("2024-03-15T06:30:20Z", "2024-03-15T06:30:20.000000Z"),
        ("2024-03-15 14:30:20", "2024-03-15 14:30:20"),
        ("0001-01-01T00:00:00+0800", "0001-01-01T00:00:00+0800"),
        ("昨天", "昨天"),
        (7, None),
    ],
)
def test_stamps(stamp: Any, text: str | None) -> None:
    site = Site(manifest=manifest("a.json"), a=[{"id": "r", "update_time": stamp}])
    assert run(site)[-1].entries[0].stamp == text


def test_bad_records_are_refused_alone() -> None:
    content = (
        rb'[{"id":"a"},7,{"title":"x"},{"id":true},{"id":"b","t":"\ud800"},{"id":"\ud800"},{"id":1234567890123456789}]'
    )
    entries = run(Site(manifest=manifest("a.json"), a=content))[-1].entries
    assert len({entry.identifier.encode() for entry in entries}) == len(entries)
    drafts = list(FEED.parse(entries, b""))
    rules = [draft.rule if isinstance(draft, Fault) else draft["id"] for draft in drafts]
    missing = "record.id_missing"
    assert rules == ["a", "record.shape", missing, missing, "json.text", "json.text", 1234567890123456789]
    assert entries[-1].identifier == "1234567890123456789"


@given(st.binary(max_size=80) | st.text(alphabet='[]{}",:id1 \\u', max_size=60).map(str.encode), st.booleans())
def test_hostile_bytes_raise_only_what_is_foreseen(content: bytes, part: bool) -> None:
    try:
        for page in FEED.read(QUEUED if part else {}, Response.of(content, url=BASE)):
            assert len(list(FEED.parse(page.entries, b""))) == len(page.entries)
    except PeerError:
        pass
    assert len(list(FEED.parse([Entry("x", content)], b""))) == 1


def test_real_poems_in_parts(data: Path) -> None:
    poems = json.loads((data / "chinese-poetry" / "poet.tang.0.json").read_bytes())
    parts = {f"p{n}": poems[n : n + 300] for n in range(0, len(poems), 300)}
    site = Site(manifest=manifest(",".join(f"{name}.json" for name in parts)), **parts)
    pages = run(site)
    assert names(pages) == [poem["id"] for poem in poems]
    assert [draft for page in pages for draft in FEED.parse(page.entries, b"")] == poems
    assert len(pages[-1].complete or ()) == len(parts)
