"""The hardened reader: what it refuses, by name, and what it lets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import xml
from app.protocol.errors import PeerViolation

LAUGHS = b'<!DOCTYPE a [<!ENTITY x "ha"><!ENTITY y "&x;&x;&x;">]><a b="&y;">&y;</a>'
EXTERNAL = b'<?xml version="1.0"?><!-- c --><!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/hostname">]><a>&x;</a>'


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "page.empty"),
        (b"\xef\xbb\xbf \n", "page.empty"),
        (LAUGHS, "xml.doctype_forbidden"),
        (EXTERNAL, "xml.doctype_forbidden"),
        (LAUGHS.decode().encode("utf-16"), "xml.doctype_forbidden"),
        (("<?xml version='1.0'?>" + LAUGHS.decode()).encode("utf-16-le"), "xml.doctype_forbidden"),
        (("<?xml version='1.0'?>" + LAUGHS.decode()).encode("utf-16-be"), "xml.doctype_forbidden"),
        (b"<?xml version='1.0' encoding='gbk'?>" + LAUGHS, "xml.doctype_forbidden"),
        (b"<a><b></a>", "xml.malformed"),
        (b"<a><b>cut he", "xml.malformed"),
        (b"<a>&nbsp;</a>", "xml.malformed"),
        (b"<a>\x0b</a>", "xml.malformed"),
        (b"no markup", "xml.malformed"),
        (b"<!-- never closed", "xml.malformed"),
        (b"<a>\xff\xfe</a>", "xml.malformed"),
        (b"<?xml version='1.0' encoding='UTF-7'?><a>+AOk-</a>", "xml.encoding_not_allowed"),
        (b"<?xml version='1.0' encoding='ebcdic-cp-us'?><a/>", "xml.encoding_not_allowed"),
        ("<a/>".encode("utf-32"), "xml.encoding_not_allowed"),
        (b"<!doctype HTML><p>Please log in", "page.html"),
        (b"<?xml version='1.0'?>\n<!-- x -->\n<html xmlns='http://www.w3.org/1999/xhtml'/>", "page.html"),
    ],
)
def test_what_is_refused_is_named(content: bytes, kind: str) -> None:
    with pytest.raises(PeerViolation) as refused:
        xml.document(content, expect="a page")
    assert refused.value.kind == kind


@pytest.mark.parametrize("name", ["gb2312", "GBK", "gb18030"])
def test_chinese_encodings_are_read_as_the_one_that_holds_them_all(name: str) -> None:
    page = f"<?xml version='1.0' encoding='{name}'?><a>古诗㐀𠀀</a>".encode("gb18030")
    assert xml.document(page).text == "古诗㐀𠀀"


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_unicode_forms_are_read(codec: str) -> None:
    assert xml.document("<?xml version='1.0'?><a>课</a>".encode(codec)).text == "课"


def test_the_header_counts_only_where_the_page_is_silent() -> None:
    assert xml.document("<a>课</a>".encode("gbk"), charset="GBK").text == "课"
    assert xml.document("<a>课</a>".encode(), charset="ISO-8859-1").text == "课"
    assert xml.document("<?xml version='1.0' encoding='utf-8'?><a>课</a>".encode(), charset="gbk").text == "课"
    with pytest.raises(PeerViolation, match="utf-7"):
        xml.document(b"<a/>", charset="utf-7")


def test_comments_instructions_and_cdata_are_only_text() -> None:
    root = xml.document(b"<a>x<!-- c -->y<?p q?><![CDATA[<!DOCTYPE html>]]></a>")
    assert (root.text, len(root)) == ("xy<!DOCTYPE html>", 0)


@given(st.text(st.characters()))
def test_any_text_survives_but_for_what_xml_cannot_carry(text: str) -> None:
    root = xml.document(f"<a>{xml.escape(text)}</a>".encode())
    assert (root.text or "") == xml.clean(text)


@given(st.text())
def test_references_are_resolved_once(text: str) -> None:
    assert xml.unescape(xml.escape(text)) == xml.clean(text)
    assert xml.unescape("&amp;lt;") == "&lt;"
    assert xml.unescape("&#x4E2D;&#20013;") == "中中"
    assert [xml.unescape(bad) for bad in ("&copy", "&nbsp;", "&#0;", "&#xFFFFFF;")] == [None] * 4


@pytest.mark.parametrize(
    ("declared", "codec"), [("GB2312", "gb18030"), ("GBK", "gbk"), ("Big5", "big5hkscs"), ("UTF-16", "utf-16")]
)
def test_a_page_that_was_decoded_is_not_decoded_a_second_time(declared: str, codec: str) -> None:
    page = f'<?xml version="1.0" encoding="{declared}"?><a>國語課</a>'.encode(codec)
    assert xml.document(xml.decoded(page)).text == "國語課"
    assert xml.document(page).text == "國語課"


def test_pages_of_nothing_but_tags_are_refused() -> None:
    with pytest.raises(PeerViolation) as refused:
        xml.document(b"<a>" + b"<b/>" * xml.MARKS + b"</a>")
    assert refused.value.kind == "page.limit"
