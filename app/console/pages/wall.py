"""The wall: tiles, figures, what needs a person, roll-ups."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.console.regions import Place, places
from app.db import now
from app.harvest.runs import day_of
from app.monitor import days, figures, status
from app.monitor.days import Cell
from app.monitor.states import NEEDS_A_PERSON, State
from app.monitor.status import Group, Standing

STRIP_DAYS = 14
CASES = 5
WORST = 10


class Tile(NamedTuple):
    """A province: where it stands, how its own platforms stand, where a click leads."""

    place: Place
    group: Group
    code: str
    cells: Sequence[Cell]


def wall(connection: Connection, sort: str) -> dict[str, Any]:
    """All of the wall; two grouped reads for the standings, one for the strips, and the figures."""
    found = status.standings(connection)
    cases = [one for one in found if one.state in NEEDS_A_PERSON]
    others = [one for one in found if one.level != "P"]
    active = [one for one in found if one.lag_s is not None and one.state is not State.PAUSED]
    oldest = min(active, key=status.longest_silent, default=None)
    levels = sorted(status.grouped(found, "level"), key=lambda g: "NPCDSE".index(g.key))
    return {
        "tiles": _sorted(_tiles(connection, found), sort),
        "figures": figures.numbers(connection),
        "cases": cases[:CASES],
        "more": max(0, len(cases) - CASES),
        "oldest": oldest,
        "levels": levels,
        "provinces": [g for g in status.grouped(others, "province") if g.feeds > 1][:WORST],
        "vendors": _vendors([one for one in found if one.level == "E"]),
        "all": status.together("all", levels),
        "feeds": len(found),
        "sort": sort,
    }


def _vendors(found: Sequence[Standing]) -> list[tuple[str, Group]]:
    """The enterprises to look at first: standings come worst first, so the first ten platforms are the worst ten."""
    first = list(dict.fromkeys(one.platform for one in found))[:WORST]
    names = {one.platform: one.platform_name for one in found}
    return [(names[g.key], g) for g in status.grouped([one for one in found if one.platform in first], "platform")]


def _tiles(connection: Connection, found: Sequence[Standing]) -> list[Tile]:
    provincial = [one for one in found if one.level == "P"]
    codes = {one.province: one.platform for one in reversed(provincial)}
    strips = days.strips(connection, day_of(now(connection)), STRIP_DAYS, list(codes.values()))
    groups = {group.key: group for group in status.grouped(provincial, "province")}
    return [
        Tile(place, groups[region], codes[region], strips[codes[region]])
        for region, place in places().items()
        if region in groups
    ]


def _sorted(tiles: list[Tile], sort: str) -> list[Tile]:
    keys = {
        "state": lambda tile: status.worst_first(tile.group),
        "lag": lambda tile: status.longest_silent(tile.group),
        "feeds": lambda tile: -tile.group.feeds,
        "name": lambda tile: tile.place.region,
    }
    return sorted(tiles, key=keys[sort]) if sort in keys else tiles
