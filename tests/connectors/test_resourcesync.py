"""ResourceSync: baselines, changes, dumps with fixity, other people's documents, and what may be concluded."""

import hashlib
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from resync import ChangeList, Resource, ResourceList
from resync.resource_dump_manifest import ResourceDumpManifest

from app.protocol import resourcesync, sitemaps
from app.protocol.connector import Entry, Fault, Page, Response
from app.protocol.errors import PeerError, PeerUnavailable, PeerViolation
from app.protocol.sitemaps import Document, Item, Link
from connectors.resourcesync import ResourceSync
from tests.connectors.driving import Answer, Site, drafts, entries, resumes_everywhere, rules, run

BASE = "http://source.example.org/"
FEED = ResourceSync.model_validate({"base_url": BASE})
DUMPS = ResourceSync.model_validate({"base_url": BASE, "prefer": "dump"})
SINCE = {"since": "2026-11-10T00:00:00Z"}
AT = "2026-11-11T07:00:00Z"


def raw(name: str) -> bytes:
    return orjson.dumps({"title": name})


def names(found: list[Page]) -> list[str]:
    return [f"{'-' if entry.deleted else ''}{entry.identifier.removeprefix(BASE)}" for entry in entries(found)]


def offered(*capabilities: str) -> dict[str, Answer]:
    items = [Item(f"{BASE}{name}.xml", md={"capability": name}) for name in capabilities]
    sets = [Item(f"{BASE}caps.xml", md={"capability": "capabilitylist"})]
    return {
        BASE.rstrip("/") + resourcesync.WELL_KNOWN: sitemaps.render(resourcesync.document("description", sets)),
        f"{BASE}caps.xml": sitemaps.render(resourcesync.document("capabilitylist", items)),
    }


def baseline(*resources: str, **md: str) -> dict[str, Answer]:
    """Lists and resources as bytes."""
    items = [resourcesync.listed(BASE + name, raw(name)) for name in resources]
    listed = sitemaps.render(resourcesync.document("resourcelist", items, at=AT, **md))
    return {f"{BASE}resourcelist.xml": listed, **{BASE + name: raw(name) for name in resources}}


def news(*changes: tuple[str, str, str], start: str = "2026-11-01T00:00:00Z") -> dict[str, Answer]:
    items = [resourcesync.changed(BASE + name, change, at, raw(name)) for name, change, at in changes]
    files: dict[str, Answer] = {BASE + name: raw(name) for name, change, _ in changes if change != "deleted"}
    return files | {f"{BASE}changelist.xml": sitemaps.render(resourcesync.document("changelist", items, from_=start))}


def test_a_baseline_is_found_from_the_root_of_a_site_and_is_a_complete_listing() -> None:
    site = Site(offered("resourcelist", "changelist") | baseline("a", "b"))
    found = run(FEED, site)
    assert drafts(FEED, found) == {BASE + "a": {"title": "a"}, BASE + "b": {"title": "b"}}
    assert found[-1].complete == {found[-1].listing}
    assert found[-1].checkpoint == {"since": AT}, "changes after the snapshot began are still to come"
    resumes_everywhere(FEED, site)


def test_changes_since_then_are_read_and_only_the_latest_of_a_resource() -> None:
    day = "2026-11-10T{}:00:00Z".format
    changes = news(
        ("old", "created", "2026-11-09T00:00:00Z"), ("a", "created", day("01")), ("b", "updated", day("02")),
        ("a", "deleted", day("03")), ("c", "deleted", day("04")), ("c", "created", day("05")),
    )  # fmt: skip
    site = Site(offered("resourcelist", "changelist") | changes)
    found = run(FEED, site, SINCE)
    assert names(found) == ["-a", "b", "c"]
    assert (found[-1].complete, found[-1].checkpoint) == (None, {"since": day("05")})
    resumes_everywhere(FEED, site, SINCE)


def test_no_changes_are_no_news() -> None:
    found = run(FEED, Site(offered("resourcelist", "changelist") | news()), SINCE)
    assert (entries(found), found[-1].complete, found[-1].checkpoint) == ([], None, SINCE)


def test_a_date_of_2999_moves_nothing_beyond_the_servers_clock() -> None:
    changes = news(("a", "created", "2999-01-01T00:00:00Z"))
    assert run(FEED, Site(offered("changelist") | changes), SINCE)[-1].checkpoint == {"since": "2026-11-11T08:00:00Z"}
    assert run(FEED, Site(offered("changelist") | changes, date=None), SINCE)[-1].checkpoint == SINCE


