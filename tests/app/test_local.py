"""Files of every kind are looked at as they lie on the disk; the AMB set is judged by `validate`."""

import io
from pathlib import Path
from typing import Any

import orjson
import pytest
import xlsxwriter

from app.harvest import local, look
from app.harvest.fetch import Fetcher
from app.protocol import rules
from app.protocol.errors import BadRequest
from app.protocol.formats.lom import NAMESPACE
from tests.protocol.test_amb import REASONS
from tests.protocol.test_marc import CHINESE, CN, SLIM

OBJECTS = [{"id": n, "title": f"第{n}课", "subject": "语文"} for n in range(9)]
MARC = f"<record><leader>{CN}</leader>{''.join(CHINESE)}</record>"
MODS = "<mods><titleInfo><title>长城</title></titleInfo><relatedItem><titleInfo><title>丛书</title></titleInfo></relatedItem></mods>"
DC = '<dc:title xmlns:dc="http://purl.org/dc/elements/1.1/">长城</dc:title>'


def _book() -> bytes:
    out = io.BytesIO()
    book = xlsxwriter.Workbook(out)
    sheet = book.add_worksheet("目录")
    for place, row in enumerate([list(OBJECTS[0]), *(list(row.values()) for row in OBJECTS)]):
        sheet.write_row(place, 0, row)
    book.close()
    return out.getvalue()


def _ods() -> bytes:
    from tests.connectors.test_excel import ods

    return ods({"目录": [list(OBJECTS[0]), *(list(map(str, row.values())) for row in OBJECTS)]})


FILES: dict[str, tuple[Any, str, int]] = {
    "a.csv": ("id,title,subject\n" + "".join(f"{o['id']},{o['title']},{o['subject']}\n" for o in OBJECTS), "csv", 9),
    "a.xlsx": (_book(), "excel", 9),
    "a.ods": (_ods, "excel", 9),
    "a.ndjson": (b"\n".join(map(orjson.dumps, OBJECTS)), "ndjson", 9),
    "a.json": (orjson.dumps(OBJECTS), "json", 9),
    "envelope.json": (orjson.dumps({"data": {"list": OBJECTS}}), "json", 9),
    "one.json": (orjson.dumps(OBJECTS[1]), "json", 1),
    "feed.rss": ("<rss version='2.0'><channel><item><guid>1</guid><title>课</title></item></channel></rss>", "syndication", 1),
    "marc.xml": (f'<collection xmlns="{SLIM}">{MARC}{MARC}</collection>', "oai-pmh", 2),
    "record.xml": (f'<record xmlns="{SLIM}"><leader>{CN}</leader>{"".join(CHINESE)}</record>', "oai-pmh", 1),
    "mods.xml": (f'<modsCollection xmlns="http://www.loc.gov/mods/v3">{MODS}{MODS}</modsCollection>', "oai-pmh", 2),
    "lom.xml": (f'<lom xmlns="{NAMESPACE}"><general><title><string>长城</string></title></general></lom>', "oai-pmh", 1),
    "dc.xml": (f'<oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/">{DC}</oai_dc:dc>', "oai-pmh", 1),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_as_what_it_is_without_a_word_of_configuration(tmp_path: Path, name: str) -> None:
    content, kind, number = FILES[name]
    content = content() if callable(content) else content
    (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    subject = local.subject(tmp_path / name, 100, None)
    report, _verdicts = look.validate(Fetcher(), subject, 100, "")
    assert (subject.connector, report["seen"], report["refused"]) == (kind, number, 0), report["rules"]
    shown = look.preview(Fetcher(), subject, 20, "")
    assert all(item["record"]["title"] for item in shown["records"])


@pytest.mark.parametrize("content", [b"", b"<a/>", b"no table", b"<html><p>login</p></html>", b"[1, 2]", b"\x00\x01"])
def test_a_file_that_nobody_knows_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.bin").write_bytes(content)
    with pytest.raises(BadRequest, match=r"x\.bin"):
        local.subject(tmp_path / "x.bin", 10, None)


def test_a_configuration_beside_a_file_wins_over_what_was_found(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(orjson.dumps([{"id": 1, "code": "x", "title": "课"}]))
    subject = local.subject(tmp_path / "a.json", 10, None, {"id_paths": ["code"]})
    assert subject.at_hand is not None
    assert [entry.identifier for _, entries in subject.at_hand.groups for entry in entries] == ["x"]


@pytest.mark.parametrize("folder", ["valid", "invalid"])
def test_validate_accepts_each_valid_amb_file_and_refuses_each_invalid_one_for_its_own_reason(
    data: Path, folder: str
) -> None:
    files = sorted((data / "jsonld-amb" / folder).glob("*.json"))
    assert len(files) == {"valid": 35, "invalid": 37}[folder]
    for file in files:
        subject = local.subject(
            file, 10, None, {"profile": "amb", "id_paths": ["type"]} if _nameless(file) else {"profile": "amb"}
        )
        report, _ = look.validate(Fetcher(), subject, 10, "")
        errors = [group for group in report["rules"] if group["severity"] == "error"]
        assert (report["seen"], report["refused"]) == (1, int(folder == "invalid")), (file.name, errors)
        if folder == "invalid":
            (group,) = errors
            assert (group["rule"], group["examples"][0]["path"]) in REASONS[file.stem]
            assert group["zh"]
            assert group["remedy_zh"]
            assert rules.rule_of(group["rule"])


def _nameless(file: Path) -> bool:
    return "id" not in orjson.loads(file.read_bytes())
