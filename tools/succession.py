"""What took the place of a code that vanished from the code books; `tools/regions.py` asks, year by year.

The answer says how it was found: `name` (the same name appears where it vanished, or some books later), `event` (a
change event names a code of that year), `now` (a change event names a code of today), `stem` (县, 市 or 区 changed) or
`above` (only the region above is known). Common names (郊区, 市中区) are compared inside their city alone: matched by name
across the country they made a 东山区 of 新疆 one of 黑龙江.
"""

import re
from typing import Any, NamedTuple

Snapshot = dict[str, str]
Row = dict[str, Any]


class Event(NamedTuple):
    """What a package says became of a code: the year, the new code and its name."""

    year: int
    new: str
    name: str


SUFFIX = re.compile(r"(自治[州县旗]|特别行政区|行政区|地区|林区|矿区|特区|[市县区旗盟镇])\Z")
COMMON = re.compile(
    r"(市?郊区|[东西南北]?城区|市中区|城[东西南北中]区|新[华市城]区|[东西南北]区|桥[东西]区|铁[东西]区|市区|矿区)\Z"
)
SPLIT = {("44", "46"), ("51", "50")}  # Hainan left Guangdong in 1988, Chongqing left Sichuan in 1997
MUNICIPALITIES = {"11", "12", "31", "50"}  # their districts are coded 01, their counties 02, one city all the same
TODAY = 9999
HOLE = 5  # years that a name may be missing in the books


def plausible(old: str, new: str) -> bool:
    """Whether a code can have become another at all: within its province, but for the two that were split."""
    return old != new and (old[:2] == new[:2] or (old[:2], new[:2]) in SPLIT)


def stem(name: str) -> str:
    cut = SUFFIX.sub("", name)
    return cut if len(cut) > 1 else name


def successors(row: Row, years: dict[int, Snapshot], told: dict[str, list[Event]]) -> tuple[list[str], str, int]:
    """The codes that took a vanished code's place, how that is known, and the year whose book these codes are of."""
    code, name, year = row["code"], row["name"], row["until"]
    after, before = years[year], years[row["last"]]
    fresh = [other for other in after if before.get(other) != after[other] and plausible(code, other)]
    common = _common(row, before)
    near = [other for other in fresh if not common or other[:4] == code[:4]]
    if len(same := [other for other in near if after[other] == name]) == 1:
        return same, "name", year
    span = (row["last"] - 1, 2026 if year == TODAY else year + 1)  # some books kept a code for a year too long
    events = [event for event in told[code] if span[0] <= event.year <= span[1] and _credible(code, event, common)]
    said = {_named(event, fresh, after) for event in events} & set(after)
    if said := {
        new for new in said if new in fresh or new[:4] == code[:4]
    }:  # joined to a neighbour, not to a far place
        return sorted(said), "event", year
    if back := _back(row, years, common):
        return [back[0]], "name", back[1]
    said = {event.new for event in events if event.new in years[TODAY]}
    if said := {new for new in said if _reachable(code, new, before, years[TODAY])}:
        return sorted(said), "now", TODAY
    if alike := _alike(code, name, near, after):
        return [alike], "stem", year
    above = next((up for up in (code[:4] + "00", code[:2] + "0000") if up in after and up != code), "")
    return [above], "above", year


def _common(row: Row, before: Snapshot) -> bool:
    """Whether a name says nothing outside its city."""
    name, home = row["name"], row["code"][:2]
    if (len(name) < 3 and name.endswith("区")) or COMMON.match(name):
        return True
    return [title for other, title in before.items() if other[:2] == home].count(name) > 1


def _credible(code: str, event: Event, common: bool) -> bool:
    return plausible(code, event.new) and (not common or event.new[:4] == code[:4])


def _reachable(code: str, new: str, before: Snapshot, after: Snapshot) -> bool:
    """Whether a place can be part of another: of one that is new, or of a neighbour; cities are joined to any city."""
    city = 2 if code[:2] in MUNICIPALITIES else 4
    return new[:city] == code[:city] or code.endswith("00") or before.get(new) != after[new]


def _named(event: Event, fresh: list[str], after: Snapshot) -> str:
    """The code that the book gives to the event's name, where the event's own code bears another name in the book."""
    if after.get(event.new) == event.name:
        return event.new
    named = [other for other in fresh if after[other] == event.name]
    return named[0] if len(named) == 1 else event.new


def _back(row: Row, years: dict[int, Snapshot], common: bool) -> tuple[str, int] | None:
    """Where and when a name turns up again after it was missing in some books: a hole in them, not an end."""
    code, before = row["code"], years[row["last"]]
    for year in sorted(year for year in years if row["until"] < year <= row["until"] + HOLE):
        found = [other for other, title in years[year].items() if title == row["name"] and before.get(other) != title]
        found = [other for other in found if plausible(code, other) and (not common or other[:4] == code[:4])]
        if years[year].get(code) == row["name"]:
            return code, year
        if len(found) == 1:
            return found[0], year
    return None


def _alike(code: str, name: str, near: list[str], after: Snapshot) -> str | None:
    """The one code new in that year whose name begins alike: 昌平县 昌平区, 通县 通州区."""
    counties = [other for other in near if (other[4:] == "00") == (code[4:] == "00")]
    for pool in (counties, near):
        for key, reach in ((stem, 2), (lambda title: title[:2], 2), (lambda title: title[:1], 4)):
            if COMMON.match(name) or (reach == 4 and len(name) > 2):
                continue
            alike = [other for other in pool if key(after[other]) == key(name) and other[:reach] == code[:reach]]
            if len(alike) == 1:
                return alike[0]
    return None


def moved_on(row: Row, years: dict[int, Snapshot]) -> bool:
    """Whether a code that has another name in the next book was given to somebody else, and not merely renamed.

    It was when its name stands at another code there, or when the newcomer stood at another code before and the name
    turns up again later.
    """
    after, before = years[row["until"]], years[row["last"]]
    code, new = row["code"], after[row["code"]]
    elsewhere = (
        title == row["name"] and plausible(code, other) and before.get(other) != title
        for other, title in after.items()
        if other[:4] == code[:4] or not COMMON.match(title)
    )  # fmt: skip
    came = stem(new) != stem(row["name"]) and any(
        stem(title) == stem(new) and other not in (code, code[:4] + "00") and after.get(other) != title
        for other, title in before.items()
        if other[:2] == code[:2] and (other[:4] == code[:4] or not COMMON.match(new))
    )
    return any(elsewhere) or (came and _back(row, years, _common(row, before)) is not None)


def settled(
    row: Row, rows: dict[str, list[Row]], seen: frozenset[tuple[str, int]] = frozenset()
) -> tuple[set[str], bool]:
    """The codes of today that a row leads to, and whether one of the steps knew only the region above.

    Each step is read in the year it was made: codes are given out again.
    """
    found: set[str] = set()
    vague = row["basis"] == "above"
    for code in row["successors"]:
        then = meant(rows[code], row["read"])
        step = (code, then["since"])
        if then["until"] == "":
            found.add(code)
        elif step not in seen:
            further = settled(then, rows, seen | {step})
            found, vague = found | further[0], vague or further[1]
    return found, vague


def meant(rows: list[Row], year: int) -> Row:
    """The row of what a code meant from a year on, past mere renamings."""
    then = next((row for row in rows if row["until"] == "" or row["until"] > year), rows[-1])
    while then["until"] != "" and not then["successors"]:
        then = next(row for row in rows if row["since"] == then["until"])
    return then
