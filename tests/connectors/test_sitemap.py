"""Sitemaps and the JSON-LD of their pages: indexes, hints, hostile sites, and when absence means deletion."""

import gzip
import html
import json
import time
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import pages, sitemaps, walk
from app.protocol.connector import Entry, Fault, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from app.protocol.sitemaps import Document, Item
from connectors.sitemap import Sitemap
from tests.connectors.driving import Answer, Site, drafts, entries, resumes_everywhere, rules, run

BASE = "https://www.example.org/"
FEED = Sitemap.model_validate({"sitemap_url": BASE + "sitemap.xml"})
CRUMBS = {"@context": "https://schema.org", "@type": "BreadcrumbList", "itemListElement": []}


def listing(*names: str, index: bool = False, **stamps: str) -> bytes:
    return sitemaps.render(Document([Item(BASE + name, stamps.get(name)) for name in names], index))


def page(*blocks: Any) -> bytes:
    scripts = "".join(f'<script type="application/ld+json">{json.dumps(block)}</script>' for block in blocks)
    return f"<!doctype html><html><head>{scripts}<script>var x = '</b>';</script></head><body>x</body></html>".encode()


def lesson(name: str, **more: Any) -> dict[str, Any]:
    return {"@context": "https://schema.org", "@type": "LearningResource", "name": name, **more}


def site(*names: str, **more: Answer) -> Site:
    files: dict[str, Answer] = {BASE + "sitemap.xml": listing(*names)}
    files |= {BASE + name: page(CRUMBS, lesson(name)) for name in names}
    return Site(files | {BASE + name: answer for name, answer in more.items()})


def test_each_page_gives_its_resource_and_a_complete_walk_is_a_complete_listing() -> None:
    found = run(FEED, site("a", "b", "c"))
    assert drafts(FEED, found) == {BASE + name: {"title": name, "location": [BASE + name]} for name in "abc"}
    assert found[-1].complete == {page.listing for page in found}
    assert found[-1].checkpoint == {"since": "2026-11-11T08:00:00Z"}


def test_it_goes_on_from_every_page() -> None:
    inner = {BASE + "1.xml": listing("a", "b"), BASE + "2.xml": gzip.compress(listing("c"))}
    walked = site("a", "b", "c")
    walked.answers |= {**inner, BASE + "sitemap.xml": listing("1.xml", "2.xml", index=True)}  # type: ignore[operator]
    resumes_everywhere(FEED, walked)


def test_long_lists_are_read_in_windows_and_the_state_stays_small() -> None:
    walked = site(*(f"p{number}" for number in range(350)))
    found = run(FEED, walked)
    assert len(entries(found)) == 350
    assert walked.asked.count(BASE + "sitemap.xml") == 4
    assert max(len(json.dumps(page.checkpoint)) for page in found) < 20_000


def test_a_list_that_moves_while_it_is_read_concludes_nothing() -> None:
    walked, lists = site(*(f"p{number}" for number in range(150))), [150, 149]

    def answer(url: str) -> Answer:
        if url.endswith("sitemap.xml"):
            return listing(*(f"p{number}" for number in range(lists.pop(0) if lists else 149)))
        return walked.answers[url]  # type: ignore[index]

    assert run(FEED, Site(answer))[-1].complete is None


def test_lastmod_is_a_hint_that_saves_requests_and_then_nothing_is_concluded() -> None:
    names, stamps = ("old", "day", "none", "wrong", "future"), {
        "old": "2026-11-01T00:00:00Z", "day": "2026-11-10", "wrong": "yesterday", "future": "2999-01-01",
    }  # fmt: skip
    walked = site(*names)
    walked.answers[BASE + "sitemap.xml"] = listing(*names, **stamps)  # type: ignore[index]
    found = run(FEED, walked, {"since": "2026-11-11T08:00:00Z"})
    assert [entry.identifier for entry in entries(found)] == [BASE + name for name in names[1:]]
    assert found[-1].complete is None
    assert len(entries(run(FEED, walked, FEED.fresh({"since": "2026-11-11T08:00:00Z"})))) == 5