def test_change_lists_that_no_longer_reach_back_lead_to_a_new_baseline() -> None:
    files = offered("resourcelist", "changelist") | baseline("a") | news(start="2026-11-10T12:00:00Z")
    found = run(FEED, Site(files), SINCE)
    assert (names(found), found[-1].checkpoint) == (["a"], {"since": AT})
    assert found[-1].complete == {found[-1].listing}


def test_an_index_is_read_where_a_list_is_expected_and_lists_under_other_names() -> None:
    parts = [Item(f"{BASE}part{number}.xml", md={"at": AT}) for number in (1, 2)]
    index = sitemaps.render(Document(parts, index=True, md={"capability": "resourcelist"}))
    plain = sitemaps.render(Document([Item(BASE + "b")]))  # no rs:md at all
    files = offered("resourcelist") | baseline("a", "b")
    files |= {
        f"{BASE}part1.xml": files[f"{BASE}resourcelist.xml"],
        f"{BASE}part2.xml": plain,
        f"{BASE}resourcelist.xml": index,
    }
    site = Site(files)
    assert names(run(FEED, site)) == ["a", "b", "b"]
    resumes_everywhere(FEED, site)


def test_fixity_is_checked_and_the_clock_waits_for_a_repair() -> None:
    files = offered("resourcelist") | baseline("a", "b") | {BASE + "b": b'{"title": "other"}'}
    found = run(FEED, Site(files))
    assert rules(drafts(FEED, found)) == {BASE + "b": "resourcesync.fixity"}
    assert found[-1].checkpoint == {}


@pytest.mark.parametrize("name", ["md5", "sha-1", "sha-256", "sha-512"])
def test_each_algorithm_is_checked_and_unknown_ones_prove_nothing(name: str) -> None:
    digest = hashlib.new(name.replace("-", ""), b"x", usedforsecurity=False).hexdigest()
    assert resourcesync.broken(b"x", {"hash": f"crc:1 {name}:{digest.upper()}", "length": "1"}) is None
    assert resourcesync.broken(b"y", {"hash": f"crc:1 {name}:{digest}"}) is not None
    assert resourcesync.broken(b"xx", {"length": "1"}) is not None


def test_metadata_that_a_resource_links_to_stands_for_it() -> None:
    """The specification's example 28: a PDF, and its Dublin Core beside it; both lines are one record."""
    dc = b'<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>T</dc:title></oai_dc:dc>'
    pdf, meta = BASE + "a.pdf", BASE + "a.xml"
    items = [
        Item(pdf, md={"hash": "md5:0"}, links=[Link("describedby", meta)]),
        Item(meta, links=[Link("describes", pdf)]),
    ]
    site = Site(offered("resourcelist") | {f"{BASE}resourcelist.xml": sitemaps.render(Document(items)), meta: dc})
    assert drafts(FEED, run(FEED, site)) == {pdf: {"title": "T"}}
    assert pdf not in site.asked


def dump(*resources: str, **replaced: bytes) -> bytes:
    items = [resourcesync.listed(BASE + name, raw(name), path=f"/r/{name}") for name in resources]
    files = {f"r/{name}": replaced.get(name, raw(name)) for name in resources}
    return resourcesync.dump(resourcesync.document("resourcedump-manifest", items, at=AT), files)


def dumps(kind: str, **parts: bytes) -> dict[str, Answer]:
    items = [Item(f"{BASE}{name}.zip", md={"type": "application/zip"}) for name in parts]
    files: dict[str, Answer] = {f"{BASE}{name}.zip": content for name, content in parts.items()}
    return files | {f"{BASE}{kind}.xml": sitemaps.render(resourcesync.document(kind, items, at=AT))}


def test_a_dump_replaces_a_thousand_requests() -> None:
    many = [f"r{number}" for number in range(1234)]
    site = Site(offered("resourcelist", "resourcedump") | dumps("resourcedump", p1=dump(*many), p2=dump("x")))
    found = run(DUMPS, site)
    assert (len(entries(found)), len(site.asked)) == (1235, 5)
    assert max(len(page.entries) for page in found) == 500
    assert found[-1].complete == {found[-1].listing}
    resumes_everywhere(DUMPS, site)


def test_damaged_files_of_a_dump_are_named_and_the_others_stored() -> None:
    files = offered("resourcedump") | dumps("resourcedump", p=dump("a", "b", "c", b=b"{}"))
    found = run(DUMPS, Site(files))
    assert rules(drafts(DUMPS, found)) == {BASE + "b": "resourcesync.fixity"}
    assert len(entries(found)) == 3


