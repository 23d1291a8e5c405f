"""Records as a strategy: every field, texts as the text rule and the readers leave them."""

from typing import Any

from hypothesis import strategies as st

from app.protocol import vocab, xml

_VISIBLE = st.characters(exclude_categories=("Cs", "Cc", "Cn"))
LINE = st.text(_VISIBLE, min_size=1, max_size=12).map(lambda text: " ".join(xml.clean(text).split())).filter(bool)
LONG = st.lists(LINE, min_size=1, max_size=3).map("\n".join)
URL = st.text("abcXYZ0189-._~/", max_size=12).map(lambda path: f"https://a.test/{path}")


def _code(scheme: str) -> st.SearchStrategy[str]:
    return st.sampled_from(sorted(vocab.scheme(scheme).concepts)) | LINE


def _some(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(values, min_size=1, max_size=3, unique_by=repr)


_ROLE = st.sampled_from(["creator", "author", "publisher", "editor", "contributor", "译者", "主编"])
_KIND = st.sampled_from(["isPartOf", "hasPart", "isBasedOn", "包含", "relation"])
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "alt_titles": _some(LINE),
    "identifiers": _some(
        st.fixed_dictionaries({"entry": LINE.map("n{}".format), "catalog": st.sampled_from(["ISBN", "本地"])})
    ),
    "languages": _some(st.sampled_from(["zh-Hans", "ug", "bo", "mn-Mong", "en"])),
    "description": LONG,
    "keywords": _some(LINE),
    "type": _some(_code("type")),
    "contributors": _some(
        st.fixed_dictionaries({"role": _ROLE, "name": LINE}, optional={"date": st.sampled_from(["2020", "2021-05"])})
    ),
    "version": LINE,
    "subject": _code("subject"),
    "stage": _code("stage"),
    "grade": _some(_code("grade")),
    "audience": _some(LINE),
    "edition": _code("edition"),
    "volume": _code("volume"),
    "system": LINE,
    "textbook_node": LINE,
    "curriculum_standard": LINE,
    "format": _some(LINE),
    "size_bytes": st.integers(0, 10**14),
    "location": _some(URL),
    "tech_req": LONG,
    "rights": st.fixed_dictionaries({"statement": LONG}, optional={"licence_uri": URL, "restrictions": _some(LINE)}),
    "price": LINE,
    "audits": _some(
        st.fixed_dictionaries({"item": LINE}, optional={"institution": LINE, "date": LINE, "result": LINE})
    ),
    "relations": _some(st.fixed_dictionaries({"type": _KIND, "target": URL | LINE.map("t{}".format)})),
    "region_scope": _some(LINE),
    "published": st.sampled_from(["2024", "2024-03", "2024-03-15"]),
}
RECORDS = st.fixed_dictionaries({"id": LINE.map("ix:P-440000-01:f/{}".format), "title": LINE}, optional=FIELDS)
"""Whole records; `settled` rules (a subject beside keywords) are the reader's own."""
