"""Cutting equals parsing, parsing undoes rendering, rendered answers satisfy the official schemas."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from app.protocol import oaipmh, xml
from app.protocol.connector import Fault, Fine
from app.protocol.errors import PeerViolation
from app.protocol.formats import read_mods, read_nsdl_dc, read_oai_dc
from app.protocol.formats.dublin_core import LISTED, TAKES, draft, mended, put, settled
from app.protocol.oaipmh import reading
from app.protocol.record import Prepared, prepare
from app.protocol.text import rule
from tests.conftest import SCHEMAS

DATE = "2026-03-01T08:00:00Z"
WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=20)
NAMES = WORDS.map(xml.clean).filter(bool)
ODD = st.sampled_from(
    ["", "<!-- a -->", "<!-- </record> -->", "<!-- <record> -->", "<![CDATA[</record><record>]]>", "<![CDATA[&]]>",
     "<?p <record>?>", "<record>x</record>", "<record a='1'/>", "<recordInfo/>", "x --> y", "&#60;record>"]
)  # fmt: skip
BETWEEN = st.sampled_from(
    ["", "", "\n", "\t ", "\x0b", "text", "<!-- <record> -->", "<!--", "<?p <record></record>?>", "-->"]
)


@st.composite
def pages(draw: st.DrawFn) -> bytes:
    """List pages with everything that makes cutting by bytes dangerous, some of them not well-formed."""
    records = []
    for name in draw(st.lists(NAMES, max_size=4)):
        head = oaipmh.header(name, DATE, [], deleted=draw(st.booleans()))
        body = oaipmh.record(head, f"<m>{draw(ODD)}</m>" if draw(st.booleans()) else None)
        style = draw(st.sampled_from(["plain", "plain", "plain", "spaced", "prefixed", "attribute"]))
        if style == "spaced":
            body = body.replace("><", ">\n <")
        if style == "prefixed":
            body = body.replace("<record>", "<o:record>").replace("</record>", "</o:record>")
        if style == "attribute":
            body = body.replace("<record>", '<record xml:lang="zh">')
        records.append(draw(BETWEEN) + body)
    spaces = draw(st.sampled_from(["", f' xmlns="{oaipmh.NAMESPACE}"', ' xmlns:z="urn:z"', ' xmlns="urn:z"']))
    token = draw(st.sampled_from(["", oaipmh.resumption("t&1", cursor=0, total=7)]))
    page = oaipmh.envelope(DATE, "http://a.test", {}, f"<ListRecords{spaces}>{''.join(records)}{token}</ListRecords>")
    return page.replace(b"<OAI-PMH ", f'<OAI-PMH xmlns:o="{oaipmh.NAMESPACE}" '.encode(), 1)


def _refusal(read: Callable[[bytes], object], page: bytes) -> str | None:
    try:
        read(page)
    except PeerViolation as violation:
        return violation.kind
    return None


def _slow(page: bytes) -> oaipmh.Listing:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_quick", lambda _: None)
        return oaipmh.cut(page)


def _meaning(listing: oaipmh.Listing) -> tuple[object, ...]:
    raws = [item.raw for item in listing.entries]
    held = [
        node if node is None else etree.tostring(node, method="c14n") for node in oaipmh.metadata(raws, listing.context)
    ]
    bare = [item._replace(raw=b"") for item in listing.entries]
    return bare, [h and h.split(b">", 1)[1] for h in held], listing.token, listing.total, listing.error, listing.verb


@settings(max_examples=400, deadline=None)
@given(pages())
def test_cutting_by_bytes_is_the_same_as_parsing(page: bytes) -> None:
    refusal = _refusal(_slow, page)
    assert _refusal(oaipmh.cut, page) == refusal
    if refusal is None:
        assert _meaning(oaipmh.cut(page)) == _meaning(_slow(page))


@pytest.mark.parametrize(
    "listed", ["", "<record><header><identifier>b</identifier><datestamp>2026</datestamp></header></record>"]
)
@pytest.mark.parametrize("gap", ["", "\n"])
def test_a_record_in_front_of_the_answer_is_no_record_of_it(listed: str, gap: str) -> None:
    stray = "<record><header><identifier>a</identifier><datestamp>2026</datestamp></header></record>"
    page = f'{stray}{gap}<OAI-PMH xmlns="{oaipmh.NAMESPACE}"><ListRecords>{listed}</ListRecords></OAI-PMH>'.encode()
    assert _refusal(oaipmh.cut, page) == _refusal(_slow, page) == "xml.malformed"


@given(st.lists(st.tuples(NAMES, st.booleans()), min_size=1, max_size=5), NAMES, st.none() | st.integers(0, 10**9))
def test_parsing_undoes_rendering(items: list[tuple[str, bool]], token: str, total: int | None) -> None:
    heads = [oaipmh.header(name, DATE, ["a:b"], deleted=gone) for name, gone in items]
    tail = oaipmh.resumption(token, cursor=0, total=total)
    for verb, parts in (("ListIdentifiers", heads), ("ListRecords", [oaipmh.record(head, "<m/>") for head in heads])):
        body = f"<{verb}>{''.join(parts)}{tail}</{verb}>"
        found = oaipmh.cut(oaipmh.envelope(DATE, "http://a.test/oai", {"verb": verb}, body))
        assert [(item.identifier, item.deleted) for item in found.entries] == items
        assert (found.response_date, found.token, found.total, found.verb) == (DATE, token, total, verb)


@given(NAMES, NAMES, st.sampled_from(["no", "transient", "persistent"]))
def test_identify_and_errors_come_back(name: str, text: str, deletes: str) -> None:
    about = oaipmh.Identity("YYYY-MM-DD", deletes, name, "http://a.test/oai", "2001-01-01")
    body = f"<Identify>{oaipmh.identify(about, 'a@b.test')}</Identify>"
    assert oaipmh.identity(oaipmh.envelope(DATE, "http://a.test", {"verb": "Identify"}, body)) == about
    failed = oaipmh.envelope(DATE, "http://a.test", {}, oaipmh.error("badArgument", text))
    assert oaipmh.cut(failed).error == ("badArgument", text)
    assert oaipmh.identity(failed) is None


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    if not SCHEMAS.exists():
        pytest.skip("the official schemas (../shared/schemas) are not here")

    class Local(etree.Resolver):
        """Every import is a file of the folder: no test asks the network."""

        def resolve(self, url: str, _: str, context: object) -> object:  # type: ignore[override]
            return self.resolve_filename(str(SCHEMAS / Path(url).name), context)  # type: ignore[attr-defined]

    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(Local())
    wrapper = f"""<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
      <xs:import namespace="{oaipmh.NAMESPACE}" schemaLocation="OAI-PMH.xsd"/>
      <xs:import namespace="{oaipmh.NAMESPACE}oai_dc/" schemaLocation="oai_dc.xsd"/></xs:schema>"""
    return etree.XMLSchema(etree.fromstring(wrapper, parser, base_url=str(SCHEMAS / "wrapper.xsd")))


RECORD = {
    "id": "ix:P-110000-01:a/1", "title": "静夜思 & \x0b<b>", "alt_titles": ["Quiet Night"], "description": "d\r\n",
    "subject": "13", "keywords": ["诗", "唐"], "languages": ["zh"], "type": ["text"], "format": ["text/html"],
    "contributors": [{"role": "作者", "name": "李白"}, {"role": "publisher", "name": "p"}, {"name": "n"}],
    "location": ["https://a.test/?a=1&b=2"], "published": "2020", "rights": {"statement": "s", "restrictions": ["r"]},
}  # fmt: skip
HEAD = oaipmh.header("ix:a&b", DATE, ["platform:P-110000-01"], deleted=False)
ABOUT = oaipmh.Identity("YYYY-MM-DDThh:mm:ssZ", "persistent", "中文", "http://a.test/oai", DATE)
WHOLE = oaipmh.record(HEAD, oaipmh.render_dc(RECORD)) + oaipmh.record(oaipmh.header("b", DATE, [], deleted=True), None)
ANSWERS = {
    "Identify": oaipmh.identify(ABOUT, "a@b.test"),
    "ListMetadataFormats": oaipmh.metadata_format("oai_dc", "http://a.test/s.xsd", "http://a.test/ns/"),
    "ListSets": oaipmh.set_named("platform:a", "平台 & <others>"),
    "ListIdentifiers": HEAD + oaipmh.resumption("a&b", cursor=0, total=9),
    "ListRecords": WHOLE + oaipmh.resumption("", cursor=500),
    "GetRecord": oaipmh.record(HEAD, oaipmh.render_dc(RECORD)),
}


@pytest.mark.parametrize("verb", ANSWERS)
def test_rendered_answers_satisfy_the_official_schema(schema: etree.XMLSchema, verb: str) -> None:
    body = f"<{verb}>{ANSWERS[verb]}</{verb}>"
    schema.assertValid(etree.fromstring(oaipmh.envelope(DATE, "http://a.test/oai", {"verb": verb}, body)))


def test_rendered_errors_satisfy_the_official_schema(schema: etree.XMLSchema) -> None:
    page = oaipmh.envelope(DATE, "http://a.test/oai?x&y", {}, oaipmh.error("badVerb", "<no>"))
    schema.assertValid(etree.fromstring(page))


def test_nsdl_records_are_cut_and_read(data: Path) -> None:
    page = oaipmh.cut((data / "oai-pmh" / "nsdl" / "GoodResponseSinglePage.xml").read_bytes())
    nodes = list(oaipmh.metadata([item.raw for item in page.entries], page.context))
    drafts = [read_nsdl_dc(node) for node in nodes if node is not None]
    assert (len(drafts), page.token, page.context[:8]) == (162, None, b"<OAI-PMH")
    assert all(draft["title"] for draft in drafts)
    assert {"identifiers", "location", "relations", "contributors"} <= {name for draft in drafts for name in draft}


def test_real_answers_are_cut_as_they_are_parsed(data: Path) -> None:
    for file in sorted((data / "oai-pmh").rglob("*.xml")):
        content = file.read_bytes()
        refusal = _refusal(_slow, content)
        assert _refusal(oaipmh.cut, content) == refusal, file.name
        if refusal is not None:
            continue
        quick, slow = oaipmh.cut(content), _slow(content)
        assert [s._replace(raw=b"") for s in quick.entries] == [s._replace(raw=b"") for s in slow.entries], file.name
        assert (quick.token, quick.total, quick.error) == (slow.token, slow.total, slow.error)


def test_a_foreign_namespace_is_named(data: Path) -> None:
    page = (data / "oai-pmh" / "learning-registry" / "sample-GetRecord-list.xml").read_bytes()
    with pytest.raises(PeerViolation, match=r"learningregistry\.org/OAI/2\.0/") as refused:
        oaipmh.cut(page)
    assert refused.value.kind == "oai.namespace"


def test_zenodo_errors_and_identities(data: Path) -> None:
    folder, codes = data / "oai-pmh" / "zenodo", set()
    for answer in json.loads((folder / "index.json").read_text()):
        if answer["status"] == 422:
            error = oaipmh.cut((folder / answer["file"]).read_bytes()).error
            codes.add(error and error[0])
    assert None not in codes
    assert "noRecordsMatch" in codes
    assert oaipmh.identity((folder / "identify-02.xml").read_bytes()) == oaipmh.Identity(
        "YYYY-MM-DDThh:mm:ssZ", "no", "Zenodo", "https://zenodo.org/oai2d", "2014-02-03T14:41:33Z"
    )
    with pytest.raises(PeerViolation) as refused:
        oaipmh.identity((folder / "identify-00.xml").read_bytes())
    assert refused.value.kind == "page.html"


def test_dpla_mods(data: Path) -> None:
    page = oaipmh.cut((data / "oai-pmh" / "dpla" / "oai-page.xml").read_bytes())
    nodes = oaipmh.metadata([item.raw for item in page.entries], page.context)
    drafts = [read_mods(node) for node in nodes if node is not None]
    assert len([draft for draft in drafts if draft["title"]]) == 10


def test_mods_parts_become_fields() -> None:
    text = """<mods xmlns="m" xmlns:x="http://www.w3.org/1999/xlink"><titleInfo><nonSort>The</nonSort><title>Sea</title>
      </titleInfo><titleInfo type="alternative"><title>Meer</title></titleInfo><name><namePart>Li</namePart><role>
      <roleTerm>Author</roleTerm></role></name><language><languageTerm type="text">Chinese</languageTerm>
      <languageTerm type="code">chi</languageTerm></language><subject><topic>a</topic><geographic>b</geographic></subject>
      <originInfo><publisher>P</publisher><dateIssued>1999</dateIssued></originInfo>
      <identifier type="isbn">978</identifier><accessCondition x:href="http://l.test/by">BY</accessCondition>
      <relatedItem type="host"><titleInfo><title>Big</title></titleInfo></relatedItem></mods>"""
    assert read_mods(xml.document(text.encode())) == {
        "title": "The Sea", "alt_titles": ["Meer"], "languages": ["chi"], "keywords": ["a", "b"], "subject": "a",
        "contributors": [{"role": "author", "name": "Li"}, {"role": "publisher", "name": "P"}], "published": "1999",
        "identifiers": [{"catalog": "isbn", "entry": "978"}], "rights": {"licence_uri": "http://l.test/by", "statement": "BY"},
        "relations": [{"type": "host", "target": "Big"}],
    }  # fmt: skip


def test_dublin_core_says_only_what_it_was_told() -> None:
    assert read_oai_dc(xml.document(b"<dc><title> </title><other>x</other></dc>")) == {}
    text = "<d><subject>a</subject><subject>b</subject><identifier>ISBN: 978</identifier><educationLevel>Grade 3</educationLevel></d>"
    assert read_oai_dc(xml.document(text.encode())) == {
        "keywords": ["a", "b"], "subject": "a", "identifiers": [{"catalog": "ISBN", "entry": "978"}], "grade": ["Grade 3"],
    }  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["dc:title", "dc:subject", "dcterms:issued", "x:unknown"]),
            st.sampled_from(
                [
                    "",
                    ' xml:lang="zh"',
                    ' a="1"',
                    " ",
                    ' xsi:type="dct:URI"',
                    ' no:a="1"',
                    ' a="1" a="2"',
                    ' a="&lt;"',
                    " a='1'",
                ]
            ),
            st.text(alphabet="语a<>&;]!-?'\"\t\n\r\x01\ufffe 　", max_size=12).map(lambda t: t.replace("<", "&lt;"))
            | st.sampled_from(["a & b", "]]>", "&amp;&#13;", "<!-- c -->", "<![CDATA[x]]>", "<b>x</b>", "&nbsp;"])
            | st.sampled_from(
                ["&am", "p;", "&#x85;", "\x85", "\x7f", "\ufdd0", "\U0001ffff", "&lt;b&gt;", "&#xfdd0;", "&#0;"]
            ),
        ),
        max_size=6,
    ),
    st.sampled_from(["\n  ", "", "junk", "<!-- c -->"]),
)
def test_a_flat_record_means_the_same_as_a_parsed_one(elements: list[tuple[str, str, str]], gap: str) -> None:
    inside = "".join(f"{gap}<{name}{more}>{text}</{name}>" for name, more, text in elements)
    raw = (
        "<record><header><identifier>a</identifier><datestamp>2026</datestamp></header><metadata>"
        f'<d:dc xmlns:d="urn:d" xmlns:dc="urn:dc" xmlns:dcterms="urn:t">{inside}</d:dc></metadata></record>'
    ).encode()
    context = b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" xmlns:xsi="urn:xsi">'
    flat = oaipmh.elements(raw, context)
    try:
        root = next(oaipmh.metadata([raw], context))
    except PeerViolation:
        assert flat is None
        return
    assert root is not None
    if flat is not None:
        names, texts, fine = flat
        assert list(zip(names, texts, strict=True)) == [(node.tag.rpartition("}")[2], node.text or "") for node in root]
        assert fine == (not any(map(rule, texts)))


@pytest.mark.parametrize("broken", ["<dc:title>a>/dc:title>", "<dc:title>a>/dc:title<", "<dc:title>a > b</dc:title>"])
def test_a_bracket_that_stands_for_another_is_left_to_the_parser(broken: str) -> None:
    raw = "<record><header><identifier>a</identifier></header><metadata>{}</metadata></record>"
    context = b'<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/">'
    inside = '<d:dc xmlns:d="urn:d" xmlns:dc="urn:dc">{}</d:dc>'
    whole = raw.format(inside.format("<dc:title>a</dc:title>")).encode()
    assert oaipmh.elements(whole, context) == (("title",), ["a"], True)
    assert oaipmh.elements(raw.format(inside.format(broken)).encode(), context) is None
    assert oaipmh.elements(whole + b"a", context) is None


ELEMENTS = st.lists(
    st.tuples(
        st.sampled_from([*LISTED, *TAKES, "creator", "publisher", "relation", "isPartOf", "unknown"]),
        st.sampled_from(
            [" ", "语文", " a ", "三年级", "Grade 3", "https://a.test/1", "ISBN 978", "und", "a\rb", "x" * 300, "a\nb",
             "\x85", "&#x85;", "<b>&#13;</b>", "\ufdd0"]
        ),
    ),
    max_size=12,
)  # fmt: skip


@given(ELEMENTS)
def test_elements_gathered_at_once_make_the_draft_of_elements_put_one_by_one(elements: list[tuple[str, str]]) -> None:
    one_by_one: dict[str, Any] = {}
    for name, text in elements:
        if text.strip():
            put(one_by_one, name, mended(text.strip()))
    gathered = draft(tuple(name for name, _ in elements), [text for _, text in elements], fine=False)
    assert gathered == settled(one_by_one)


@given(ELEMENTS)
@example([("description", "&#x81;")])
@example([("abstract", "<b>&#x81;</b>"), ("description", "课")])
def test_a_draft_of_fine_texts_is_the_same_and_is_prepared_the_same(elements: list[tuple[str, str]]) -> None:
    elements = [("title", "课"), *((name, text) for name, text in elements if rule(text) is None)]
    names, texts = tuple(name for name, _ in elements), [text for _, text in elements]
    judged, known = draft(names, list(texts), fine=False), draft(names, texts, fine=True)
    assert known == judged
    assert prepare(known, "ix:P-440000-01:f/1") == prepare(judged, "ix:P-440000-01:f/1")


def test_what_is_not_the_drafts_own_is_judged_though_the_draft_is_fine() -> None:
    known = draft(("title", "subject"), ["课", "x"], fine=True)
    assert isinstance(known, Fine)
    assert isinstance(prepare(known, "ix:a:b/\x85"), Fault)
    assert isinstance(prepare(known, "ix:a:b/1", tables={"subject": {"x": "\x85"}}), Fault)
    assert isinstance(prepare(known, "ix:a:b/1"), Prepared)


def test_the_records_of_a_real_repository_are_flat(data: Path) -> None:
    page = oaipmh.cut((data / "oai-pmh" / "zenodo" / "list_records-00.xml").read_bytes())
    flat = [oaipmh.elements(item.raw, page.context) for item in page.entries]
    parsed = oaipmh.metadata([item.raw for item in page.entries], page.context)
    assert len(flat) == 50
    for found, root in zip(flat, parsed, strict=True):
        assert root is not None
        assert found is not None
        assert list(zip(*found[:2], strict=True)) == [(node.tag.rpartition("}")[2], node.text or "") for node in root]
