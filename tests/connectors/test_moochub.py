"""MOOCHub: schema versions 2 and 3, misspelt keys by name, paging, and hostile lists."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol.connector import Entry, Page, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation
from connectors.moochub import MoocHub, named
from tests.connectors.driving import Answer, Site, drafts, entries, resumes_everywhere, rules, run

URL = "https://mooc.example.org/bridges/moochub/courses"
FEED = MoocHub.model_validate({"courses_url": URL})
V3: dict[str, Any] = {
    "name": "计算思维", "courseCode": "CT26", "description": "<p>一</p><p>二</p>", "inLanguage": ["zh-CN"],
    "url": "https://mooc.example.org/ct26", "keywords": ["算法", "算法"], "audience": ["student"],
    "creator": [{"name": "李老师", "type": "Person"}], "publisher": {"name": "某平台", "type": "Organization"},
    "license": [{"identifier": "CC-BY-4.0", "url": "https://spdx.org/licenses/CC-BY-4.0.html"}],
    "educationalAlignment": [{"name": [{"inLanguage": "zh", "name": "信息技术"}]}], "dateCreated": "2026-02-03T04:05:06Z",
}  # fmt: skip
V2: dict[str, Any] = {
    "name": "计算思维", "courseCode": "CT26", "abstract": "一\n二", "languages": ["zh-CN"], "url": "https://mooc.example.org/ct26",
    "instructors": [{"name": "李老师"}], "moocProvider": {"name": "某平台", "url": "https://mooc.example.org"},
    "courseLicenses": [{"id": "CC-BY-4.0", "name": "CC-BY-4.0", "url": "https://spdx.org/licenses/CC-BY-4.0.html"}],
}  # fmt: skip
READ = {
    "title": "计算思维", "description": "一\n二", "languages": ["zh-CN"], "location": ["https://mooc.example.org/ct26"],
    "identifiers": [{"catalog": "courseCode", "entry": "CT26"}], "type": ["course"],
    "rights": {"licence_uri": "https://spdx.org/licenses/CC-BY-4.0.html", "statement": "CC-BY-4.0"},
}  # fmt: skip


def course(id: Any = "c1", **attributes: Any) -> dict[str, Any]:
    return {"id": id, "type": "Course", "attributes": attributes}


def listing(*data: Any, after: Any = None) -> bytes:
    return json.dumps({"links": {"self": URL, "first": URL, "last": URL, "next": after}, "data": list(data)}).encode()


def read(**attributes: Any) -> Any:
    return drafts(FEED, run(FEED, Site({URL: listing(course(**attributes))})))["c1"]


def test_version_3_becomes_a_record() -> None:
    assert read(**V3) == READ | {
        "keywords": ["算法"], "audience": ["student"], "subject": "信息技术", "published": "2026-02-03",
        "contributors": [{"role": "creator", "name": "李老师"}, {"role": "publisher", "name": "某平台"}],
    }  # fmt: skip


def test_version_2_becomes_the_same_record() -> None:
    people = [{"role": "instructor", "name": "李老师"}, {"role": "publisher", "name": "某平台"}]
    assert read(**V2) == READ | {"contributors": people}


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("language", "inLanguage"), ("in_language", "inLanguage"), ("InLanguage", "inLanguage"), ("licence", "license"),
        ("courseLicences", "license"), ("mooc-provider", "publisher"), ("partnerInstitute", "contributor"),
        ("keyword", "keywords"), ("discription", "description"), ("title", "name"), ("startdate", "startDate"),
        ("lerningObjectives", "teaches"), ("educationalAligment", "educationalAlignment"),
    ],
)  # fmt: skip
def test_misspelt_keys_are_borne_by_name_and_a_right_one_wins(wrong: str, right: str) -> None:
    assert named({wrong: "x"}) == {right: "x"}
    assert named({wrong: "x", right: "y"}) == named({right: "y", wrong: "x"}) == {right: "y"}
    assert named({"somethingElse": 1}) == {"somethingElse": 1}


def test_the_newest_version_is_asked_for_first() -> None:
    request = FEED.request({})
    assert request.url == URL
    assert request.headers["accept"].index("moochub-version=3") < request.headers["accept"].index("moochub-version=2")


def test_pages_are_followed_from_any_page_and_are_a_complete_listing() -> None:
    site = Site(
        {
            URL: listing(course("a"), course("b"), after="?page=2"),
            URL + "?page=2": listing(course("c"), after={"href": URL + "?page=3"}),
            URL + "?page=3": listing(course(7)),
        }
    )
    found = run(FEED, site)
    assert [entry.identifier for entry in entries(found)] == ["a", "b", "c", "7"]
    assert found[-1].complete == {page.listing for page in found}
    resumes_everywhere(FEED, site)


def test_one_course_without_its_array_is_read() -> None:
    """As in the example of the schema's own API description."""
    page = json.dumps({"links": {}, "data": course(name="T")}).encode()
    assert drafts(FEED, run(FEED, Site({URL: page}))) == {"c1": {"title": "T", "type": ["course"]}}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (listing(course(), after=URL), "page.loop"), (listing(after="ftp://a"), "moochub.next"),
        (listing(after=["x"]), "moochub.next"), (b'{"links": {}}', "moochub.shape"),
        (b'{"errors": [{"title": "no"}]}', "moochub.errors"), (b"<html>", "page.html"), (b"[]", "json.malformed"),
        (b'{"links": {}, "data": "x"}', "moochub.shape"),
    ],
)  # fmt: skip
def test_what_is_no_list_is_refused_by_name(answer: bytes, kind: str) -> None:
    with pytest.raises(PeerViolation) as refused:
        run(FEED, Site({URL: answer}))
    assert refused.value.kind == kind


