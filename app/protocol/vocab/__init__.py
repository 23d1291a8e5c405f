"""Code lists as versioned data, and the resolution of raw terms to codes.

An unknown term is never an error: `resolve` answers None, the caller keeps the term and flags it `unmapped`.
"""

import csv
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import langcodes

VERSION = "2026.11"
TITLES = {
    "stage": ("学段", "Stage"), "grade": ("年级", "Grade"), "subject": ("学科", "Subject"),
    "type": ("资源类型", "Resource type"), "edition": ("教材版本", "Textbook edition"), "volume": ("册次", "Volume"),
    "language": ("语种", "Language"), "licence": ("许可", "Licence"), "region": ("行政区划", "Region"),
    "reason": ("准入理由", "Reason of a verdict"), "audit": ("审核项目", "Audit item"),
}  # fmt: skip
SCHEMES = tuple(TITLES)


@dataclass(frozen=True, slots=True)
class Concept:
    """One code with its labels; `successors` replace it where it is retired (`until` is a year)."""

    code: str
    zh: str
    en: str
    aliases: tuple[str, ...] = ()
    exact_match: str | None = None
    group: str | None = None
    since: str | None = None
    until: str | None = None
    successors: tuple[str, ...] = ()
    parent: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """A code list in one version."""

    id: str
    version: str
    title_zh: str
    title_en: str
    concepts: Mapping[str, Concept]


@dataclass(frozen=True, slots=True)
class Region:
    """A region by GB/T 2260 code; level 1 province, 2 city, 3 county; `short` is the one-character name."""

    code: str
    name: str
    short: str
    level: int
    parent: str | None
    province: str
    since: str | None
    until: str | None
    successors: tuple[str, ...]
    note: str


def _rows(name: str) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(files(__package__).joinpath(f"{name}.csv").read_text("utf-8").splitlines())


def _list(text: str) -> tuple[str, ...]:
    return tuple(part for part in text.split("|") if part)


@cache
def scheme(name: str) -> Scheme:
    """A code list. Raises KeyError for a name that is not in SCHEMES."""
    zh, en = TITLES[name]
    if name == "region":
        concepts = {
            r.code: Concept(r.code, r.name, r.name, until=r.until, successors=r.successors, parent=r.parent)
            for r in _regions().values()
        }
    else:
        concepts = {
            row["code"]: Concept(
                row["code"],
                row["zh"],
                row["en"],
                _list(row["aliases"]),
                row["exact_match"] or None,
                row["group"] or None,
            )
            for row in _rows(name)
        }
    return Scheme(name, VERSION, zh, en, concepts)


def fold(term: str) -> str:
    """How terms are compared: NFKC, case-folded, inner space reduced."""
    return " ".join(unicodedata.normalize("NFKC", term).casefold().split())


@cache
def _index(name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for concept in scheme(name).concepts.values():
        for term in (concept.code, concept.zh, concept.en, *concept.aliases):
            found.setdefault(fold(term), concept.code)
    return found


def resolve(name: str, term: str, table: Mapping[str, str] | None = None) -> str | None:
    """The code of a raw term: the platform's own table first, then code, label, alias; None when unmapped."""
    if table and (code := table.get(term)) is not None:
        return code
    return _resolved(name, term)


@lru_cache(maxsize=65_536)
def _resolved(name: str, term: str) -> str | None:
    if name == "region":
        found = region(term)
        return found.code if found else None
    return _index(name).get(fold(term))


def label(name: str, code: str, lang: str = "zh") -> str:
    """A code's label; the code itself where the list does not know it."""
    concept = scheme(name).concepts.get(code)
    return code if concept is None else concept.zh if lang == "zh" else concept.en


def current(name: str, code: str) -> tuple[str, ...]:
    """The live codes that a code leads to through its successors; itself when it is live or unknown."""
    concepts, live, queue, seen = scheme(name).concepts, [], [code], set()
    while queue:
        at = queue.pop(0)
        if at in seen:
            continue
        seen.add(at)
        concept = concepts.get(at)
        if concept is not None and concept.until and concept.successors:
            queue += concept.successors
        else:
            live.append(at)
    return tuple(live) or (code,)


_XPCC = "660000"
_ALIASES = {"659900": _XPCC}


@cache
def _regions() -> dict[str, Region]:
    found = {}
    for row in _rows("region"):
        code = row["code"]
        found[code] = Region(
            code, row["name"], row["short"], int(row["level"]), row["parent"] or None, code[:2] + "0000",
            row["since"] or None, row["until"] or None, _list(row["successors"]), row["note"],
        )  # fmt: skip
    return found


def region(code: str) -> Region | None:
    """A region by code, retired ones included; a 12-digit statistical code counts by its first six digits."""
    cut = code[:6] if len(code) == 12 and code.isdigit() else code
    return _regions().get(_ALIASES.get(cut, cut))


def province_of(code: str) -> str:
    """The province-level code above a code; of an unknown one by its first two digits."""
    found = region(code)
    return found.province if found else code[:2] + "0000"


def ancestors(code: str) -> tuple[str, ...]:
    """The codes above, nearest first."""
    above: list[str] = []
    at = region(code)
    while at is not None and at.parent and at.parent not in above:
        above.append(at.parent)
        at = region(at.parent)
    return tuple(above)


def under(code: str, ancestor: str) -> bool:
    """Whether a region is, or lies in, another. The cities 6590xx count under 兵团 and under 新疆."""
    if code == ancestor or ancestor in ancestors(code):
        return True
    return ancestor == _XPCC and code.startswith("6590")


@cache
def provinces() -> tuple[Region, ...]:
    """The 34 province-level regions and 兵团, by code."""
    return tuple(found for found in _regions().values() if found.level == 1 and not found.until)


@cache
def hub_provinces() -> tuple[Region, ...]:
    """The 31 provinces and 兵团 whose platforms make the national federation."""
    return tuple(found for found in provinces() if found.code < "710000")


_GB4880 = {
    "211": "zh", "215": "bo", "217": "ko", "222": "mn-Mong", "223": "ug", "224": "za", "163": "kk-Arab", "162": "ky-Arab", "556": "ii",
}  # fmt: skip
_GB4881 = {
    "hn": "ko",
    "yi": "ii",
    "th": "tdd",
    "za": "za",
    "ug": "ug",
    "bo": "bo",
    "mn": "mn-Mong",
    "kk": "kk-Arab",
    "zh": "zh",
}
LANGUAGE_SCHEMES = {"gb4880-3digit": _GB4880, "gb4881-2letter": _GB4881}


@lru_cache(maxsize=4096)
def language(tag: str, scheme: str = "bcp47") -> str | None:
    """A language tag in our list's form. `zh` alone stays `zh`; other well-formed BCP 47 tags are normalised."""
    if scheme != "bcp47":
        return LANGUAGE_SCHEMES[scheme].get(tag.strip().casefold())
    if (code := _index("language").get(fold(tag))) is not None:
        return code
    if not tag.isascii() or not langcodes.tag_is_valid(tag):
        return None
    return str(langcodes.standardize_tag(tag))
