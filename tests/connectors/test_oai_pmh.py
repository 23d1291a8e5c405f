"""The OAI-PMH connector as a state machine: what it asks, where it goes on, when it stops."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import orjson
import pytest

from app.harvest.discovery import kinds
from app.protocol import oaipmh
from app.protocol.connector import Checkpoint, Entry, Fault, Page, Response
from app.protocol.errors import PeerRefused, PeerUnavailable, PeerViolation
from app.protocol.progress import STALE_PAGES
from connectors.oai_pmh import TOKEN_LIMIT, OaiPmh

DATE = "2026-03-01T08:00:00Z"
URL = "http://a.test/oai"
FEED = OaiPmh.model_validate({"base_url": URL})


def identify(deletes: str = "persistent", granularity: str = "YYYY-MM-DDThh:mm:ssZ") -> bytes:
    about = oaipmh.Identity(granularity, deletes, "R", URL, "2001-01-01")
    return oaipmh.envelope(DATE, URL, {}, f"<Identify>{oaipmh.identify(about, 'a@b.test')}</Identify>")


def listing(names: str, token: str | None = None, *, verb: str = "ListRecords", date: str = DATE) -> bytes:
    heads = [oaipmh.header(name, DATE, [], deleted=False) for name in names.split()]
    dc = oaipmh.render_dc({"id": "x", "title": "T"})
    parts = [oaipmh.record(head, dc) for head in heads] if verb == "ListRecords" else heads
    tail = oaipmh.resumption(token, cursor=0, total=9) if token is not None else ""
    return oaipmh.envelope(date, URL, {}, f"<{verb}>{''.join(parts)}{tail}</{verb}>")


def failed(code: str, date: str = DATE) -> bytes:
    return oaipmh.envelope(date, URL, {}, oaipmh.error(code, "words"))


def step(feed: OaiPmh, checkpoint: Checkpoint, content: bytes, status: int = 200, **headers: str) -> Page:
    """One answer; the checkpoint goes through JSON as in the hub."""
    (page,) = feed.read(checkpoint, Response.of(content, status=status, **headers))
    return Page(
        page.entries, orjson.loads(orjson.dumps(page.checkpoint)), page.done,
        page.context, page.listing, page.complete, page.total,
    )  # fmt: skip


def begun(feed: OaiPmh = FEED, checkpoint: Checkpoint | None = None, **about: str) -> Checkpoint:
    return step(feed, checkpoint or {}, identify(**about)).checkpoint


def asked(feed: OaiPmh, checkpoint: Checkpoint) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(feed.request(checkpoint).url).query))


def test_identify_then_the_list_then_tokens_alone() -> None:
    feed = OaiPmh.model_validate({"base_url": URL, "set": "a:b"})
    assert asked(feed, {}) == {"verb": "Identify"}
    at = begun(feed, {"from": DATE})
    assert asked(feed, at) == {"verb": "ListRecords", "metadataPrefix": "oai_dc", "set": "a:b", "from": DATE}
    page = step(feed, at, listing("a b", "t&=1"))
    assert asked(feed, page.checkpoint) == {"verb": "ListRecords", "resumptionToken": "t&=1"}
    assert (page.done, page.total, [entry.identifier for entry in page.entries]) == (False, 9, ["a", "b"])


@pytest.mark.parametrize(
    ("granularity", "overlap", "expected"),
    [
        ("YYYY-MM-DDThh:mm:ssZ", None, "2026-03-01T07:00:00Z"),
        ("YYYY-MM-DDThh:mm:ssZ", 60, "2026-03-01T07:59:00Z"),
        ("YYYY-MM-DD", None, "2026-02-28"),
    ],
)
def test_the_next_run_begins_before_the_first_page(granularity: str, overlap: int | None, expected: str) -> None:
    feed = OaiPmh.model_validate({"base_url": URL, "overlap_s": overlap})
    page = step(feed, begun(feed, granularity=granularity), listing("a", "t"))
    page = step(feed, page.checkpoint, listing("b", "", date="2026-03-01T23:00:00Z"))
    assert page.done
    assert set(page.checkpoint) == {"from"}
    assert asked(feed, begun(feed, page.checkpoint, granularity=granularity))["from"] == expected


@pytest.mark.parametrize("date", ["2026-03-01T08:00:00.25", "2026-03-01T16:00:00+08:00"])
def test_dates_of_careless_repositories_are_understood(date: str) -> None:
    assert step(FEED, begun(), listing("a", date=date)).checkpoint == {"from": "2026-03-01T07:00:00Z"}


@pytest.mark.parametrize("date", ["", "yesterday", "0001-01-01T00:00:00Z"])
def test_a_date_nobody_can_read_moves_nothing(date: str) -> None:
    assert step(FEED, begun(checkpoint={"from": DATE}), listing("a", date=date)).checkpoint == {"from": DATE}


def test_no_records_match_is_success_and_never_a_complete_listing() -> None:
    for status in (200, 422):
        page = step(FEED, begun(deletes="no"), failed("noRecordsMatch"), status)
        assert (page.done, page.listing, page.complete) == (True, None, None)
        assert page.checkpoint == {"from": "2026-03-01T07:00:00Z"}


@pytest.mark.parametrize("deletes", ["no", "transient"])
def test_a_full_run_where_deletions_are_not_kept_is_a_listing(deletes: str) -> None:
    first = step(FEED, begun(deletes=deletes), listing("a", "t"))
    last = step(FEED, first.checkpoint, listing("b", date="2026-03-01T09:00:00Z"))
    assert (first.listing, first.complete) == (f"full-{DATE}", None)
    assert (last.listing, last.complete) == (f"full-{DATE}", frozenset({f"full-{DATE}"}))


def test_other_runs_are_no_listing() -> None:
    assert step(FEED, begun(deletes="persistent"), listing("a")).complete is None
    assert step(FEED, begun(checkpoint={"from": DATE}, deletes="no"), listing("a")).complete is None
    silent = step(FEED, {}, failed("badVerb")).checkpoint
    page = step(FEED, silent, listing("a"))
    assert (page.listing, page.complete) == (None, None)
    assert asked(FEED, {**silent, "from": DATE})["from"] == "2026-03-01"


def test_a_dead_token_begins_the_window_again_once() -> None:
    page = step(FEED, begun(checkpoint={"from": DATE}), listing("a", "t"))
    page = step(FEED, page.checkpoint, failed("badResumptionToken"))
    assert (page.done, asked(FEED, page.checkpoint).get("from")) == (False, DATE)
    page = step(FEED, page.checkpoint, listing("a", "t"))
    with pytest.raises(PeerViolation) as dead:
        step(FEED, page.checkpoint, failed("badResumptionToken"))
    assert dead.value.kind == "oai.token_dead"


def _walk(answers: Any, limit: int = 400) -> int:
    """How many list pages are read until the loop guard stops the run."""
    at = begun()
    for number in range(limit):
        try:
            at = step(FEED, at, answers(number)).checkpoint
        except PeerViolation as violation:
            if violation.kind != "page.loop":
                raise
            return number + 1
        assert len(orjson.dumps(at)) < 1000
    return limit


def test_loops_are_found() -> None:
    assert _walk(lambda _: listing("a b", "same")) <= 3
    assert _walk(lambda number: listing("a b", f"fresh-{number}")) == STALE_PAGES + 1
    assert _walk(lambda number: listing("", f"fresh-{number}")) == STALE_PAGES
    assert _walk(lambda number: listing(f"r{number % 3}", f"fresh-{number}")) <= STALE_PAGES + 3
    assert _walk(lambda number: listing(f"r{number % 40}", f"t{number % 40}")) <= 120


def test_what_only_looks_like_a_loop_is_followed() -> None:
    assert _walk(lambda number: listing(f"r{number}", "constant"), 50) == 50
    assert _walk(lambda number: listing(f"r{number}" if number % 9 == 0 else "", f"t{number}"), 50) == 50


def test_a_token_has_a_limit() -> None:
    with pytest.raises(PeerViolation) as refused:
        step(FEED, begun(), listing("a", "t" * (TOKEN_LIMIT + 1)))
    assert refused.value.kind == "page.limit"


@pytest.mark.parametrize(
    ("status", "error"), [(401, PeerRefused), (404, PeerRefused), (410, PeerRefused), (502, PeerUnavailable)]
)
def test_a_status_without_an_oai_answer(status: int, error: type[Exception]) -> None:
    for at in ({}, begun()):
        with pytest.raises(error):
            step(FEED, at, b"<html>OAI-PMH is down</html>", status)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"<!doctype html><p>Log in</p>", "page.html"),
        (b"<!DOCTYPE OAI-PMH><OAI-PMH/>", "xml.doctype_forbidden"),
        (b"<?xml version='1.0' encoding='utf-7'?><OAI-PMH/>", "xml.encoding_not_allowed"),
        (b"", "page.empty"),
        (b"<rss/>", "oai.namespace"),
        (listing("a b")[:-200], "xml.malformed"),
        (identify(), "oai.verb"),
        (failed("cannotDisseminateFormat"), "oai.cannotDisseminateFormat"),
    ],
)
def test_hostile_and_broken_pages_are_refused_by_name(content: bytes, kind: str) -> None:
    with pytest.raises(PeerViolation) as refused:
        step(FEED, begun(), content)
    assert refused.value.kind == kind


def test_a_page_in_gb2312_is_read() -> None:
    page = listing("a").decode().replace("UTF-8", "GB2312").replace(">T<", ">静夜思<").encode("gb18030")
    found = step(FEED, begun(), page)
    assert next(FEED.parse(found.entries, found.context)) == {"title": "静夜思", "identifiers": [{"entry": "x"}]}


def test_one_bad_record_does_not_spoil_its_page() -> None:
    page = step(FEED, begun(), listing("a b c").replace(b"<dc:title>T<", b"<dc:title>&nbsp;<", 1))
    drafts = list(FEED.parse(page.entries, page.context))
    assert [isinstance(draft, Fault) for draft in drafts] == [True, False, False]
    assert isinstance(drafts[0], Fault)
    assert drafts[0].rule == "record.xml"


def test_entries_that_are_no_record_are_faults_in_their_places() -> None:
    page = step(FEED, begun(), listing("a"))
    bare = Entry("b", oaipmh.record(oaipmh.header("b", DATE, [], deleted=False), None).encode())
    two = Entry("c", page.entries[0].raw * 2)
    found = list(FEED.parse([page.entries[0], bare, two, Entry("d", b"")], page.context))
    assert [draft.rule if isinstance(draft, Fault) else draft["title"] for draft in found] == [
        "T", "oai.no_metadata", "record.xml", "record.xml",
    ]  # fmt: skip
    assert list(FEED.parse([], b"")) == []


def test_the_sweep_is_no_kind_of_its_own_and_always_complete() -> None:
    sweep = OaiPmh.model_validate({"base_url": URL, "prefix": "mods"}).sweep()
    assert kinds()["oai-pmh"] is OaiPmh
    at = begun(sweep)
    assert asked(sweep, at) == {"verb": "ListIdentifiers", "metadataPrefix": "mods"}
    page = step(sweep, at, listing("a b", verb="ListIdentifiers"))
    assert page.complete == frozenset({f"full-{DATE}"})
    assert [(entry.raw, entry.stamp) for entry in page.entries] == [(b"", DATE)] * 2


def test_733_identifiers_are_swept_over_four_pages(data: Path) -> None:
    folder, sweep = data / "oai-pmh" / "nsdl", FEED.sweep()
    at, names, page = step(sweep, {}, (folder / "GoodResponseIdentify.xml").read_bytes()).checkpoint, set[str](), None
    for number in range(1, 5):
        page = step(sweep, at, (folder / f"GoodResponseFourPage_{number}.xml").read_bytes())
        at, names = page.checkpoint, names | {entry.identifier for entry in page.entries}
    assert page is not None
    assert (len(names), page.done, len(page.complete or ())) == (733, True, 1)


def test_the_chain_of_sickle_samples(data: Path) -> None:
    folder, names = data / "oai-pmh" / "sickle", []
    page = step(FEED, {}, (folder / "Identify.xml").read_bytes())
    files = ["ListRecords.xml"]
    for file in files:
        page = step(FEED, page.checkpoint, (folder / file).read_bytes())
        names += [entry.identifier for entry in page.entries]
        if not page.done:
            files.append(page.checkpoint["token"])
    assert (page.done, len(names)) == (True, 8)
    with pytest.raises(PeerViolation) as refused:
        step(FEED, begun(), (folder / "ListRecordsBroken.xml").read_bytes())
    assert refused.value.kind == "xml.malformed"
