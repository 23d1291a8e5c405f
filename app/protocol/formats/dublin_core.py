"""oai_dc and nsdl_dc: Dublin Core 1.1 elements, with the refinements of dcterms beside them.

The reader walks the elements once and asks each for its tag and text only: it runs for every changed record.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from lxml import etree

from app.protocol.connector import Draft, Fine
from app.protocol.html import to_text
from app.protocol.text import rule
from app.protocol.vocab.lookup import resolve

Take = Callable[[dict[str, Any], str], None]
_URL: Final = re.compile(r"https?://", re.IGNORECASE)
_CATALOG: Final = re.compile(r"(?:urn:|info:)?(isbn|issn|doi|hdl|handle|ark|oai)[:/ ]\s*(?=\S)", re.IGNORECASE)
_GRADE: Final = re.compile(r"grade\b|.*年级", re.IGNORECASE)
# OpenAIRE's dates of an embargo stand among the dc:date of a repository and say nothing of publication.
_EMBARGO: Final = "info:eu-repo/date/embargo"
_FOREIGN: Final = re.compile("[\r\x80-\x9f]")
_WINDOWS: Final = {
    code: bytes([code]).decode("cp1252") for code in range(0x80, 0xA0) if code not in (129, 141, 143, 144, 157)
}
_NO_LANGUAGE: Final = frozenset({"und", "zxx", "mis", "mul", "undefined", "undetermined"})
"""ISO 639-2 codes (and their names) that name no language."""


def read_oai_dc(metadata: etree._Element) -> Draft:
    """A draft of a Dublin Core record; elements nobody mapped are passed over."""
    names = tuple([node.tag.rpartition("}")[2] for node in metadata])
    return draft(names, [words(node) if len(node) else node.text or "" for node in metadata])


def draft(names: tuple[str, ...], texts: list[str], fine: bool = False) -> Draft:
    """A draft of elements by their local names, in the order of the record; the namespaces do not count.

    `fine`: the texts are known to keep the text rule; so does then what is made of them, HTML set aside.

    The same as to `put` one after the other, but what only makes lists is gathered at once: where the texts of a list
    stand is known for all records with these elements.
    """
    texts = [text.strip() for text in texts]
    if not all(texts):
        names = tuple([name for name, text in zip(names, texts, strict=True) if text])
        texts = [text for text in texts if text]
    if not fine and not "".join(texts).isprintable():
        texts = [mended(text) for text in texts]
    plan = _plan(names)
    made: dict[str, Any] = {}
    for field, limit, places in plan.lists:
        made[field] = [texts[place][:limit] for place in places]
    if plan.persons:
        made["contributors"] = [{"role": role, "name": texts[place][:1000]} for role, place in plan.persons]
    if plan.relations:
        made["relations"] = [{"type": kind, "target": texts[place][:4000]} for kind, place in plan.relations]
    for take, place in plan.takes:
        take(made, texts[place])
    for place in plan.prose:
        # A reference of HTML can stand for what the rule refuses (`&#x81;`).
        fine = fine and (not _may_be_html(texts[place]) or rule(made["description"]) is None)
    return Fine(settled(made)) if fine else settled(made)


class _Plan(NamedTuple):
    """Where the elements of a record go: lists with their longest text, persons by role, relations, all others.

    `prose` are those of all others whose texts may be HTML.
    """

    lists: list[tuple[str, int, list[int]]]
    persons: list[tuple[str, int]]
    relations: list[tuple[str, int]]
    takes: list[tuple[Take, int]]
    prose: list[int]


@lru_cache(maxsize=4096)
def _plan(names: tuple[str, ...]) -> _Plan:
    plan, lists, met = _Plan([], [], [], [], []), dict[tuple[str, int], list[int]](), set[str]()
    for place, name in enumerate(names):
        further = name in met
        met.add(name)
        if name in LISTED or (further and name == "title"):
            lists.setdefault(LISTED["alternative" if name == "title" else name], []).append(place)
        elif name in PERSONS:
            plan.persons.append((name, place))
        elif name in RELATIONS or (further and name == "conformsTo"):
            plan.relations.append((name, place))
        elif name in TAKES:
            plan.takes.append((TAKES[name], place))
    plan.prose.extend(place for take, place in plan.takes if take is _description)
    plan.lists.extend((field, limit, places) for (field, limit), places in lists.items())
    return plan


def put(draft: dict[str, Any], name: str, text: str) -> None:
    """Puts a text where its element belongs; elements nobody mapped are passed over."""
    if name in LISTED:
        field, limit = LISTED[name]
        draft.setdefault(field, []).append(text[:limit])
    elif name in PERSONS:
        draft.setdefault("contributors", []).append({"role": name, "name": text[:1000]})
    elif name in RELATIONS:
        draft.setdefault("relations", []).append({"type": name, "target": text[:4000]})
    elif name in TAKES:
        TAKES[name](draft, text)


def settled(draft: Draft) -> Draft:
    """The draft with each keyword once and a subject: the first keyword our list of subjects knows, else the first."""
    if keywords := draft.get("keywords"):
        draft["keywords"] = keywords = list(dict.fromkeys(keywords))
        if "subject" not in draft:
            draft["subject"] = next(filter(_is_subject, keywords), keywords[0])[:200]
    return draft


def _is_subject(word: str) -> bool:
    return resolve("subject", word) is not None


def read_nsdl_dc(metadata: etree._Element) -> Draft:
    """A draft of an NSDL record (nsdl_dc 1.02): Dublin Core with its dcterms, read alike."""
    return read_oai_dc(metadata)


def words(node: etree._Element) -> str:
    """All text inside an element, in one line."""
    return mended(" ".join("".join(map(str, node.itertext())).split()))


def mended(text: str) -> str:
    """Text whose line ends are `\\n` and whose C1 controls are what their writer saw: Windows-1252.

    Real catalogues hold both (`&#13;`, `&#x92;`); the text rule would refuse the whole record. HTML reads such
    references alike (13.2.5.80). A control that Windows-1252 has no character for stays, and is refused by name.
    """
    if not _FOREIGN.search(text):
        return text
    return text.replace("\r\n", "\n").replace("\r", "\n").translate(_WINDOWS)


def _title(draft: dict[str, Any], text: str) -> None:
    if "title" in draft:
        draft.setdefault("alt_titles", []).append(text[:1000])
    else:
        draft["title"] = text[:1000]


def _description(draft: dict[str, Any], text: str) -> None:
    """Repositories write HTML here, escaped once, twice or not at all."""
    text = to_text(text, "unsure") if _may_be_html(text) else text
    draft["description"] = (f"{draft['description']}\n{text}" if "description" in draft else text)[:20_000]


def _may_be_html(text: str) -> bool:
    return "<" in text or "&" in text


def _identifier(draft: dict[str, Any], text: str) -> None:
    """An address is where it is; anything else is an entry in a catalogue, named where the text names it."""
    if _is_address(text):
        draft.setdefault("location", []).append(text[:4000])
        return
    found = _CATALOG.match(text)
    item = {"catalog": found[1].upper(), "entry": text[found.end() :]} if found else {"entry": text}
    draft.setdefault("identifiers", []).append({**item, "entry": item["entry"][:4000]})


def _is_address(text: str) -> bool:
    """Asked without the pattern where the first letter already says no: most texts are not addresses."""
    return text[:1] in ("h", "H") and _URL.match(text) is not None


def _language(draft: dict[str, Any], text: str) -> None:
    if text.casefold() not in _NO_LANGUAGE:
        draft.setdefault("languages", []).append(text[:200])


def _date(draft: dict[str, Any], text: str) -> None:
    if not text.startswith(_EMBARGO):
        draft.setdefault("published", text[:200])


def _issued(draft: dict[str, Any], text: str) -> None:
    """The date that says of itself that it is one of publication counts, wherever it stands."""
    draft["published"] = text[:200]


def _standard(draft: dict[str, Any], text: str) -> None:
    """The first standard is the record's own; further ones (a record can name dozens) are relations."""
    if "curriculum_standard" in draft:
        draft.setdefault("relations", []).append({"type": "conformsTo", "target": text[:4000]})
    else:
        draft["curriculum_standard"] = text[:1000]


