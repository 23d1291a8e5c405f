"""What every reader of a format promises, and real catalogues with their counts."""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from app.protocol import oaipmh, xml
from app.protocol.canonical import canonical
from app.protocol.connector import Fault
from app.protocol.errors import PeerViolation
from app.protocol.formats import READERS, read_ix, read_mods, read_oai_dc, render_ix
from app.protocol.record import Prepared, Record, prepare
from tests.protocol.drafts import RECORDS

NAMES = [
    "lom", "general", "title", "string", "langstring", "lifeCycle", "contribute", "role", "value", "entity", "date", "dateTime",
    "rights", "relation", "kind", "resource", "classification", "purpose", "taxonPath", "taxon", "entry", "source", "technical",
    "size", "requirement", "record", "leader", "controlfield", "datafield", "subfield", "dc", "subject", "identifier", "relatedItem",
    "name", "namePart", "originInfo", "edition", "recordInfo", "recordIdentifier", "location", "url", "language",
]  # fmt: skip
WORDS = st.text(st.characters(exclude_categories=("Cs",)), max_size=6).map(xml.escape)
TEXTS = WORDS | st.sampled_from(
    ["discipline", "hutong:grade", "hutong:subject", "hutong:id", "hutong:restrictions", "BEGIN:VCARD\nFN:\nN:\nEND:VCARD", "{}",
     "[1]", '{"id":1,"identifiers":7}', "450 ", "9" * 40, "01234nam0 2200289   450 "]
)  # fmt: skip
TAGS = st.sampled_from(
    ["", "001", "008", "010", "020", "024", "041", "101", "200", "245", "260", "264", "700", "856", "880"]
)


@st.composite
def elements(draw: st.DrawFn, depth: int = 4) -> str:
    """Trees of names that readers look for, in places where they do not belong."""
    name = draw(st.sampled_from(NAMES))
    given_ = (
        f' tag="{draw(TAGS)}" ind2="2" code="{draw(st.sampled_from(list("a2468bcu")))}"' if draw(st.booleans()) else ""
    )
    inside = draw(st.lists(elements(depth=depth - 1), max_size=4)) if depth else []
    return f"<{name}{given_}>{draw(TEXTS)}{''.join(inside)}</{name}>"


@given(elements())
def test_whatever_well_formed_xml_is_read_nothing_is_raised(text: str) -> None:
    node = xml.document(f"<metadata>{text}</metadata>".encode())[0]
    for name, read in READERS.items():
        draft = read(node)
        assert isinstance(draft, (dict, Fault)), name
        if isinstance(draft, dict):
            assert isinstance(prepare(draft, "ix:P-440000-01:f/1"), (Prepared, Fault)), name


