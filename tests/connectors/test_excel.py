"""Workbooks: XLSX, XLS and ODS alike, sheets and headers found, hostile packages refused, real tables."""

import csv
import io
import json
import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import pytest
import xlsxwriter
import xlwt
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.connector import Entry, Fault, Page, Response
from app.protocol.errors import PeerError, PeerViolation
from app.protocol.tables.workbook import cells_of, text, written
from connectors.excel import Excel

Sheets = dict[str, list[list[Any]]]


def feed(*ids: str, **more: Any) -> Excel:
    """A connector; `编号` identifies unless said otherwise."""
    return Excel.model_validate({"url": "https://x.example.org/a.xlsx", "id_columns": list(ids or ["编号"]), **more})


def xlsx(sheets: Sheets) -> bytes:
    """A workbook as Excel writes it."""
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"default_date_format": "yyyy-mm-dd", "strings_to_numbers": False})
    for name, rows in sheets.items():
        sheet = book.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    book.close()
    return out.getvalue()


def xls(sheets: Sheets) -> bytes:
    """A workbook of Excel 97."""
    book, dates = xlwt.Workbook(), xlwt.easyxf(num_format_str="YYYY-MM-DD")
    for name, rows in sheets.items():
        sheet = book.add_sheet(name)
        for number, row in enumerate(rows):
            for column, value in enumerate(row):
                sheet.write(number, column, value, *([dates] if isinstance(value, date) else []))
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def ods(sheets: Sheets) -> bytes:
    """An OpenDocument spreadsheet."""
    tables = "".join(
        f'<table:table table:name="{name}">{"".join(map(_ods_row, rows))}</table:table>'
        for name, rows in sheets.items()
    )
    return ods_of(f"<office:spreadsheet>{tables}</office:spreadsheet>")


def _ods_row(row: list[Any]) -> str:
    return f"<table:table-row>{''.join(map(_ods_cell, row))}</table:table-row>"


def _ods_cell(value: Any) -> str:
    if value == "":
        return "<table:table-cell/>"
    kind, attribute = "string", ""
    if isinstance(value, bool):
        kind, attribute = "boolean", f' office:boolean-value="{str(value).lower()}"'
    elif isinstance(value, date):
        kind, attribute = "date", f' office:date-value="{value.isoformat()}"'
    elif isinstance(value, int | float):
        kind, attribute = "float", f' office:value="{value}"'
    return f'<table:table-cell office:value-type="{kind}"{attribute}><text:p>{escape(str(value))}</text:p></table:table-cell>'


def ods_of(body: str) -> bytes:
    """A package around a body."""
    names = "office table text"
    spaces = " ".join(f'xmlns:{n}="urn:oasis:names:tc:opendocument:xmlns:{n}:1.0"' for n in names.split())
    content = f"<office:document-content {spaces}><office:body>{body}</office:body></office:document-content>"
    manifest = '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"/>'
    parts = {
        "mimetype": "application/vnd.oasis.opendocument.spreadsheet",
        "content.xml": content,
        "META-INF/manifest.xml": manifest,
    }
    return package(parts)


