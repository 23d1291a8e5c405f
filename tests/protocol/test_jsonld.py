"""schema.org blocks: the resource is chosen, read in every way it may be written, and rendering is undone by reading."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import jsonld
from app.protocol.connector import Fault
from app.protocol.jsonld.linked import PEOPLE, RELATED
from app.protocol.record import Prepared, prepare
from tests.protocol.drafts import FIELDS, RECORDS

PAGE = "https://a.test/lesson"


def read(node: Any, **more: Any) -> dict[str, Any]:
    draft = jsonld.read(node, **more)
    assert not isinstance(draft, Fault), draft
    return draft


def grouped(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with contributors and relations in the order of their properties, which is all JSON-LD keeps."""
    kept = dict(record)
    for field, key, order in (("contributors", "role", PEOPLE), ("relations", "type", RELATED)):
        if field in kept:
            places = {name: number for number, name in enumerate(order)}
            last = places.get("contributor", len(order))
            kept[field] = sorted(kept[field], key=lambda item: places.get(item[key], last))
    return kept


@given(RECORDS)
def test_reading_undoes_rendering(record: dict[str, Any]) -> None:
    node = json.loads(json.dumps(jsonld.render(record, base="https://hub.test/")))
    assert read(node) == grouped(record)


@given(RECORDS, st.sampled_from(["</script><script>alert(1)</script>", "<!--", "]]>&amp;"]))
def test_no_text_leaves_the_script_it_stands_in(record: dict[str, Any], text: str) -> None:
    node = jsonld.render({**record, "title": text})
    inside = jsonld.script(node)
    assert not set("<>&") & set(inside)
    assert json.loads(inside) == node


def test_every_field_of_a_record_is_rendered() -> None:
    from app.protocol.record import Record

    assert set(FIELDS) | {"id", "title"} == set(Record.__annotations__)


def test_a_rendered_code_carries_its_list_and_its_label() -> None:
    node = jsonld.render({"title": "T", "subject": "14", "grade": ["P3"]}, base="https://hub.test")
    assert node["about"] == [
        {
            "@type": "DefinedTerm",
            "inDefinedTermSet": "https://hub.test/api/v1/vocab/subject",
            "termCode": "14",
            "name": "数学",
        }
    ]
    assert node["educationalLevel"][0]["name"] == "三年级"


SAME: list[Any] = [
    {"@context": "https://schema.org", "@type": "LearningResource", "name": "T", "author": {"@type": "Person", "name": "A"}},
    {"type": ["LearningResource"], "name": {"@value": "T", "@language": "de"}, "author": [{"name": "A"}]},
    {"@type": "schema:LearningResource", "schema:name": ["T"], "schema:author": "A"},
    {
        "@type": ["http://schema.org/LearningResource"],
        "https://schema.org/name": [{"@value": "T"}],
        "https://schema.org/author": {"@list": [{"https://schema.org/name": [{"@value": "A"}]}]},
    },
    {"@context": "https://schema.org", "@graph": [
        {"@type": "WebPage", "@id": PAGE, "mainEntity": {"@id": "#r"}},
        {"@id": "#r", "@type": "LearningResource", "name": "T", "author": {"@id": "#a"}},
        {"@id": "#a", "@type": "Person", "name": "A"},
    ]},
    [{"@type": "BreadcrumbList", "name": "B"}, {"@type": "Organization", "name": "O"},
     {"@type": "Course", "name": {"de": "D", "zh": "T"}, "author": [None, "", {"name": "A"}]}],
]  # fmt: skip


@pytest.mark.parametrize("block", SAME)
def test_the_same_statement_in_every_way_it_is_written(block: Any) -> None:
    draft = read(block)
    assert (draft["title"], draft["contributors"]) == ("T", [{"role": "author", "name": "A"}])


def test_the_resource_of_a_page_is_chosen_by_kind_then_learning_then_address() -> None:
    page = {"@type": "WebPage", "name": "page"}
    book = {"@type": "Book", "name": "book"}
    other = {"@type": "CreativeWork", "name": "other", "url": "https://a.test/other"}
    this = {"@type": "CreativeWork", "name": "this", "url": PAGE}
    taught = {"@type": "CreativeWork", "name": "taught", "learningResourceType": "video"}
    chosen = [
        jsonld.choose(blocks, PAGE)
        for blocks in (
            [page, book],
            [book, other],
            [other, this],
            [this, taught],
            [taught, {"@type": "Course", "name": "course"}],
        )
    ]
    assert [found and found["name"] for found in chosen] == ["book", "book", "this", "taught", "course"]
    assert (
        jsonld.choose([{"@type": "BreadcrumbList"}, {"@type": "WebSite"}, {"@type": "Person", "name": "P"}, 7]) is None
    )


def test_a_circle_of_references_ends() -> None:
    draft = read({"@graph": [
        {"@id": "#a", "@type": "Course", "name": "A", "hasPart": {"@id": "#b"}},
        {"@id": "#b", "@type": "CreativeWork", "name": "B", "isPartOf": {"@id": "#a"}},
    ]})  # fmt: skip
    assert draft["relations"] == [{"type": "hasPart", "target": "#b"}]


