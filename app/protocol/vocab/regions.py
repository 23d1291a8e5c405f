"""Regions by GB/T 2260 code with all revisions since 1980: today's, retired ones with successors, 兵团 as 660000.

A code means one place today; what it meant before stands in `former`, since codes are given out again. A code that
vanished keeps its row and leads to the codes of today that lie there. Where a successor could not be found below it,
the region above stands for it. Names never identify a region: 168 of them stand on several codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Final

from app.protocol.vocab.tables import remember, rows, several

CORPS: Final = "660000"  # 新疆生产建设兵团 has no code in GB/T 2260; its cities are coded 6590xx inside 650000
_KNOWN: Final[dict[str, str]] = {}
_SHORT: Final = {2: "0000", 4: "00", 6: ""}


@dataclass(frozen=True, slots=True)
class Former:
    """What a code meant until a year, and the codes of today that lie there; none where it was only renamed."""

    name: str
    since: str | None
    until: str
    successors: tuple[str, ...]
    basis: str | None


@dataclass(frozen=True, slots=True)
class Region:
    """One code. `level` is 1 province, 2 city, 3 county; `short` the one-character name of a province.

    `kind`: None for a division; `group` for 市辖区 and the like, `zone` for a development zone of the statistics bureau,
    `corps` for 兵团, `separate` for the five cities of separate planning (计划单列市), which report directly.
    `since` is None when it is in the book of 1980 or its year is not known; `until` is the year it was retired. `basis`
    is how the successors are known (docs/vocabularies.md); `above`: only the region above is, and stands for them.
    """

    code: str
    name: str
    en: str
    short: str
    kind: str | None
    level: int
    parent: str | None
    province: str
    since: str | None
    until: str | None
    successors: tuple[str, ...]
    basis: str | None
    former: tuple[Former, ...]


@cache
def regions() -> Mapping[str, Region]:
    """Every region by code, in the order of codes. About 7,200; made once."""
    by_code: dict[str, list[dict[str, str]]] = {}
    for row in rows("region"):
        by_code.setdefault(row["code"], []).append(row)
    named = {row["code"]: row for row in rows("province")}
    return {code: _region(code, revisions, named.get(code, {})) for code, revisions in by_code.items()}


def _region(code: str, revisions: list[dict[str, str]], named: Mapping[str, str]) -> Region:
    *earlier, row = revisions
    moved = several(row["successors"])
    return Region(
        code, row["name"], named.get("en", row["name"]), named.get("short", ""), row["kind"] or None,
        1 if code.endswith("0000") else 2 if code.endswith("00") else 3, row["parent"] or None,
        _province(moved[0] if moved and len({_province(to) for to in moved}) == 1 else code),
        row["since"] or None, row["until"] or None, moved, row["basis"] or None,
        tuple(_former(old) for old in earlier),
    )  # fmt: skip


def _former(row: Mapping[str, str]) -> Former:
    return Former(row["name"], row["since"] or None, row["until"], several(row["successors"]), row["basis"] or None)


def _province(code: str) -> str:
    return CORPS if code.startswith("659") else code[:2] + "0000"


@cache
def _aliases() -> Mapping[str, str]:
    return {alias: row["code"] for row in rows("province") for alias in several(row["aliases"])}


def six(code: str) -> str:
    """The six digits of a code: statistical codes of 9 and 12 digits are cut, 2 and 4 digits are filled, 659900 is 兵团."""
    if len(code) in (9, 12) and code.isdigit():
        code = code[:6]
    elif len(code) in (2, 4) and code.isdigit():
        code += _SHORT[len(code)]
    return _aliases().get(code, code)


def region(code: str) -> Region | None:
    """A region by code, retired ones included; None where no revision has it."""
    return regions().get(six(code))


def province_of(code: str) -> str:
    """The province-level code above a code as of today; 660000 for 6590xx; of an unknown code by its first two digits."""
    try:
        return _KNOWN[code]
    except KeyError:
        return remember(_KNOWN, code, _province_today(code), 12)


def _province_today(code: str) -> str:
    found = region(code)
    return found.province if found else _province(six(code))


@lru_cache(maxsize=16_384)
def ancestors(code: str) -> tuple[str, ...]:
    """The codes above, nearest first. A city of 兵团 lies in 兵团 and, on the map, in 新疆."""
    found = region(code)
    if found is None:
        code = six(code)
        city = CORPS if code.startswith("659") else code[:4] + "00"  # a city of 兵团 newer than the table
        above = (city, code[:2] + "0000") if len(code) == 6 and code.isdigit() else ()
        return tuple(up for up in above if up != code and up in regions())
    over = (found.parent, *ancestors(found.parent)) if found.parent else ()
    return (*over, "650000") if found.parent == CORPS else over


@lru_cache(maxsize=16_384)
def _places(code: str) -> frozenset[str]:
    """The code, all above it, and the same of its successors; what was above it only in the past does not count."""
    found = region(code)
    places = {six(code)}
    if found is None or not found.until or found.province == _province(found.code):
        places.update(ancestors(code))
    for successor in found.successors if found else ():
        places |= _places(successor)
    return frozenset(places)


@lru_cache(maxsize=65_536)
def under(code: str, ancestor: str) -> bool:
    """Whether a region is, or lies in, another, by today's map: a retired code lies where its successors lie.

    A retired ancestor stands for the codes that replaced it, so that a question put in old codes is still answered.
    The cities 6590xx lie in 兵团 and in 新疆; 兵团 itself is a province-level member of its own, not part of 新疆.
    """
    above = region(ancestor)
    if above is not None and above.kind == "group" and above.level == 2:
        return six(code)[:4] == above.code[:4]
    wanted = {six(ancestor)} if above is None else {above.code, *above.successors}
    return not wanted.isdisjoint(_places(code))


@cache
def provinces() -> tuple[Region, ...]:
    """The 34 province-level regions and 兵团, by code."""
    return tuple(sorted((one for one in regions().values() if one.level == 1), key=lambda one: one.code))


@cache
def hub_provinces() -> tuple[Region, ...]:
    """The 31 provinces and 兵团 whose platforms make the national federation."""
    return tuple(found for found in provinces() if found.code < "710000")