def package(parts: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return out.getvalue()


def repacked(content: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """A package with its parts changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as old:
        parts: dict[str, Any] = {name: old.read(name) for name in old.namelist()}
    change(parts)
    return package(parts)


def run(content: bytes, made: Excel | None = None, checkpoint: Any = None, stop: int = 10_000) -> list[Page]:
    """The pages of one answer."""
    found = []
    for page in (made or feed()).read(checkpoint or {}, Response.of(content)):
        found.append(page)
        if len(found) == stop:
            break
    return found


def names(pages: list[Page]) -> list[str]:
    """The identifiers of all pages."""
    return [entry.identifier for page in pages for entry in page.entries]


def drafts(pages: list[Page], made: Excel | None = None) -> list[Any]:
    """What the pages parse to."""
    return [draft for page in pages for draft in (made or feed()).parse(page.entries, page.context)]


COUNTY: Sheets = {
    "填表说明": [["请按要求填写"], ["联系人"]],
    "小学": [
        ["某县数字教育资源目录"], [], ["编号", "名称", "发布日期", "课时", "免费"],
        ["一、数学", "", "", "", ""],
        ["A-1", "ئۇيغۇر تىلى", date(2026, 9, 1), 12, True],
        ["A-2", "分数 ", date(2026, 9, 2), 1.5, False],
    ],
    "初中": [["编号", "名称", "备注"], ["B-1", "勾股定理", ""], ["A-1", "重号", ""], ["", "无号", "x"]],
}  # fmt: skip
KINDS = {"xlsx": xlsx, "xls": xls, "ods": ods}


@pytest.mark.parametrize("kind", KINDS)
def test_a_county_with_title_rows_subtitles_and_a_sheet_for_each_stage(kind: str) -> None:
    pages = run(KINDS[kind](COUNTY))
    assert names(pages) == ["A-1", "A-2", "B-1", "line 3 (初中)", "line 4 (初中)"]
    found = drafts(pages)
    first = {
        "编号": "A-1",
        "名称": "ئۇيغۇر تىلى",
        "发布日期": "2026-09-01",
        "课时": "12",
        "免费": "TRUE",
        "_sheet": "小学",
    }
    assert found[0] == first
    assert found[1]["课时"] == "1.5"
    assert found[2] == {"编号": "B-1", "名称": "勾股定理", "备注": "", "_sheet": "初中"}
    assert [fault.rule for fault in found[3:]] == ["table.id_repeated", "record.id_missing"]
    assert pages[-1].complete is None
    assert names(run(KINDS[kind](COUNTY), feed(sheet="小学"))) == ["A-1", "A-2"]


def test_numbers_that_a_spreadsheet_has_rounded_do_not_identify() -> None:
    rows = [["编号", "名称"], [1234567890123456789, "x"], [123456789012345, "y"]]
    found = drafts(run(xlsx({"a": rows})))
    assert found[0].rule == "table.id_rounded"
    assert found[1]["编号"] == "123456789012345"


def test_moments_keep_their_time_and_days_have_none() -> None:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    sheet, moment = book.add_worksheet("a"), book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
    sheet.write_row(0, 0, ["编号", "时间"])
    sheet.write_row(1, 0, ["1"])
    sheet.write_datetime(1, 1, datetime(2026, 9, 1, 8, 30), moment)
    sheet.write_row(2, 0, ["2"])
    sheet.write_datetime(2, 1, datetime(2026, 9, 1), moment)
    book.close()
    assert [draft["时间"] for draft in drafts(run(out.getvalue()))] == ["2026-09-01T08:30:00", "2026-09-01"]


@pytest.mark.parametrize("count", [0, 1, 500, 501, 1201])
@pytest.mark.parametrize("kind", KINDS)
def test_a_reading_cut_after_any_page_goes_on_without_loss_or_repeat(count: int, kind: str) -> None:
    head = ["编号", "名称", "学段"]
    content = KINDS[kind](
        {
            "a": [head, *([f"a{n}", "x", ""] for n in range(count))],
            "b": [head, *([f"b{n}", "y", ""] for n in range(600))],
        }
    )
    whole = run(content)
    assert names(whole) == [f"a{n}" for n in range(count)] + [f"b{n}" for n in range(600)]
    assert max(len(page.entries) for page in whole) <= 500
    for stop in range(1, len(whole)):
        begun = run(content, stop=stop)
        rest = run(content, checkpoint=json.loads(json.dumps(begun[-1].checkpoint)))
        assert names(begun + rest) == names(whole)
        assert rest[-1].complete == whole[-1].complete is not None
        assert drafts(begun + rest) == drafts(whole)


GOOD = xlsx({"a": [["编号", "名称"], ["1", "x"]]})
SHEET = "xl/worksheets/sheet1.xml"


def far(place: str) -> bytes:
    """A cell with a value where no honest one stands."""
    row = place.lstrip("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    cell = f'<row r="{row}"><c r="{place}"><v>1</v></c></row></sheetData>'.encode()
    return repacked(GOOD, lambda parts: parts.update({SHEET: parts[SHEET].replace(b"</sheetData>", cell)}))


def wide_row() -> bytes:
    """A row of cells that do not say where they stand."""
    cells = b'<row r="3">' + b"<c\n><v>1</v></c>" * 300 + b"</row></sheetData>"
    return repacked(GOOD, lambda parts: parts.update({SHEET: parts[SHEET].replace(b"</sheetData>", cells)}))


def doubled() -> bytes:
    """A part twice."""
    out = io.BytesIO(GOOD)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(out, "a") as made:
        made.writestr(SHEET, b"<worksheet/>")
    return out.getvalue()


def lying() -> bytes:
    """A part that says it is small."""
    content = bytearray(repacked(GOOD, lambda parts: parts.update({SHEET: parts[SHEET] + b" " * (60 << 20)})))
    at = content.rindex(b"PK\x01\x02", 0, content.rindex(SHEET.encode()))
    content[at + 24 : at + 28] = (1000).to_bytes(4, "little")
    return bytes(content)


def bomb(method: int) -> bytes:
    """A sheet of spaces that says truly how many they are, packed by a method."""
    with zipfile.ZipFile(io.BytesIO(GOOD)) as old:
        parts = {name: old.read(name) for name in old.namelist()}
    return package({**parts, SHEET: parts[SHEET] + b" " * (45 << 20)}, method)


def ods_repeated(rows: int, columns: int) -> bytes:
    """One value that stands for a rectangle."""
    cell = f'<table:table-cell table:number-columns-repeated="{columns}" office:value-type="string"><text:p>x</text:p></table:table-cell>'
    row = f'<table:table-row table:number-rows-repeated="{rows}">{cell}</table:table-row>'
    return ods_of(f'<office:spreadsheet><table:table table:name="a">{row}</table:table></office:spreadsheet>')


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        (b"PK\x03\x04 and then nothing", "workbook.package"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, "workbook.package"),
        ("编号,名称\n".encode(), "file.format"),
        (package({"readme.txt": "x"}), "workbook.package"),
        (package({f"{n}.xml": "x" for n in range(1001)}), "workbook.package"),
        (repacked(GOOD, lambda p: p.update({"xl/big.xml": b" " * (20 << 20)})), "workbook.bomb"),
        (lying(), "workbook.package"),
        (bomb(zipfile.ZIP_DEFLATED), "workbook.bomb"),
        (bomb(zipfile.ZIP_BZIP2), "workbook.package"),
        (bomb(zipfile.ZIP_LZMA), "workbook.package"),
        (doubled(), "workbook.package"),
        (far("XFD1048576"), "workbook.too_large"),
        (far("A1048576"), "workbook.too_large"),
        (far("IW2"), "workbook.too_large"),
        (far("A200001"), "workbook.too_large"),
        (wide_row(), "workbook.too_large"),
        (ods_repeated(1_048_576, 16_384), "workbook.too_large"),
        (ods_repeated(200_001, 1), "workbook.too_large"),
        (ods_repeated(1, 257), "workbook.too_large"),
        (repacked(GOOD, lambda p: p.update({SHEET: b"<!DOCTYPE x>" + p[SHEET]})), "workbook.package"),
        (xlsx({"a": [["名称"], ["x"]]}), "table.header"),
        (xlsx({"a": []}), "table.header"),
    ],
)  # fmt: skip
def test_hostile_workbooks_are_refused_in_time(content: bytes, rule: str) -> None:
    began = time.process_time()
    with pytest.raises(PeerViolation) as caught:
        run(content)
    assert caught.value.kind == rule
    assert time.process_time() - began < 2


def far_xls() -> bytes:
    """One cell in the last corner that XLS has."""
    book, out = xlwt.Workbook(), io.BytesIO()
    sheet = book.add_sheet("a")
    for row, column, value in ((0, 0, "编号"), (1, 0, "1"), (65_535, 255, "far")):
        sheet.write(row, column, value)
    book.save(out)
    return out.getvalue()


@pytest.mark.parametrize(
    "made",
    [far_xls, lambda: far("IV199999"), lambda: far("L199999"), lambda: ods_repeated(199_999, 250)],
    ids=["xls", "xlsx corner", "xlsx edge", "ods repeated"],
)
def test_a_stray_cell_in_a_far_corner_does_not_fill_the_memory_with_blanks(made: Callable[[], bytes]) -> None:
    content = made()
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PeerViolation) as caught:
        run(content)
    assert caught.value.kind == "workbook.too_large"
    assert time.process_time() - began < 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_what_the_sheet_says_of_its_size_is_not_believed() -> None:
    huge = repacked(
        GOOD,
        lambda p: p.update({SHEET: p[SHEET].replace(b'<dimension ref="A1:B2"', b'<dimension ref="A1:XFD1048576"')}),
    )
    assert huge != GOOD
    assert names(run(huge)) == ["1"]


def test_styled_empty_cells_to_the_right_and_blank_rows_to_the_end_cost_nothing() -> None:
    styled = repacked(
        GOOD,
        lambda p: p.update({SHEET: p[SHEET].replace(b"</row></sheetData>", b'<c r="XFD2" s="1"/></row></sheetData>')}),
    )
    assert names(run(styled)) == ["1"]
    blank = '<table:table-row table:number-rows-repeated="1048000"><table:table-cell table:number-columns-repeated="16384"/></table:table-row>'
    body = f'<table:table table:name="a">{_ods_row(["编号", "名称"])}{_ods_row(["1", "x"])}{blank}</table:table>'
    assert names(run(ods_of(f"<office:spreadsheet>{body}</office:spreadsheet>"))) == ["1"]


def test_macros_never_reach_the_library() -> None:
    from app.protocol.tables.package import opened

    macros = repacked(GOOD, lambda p: p.update({"xl/vbaProject.bin": b"Sub AutoOpen", "xl/media/a.png": b"x"}))
    with zipfile.ZipFile(opened(macros, 50 << 20)) as fresh:
        assert not [name for name in fresh.namelist() if "vba" in name or "media" in name]
    assert names(run(macros)) == ["1"]


@given(st.binary(max_size=60), st.integers(0, 3000), st.sampled_from(list(KINDS)))
def test_hostile_bytes_raise_only_what_is_foreseen(scrap: bytes, at: int, kind: str) -> None:
    whole = KINDS[kind]({"a": [["编号", "名称"], ["1", "x"]]})
    for content in (scrap, whole[:at] + scrap + whole[at + len(scrap) :], whole[:at]):
        try:
            for page in feed().read({}, Response.of(content)):
                assert len(list(feed().parse(page.entries, page.context))) == len(page.entries)
        except PeerError:
            pass
    assert len(list(feed().parse([Entry("x", scrap)], b""))) == 1


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.floats(0, 9), min_size=1, max_size=4)
)
def test_the_bytes_of_a_row_give_its_cells_again(values: list[str | float]) -> None:
    cells, raw = written(values)
    assert cells_of(raw) == list(cells) or (not cells and raw == b"")
    assert list(cells) == [text(value) for value in values][: len(cells)]
    assert not any(text(value).strip() for value in values[len(cells) :])


@pytest.mark.parametrize("cells", [["[1]", "x"], ["a\tb", "c"], ["a", "", "b\n"]])
def test_cells_that_tabs_cannot_separate_are_kept_as_json(cells: list[str]) -> None:
    content = xlsx({"a": [["编号", "名称", "注"], ["1", *cells][:3]]})
    assert list(drafts(run(content))[0].values())[1:3] == cells[:2]


def circular(entry: str) -> bytes:
    """An XLS file whose chain of sectors goes in a circle: that of its directory, or of its first stream."""
    content = bytearray(xls({"a": [["编号", "名称"], ["1", "x"]]}))
    [directory], [table] = struct.unpack_from("<I", content, 48), struct.unpack_from("<I", content, 76)
    [stream] = struct.unpack_from("<I", content, 512 * (directory + 1) + 128 + 116)
    chosen = directory if entry == "directory" else stream
    struct.pack_into("<I", content, 512 * (table + 1) + 4 * chosen, chosen)
    return bytes(content)


@pytest.mark.parametrize(("entry", "told"), [("directory", ""), ("stream", "workbook.package\n")])
def test_a_chain_of_sectors_in_a_circle_costs_neither_the_memory_nor_the_process(
    entry: str, told: str, tmp_path: Path
) -> None:
    (tmp_path / "a.xls").write_bytes(circular(entry))
    script = (
        "import sys; from app.protocol.connector import Response; from app.protocol.errors import PeerError\n"
        "from connectors.excel import Excel\n"
        "made = Excel(url='https://x.example.org/a.xls', id_columns=['编号'])\n"
        "try:\n    list(made.read({}, Response.of(open(sys.argv[1], 'rb').read())))\n"
        "except PeerError as error:\n    print(error.kind)"
    )
    # In a process of its own with little memory: the fault that this is about took all there was.
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.xls")], capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, told, "")


def test_2978_counties_as_a_workbook(data: Path) -> None:
    text = (data / "regions" / "china-division" / "areas.csv").read_text()
    pages = run(xlsx({"areas": list(csv.reader(io.StringIO(text)))}), feed("code"))
    found = drafts(pages, feed("code"))
    assert len(found) == 2_978
    assert not [draft for draft in found if isinstance(draft, Fault)]