def test_terms_are_found_by_label_in_any_language_or_by_the_end_of_their_address() -> None:
    draft = read({
        "@type": "LearningResource", "name": "T",
        "learningResourceType": [
            {"id": "https://w3id.org/kim/hcrt/course"}, {"id": "https://x.test/1", "prefLabel": {"de": "Foo", "en": "Video"}},
            {"id": "https://x.test/2", "prefLabel": {"de": "Arbeitsblatt"}},
        ],
        "about": [{"prefLabel": {"de": "Sonstiges"}}, {"prefLabel": {"de": "Mathe", "en": "Mathematics"}}],
        "educationalLevel": ["三年级", {"@type": "DefinedTerm", "name": "Primary school"}, "Grade 4"],
        "audience": {"@type": "EducationalAudience", "educationalRole": "teacher"},
    })  # fmt: skip
    assert draft["type"] == ["course", "Video", "Arbeitsblatt"]
    assert (draft["subject"], draft["keywords"]) == ("Mathematics", ["Sonstiges"])
    assert (draft["grade"], draft["stage"], draft["audience"]) == (["三年级", "Grade 4"], "Primary school", ["teacher"])


def test_nothing_is_made_of_null_and_blank() -> None:
    blank = {"@type": "CreativeWork", "name": "T", "keywords": "", "about": None, "license": None, "author": [],
             "audience": [{"@type": "EducationalAudience", "educationalRole": None}], "review": [{"reviewBody": "nice"}],
             "educationalAlignment": [{"@type": "AlignmentObject", "targetName": None}], "mentions": ["x"]}  # fmt: skip
    assert read(blank) == {"title": "T"}


@pytest.mark.parametrize(
    ("node", "rule"),
    [
        (None, "jsonld.shape"), ("text", "jsonld.shape"), (7, "jsonld.shape"), ([], "jsonld.no_resource"),
        ({"@type": "BreadcrumbList"}, "jsonld.no_resource"), ([1, [2]], "jsonld.no_resource"),
    ],
)  # fmt: skip
def test_what_is_no_resource_is_a_fault_by_name(node: Any, rule: str) -> None:
    fault = jsonld.read(node)
    assert isinstance(fault, Fault)
    assert fault.rule == rule


KEYS = ["@type", "@id", "id", "name", "author", "about", "license", "encoding", "url", "de", "@value", "@list", "@graph",
        "educationalLevel", "review", "mentions", "roleName", "identifier", "offers", "mainEntity"]  # fmt: skip
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["Course", "Role", "WebPage", " ", "T", PAGE]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(JSON, st.sampled_from(["", PAGE]))
def test_whatever_is_read_nothing_is_raised_and_the_record_can_be_judged(value: Any, page: str) -> None:
    for node in (value, {"@type": "Course", "name": value, "author": value, "about": value, "url": value}):
        draft = jsonld.read(node, page=page)
        if not isinstance(draft, Fault):
            assert isinstance(prepare(draft, "ix:P-440000-01:f/1"), (Prepared, Fault))


def test_a_property_of_a_million_values_costs_no_more_than_a_few() -> None:
    import time

    many = [f"w{number}" for number in range(300_000)]
    started = time.process_time()
    draft = read(
        {"@type": "Course", "name": "T", "keywords": many, "educationalLevel": many, "about": many, "url": many}
    )
    assert time.process_time() - started < 3
    assert len(draft["keywords"]) <= 2000


def test_real_pages_give_the_resource_and_not_the_breadcrumb(data: Path) -> None:
    script = re.compile(r"<script[^>]*ld\+json[^>]*>(.*?)</script>", re.DOTALL)
    drafts = []
    for file in sorted((data / "sitemap-jsonld-html").glob("*.html")):
        blocks = [json.loads(text) for text in script.findall(file.read_text())]
        assert [block["@type"] for block in blocks] == ["Organization", "BreadcrumbList", "CreativeWork"]
        drafts.append(read(blocks, page=f"https://www.hoou.de/materials/{file.stem}"))
    assert [draft["title"] for draft in drafts] == ["Online Punkteabfrage", "Tutorial: Lernen lernen"]
    assert [len(draft["contributors"]) for draft in drafts] == [3, 3]
    assert all(draft["rights"]["licence_uri"].startswith("http") and draft["location"] for draft in drafts)
    assert all(isinstance(prepare(draft, "ix:E-000000-01:h/1"), Prepared) for draft in drafts)


def test_no_context_is_ever_fetched_because_nothing_here_can() -> None:
    import ast

    from app.protocol.amb import checks, profile
    from app.protocol.jsonld import choosing, education, linked, nodes, reading, rendering

    for module in (checks, profile, choosing, education, linked, nodes, reading, rendering):
        tree = ast.parse(Path(str(module.__file__)).read_text())
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name for name in names if not name.startswith("app.protocol")} <= {
            "re", "itertools", "orjson", "collections.abc", "typing", "datetime", "langcodes", "pydantic",
        }  # fmt: skip