def test_ever_new_pages_end_at_the_limit_and_the_next_run_begins_again() -> None:
    feed = MoocHub.model_validate({"courses_url": URL, "max_pages": 5})
    site, kept = Site(lambda url: listing(course(url), after=f"{url}x")), list[Page]()
    with pytest.raises(PeerViolation) as refused:
        run(feed, site, kept=kept)
    assert (refused.value.kind, len(site.asked), kept[-1].checkpoint) == ("page.limit", 5, {})


@pytest.mark.parametrize(("status", "kind"), [(401, PeerRefused), (500, PeerUnavailable)])
def test_a_status_is_named_with_what_the_answer_says(status: int, kind: type[PeerError]) -> None:
    answer: Answer = (status, b'{"errors": [{"title": "key expired"}]}')
    with pytest.raises(kind, match="key expired"):
        run(FEED, Site({URL: answer}))


def test_bad_courses_are_faults_in_their_places() -> None:
    page = run(
        FEED, Site({URL: listing(course(name="T"), 3, {"id": "x"}, course(None, name="y"), course("z", name=None))})
    )
    assert sorted(rules(drafts(FEED, page)).values()) == [
        "moochub.attributes",
        "moochub.attributes",
        "record.id_missing",
    ]


def test_a_mapped_feed_is_given_the_attributes_under_right_names() -> None:
    feed = MoocHub.model_validate({"courses_url": URL, "mapped": True})
    raw = json.dumps(course(languages=["zh"], own=1)).encode()
    assert list(feed.parse([Entry("c1", raw)], b"")) == [{"inLanguage": ["zh"], "own": 1}]


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.text() | st.integers() | st.booleans(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "id",
                        "attributes",
                        "name",
                        "license",
                        "url",
                        "creator",
                        "data",
                        "links",
                        "next",
                        "errors",
                        "title",
                    ]
                ),
                inner,
            )
        ),
    ).map(lambda value: json.dumps({"links": {}, "data": value}).encode())
)
def test_hostile_answers_raise_nothing_but_errors_of_the_peer(content: bytes) -> None:
    try:
        found = list(FEED.read({}, Response.of(content, url=URL)))
    except PeerError:
        return
    for page in found:
        assert len(list(FEED.parse(page.entries, page.context))) == len(page.entries)