@pytest.mark.parametrize(
    "blocks",
    [
        [CRUMBS, lesson("it")],
        [{"@context": "https://schema.org", "@graph": [CRUMBS, {"@type": "Organization", "name": "o"}, lesson("it")]}],
        [{"@type": "WebPage", "name": "page", "mainEntity": lesson("it")}],
        [{"@type": "CreativeWork", "name": "part"}, lesson("it")],
        [[CRUMBS, {"@type": ["CreativeWork", "https://schema.org/LearningResource"], "name": "it"}]],
        [{"@type": "Article", "name": "a"}, {"@type": "CreativeWork", "name": "it", "learningResourceType": "video"}],
        [{"type": "LearningResource", "id": "https://a.test", "name": "it"}],
    ],
)
def test_the_resource_is_chosen_and_not_what_surrounds_it(blocks: list[Any]) -> None:
    (draft,) = drafts(FEED, run(FEED, site("a", a=page(*blocks)))).values()
    assert not isinstance(draft, Fault)
    assert draft["title"] == "it"


def test_pages_without_a_resource_and_failing_pages_are_refused_by_name_and_kept() -> None:
    walked = site(
        "plain", "crumbs", "json", "down", "gone", "ok", plain=b"<p>about us", crumbs=page(CRUMBS),
        json=b'<script type="application/ld+json">{"@type": "Course", }</script>', down=(500, b""), gone=(410, b""),
    )  # fmt: skip
    found = run(FEED, walked)
    assert rules(drafts(FEED, found)) == {
        BASE + "plain": "sitemap.no_resource", BASE + "crumbs": "sitemap.no_resource",
        BASE + "json": "json.malformed", BASE + "down": "sitemap.page_failed",
    }  # fmt: skip
    # A page that failed is in the listing, so that its record stays; one that is gone is not.
    assert BASE + "gone" not in {entry.identifier for entry in entries(found)}
    assert found[-1].complete is not None
    assert found[-1].checkpoint == {}, "a failed page is asked again: the clock stays"


def test_a_site_that_is_down_ends_the_run_and_the_next_goes_on_behind_it() -> None:
    names = [f"p{number}" for number in range(8)]
    walked, kept = site(*names, **{name: (500, b"") for name in names[:7]}), []
    with pytest.raises(PeerUnavailable):
        run(FEED, walked, kept=kept)
    found = run(FEED, walked, kept[-1].checkpoint)
    assert [entry.identifier for entry in entries(kept + found)] == [BASE + name for name in names]


def test_only_pages_that_are_asked_for_are_read() -> None:
    feed = Sitemap.model_validate({"sitemap_url": BASE + "sitemap.xml", "include": [BASE + "m/*"]})
    assert [entry.identifier for entry in entries(run(feed, site("m/a", "about")))] == [BASE + "m/a"]


def test_addresses_of_other_hosts_are_not_asked() -> None:
    """A site may not send the hub elsewhere; `hosts` names where else its pages are."""
    urls = ["https://other.test/a", "ftp://www.example.org/a", "http://[", "https://u@www.example.org/a", BASE + "ok"]
    walked = site("ok")
    walked.answers[BASE + "sitemap.xml"] = sitemaps.render(Document([Item(url) for url in urls]))  # type: ignore[index]
    assert set(rules(drafts(FEED, run(FEED, walked))).values()) == {"sitemap.foreign"}
    assert walked.asked == [BASE + "sitemap.xml", BASE + "ok"]
    wide = Sitemap.model_validate({"sitemap_url": BASE + "sitemap.xml", "hosts": ["other.test"]})
    run(wide, walked)
    assert "https://other.test/a" in walked.asked


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("/课程?第=1#x", BASE + "%E8%AF%BE%E7%A8%8B?%E7%AC%AC=1"), (" a b\n", BASE + "a%20b"), ("%E8%AF%BE", BASE + "%E8%AF%BE"),
        ("https://例子.test/a", "https://xn--fsqu00a.test/a"), ("http://www.example.org/a", "http://www.example.org/a"),
        ("javascript:alert(1)", None), ("//evil.test/a", None), ("https://www.example.org:99999/", None),
        ("https://www.example.org@evil.test/", None), (BASE + "a" * 2100, None),
    ],
)  # fmt: skip
def test_addresses_are_made_absolute_and_ascii(url: str, asked: str | None) -> None:
    assert walk.address(BASE, url, ["xn--fsqu00a.test"]) == asked


