"""MARC 21 and UNIMARC/CNMARC: told apart by evidence, read by their own tables."""

from typing import Any

import pytest

from app.protocol import xml
from app.protocol.formats import read_marc21, read_marcxml, read_unimarc

SLIM = "http://www.loc.gov/MARC21/slim"


def field(tag: str, *subfields: str, ind: str = "  ") -> str:
    parts = "".join(f'<subfield code="{text[0]}">{xml.escape(text[1:])}</subfield>' for text in subfields)
    return f'<datafield tag="{tag}" ind1="{ind[0]}" ind2="{ind[1]}">{parts}</datafield>'


def record(leader: str, *fields: str, more: str = "", control: str = "") -> Any:
    text = f'<record xmlns="{SLIM}"{more}><leader>{leader}</leader>{control}{"".join(fields)}</record>'
    return xml.document(text.encode())


CN = "01234nam0 2200289   450 "
US = "01519cam a2200421 a 4500"
CHINESE = [
    field("010", "a978-7-107-12345-6 (精装)", "dCNY79.00"), field("101", "achi", "ceng", ind="1 "),
    field("200", "a小学数学", "Axiao xue shu xue", "e分数的认识", "h第三册", "f王小明主编", ind="1 "),
    field("205", "a2版"), field("210", "a北京", "c人民教育出版社", "d2013.9"), field("215", "a120页", "d26cm"),
    field("225", "a义务教育教科书", ind="2 "), field("330", "a面向三年级学生。"), field("606", "a小学数学课", "x教材", ind="0 "),
    field("690", "aG623.5", "v4"), field("701", "a王小明", "4主编", ind=" 0"), field("702", "a李", "b华", "4730", ind=" 1"),
    field("711", "a课程教材研究所", "4编著", ind="02"), field("801", "aCN", "bNLC"), field("856", "uhttps://a.test/1", "qpdf"),
]  # fmt: skip
CHINESE_DRAFT: dict[str, Any] = {
    "identifiers": [{"entry": "012004002367"}, {"catalog": "ISBN", "entry": "978-7-107-12345-6"}], "type": ["text"],
    "languages": ["chi"], "title": "小学数学 分数的认识 第三册", "version": "2版", "published": "2013",
    "contributors": [
        {"role": "publisher", "name": "人民教育出版社"}, {"role": "editor", "name": "王小明"},
        {"role": "translator", "name": "李华"}, {"role": "author", "name": "课程教材研究所"},
    ],
    "format": ["120页 26cm", "pdf"], "relations": [{"type": "series", "target": "义务教育教科书"}],
    "description": "面向三年级学生。", "keywords": ["小学数学课", "教材"], "subject": "小学数学课",
    "location": ["https://a.test/1"],
}  # fmt: skip
ENGLISH = [
    field("020", "a091316710X :", "c$24.00"), field("024", "a10.1000/182", "2doi", ind="7 "), field("041", "aengfre"),
    field("100", "aOzaki, Yei Theodora,", "eauthor.", ind="1 "), field("245", "aReflections :", "bthe muse /", "cOzaki.", ind="00"),
    field("246", "aMuse, the"), field("250", "a3rd ed."), field("264", "aNew York :", "bGrosset,", "cc2013.", ind=" 1"),
    field("300", "aviii, 280 p. :", "bill. ;", "c24 cm."), field("520", "aA summary."), field("521", "aGrade 3"),
    field("540", "aCC BY", "uhttps://creativecommons.org/licenses/by/4.0/"), field("650", "aAlgebra", "xStudy and teaching."),
    field("655", "aExercise."), field("700", "aLi, Wei", "4trl", ind="1 "), field("773", "tJournal", ind="0 "),
    field("856", "uhttps://a.test/1", ind="40"), field("856", "uhttps://a.test/contents", ind="42"),
]  # fmt: skip
ENGLISH_DRAFT: dict[str, Any] = {
    "identifiers": [{"entry": "1001"}, {"catalog": "ISBN", "entry": "091316710X"}, {"catalog": "DOI", "entry": "10.1000/182"}],
    "type": ["text", "Exercise"], "languages": ["eng", "fre"], "title": "Reflections the muse", "alt_titles": ["Muse, the"],
    "version": "3rd ed", "published": "2013", "format": ["viii, 280 p. : ill. ; 24 cm"], "description": "A summary",
    "audience": ["Grade 3"], "keywords": ["Algebra", "Study and teaching"], "subject": "Algebra",
    "rights": {"statement": "CC BY", "licence_uri": "https://creativecommons.org/licenses/by/4.0/"},
    "contributors": [
        {"role": "author", "name": "Ozaki, Yei Theodora"}, {"role": "publisher", "name": "Grosset"},
        {"role": "translator", "name": "Li, Wei"},
    ],
    "relations": [{"type": "isPartOf", "target": "Journal"}, {"type": "relation", "target": "https://a.test/contents"}],
    "location": ["https://a.test/1"],
}  # fmt: skip


def test_cnmarc() -> None:
    found = read_marcxml(record(CN, *CHINESE, control='<controlfield tag="001">012004002367</controlfield>'))
    assert found == CHINESE_DRAFT


def test_marc21() -> None:
    found = read_marcxml(record(US, *ENGLISH, control='<controlfield tag="001">1001</controlfield>'))
    assert found == ENGLISH_DRAFT


@pytest.mark.parametrize(
    ("leader", "fields", "more", "unimarc"),
    [
        (US, [field("200", "aT")], "", True),  # the title's field outweighs a leader that software filled in
        (CN, [field("245", "aT")], "", False),
        (CN, [field("700", "aN")], "", True),
        (US, [field("700", "aN")], "", False),
        (CN, [field("200", "aT"), field("245", "aT")], "", True),
        ("", [field("245", "aT")], ' format="UNIMARC"', True),
        (CN, [field("200", "aT")], ' format="MARC21"', False),
        ("", [], "", False),
    ],
)
def test_the_family_is_seen_in_declaration_then_title_then_leader(
    leader: str, fields: list[str], more: str, unimarc: bool
) -> None:
    node = record(leader, *fields, more=more)
    assert read_marcxml(node) == (read_unimarc if unimarc else read_marc21)(node)
    if len(fields) == 1:
        assert read_unimarc(node) != read_marc21(node)


def test_the_original_script_comes_before_its_transcription() -> None:
    found = read_marc21(
        record(US, field("245", "6880-01", "aXiao xue shu xue /"), field("880", "6245-01/$1", "a小学数学 /"))
    )
    assert (found["title"], found["alt_titles"]) == ("小学数学", ["Xiao xue shu xue"])


def test_language_from_the_fixed_field_where_there_is_no_other() -> None:
    fixed = "860117s1985    dcua     b    000 0 chi  "
    control = f'<controlfield tag="008">{fixed}</controlfield>'
    assert read_marc21(record(US, field("245", "aT"), control=control))["languages"] == ["chi"]
    assert read_marc21(record(US, field("245", "aT"), field("041", "aeng"), control=control))["languages"] == ["eng"]


def test_marks_for_sorting_are_not_shown_and_a_collection_is_opened() -> None:
    text = f'<collection xmlns="{SLIM}"><record><leader>{CN}</leader>{field("200", "a&#x98;Le &#x9c;livre")}</record></collection>'
    text = text.replace("&amp;", "&")
    assert read_marcxml(xml.document(text.encode()))["title"] == "Le livre"


def test_a_book_without_anything_is_an_empty_draft() -> None:
    assert read_marcxml(xml.document(b"<record/>")) == {}
    assert read_marcxml(record("", field("245"), field("856", "zno address"), field("260"), field("101"))) == {}