def _rights(draft: dict[str, Any], text: str) -> None:
    rights = draft.setdefault("rights", {})
    if _is_address(text) and " " not in text and "licence_uri" not in rights:
        rights["licence_uri"] = text[:4000]
    else:
        rights["statement"] = (f"{rights['statement']}\n{text}" if "statement" in rights else text)[:20_000]


def _level(draft: dict[str, Any], text: str) -> None:
    """dcterms educationLevel holds stages and grades alike; of stages the first that our list knows counts.

    Many records begin with a setting (`Informal Education`) and name their stages behind it.
    """
    if _GRADE.match(text):
        draft.setdefault("grade", []).append(text[:200])
    elif "stage" not in draft or (_stage(text) and not _stage(draft["stage"])):
        draft["stage"] = text[:200]


def _stage(text: str) -> bool:
    return resolve("stage", text) is not None


LISTED: Final[dict[str, tuple[str, int]]] = {
    "alternative": ("alt_titles", 1000), "subject": ("keywords", 1000), "coverage": ("keywords", 1000),
    "temporal": ("keywords", 1000), "spatial": ("region_scope", 200), "type": ("type", 200), "format": ("format", 1000),
    "medium": ("format", 1000), "extent": ("format", 1000), "audience": ("audience", 200), "mediator": ("audience", 200),
}  # fmt: skip
"""Elements whose texts are a list as they are: its field, and the longest text."""
PERSONS: Final = frozenset({"creator", "contributor", "publisher", "rightsHolder"})
RELATIONS: Final = frozenset({
    "relation", "source", "isPartOf", "hasPart", "references", "isReferencedBy", "isVersionOf", "hasVersion",
    "replaces", "isReplacedBy", "requires", "isRequiredBy", "isFormatOf", "hasFormat",
})  # fmt: skip
TAKES: Final[dict[str, Take]] = {
    "title": _title, "language": _language, "description": _description, "abstract": _description,
    "educationLevel": _level, "conformsTo": _standard, "identifier": _identifier,
    "date": _date, "issued": _issued, "created": _date, "available": _date,
    "rights": _rights, "license": _rights, "accessRights": _rights,
}  # fmt: skip
