"""JSON APIs and JSON lines: envelopes, every way of paging, loops, removals, hostile bytes, real catalogues."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.connector import Connector, Entry, Fault, Page, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from connectors.json import Json
from connectors.ndjson import Ndjson

URL = "https://api.example.org/v1/resources?sort=id"
Answer = Callable[[str], tuple[Any, dict[str, str]]]


def feed(**more: Any) -> Json:
    """A connector."""
    return Json.model_validate({"url": URL, **more})


def run(made: Connector, answer: Answer, checkpoint: Any = None, stop: int = 10_000) -> list[Page]:
    """The pages of a run; checkpoints go through JSON."""
    at, found = checkpoint or {}, list[Page]()
    while not (found and found[-1].done):
        url = made.request(at).url
        body, headers = answer(url)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        for page in made.read(at, Response.of(content, url=url, **headers)):
            found.append(page)
            at = json.loads(json.dumps(page.checkpoint))
            if len(found) == stop:
                return found
    return found


def names(pages: list[Page]) -> list[str]:
    """The identifiers of all pages."""
    return [entry.identifier for page in pages for entry in page.entries]


RECORDS = [{"id": n, "title": f"第{n}课"} for n in range(1, 96)]
SIZE = 10


def api(by: str, records: list[dict[str, Any]] = RECORDS) -> Answer:
    """An API that pages in one way."""

    def answer(url: str) -> tuple[Any, dict[str, str]]:
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert query.get("sort") == "id" or by == "link"
        start = {
            "page": lambda: (int(query.get("page", "1")) - 1) * SIZE,
            "offset": lambda: int(query.get("offset", "0")),
        }.get(by, lambda: int(query.get("c", "0")))()
        end = start + SIZE if start + SIZE < len(records) else None
        body = {
            "meta": {"total": len(records), "cursor": end and str(end)},
            "data": {"items": records[start : start + SIZE]},
        }
        body["next"] = end and f"/v1/resources?sort=id&c={end}"
        link = f'<{urlsplit(url).path}?sort=id&c={end}>; rel="next", <x>; rel="last"' if end else '<x>; rel="last"'
        return body, {"link": link}

    return answer


PAGING: dict[str, dict[str, Any]] = {
    "page": {"by": "page"},
    "offset": {"by": "offset"},
    "cursor": {"by": "cursor", "parameter": "c", "path": "meta.cursor"},
    "next": {"by": "next"},
    "link": {"by": "link"},
}


@pytest.mark.parametrize("by", PAGING)
def test_every_way_of_paging_gives_every_record_once_and_resumes_from_every_page(by: str) -> None:
    made = feed(items_path="data.items", paging=PAGING[by], total_path="meta.total")
    whole = run(made, api(by))
    assert names(whole) == [str(n) for n in range(1, 96)]
    assert whole[-1].complete == {"run-0"} == {page.listing for page in whole}
    assert {page.total for page in whole} == {95}
    for stop in range(1, len(whole)):
        begun = run(made, api(by), stop=stop)
        rest = run(made, api(by), begun[-1].checkpoint)
        assert names(begun + rest) == names(whole)
        assert rest[-1].complete == {"run-0"}
    assert run(made, api(by), whole[-1].checkpoint)[-1].complete == {"run-1"}


@pytest.mark.parametrize(("by", "complete"), [("page", False), ("offset", False), ("cursor", True), ("next", True)])
def test_moving_pages_prove_no_deletion_without_the_sources_own_count(by: str, complete: bool) -> None:
    last = run(feed(items_path="data.items", paging=PAGING[by]), api(by))[-1]
    assert (last.complete is not None) is complete


def test_a_count_that_does_not_agree_proves_no_deletion() -> None:
    def answer(url: str) -> tuple[Any, dict[str, str]]:
        return {"total": 3, "items": RECORDS[:2]}, {}

    assert run(feed(items_path="items", total_path="total"), answer)[-1].complete is None


def test_an_array_of_1201_is_cut_into_pages_and_resumed() -> None:
    records = [{"id": str(n)} for n in range(1201)]
    pages = run(feed(), lambda _: (records, {}))
    assert [len(page.entries) for page in pages] == [500, 500, 201]
    begun = run(feed(), lambda _: (records, {}), stop=1)
    assert set(names(begun + run(feed(), lambda _: (records, {}), begun[-1].checkpoint))) == set(names(pages))


@pytest.mark.parametrize(
    "paging", [{"by": "cursor", "parameter": "c"}, {"by": "next", "path": "next_cursor"}]
)  # fmt: skip
def test_a_continuation_that_stands_still_is_a_loop_within_three_requests(paging: dict[str, Any]) -> None:
    asked = []

    def answer(url: str) -> tuple[Any, dict[str, str]]:
        asked.append(url)
        return {"items": RECORDS[:3], "next_cursor": "same"}, {}

    with pytest.raises(PeerViolation) as caught:
        run(feed(items_path="items", paging=paging), answer)
    assert caught.value.kind == "page.loop"
    assert len(asked) <= 3


def test_ever_new_cursors_over_nothing_new_end() -> None:
    count = iter(range(1000))
    with pytest.raises(PeerViolation) as caught:
        run(
            feed(items_path="items", paging={"by": "cursor"}),
            lambda _: ({"items": [], "next_cursor": f"{next(count)}"}, {}),
        )
    assert caught.value.kind == "page.loop"
    assert next(count) <= 12


def test_after_a_fault_in_the_middle_the_next_run_begins_again_under_a_new_name() -> None:
    made = feed(items_path="data.items", paging=PAGING["cursor"])
    begun = run(made, api("cursor"), stop=3)
    found: list[Page] = []
    with pytest.raises(PeerRefused):
        found.extend(made.read(begun[-1].checkpoint, Response.of(b"gone", status=410)))
    again = run(made, api("cursor"), found[-1].checkpoint)
    assert (len(names(again)), again[-1].complete) == (95, {"run-1"})


@pytest.mark.parametrize(
    ("body", "config", "rule"),
    [
        (b"", {}, "json.malformed"),
        (b"<html>", {}, "page.html"),
        ({"data": []}, {}, "file.items"),
        ({"data": []}, {"items_path": "items"}, "file.items"),
        ({"data": [1]}, {"items_path": "data.items"}, "file.items"),
        ({"data": {"items": {}}}, {"items_path": "data.items"}, "json.malformed"),
        ({"i": RECORDS[:1], "next": ["x"]}, {"items_path": "i", "paging": {"by": "next"}}, "page.next"),
        ({"i": RECORDS[:1], "next": "file:///etc/passwd"}, {"items_path": "i", "paging": {"by": "next"}}, "page.next"),
        ({"i": RECORDS[:1], "next": "http://[::1"}, {"items_path": "i", "paging": {"by": "next"}}, "page.next"),
        ({"i": RECORDS[:1], "next": "x" * 70_000}, {"items_path": "i", "paging": {"by": "next"}}, "page.limit"),
    ],
)
def test_answers_that_are_none(body: Any, config: dict[str, Any], rule: str) -> None:
    with pytest.raises(PeerViolation) as caught:
        run(feed(**config), lambda _: (body, {}))
    assert caught.value.kind == rule


@pytest.mark.parametrize(("status", "kind"), [(500, PeerUnavailable), (404, PeerRefused), (204, PeerRefused)])
def test_statuses(status: int, kind: type[PeerError]) -> None:
    with pytest.raises(kind):
        list(feed().read({}, Response.of(b"[]", status=status)))


def test_an_empty_answer_never_empties_a_catalogue() -> None:
    assert run(feed(), lambda _: ([], {}))[-1].complete is None


def test_identifiers_are_texts_however_long() -> None:
    content = b'[{"id":9007199254740993},{"id":18446744073709551617},{"id":"a"},{"id":true},{"id":1.5},7]'
    [page] = run(feed(), lambda _: (content, {}))
    assert names([page]) == ["9007199254740993", "18446744073709551617", "a", "line 4", "line 5", "line 6"]
    found = [d.rule if isinstance(d, Fault) else d["id"] for d in feed().parse(page.entries, b"")]
    assert found == [9007199254740993, "json.number", "a", "record.id_missing", "record.id_missing", "record.shape"]
    assert page.complete is None


def lines(content: bytes, checkpoint: Any = None, stop: int = 10_000, **more: Any) -> list[Page]:
    """The pages of a file of lines."""
    found = []
    for page in Ndjson.model_validate({"url": URL, **more}).read(checkpoint or {}, Response.of(content)):
        found.append(page)
        if len(found) == stop:
            break
    return found


def test_bad_lines_are_refused_alone_and_named() -> None:
    content = b'\xef\xbb\xbf{"id":"a"}\r\n\n{"id":\n{"id":"b","n":NaN}\n{"id":"a"}\n[1]\n{"id":"c"}'
    pages = lines(content)
    assert names(pages) == ["a", "line 3", "line 4", "line 5", "line 6", "c"]
    made = Ndjson.model_validate({"url": URL})
    found = [d.rule if isinstance(d, Fault) else d["id"] for d in made.parse(pages[0].entries, b"")]
    assert found == ["a", "json.malformed", "json.malformed", "table.id_repeated", "record.shape", "c"]
    assert pages[-1].complete is None


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1201])
def test_lines_cut_after_any_page_go_on_without_loss_or_repeat(count: int) -> None:
    content = b"\n" + b"".join(b'{"id":"%d"}\n' % n for n in range(count))
    whole = lines(content) if count else []
    assert names(whole) == [str(n) for n in range(count)]
    for stop in range(1, len(whole)):
        begun = lines(content, stop=stop)
        rest = lines(content, json.loads(json.dumps(begun[-1].checkpoint)))
        assert names(begun + rest) == names(whole)
        assert rest[-1].complete == whole[-1].complete is not None


@given(
    st.binary(max_size=80) | st.text(alphabet='[]{}",:id1 \\u\n', max_size=60).map(str.encode),
    st.sampled_from(["none", *PAGING]),
)
def test_hostile_bytes_raise_only_what_is_foreseen(content: bytes, by: str) -> None:
    api_feed = feed(items_path="d" if by != "none" else "", paging=PAGING.get(by, {"by": "none"}))
    for made in (api_feed, Ndjson.model_validate({"url": URL})):
        try:
            for page in made.read({}, Response.of(content, url=URL, link=content.decode("latin-1"))):
                assert len(list(made.parse(page.entries, b""))) == len(page.entries)
                [entry.identifier.encode() for entry in page.entries]
        except PeerError:
            pass
        assert len(list(made.parse([Entry("x", content)], b""))) == 1


@pytest.mark.parametrize(
    ("file", "config", "count"),
    [
        ("test_sloan_courses.json", {"id_paths": ["Course_Id"], "stamp_path": "SourceLastModifiedDate"}, 99),
        ("mitxonline_courses.json", {"items_path": "results", "paging": {"by": "next"}, "total_path": "count"}, 3),
        ("test_mitx_course.json", {"items_path": "results", "id_paths": ["key"], "paging": {"by": "next"}}, 2),
        ("bootcamps.json", {"id_paths": ["course_id"]}, 3),
    ],
)
def test_real_apis(data: Path, file: str, config: dict[str, Any], count: int) -> None:
    content = (data / "json-apis" / "mit" / file).read_bytes()
    made = feed(**config)
    pages = run(made, lambda _: (content, {}))
    found = [draft for page in pages for draft in made.parse(page.entries, page.context)]
    assert len(found) == len(set(names(pages))) == count
    assert not [draft for draft in found if isinstance(draft, Fault)]
    assert pages[-1].complete is not None


def test_137_real_runs_of_courses_need_two_paths_to_be_told_apart(data: Path) -> None:
    content = (data / "json-apis" / "mit" / "test_sloan_runs.json").read_bytes()
    pages = run(feed(id_paths=["Course_Id", "CO_Title"]), lambda _: (content, {}))
    assert len(names(pages)) == 137


def test_57607_tang_poems_as_lines(data: Path) -> None:
    content = gzip.decompress((data / "chinese-poetry" / "poet.tang.jsonl.gz").read_bytes())
    pages = lines(content)
    assert len(set(names(pages))) == 57_607
    assert pages[-1].complete is not None