@pytest.mark.parametrize(
    ("files", "kind", "most"),
    [
        ({"sitemap.xml": listing("sitemap.xml", index=True)}, "page.loop", 1),
        ({"sitemap.xml": b"<html>"}, "page.html", 1), ({"sitemap.xml": b"<rss/>"}, "sitemap.root", 1),
        ({"sitemap.xml": b"\x1f\x8b junk"}, "sitemap.gzip", 1),
        ({"sitemap.xml": gzip.compress(b"<urlset>" + b" " * (70 << 20))}, "body.bomb", 1),
        ({"sitemap.xml": b"<!DOCTYPE urlset><urlset/>"}, "xml.doctype_forbidden", 1),
        ({"sitemap.xml": b"<urlset>" + b"<url><loc>https://www.example.org/x</loc></url>" * 50_001 + b"</urlset>"}, "page.limit", 1),
    ],
)  # fmt: skip
def test_hostile_sitemaps_are_refused_by_name(files: dict[str, bytes], kind: str, most: int) -> None:
    walked = Site({BASE + name: content for name, content in files.items()})
    with pytest.raises(PeerViolation) as refused:
        run(FEED, walked)
    assert (refused.value.kind, len(walked.asked)) == (kind, most)


def test_bombs_cost_no_more_than_their_limits() -> None:
    bombs = [gzip.compress(b" " * (512 << 20), 1), b"<urlset>" + b"<a/>" * 4_000_001 + b"</urlset>"]
    for bomb in bombs:
        tracemalloc.start()
        started = time.perf_counter()
        with pytest.raises(PeerViolation):
            sitemaps.parse(bomb)
        peak, spent = tracemalloc.get_traced_memory()[1], time.perf_counter() - started
        tracemalloc.stop()
        assert peak < 140 << 20
        assert spent < 10, "seconds, on a busy machine"


def test_indexes_inside_indexes_without_end_are_cut() -> None:
    walked = Site(lambda url: listing(f"{url.rpartition('/')[2]}x", index=True))
    found = run(FEED, walked)
    assert list(rules(drafts(FEED, found)).values()) == ["page.loop"]
    assert (len(walked.asked) <= walk.DEPTH + 1, found[-1].complete) == (True, None)


def test_a_broken_file_of_an_index_is_named_and_the_others_are_read() -> None:
    walked = site("a", **{"1.xml": (404, b""), "2.xml": listing("a")})
    walked.answers[BASE + "sitemap.xml"] = listing("1.xml", "2.xml", index=True)  # type: ignore[index]
    found = run(FEED, walked)
    assert rules(drafts(FEED, found)) == {BASE + "1.xml": "peer.refused"}
    assert (len(entries(found)), found[-1].complete) == (2, None)


@pytest.mark.parametrize(("status", "kind"), [(403, PeerRefused), (404, PeerRefused), (500, PeerUnavailable)])
def test_a_sitemap_that_is_gone_empties_nothing(status: int, kind: type[Exception]) -> None:
    kept: list[Any] = []
    with pytest.raises(kind):
        run(FEED, Site({BASE + "sitemap.xml": (status, b"")}), {"since": "2026-01-01T00:00:00Z"}, kept=kept)
    assert [(page.complete, page.checkpoint) for page in kept] == [(None, {"since": "2026-01-01T00:00:00Z"})]