@given(st.binary(max_size=60) | elements().map(str.encode).map(lambda raw: raw[: len(raw) // 2]))
def test_hostile_bytes_raise_only_violations(content: bytes) -> None:
    try:
        node = xml.document(b"<metadata>" + content)
    except PeerViolation:
        return
    for read in READERS.values():
        assert isinstance(read(node), (dict, Fault))


@pytest.mark.parametrize("name", READERS)
def test_a_doctype_never_reaches_a_reader(name: str) -> None:
    with pytest.raises(PeerViolation) as refused:
        READERS[name](
            xml.document(b'<!DOCTYPE lom [<!ENTITY x SYSTEM "file:///etc/passwd">]><lom><title>&x;</title></lom>')
        )
    assert refused.value.kind == "xml.doctype_forbidden"


def test_a_million_nested_names_are_refused_before_they_are_read() -> None:
    with pytest.raises(PeerViolation) as refused:
        xml.document(b"<taxon>" * 100_000 + b"</taxon>" * 100_000)
    assert refused.value.kind == "xml.malformed"


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("filling", [" ", " ,", "; ", ".", "\n", "年", "(", "&#13;"])
def test_a_long_text_is_read_in_linear_time(name: str, filling: str) -> None:
    long = "a" + filling * 100_000 + "b"
    field = (
        f'<datafield tag="{{}}"><subfield code="a">{long}</subfield><subfield code="c">{long}</subfield></datafield>'
    )
    told = f"<title><string>{long}</string></title><subject>{long}</subject><identifier>{long}</identifier>"
    marc = "".join(field.format(tag) for tag in ("010", "020", "200", "245", "210", "260", "700", "041"))
    node = xml.document(f"<m><general>{told}</general>{told}{marc}</m>".encode())
    started = time.process_time()
    READERS[name](node)
    assert time.process_time() - started < 2


@given(RECORDS)
def test_a_native_record_travels_with_its_bytes(record: dict[str, Any]) -> None:
    document = canonical(record)
    node = xml.document(render_ix(document).encode())
    assert (node.text or "").encode() == document
    draft = read_ix(node)
    assert isinstance(draft, dict)
    origin = {"catalog": "IX", "entry": record["id"]}
    expected = {name: value for name, value in record.items() if name != "id"}
    assert draft == {**expected, "identifiers": [origin, *record.get("identifiers", [])]}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("", "json.malformed"),
        ("[]", "record.shape"),
        ('{"a":1,"a":2}', "json.duplicate_key"),
        ("NaN", "json.malformed"),
    ],
)
def test_a_native_record_that_is_none_is_a_fault(text: str, rule: str) -> None:
    fault = read_ix(xml.document(f"<record>{text}</record>".encode()))
    assert isinstance(fault, Fault)
    assert fault.rule == rule


def _inside(value: Any) -> Iterator[str]:
    """The XML documents anywhere inside JSON."""
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _inside(item)
    if isinstance(value, str) and value.lstrip().startswith("<"):
        yield value


def _counted(documents: list[Any], read: Callable[[etree._Element], Any]) -> Counter[str]:
    """How many drafts have each field; every draft must become a record."""
    found: Counter[str] = Counter()
    for node in documents:
        draft = read(node)
        assert isinstance(prepare(draft, "ix:P-440000-01:f/1"), Prepared), draft
        assert set(draft) <= set(Record.__annotations__)
        found.update(list(draft))
    return found


def test_201_envelopes_of_the_learning_registry(data: Path) -> None:
    counts = {}
    for name in ("nsdl_dc", "oai_dc"):
        envelopes = json.loads((data / "learning-registry" / f"{name}-data-000000000.json").read_bytes())
        nodes = [xml.document(text.encode()) for text in _inside(envelopes)]
        counts[name] = (len(nodes), _counted(nodes, READERS[name]))
    size, nsdl = counts["nsdl_dc"]
    assert (size, nsdl["title"], nsdl["location"]) == (100, 100, 100)
    assert {name: nsdl[name] for name in ("grade", "stage", "curriculum_standard", "audience", "rights")} == LEARNING
    size, loc = counts["oai_dc"]
    assert (size, loc["title"], loc["location"], loc["subject"]) == (101, 101, 101, 101)


LEARNING = {"grade": 72, "stage": 100, "curriculum_standard": 100, "audience": 100, "rights": 100}


def _drafts(page: bytes, read: Callable[[etree._Element], Any]) -> list[dict[str, Any]]:
    listing = oaipmh.cut(page)
    nodes = oaipmh.metadata([item.raw for item in listing.entries], listing.context)
    return [read(node) for node in nodes if node is not None]


def test_dpla_addresses_are_places_and_relations_are_their_own(data: Path) -> None:
    drafts = _drafts((data / "oai-pmh" / "dpla" / "oai-page.xml").read_bytes(), read_mods)
    assert len(drafts) == 10
    for draft in drafts:
        assert not any("width=150" in place for place in draft["location"]), "a thumbnail is no place"
        assert len(draft["location"]) == 3
        host = next(item for item in draft["relations"] if item["type"] == "host")
        assert not host["target"].startswith("http"), (
            "the address of a record about the collection is not the collection"
        )
        assert "languages" not in draft, "und is no language"
        assert {"catalog", "entry"} <= set(draft["identifiers"][0])


def test_zenodo_embargoes_are_no_publication(data: Path) -> None:
    drafts = []
    for file in sorted((data / "oai-pmh" / "zenodo").glob("list_records-*.xml")):
        content = file.read_bytes()
        if b"oai_dc:dc" in content:
            drafts += _drafts(content, read_oai_dc)
    assert len(drafts) == 209
    assert not any(draft.get("published", "").startswith("info:") for draft in drafts)
    assert all(isinstance(prepare(draft, "ix:P-440000-01:f/1"), Prepared) for draft in drafts)


def test_the_descriptions_of_zenodo_lose_their_doubly_escaped_markup(data: Path) -> None:
    content = (data / "oai-pmh" / "zenodo" / "get_record-02.xml").read_bytes()
    page = oaipmh.cut(content)
    (node,) = oaipmh.metadata([page.entries[0].raw], page.context)
    assert node is not None
    description = read_oai_dc(node)["description"]
    assert description.startswith("RDMO 2.1.0 (Dec 11, 2023)\nRefactor progress bar and overview\n")
    assert "<" not in description
    assert "&" not in description.replace(" & ", "")
