"""Canonical bytes, records, code lists and text: properties rather than examples where it pays."""

from urllib.parse import unquote

import orjson
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from app.protocol import oaipmh, vocab
from app.protocol.canonical import canonical, content_hash, element
from app.protocol.connector import Fault
from app.protocol.formats import read_oai_dc
from app.protocol.html import to_text
from app.protocol.record import Prepared, prepare
from app.protocol.text import index_tokens, query_tokens
from app.protocol.words import record_id, record_ids

XML = st.text(
    st.characters(codec="utf-8", exclude_characters="\r", exclude_categories=("Cc", "Cs", "Cn")),
    min_size=1,
    max_size=60,
)
TITLES = XML.map(str.strip).filter(bool)
# HTML and references (`&#0;`) in a description are taken off, since repositories write them there (test_html.py).
DESCRIPTIONS = TITLES.filter(lambda text: to_text(text, "unsure") == text)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), inner, max_size=4)
    ),
)


@given(VALUES)
def test_sorted_bytes_are_the_rfc_8785_form(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(st.lists(st.from_regex(r"[a-z0-9:/%-]{0,9}", fullmatch=True) | st.text(st.characters(codec="utf-8"))))
def test_an_identifier_is_the_same_alone_and_among_others(identifiers: list[str]) -> None:
    made = record_ids("P-110000-01", "oai-1", identifiers)
    assert made == [record_id("P-110000-01", "oai-1", identifier) for identifier in identifiers]
    assert all(id.isascii() and id.isprintable() and " " not in id for id in made)
    assert [unquote(id.removeprefix("ix:P-110000-01:oai-1/")) for id in made] == identifiers


@given(TITLES, DESCRIPTIONS, st.lists(TITLES, max_size=3))
def test_what_is_rendered_as_oai_dc_is_read_back(title: str, description: str, keywords: list[str]) -> None:
    record = {
        "id": "ix:P-110000-01:a/1",
        "title": title,
        "description": description,
        "keywords": list(dict.fromkeys(keywords)),
    }
    namespace = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
    text = oaipmh.render_dc(record).replace("<oai_dc:dc", f"<oai_dc:dc {namespace}", 1)
    draft = read_oai_dc(etree.fromstring(text.encode()))
    assert (draft["title"], draft["description"]) == (title, description)
    assert draft.get("keywords", []) == record["keywords"]


@given(st.text(), st.sampled_from([name for name in vocab.SCHEMES]))
def test_no_term_breaks_the_code_lists(term: str, scheme: str) -> None:
    code = vocab.resolve(scheme, term)
    assert code is None or code in vocab.scheme(scheme).concepts
    vocab.language(term)


def test_every_label_and_alias_leads_to_a_code() -> None:
    for name in vocab.SCHEMES:
        if name != "region":
            for concept in vocab.scheme(name).concepts.values():
                assert vocab.resolve(name, concept.zh) is not None
                assert all(vocab.resolve(name, alias) is not None for alias in concept.aliases)


def test_retired_regions_lead_to_their_successor_and_stay_under_their_province() -> None:
    assert vocab.current("region", "500105") == ("500157",) == vocab.current("region", "500112")
    assert vocab.under("500105", "500000")
    assert len(vocab.hub_provinces()) == 32
    assert vocab.under("659001", "660000")
    assert vocab.under("659001", "650000")


def test_the_two_letter_usage_of_gb_t_4881_is_not_iso_639() -> None:
    found = [vocab.language(tag, "gb4881-2letter") for tag in ("hn", "yi", "th")]
    assert found == ["ko", "ii", "tai"]
    assert vocab.language("th") == "th"


def test_an_unknown_term_stays_as_it_came_and_is_flagged() -> None:
    made = prepare({"title": "课", "subject": "中国历史", "grade": ["五至六年级", "初一"]}, "ix:P-110000-01:a/1")
    assert isinstance(made, Prepared)
    content = orjson.loads(made.document)
    assert (content["subject"], content["grade"]) == ("中国历史", ["五至六年级", "J1"])
    assert {"unmapped:subject", "unmapped:grade", "missing:audience"} <= set(made.flags.split())


@given(st.characters(categories=("Cc",)).filter(lambda c: c not in "\n\t"))
def test_a_control_character_is_refused_by_place(character: str) -> None:
    fault = prepare({"title": f"好{character}课"}, "ix:P-110000-01:a/1")
    assert isinstance(fault, Fault)
    assert (fault.rule, fault.path) == ("text.nul" if character == "\0" else "text.control", "title")


@given(st.sampled_from([0xFFFE, 0xFFFF, 0xFDD0, 0x1FFFE, 0xAFFFF, 0x10FFFF]), st.booleans())
def test_a_noncharacter_of_any_plane_is_refused_by_place(code: int, nested: bool) -> None:
    text = f"好{chr(code)}课"
    draft = {"title": "课", "keywords": ["x", text]} if nested else {"title": text}
    fault = prepare(draft, "ix:P-110000-01:a/1")
    assert isinstance(fault, Fault)
    assert (fault.rule, fault.path) == ("text.noncharacter", "keywords.1" if nested else "title")


def test_minority_scripts_and_joiners_stay_byte_equal() -> None:
    for title in ("ئۇيغۇر تىلى", "བོད་ཡིག", "ᠮᠣᠩᠭᠣᠯ ᠬᠡᠯᠡ\u180b", "می\u200cخواهم", "\u0f43", "literal \\u0000 text"):
        made = prepare({"title": title}, "ix:P-110000-01:a/1")
        assert isinstance(made, Prepared)
        assert orjson.loads(made.document)["title"] == title


def test_an_element_depends_on_id_version_and_hash() -> None:
    digest = content_hash(b"{}")
    made = {
        element("a", 1, digest),
        element("b", 1, digest),
        element("a", 2, digest),
        element("a", 1, content_hash(b"[]")),
    }
    assert len(made) == 4
    assert all(len(item) == 32 for item in made)


@given(st.text(max_size=50))
def test_any_text_can_be_indexed_and_sought(text: str) -> None:
    index_tokens(text)
    assert all(query_tokens(text)) or query_tokens(text) == []


def test_a_word_is_found_as_a_phrase_of_pairs() -> None:
    assert index_tokens("三年級數學").split() == ["三年", "年级", "级数", "数学", "学"]
    assert query_tokens("數學") == [["数学"]]
    assert query_tokens("年") == [["年*"]]