@pytest.mark.parametrize(
    ("content", "charset", "title"),
    [
        (page(lesson("课")).decode().encode(), None, "课"),
        (
            b'<meta charset="gb2312"><script type="application/ld+json">{"@type":"Course","name":"\xbf\xce"}</script>',
            None,
            "课",
        ),
        (b'<script type="application/ld+json">{"@type":"Course","name":"\xbd\xd2"}</script>', "big5", "課"),
    ],
)
def test_pages_in_chinese_encodings_are_read(content: bytes, charset: str | None, title: str) -> None:
    found, _ = pages.resource(pages.blocks(content, charset))
    assert found is not None
    assert found["name"] == title


def test_an_encoding_nobody_reads_is_named() -> None:
    found = drafts(FEED, run(FEED, site("a", a=b'<meta charset="utf-7">')))
    assert rules(found) == {BASE + "a": "page.encoding"}


@pytest.mark.parametrize(
    ("fragment", "text"),
    [
        ("no markup at all", "no markup at all"), ("a &lt; b &amp; c", "a < b & c"), ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<p>一</p><p>二<br>三</p>", "一\n二\n三"), ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<script>alert(1)</script>x<style>p{}</style>", "x"), ("<img src=x onerror=alert(1)>y", "y"), ("", ""), ("<!-- -->", ""),
        ("<b>ཨོཾ</b> \u0626\u06c7\u064a", "ཨོཾ \u0626\u06c7\u064a"),
    ],
)  # fmt: skip
def test_markup_becomes_text(fragment: str, text: str) -> None:
    assert pages.plain(fragment) == text


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn"))))
def test_escaped_text_comes_back_as_it_was(text: str) -> None:
    assert pages.plain(f"<div><p>{html.escape(text)}</p></div>") == " ".join(text.split())


@given(
    st.lists(st.builds(Item, st.text("ab/:?&<\"'é课", min_size=1), st.none() | st.just("2026-01-01"), st.dictionaries(st.sampled_from(["hash", "change"]), st.text("ab:& é", min_size=1).map(str.strip).filter(bool).map(lambda text: " ".join(text.split()))))),
    st.booleans(),
)  # fmt: skip
def test_what_is_rendered_is_parsed_back(items: list[Item], index: bool) -> None:
    document = Document(tuple(items), index, {"capability": "resourcelist"})
    assert sitemaps.parse(sitemaps.render(document)) == document


@given(
    st.binary(max_size=300)
    | st.text(max_size=200).map(lambda text: f"<urlset><url><loc>{text}".encode(errors="replace")),
    st.booleans(),
)
def test_hostile_bytes_raise_nothing_but_violations(content: bytes, inside: bool) -> None:
    at: Any = (
        {
            "stack": [{"page": BASE + "a", "id": BASE + "a", "stamp": None}],
            "files": 0,
            "whole": True,
            "run": "r",
            "started": None,
        }
        if inside
        else {}
    )
    try:
        found = list(FEED.read(at, Response.of(content, url=BASE)))
    except PeerError:
        return
    for step in found:
        assert len(list(FEED.parse(step.entries, step.context))) == len(step.entries)
    assert len(list(FEED.parse([Entry("x", content)], content))) == 1


def test_real_sitemaps_and_pages(data: Path) -> None:
    folder = data / "sitemap-jsonld-html"
    counts = {
        name: len(sitemaps.parse((folder / f"{name}-sitemap.xml").read_bytes()).items)
        for name in ("hoou", "oerbw", "oncampus")
    }
    assert counts == {"hoou": 10, "oerbw": 10, "oncampus": 11}
    for file in folder.glob("*.html"):
        chosen, broken = pages.resource(pages.blocks(file.read_bytes()))
        assert (chosen or {})["@type"] == "CreativeWork"
        assert broken == b""
