"""Feeds of news: every dialect, wrong charsets, paging, and what is never concluded from them."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import syndication
from app.protocol.connector import Fault, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from connectors.syndication import Syndication
from tests.connectors.driving import Site, drafts, entries, resumes_everywhere, rules, run

URL = "https://news.example.org/feed"
FEED = Syndication.model_validate({"feed_url": URL})


def rss(items: str, head: str = '<?xml version="1.0"?>', channel: str = "<language>zh-CN</language>") -> str:
    return f'{head}<rss version="2.0"><channel><title>F</title>{channel}{items}</channel></rss>'


def atom(names: str, after: str | None = None) -> bytes:
    items = "".join(f"<entry><id>urn:{name}</id><title>T {name}</title></entry>" for name in names.split())
    link = f'<link rel="next" href="{after}"/>' if after else ""
    return f'<feed xmlns="{syndication.ATOM}"><title>F</title>{link}{items}</feed>'.encode()


ITEM = (
    "<item><title>声的产生 &amp; 传播</title><link>https://a.test/1</link><guid>g1</guid>"
    "<description>&lt;p&gt;第一段&lt;/p&gt;&lt;script&gt;x()&lt;/script&gt;&lt;p&gt;第二段&amp;nbsp;末&lt;/p&gt;</description>"
    "<category>物理</category><category>物理</category><author>li@a.test (李老师)</author>"
    '<pubDate>Thu, 05 Sep 2024 00:00:01 GMT</pubDate><enclosure url="https://a.test/1.mp3" type="audio/mpeg" length="9"/></item>'
)


def test_an_item_becomes_a_record_in_plain_text() -> None:
    (draft,) = drafts(FEED, run(FEED, Site({URL: rss(ITEM).encode()}))).values()
    assert draft == {
        "title": "声的产生 & 传播", "description": "第一段\n第二段 末", "keywords": ["物理"], "languages": ["zh-CN"],
        "contributors": [{"role": "creator", "name": "李老师"}], "published": "2024-09-05",
        "location": ["https://a.test/1", "https://a.test/1.mp3"], "format": ["audio/mpeg"], "size_bytes": 9,
    }  # fmt: skip


@pytest.mark.parametrize("version", ["0.90", "0.91", "0.92", "0.93", "0.94", "1.0", "2.0"])
def test_every_rss_gives_title_and_link(version: str) -> None:
    item = "<item><title>课</title><link>https://a.test/1</link></item>"
    page = f'<rss version="{version}"><channel><title>F</title>{item}</channel></rss>'
    if version in ("0.90", "1.0"):
        space = "http://my.netscape.com/rdf/simple/0.9/" if version == "0.90" else "http://purl.org/rss/1.0/"
        rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
        page = f'<rdf:RDF xmlns:rdf="{rdf}" xmlns="{space}"><channel><title>F</title></channel>{item}</rdf:RDF>'
    found = drafts(FEED, run(FEED, Site({URL: page.encode()})))
    assert found == {"https://a.test/1": {"title": "课", "location": ["https://a.test/1"]}}


@pytest.mark.parametrize(
    ("encoding", "declared", "header"),
    [
        ("utf-8", "", None), ("gb18030", "GB2312", None), ("gbk", "GBK", "text/xml; charset=utf-8"),
        ("big5hkscs", "Big5", None), ("gb18030", "", "text/xml; charset=gb2312"), ("utf-16", "UTF-16", None),
        ("utf-8", "UTF-8", "text/xml; charset=ISO-8859-1"),
    ],
)  # fmt: skip
def test_wrong_and_chinese_charsets_are_read(encoding: str, declared: str, header: str | None) -> None:
    head = f'<?xml version="1.0" encoding="{declared}"?>' if declared else ""
    page = rss("<item><guid>1</guid><title>國語課</title></item>", head, "").encode(encoding)
    site = Site({URL: page}, content_type=header or "text/xml")
    assert drafts(FEED, run(FEED, site)) == {"1": {"title": "國語課"}}


def test_a_blank_line_before_the_declaration_and_entities_of_html_are_borne() -> None:
    page = "\r\n\n " + rss("<item><guid>1</guid><title>A&nbsp;B&hellip; &amp; &lt;i&gt;C&lt;/i&gt;</title></item>")
    assert drafts(FEED, run(FEED, Site({URL: page.encode()}))) == {"1": {"title": "A B… & C", "languages": ["zh-CN"]}}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!DOCTYPE rss [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><rss><channel/></rss>", "xml.doctype_forbidden"),
        (b"<html><body>login</body></html>", "page.html"), (b"", "page.empty"),
        (b"<urlset/>", "syndication.root"), (b'{"version": 1, "items": []}', "syndication.root"),
        (b'{"version": "https://jsonfeed.org/version/1.1"}', "json.malformed"),
        (rss(ITEM).encode()[:-40], "xml.malformed"),
        (b'<?xml version="1.0" encoding="EUC-KR"?><rss/>', "xml.encoding_not_allowed"),
    ],
)  # fmt: skip
def test_what_is_no_feed_is_refused_by_name(content: bytes, kind: str) -> None:
    with pytest.raises(PeerViolation) as refused:
        run(FEED, Site({URL: content}))
    assert refused.value.kind == kind


def test_absence_is_never_deletion_and_a_tombstone_is() -> None:
    """RFC 6721 is the one way in which a feed says that something is gone."""
    page = atom("a b").replace(
        b"</feed>", b'<deleted-entry xmlns="http://purl.org/atompub/tombstones/1.0" ref="urn:c"/></feed>'
    )
    pages = run(FEED, Site({URL: page}))
    assert [(entry.identifier, entry.deleted) for entry in entries(pages)] == [
        ("urn:a", False),
        ("urn:b", False),
        ("urn:c", True),
    ]
    assert [(page.listing, page.complete) for page in pages] == [(None, None)]


def test_a_paged_feed_is_followed_from_any_page() -> None:
    site = Site({URL: atom("a b", "/feed?2"), URL + "?2": atom("c", "?3"), URL + "?3": atom("d")})
    assert [entry.identifier for entry in entries(run(FEED, site))] == ["urn:a", "urn:b", "urn:c", "urn:d"]
    resumes_everywhere(FEED, site)


@pytest.mark.parametrize(
    ("answers", "kind"),
    [
        ({URL: atom("a", URL)}, "page.loop"),
        ({URL: atom("a", "?2"), URL + "?2": atom("", "?3")}, "page.loop"),
        ({URL: atom("a", "ftp://a.test/2")}, "syndication.next"),
        ({URL: atom("a", "http://[/")}, "syndication.next"),
    ],
)
def test_endless_feeds_are_cut(answers: dict[str, bytes], kind: str) -> None:
    site, kept = Site(answers), []
    with pytest.raises(PeerViolation) as refused:
        run(FEED, site, kept=kept)
    assert (refused.value.kind, len(site.asked) <= 3) == (kind, True)


def test_ever_new_pages_end_at_the_limit_and_the_next_run_begins_again() -> None:
    def answer(url: str) -> bytes:
        number = int(url.partition("?")[2] or 0)
        return atom(f"n{number}", f"?{number + 1}")

    kept: list[object] = []
    with pytest.raises(PeerViolation) as refused:
        run(FEED, Site(answer), kept=kept)  # type: ignore[arg-type]
    assert refused.value.kind == "page.limit"
    assert kept[-1].checkpoint == {}  # type: ignore[attr-defined]


def test_an_unchanged_feed_costs_one_conditional_request() -> None:
    site = Site({URL: atom("a")}, etag='"v1"', last_modified="Wed, 11 Nov 2026 07:00:00 GMT")
    checkpoint = run(FEED, site)[-1].checkpoint
    assert FEED.request(checkpoint).headers == {
        "if-none-match": '"v1"',
        "if-modified-since": "Wed, 11 Nov 2026 07:00:00 GMT",
    }
    (page,) = FEED.read(checkpoint, Response.of(b"", url=URL, status=304))
    assert (page.done, page.entries, page.checkpoint) == (True, (), checkpoint)
    assert FEED.fresh(checkpoint) == {}


@pytest.mark.parametrize(("status", "kind"), [(401, PeerRefused), (404, PeerRefused), (500, PeerUnavailable)])
def test_a_status_is_named(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        run(FEED, Site({URL: (status, b"")}))


def test_one_bad_item_does_not_spoil_its_feed() -> None:
    page = run(FEED, Site({URL: atom("a b")}))[0]
    two = page.entries[0].raw * 2
    found = list(syndication.read([page.entries[0].raw, two, page.entries[1].raw], page.context))
    assert [draft.rule if isinstance(draft, Fault) else draft["title"] for draft in found] == [
        "T a",
        "record.xml",
        "T b",
    ]


def test_json_feed_items_are_read_and_bad_ones_named() -> None:
    items = '[{"id": 7, "title": "课", "content_html": "<b>文</b>", "tags": ["物理"], "language": "zh", "authors": [{"name": "李"}]}, 3, {"title": "x", "title": 1, "n": 1e999}]'
    page = f'{{"version": "https://jsonfeed.org/version/1.1", "items": {items}}}'.encode()
    found = drafts(FEED, run(FEED, Site({URL: page})))
    assert found["7"] == {
        "title": "课", "description": "文", "keywords": ["物理"], "languages": ["zh"],
        "contributors": [{"role": "creator", "name": "李"}],
    }  # fmt: skip
    assert sorted(rules(found).values()) == ["json.number", "record.shape"]


def _looks_misread(text: str) -> bool:
    """Latin-1 letters that happen to be UTF-8: feedparser takes them for a mistake and repairs them."""
    try:
        return text.encode("iso-8859-1").decode() != text
    except UnicodeError:
        return False


TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn", "Co")), min_size=1, max_size=40).map(
    lambda text: " ".join(text.split())
).filter(lambda text: bool(text) and not _looks_misread(text))  # fmt: skip


@given(title=TEXT, description=TEXT, word=TEXT, name=TEXT, rights=TEXT)
def test_what_is_rendered_is_read_back(title: str, description: str, word: str, name: str, rights: str) -> None:
    record = {
        "id": "ix:P-440000-01:f/1", "title": title, "description": f"{description}\n<b>&amp;{description}",
        "keywords": [word], "contributors": [{"role": "creator", "name": name}], "languages": ["bo"],
        "location": ["https://a.test/?a=1&b=2"], "published": "2026-03-01",
        "rights": {"statement": rights, "licence_uri": "https://creativecommons.org/licenses/by/4.0/"},
    }  # fmt: skip
    about = {"id": "urn:f", "title": "F", "updated": "2026-03-01T00:00:00Z", "self": "https://a.test/f", "author": "A"}
    feed = syndication.cut(syndication.render(about, [(record, "2026-03-02T00:00:00Z")]))
    (draft,) = syndication.read([item.raw for item in feed.items], feed.context)
    assert feed.items[0].identifier == record.pop("id")
    assert draft == record


@given(
    st.binary(max_size=400)
    | st.text(max_size=200).map(lambda text: rss(f"<item>{text}</item>").encode(errors="replace"))
)
def test_hostile_bytes_raise_nothing_but_violations(content: bytes) -> None:
    try:
        pages = list(FEED.read({}, Response.of(content, url=URL)))
    except PeerError:
        return
    for page in pages:
        assert len(list(FEED.parse(page.entries, page.context))) == len(page.entries)
        assert len(list(FEED.parse([type(e)("x", content) for e in page.entries], content[:40]))) == len(page.entries)


def test_91_real_and_hostile_feeds_are_read_or_refused_by_name(data: Path) -> None:
    found: Counter[str] = Counter()
    for file in sorted((data / "feeds").rglob("*.*")):
        if file.is_dir():
            continue
        try:
            pages = list(FEED.read({}, Response.of(file.read_bytes(), url=URL)))
            found["items"] += len(entries(pages))
            assert all(page.done or page.checkpoint["next"] for page in pages)
            found["read"] += 1
        except PeerViolation as refused:
            found[refused.kind] += 1
    assert found == {"read": 57, "items": 21, "xml.encoding_not_allowed": 25, "xml.malformed": 9}
