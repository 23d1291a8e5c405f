"""AMB's own examples: each valid one is accepted, each invalid one is refused for its own reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.protocol import amb, jsonld
from app.protocol.connector import Fault

ENCODING = [f"encoding.{number}.{name}" for number in (0, 1) for name in ("contentSize", "bitrate")]
REASONS: dict[str, list[tuple[str, str]]] = {
    "Mozilla-Public-License": [("amb.licence", "license.id")],
    "about": [("amb.scheme", "about")],
    "affiliationWithoutName": [("amb.missing", "publisher.0.affiliation.name")],
    "assessesWithoutURI": [("amb.uri", "assesses.0.id")],
    "captionInMultipleLanguages": [
        ("amb.array", "caption"), ("amb.language", "caption.inLanguage"), ("amb.duration", "duration"),
    ],
    "captionWithoutArray": [("amb.array", "caption"), ("amb.duration", "duration")],
    "competencyRequiredAsObject": [("amb.array", "competencyRequired")],
    "conceptWithMonolingualLabels": [
        ("amb.labels", "about.0.prefLabel"), ("amb.labels", "audience.0.prefLabel"),
        ("amb.labels", "learningResourceType.0.prefLabel"),
    ],
    "conditionsOfAccessStringInsteadObject": [("amb.object", "conditionsOfAccess")],
    "contentSizeAndBitRateWithUnits": [("amb.digits", place) for place in ENCODING],
    "educationalLevelWithWrongID": [("amb.concept", "educationalLevel.0.id")],
    "funderInvalidType": [("amb.class", "funder.0.type")],
    "inLanguageWithoutArray": [("amb.array", "inLanguage")],
    "interactivityType": [("amb.missing", "interactivityType.id"), ("amb.labels", "interactivityType.prefLabel")],
    "invalidAboutConceptUri": [("amb.scheme", "about")],
    "isAccessibleForFree": [("amb.boolean", "isAccessibleForFree")],
    "isBasedOn_noArray": [
        ("amb.array", "isBasedOn"), ("amb.array", "isBasedOn.type"), ("amb.class", "mainEntityOfPage.0.type"),
    ],
    "isBasedOn_noIdOrName": [("amb.identity", "isBasedOn.0")],
    "keywordWithoutArray": [
        ("amb.array", "keywords"), ("amb.array", "mainEntityOfPage"), ("amb.missing", "mainEntityOfPage.id"),
    ],
    "learningResourceType-wihtout-any-valid-id": [("amb.scheme", "learningResourceType")],
    "license-as-string": [("amb.object", "license")],
    "lrtWithoutArray": [("amb.array", "learningResourceType")],
    "mainEntityOf": [("amb.array", "mainEntityOfPage"), ("amb.missing", "mainEntityOfPage.id")],
    "mainEntityOfPageInvalidType": [("amb.class", "mainEntityOfPage.0.type")],
    "missingDefaultLanguage": [("amb.default_language", "@context")],
    "missingDefaultLanguage2": [("amb.default_language", "@context")],
    "noContext": [("amb.missing", "@context")],
    "partWithoutId": [("amb.missing", "isPartOf.0.id"), ("amb.missing", "hasPart.0.id")],
    "teachesWithoutLocalizedPrefLabel": [("amb.labels", "teaches.0.prefLabel")],
    "typeAsURI": [("amb.class", "type.1")],
    "typeWithoutArray": [("amb.array", "type")],
    "typeWithoutLearningResource": [("amb.learning_resource", "type")],
    "videoWithoutUrls": [
        ("amb.media_url", "encoding.0"), ("amb.digits", "encoding.0.contentSize"), ("amb.digits", "encoding.0.bitrate"),
    ],
    "wrongContextLink": [("amb.context", "@context")],
    "wrongDateTime": [
        ("amb.date", "mainEntityOfPage.0.dateCreated"), ("amb.date", "mainEntityOfPage.0.dateModified"),
        ("amb.date", "dateCreated"), ("amb.date", "dateModified"), ("amb.class", "mainEntityOfPage.0.type"),
    ],
    "wrongDefaultLanguageTag": [("amb.language", "@context.1.@language")],
    "wrongDuration": [("amb.duration", "duration")],
}  # fmt: skip


def test_all_35_valid_examples_are_accepted(data: Path) -> None:
    files = sorted((data / "jsonld-amb" / "valid").glob("*.json"))
    found = {file.stem: amb.faults(json.loads(file.read_bytes())) for file in files}
    assert (len(found), {name: broken for name, broken in found.items() if broken}) == (35, {})


def test_all_37_invalid_examples_are_refused_for_their_own_reasons_and_no_other(data: Path) -> None:
    files = sorted((data / "jsonld-amb" / "invalid").glob("*.json"))
    found = {file.stem: amb.faults(json.loads(file.read_bytes())) for file in files}
    places = {name: sorted((fault.rule, fault.path) for fault in broken) for name, broken in found.items()}
    assert places == {name: sorted(reasons) for name, reasons in REASONS.items()}
    assert len(places) == 37


def test_the_reader_accepts_and_refuses_the_same_files(data: Path) -> None:
    blocks = {file: json.loads(file.read_bytes()) for file in (data / "jsonld-amb").glob("*/*.json")}
    refused = {file for file, block in blocks.items() if isinstance(jsonld.read(block, profile="amb"), Fault)}
    assert {file.parent.name for file in refused} == {"invalid"}
    assert len(refused) == 37
    # Without the profile the reader takes what it can get: all of them describe a resource.
    lenient = {file.stem: draft for file, block in blocks.items() if isinstance(draft := jsonld.read(block), Fault)}
    assert lenient == {}


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("dateCreated", "2026-02-30", "amb.date"),
        ("dateCreated", "20260301", "amb.date"),
        ("duration", "P", "amb.duration"),
        ("duration", "PT", "amb.duration"),
        ("inLanguage", ["xx"], "amb.language"),
        ("image", "not a uri", "amb.uri"),
        ("name", 7, "amb.text"),
        ("conditionsOfAccess", {"id": "http://w3id.org/kim/conditionsOfAccess/other"}, "amb.concept"),
        ("encoding", [{"type": "MediaObject", "contentUrl": "a:b", "encodingFormat": "mp4"}], "amb.media_type"),
        ("encoding", [{"type": "MediaObject", "contentUrl": "a:b", "sha256": "ab"}], "amb.hash"),
        ("encoding", [{"contentUrl": "a:b"}], "amb.missing"),
    ],
)
def test_rules_that_no_example_breaks(field: str, value: Any, rule: str) -> None:
    block = {"@context": [amb.CONTEXT, {"@language": "de"}], "id": "https://a.test/1", "name": "T",
             "type": ["LearningResource"]}  # fmt: skip
    assert amb.faults(block) == []
    assert [fault.rule for fault in amb.faults({**block, field: value})] == [rule]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*REASONS, "id", "type", "about", "license", "encoding", "@context", "name"]), inner
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_whatever_is_judged_nothing_is_raised(value: Any) -> None:
    assert all(fault.rule.startswith("amb.") for fault in amb.faults(value))
    broken = amb.faults([value] * 500)
    assert len(broken) <= amb.LIMIT
