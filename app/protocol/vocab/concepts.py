"""Code lists as values: 学段 年级 学科 资源类型 版本 册次 语种 许可, each with its version, and terms found in them."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from app.protocol.vocab.tables import rows, several

_DOTS: Final = str.maketrans(dict.fromkeys("•‧・⋅∙", "·"))  # 五•四学制 is written with any of them


@dataclass(frozen=True, slots=True)
class Concept:
    """One code with its labels. Where `until` is set the code is retired, and `successors` took its place.

    `exact_match` names the same thing in a standard, `group` puts codes together for a facet (统编 and 人教 are of one
    publisher), `since` and `until` are years, or year and month of the list that brought the code. `basis` is how the
    successors of a region are known.
    """

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
    basis: str | None = None


@dataclass(frozen=True, slots=True)
class Scheme:
    """A code list in one version; `issued` is the day of its data, `source` where the codes come from."""

    id: str
    version: str
    issued: str
    source: str
    title_zh: str
    title_en: str
    concepts: Mapping[str, Concept]


def headings() -> dict[str, dict[str, str]]:
    """The lists there are: id, zh, en, version, issued, source of each, by id."""
    return {row["id"]: row for row in rows("schemes")}


@cache
def concepts(name: str) -> dict[str, Concept]:
    """The concepts of a list by code, in the list's order. Regions are not among these lists."""
    return {row["code"]: _concept(row) for row in rows(name)}


def _concept(row: Mapping[str, str]) -> Concept:
    return Concept(
        row["code"], row["zh"], row["en"], several(row["aliases"]), row["exact_match"] or None, row["group"] or None,
        row["since"] or None, row["until"] or None, several(row["successors"]),
    )  # fmt: skip


def fold(term: str) -> str:
    """How terms are compared: NFKC, case-folded, white space reduced, the kinds of middle dot made one."""
    return " ".join(unicodedata.normalize("NFKC", term).translate(_DOTS).casefold().split())


@cache
def terms(name: str) -> dict[str, str]:
    """Every folded code, label and alias of a list with its code; a code comes before a label, a label before an alias."""
    found: dict[str, str] = {}
    listed = concepts(name).values()
    for pick in (_codes, _labels, _aliases):
        for concept in listed:
            for term in pick(concept):
                found.setdefault(fold(term), concept.code)
    return found


def _codes(concept: Concept) -> tuple[str, ...]:
    return (concept.code,)


def _labels(concept: Concept) -> tuple[str, ...]:
    return (concept.zh, concept.en)


def _aliases(concept: Concept) -> tuple[str, ...]:
    return concept.aliases