def test_a_change_dump_brings_deletions() -> None:
    items = [
        resourcesync.changed(BASE + "a", "updated", AT, raw("a"), path="/a"),
        resourcesync.changed(BASE + "b", "deleted", AT),
    ]
    packed = resourcesync.dump(resourcesync.document("changedump-manifest", items), {"a": raw("a")})
    found = run(DUMPS, Site(offered("changedump", "resourcedump") | dumps("changedump", p=packed)), SINCE)
    assert (names(found), found[-1].complete, found[-1].checkpoint) == (["a", "-b"], None, {"since": AT})


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    body = BytesIO()
    with zipfile.ZipFile(body, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a name twice is what some of these files are about
        for name, content in files:
            archive.writestr(name, content)
    return body.getvalue()


MANIFEST = sitemaps.render(Document([Item(BASE + "a", md={"path": "/a"})], md={"capability": "resourcedump-manifest"}))


def lying(size: int) -> bytes:
    """A directory that says it is larger than any honest one."""
    content = bytearray(zipped(("manifest.xml", MANIFEST)))
    at = content.rfind(b"PK\x05\x06")
    content[at + 12 : at + 16] = size.to_bytes(4, "little")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"not a zip", "resourcesync.dump"), (b"PK\x05\x06" + b"\0" * 18, "resourcesync.dump"),
        (zipped(("other.xml", b"")), "resourcesync.dump"), (lying(7 << 20), "resourcesync.dump"),
        (zipped(("manifest.xml", MANIFEST), ("a", b"{}"), ("a", b"[]")), "resourcesync.dump"),
        (zipped(("manifest.xml", MANIFEST), method=zipfile.ZIP_BZIP2), "resourcesync.dump"),
        (zipped(("manifest.xml", b" " * (100 << 20))), "body.bomb"),
        (zipped(("manifest.xml", MANIFEST), ("a", b" " * (9 << 20))), "body.bomb"),
        (zipped(("manifest.xml", b"<!DOCTYPE x><urlset/>")), "xml.doctype_forbidden"),
        (dump("a")[:-60], "resourcesync.dump"),
    ],
)  # fmt: skip
def test_hostile_dumps_are_refused_by_name_and_conclude_nothing(content: bytes, kind: str) -> None:
    found = run(DUMPS, Site(offered("resourcedump") | dumps("resourcedump", p=content)))
    assert list(rules(drafts(DUMPS, found)).values()) == [kind]
    assert (found[-1].complete, found[-1].checkpoint) == (None, {})


@pytest.mark.parametrize(
    ("files", "kind"),
    [
        (offered(), "resourcesync.capability"), (offered("somethingelse"), "resourcesync.capability"),
        (offered("resourcelist") | {f"{BASE}resourcelist.xml": b"<rss/>"}, "sitemap.root"),
        (offered("resourcelist") | {f"{BASE}resourcelist.xml": b"<html>"}, "page.html"),
        ({BASE.rstrip("/") + resourcesync.WELL_KNOWN: sitemaps.render(resourcesync.document("description", [Item(BASE.rstrip("/") + resourcesync.WELL_KNOWN)]))}, "page.loop"),
        ({BASE.rstrip("/") + resourcesync.WELL_KNOWN: sitemaps.render(resourcesync.document("description", [Item("https://other.test/caps.xml")]))}, "resourcesync.capability"),
    ],
)  # fmt: skip
def test_sources_that_lead_nowhere_are_refused_by_name(files: dict[str, Answer], kind: str) -> None:
    kept: list[Page] = []
    with pytest.raises(PeerViolation) as refused:
        run(FEED, Site(files), SINCE, kept=kept)
    assert (refused.value.kind, kept[-1].checkpoint) == (kind, SINCE)


def test_descriptions_without_end_are_cut() -> None:
    site = Site(lambda url: sitemaps.render(resourcesync.document("description", [Item(f"{url}x")])))
    with pytest.raises(PeerViolation) as refused:
        run(FEED, site)
    assert (refused.value.kind, len(site.asked) <= 6) == ("page.loop", True)


def test_a_source_that_is_down_ends_the_run_and_the_next_goes_on_behind_it() -> None:
    many = [f"r{number}" for number in range(8)]
    files = offered("resourcelist") | baseline(*many) | {BASE + name: (500, b"") for name in many[:6]}
    kept: list[Page] = []
    with pytest.raises(PeerUnavailable):
        run(FEED, Site(files), kept=kept)
    assert names(kept + run(FEED, Site(files), kept[-1].checkpoint)) == many


