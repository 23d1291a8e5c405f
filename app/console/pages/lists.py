"""Lists of platforms (as a heat map) and of feeds: narrowed, sorted and cut by what stands in the address."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.console.regions import places
from app.db import now
from app.harvest.discovery import kinds
from app.harvest.runs import day_of
from app.monitor import days, status
from app.monitor.states import State
from app.monitor.status import Standing
from app.platforms import service as platforms
from app.protocol.vocab import province_of
from app.protocol.words import LEVELS

HEAT_DAYS = 28
ROWS = 100


class Narrowing(BaseModel):
    """What a list of platforms or feeds can be narrowed and sorted by; empty is any."""

    q: str = Field(default="", max_length=100)
    state: str = ""
    level: str = ""
    province: str = ""
    connector: str = ""
    sort: str = ""
    page: int = Field(default=1, ge=1, le=10_000)

    def keeps(self, one: Standing) -> bool:
        """Whether a feed stays in the list."""
        words = f"{one.platform} {one.platform_name} {one.name} {one.key}".casefold()
        return (
            (not self.state or one.state.value == self.state)
            and (not self.level or one.level == self.level)
            and (not self.province or one.province == self.province)
            and (not self.connector or one.connector == self.connector)
            and self.q.strip().casefold() in words
        )


class Row(NamedTuple):
    """A platform in the heat map; of the days on which it ran, on how many nothing failed."""

    code: str
    name: str
    group: status.Group
    cells: Sequence[days.Cell]
    ran: int
    good: int


class Cut(NamedTuple):
    """One page of a list: its items, how many there are in all, and the pages before and after (None at an end)."""

    items: list[Any]
    total: int
    previous: int | None
    following: int | None


def cut(items: list[Any], page: int) -> Cut:
    """The page-th hundred of a list."""
    start = (page - 1) * ROWS
    more = len(items) > start + ROWS
    return Cut(items[start : start + ROWS], len(items), page - 1 if page > 1 else None, page + 1 if more else None)


def choices() -> dict[str, Any]:
    """What the filters offer."""
    return {"states": list(State), "levels": list(LEVELS), "provinces": list(places().values()), "kinds": list(kinds())}


def heat(connection: Connection, query: Narrowing) -> dict[str, Any]:
    """Platforms x days. A platform without feeds is listed too, as never run."""
    members: dict[str, list[Standing]] = defaultdict(list)
    for one in status.standings(connection):
        if query.keeps(one):
            members[one.platform].append(one)
    names = {p["code"]: p["name"] for p in platforms.platforms(connection) if p["code"] in members or _bare(p, query)}
    groups = [status.group(code, members.get(code, ())) for code in names]
    page = cut(_sorted_groups(groups, names, query.sort), query.page)
    today = day_of(now(connection))
    strips = days.strips(connection, today, HEAT_DAYS, [group.key for group in page.items])
    rows = [_row(group, names[group.key], strips[group.key]) for group in page.items]
    return {**choices(), "query": query, "rows": rows, "cut": page, "dates": days.blank(today, HEAT_DAYS)}


def _row(group: status.Group, name: str, cells: Sequence[days.Cell]) -> Row:
    ran = [cell for cell in cells if cell.runs]
    return Row(group.key, name, group, cells, len(ran), sum(not cell.failed for cell in ran))


def _bare(platform: dict[str, Any], query: Narrowing) -> bool:
    """A platform that has no feed at all still passes filters that are about platforms."""
    if query.connector or query.state not in ("", State.NEVER_RUN):
        return False
    words = f"{platform['code']} {platform['name']}".casefold()
    return (
        query.level in ("", platform["level"])
        and query.province in ("", province_of(platform["region"]))
        and query.q.strip().casefold() in words
    )


def _sorted_groups(groups: list[status.Group], names: dict[str, str], sort: str) -> list[status.Group]:
    keys = {
        "name": lambda g: (names[g.key], g.key),
        "code": lambda g: (g.key,),
        "lag": lambda g: (status.longest_silent(g), g.key),
        "feeds": lambda g: (-g.feeds, g.key),
    }
    return sorted(groups, key=keys.get(sort, lambda g: (*status.worst_first(g), g.key)))


def feed_list(connection: Connection, query: Narrowing) -> dict[str, Any]:
    """Every feed with its word; the same as `/api/v1/status` for people."""
    found = [one for one in status.standings(connection) if query.keeps(one)]
    keys = {
        "name": lambda one: (one.platform_name, one.name),
        "lag": status.longest_silent,
        "every": lambda one: one.every_s,
        "code": lambda one: (one.platform, one.key),
    }
    if query.sort in keys:
        found.sort(key=keys[query.sort])
    return {**choices(), "query": query, "cut": cut(found, query.page), "all": status.group("", found)}