def test_resources_that_are_no_metadata_are_named() -> None:
    texts = {"pdf": b"%PDF-1.7", "png": b"\x89PNG", "xml": b"<other/>", "list": b"[1]", "page": b"<!doctype html><p>x"}
    found = {name: resourcesync.draft(content) for name, content in texts.items()}
    assert {name: draft.rule if isinstance(draft, Fault) else "" for name, draft in found.items()} == {
        "pdf": "resourcesync.no_metadata", "png": "resourcesync.no_metadata", "xml": "resourcesync.no_metadata",
        "list": "record.shape", "page": "resourcesync.no_metadata",
    }  # fmt: skip


@given(st.binary(max_size=300), st.sampled_from(["list", "dump", "page"]))
def test_hostile_bytes_raise_nothing_but_violations(content: bytes, kind: str) -> None:
    step = {kind: BASE, "id": BASE, "stamp": None, "md": {}, "at": 0, "depth": 0, "kind": "resourcedump"}
    at: Any = {"stack": [step], "files": 0, "whole": True, "run": "r", "started": None}
    try:
        found = list(FEED.read(at, Response.of(content, url=BASE)))
    except PeerError:
        return
    for page in found:
        assert len(list(FEED.parse(page.entries, page.context))) == len(page.entries)


def test_all_83_examples_of_others_are_read_and_come_back_as_they_were(data: Path) -> None:
    """Specification 1.0 and 1.1, and the trees of the reference client's own tests."""
    found = [sitemaps.parse(file.read_bytes()) for file in sorted((data / "resourcesync").rglob("*")) if file.is_file()]
    assert len(found) == 83
    assert [document for document in found if sitemaps.parse(sitemaps.render(document)) != document] == []
    assert {document.capability for document in found} >= {
        "description", "capabilitylist", "resourcelist", "resourcedump", "changelist", "changedump",
        "resourcedump-manifest", "changedump-manifest",
    }  # fmt: skip


def test_what_we_render_the_reference_library_reads() -> None:
    items = [resourcesync.listed(BASE + name, raw(name), AT) for name in ("a", "课程")]
    theirs = ResourceList()
    theirs.parse(str_data=sitemaps.render(resourcesync.document("resourcelist", items, up=BASE, at=AT)).decode())
    assert {(one.uri, one.length) for one in theirs} == {(BASE + name, len(raw(name))) for name in ("a", "课程")}
    assert theirs.md_at == AT
    changes = [resourcesync.changed(BASE + "a", "deleted", AT), resourcesync.changed(BASE + "b", "created", AT, b"x")]
    heard = ChangeList()
    heard.parse(str_data=sitemaps.render(resourcesync.document("changelist", changes, from_=AT)).decode())
    assert [(one.uri, one.change, one.datetime) for one in heard] == [
        (BASE + "a", "deleted", AT),
        (BASE + "b", "created", AT),
    ]


def test_what_the_reference_library_renders_we_read() -> None:
    theirs, manifest = ResourceList(), ResourceDumpManifest()
    for name in ("a", "b"):
        digest = hashlib.md5(raw(name), usedforsecurity=False).hexdigest()
        theirs.add(Resource(uri=BASE + name, md5=digest, length=len(raw(name)), lastmod=AT))
        manifest.add(Resource(uri=BASE + name, md5=digest, length=len(raw(name)), lastmod=AT, path=f"/{name}"))
    files: dict[str, Answer] = {BASE + name: raw(name) for name in ("a", "b")}
    site = Site(offered("resourcelist") | files | {f"{BASE}resourcelist.xml": theirs.as_xml().encode()})
    assert drafts(FEED, run(FEED, site)) == {BASE + "a": {"title": "a"}, BASE + "b": {"title": "b"}}
    packed = zipped(("manifest.xml", manifest.as_xml().encode()), ("a", raw("a")), ("b", raw("b")))
    found = run(DUMPS, Site(offered("resourcedump") | dumps("resourcedump", p=packed)))
    assert drafts(DUMPS, found) == {BASE + "a": {"title": "a"}, BASE + "b": {"title": "b"}}


def test_a_mapped_feed_is_given_the_sources_own_object() -> None:
    feed = ResourceSync.model_validate({"base_url": BASE, "mapped": True})
    assert list(feed.parse([Entry("a", b'{"@id": "x", "titel": "T"}')], b"")) == [{"@id": "x", "titel": "T"}]
