"""A month of the federation for those who answer for it: growth, freshness, quality, incidents, by province and platform.

Everything comes from the days that runs leave behind, so that a month is the same figures whenever it is asked for;
`refused` by rule is what is kept of the month in quarantine.
"""

import csv
import io
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, desc, func, or_, select

from app.access.principal import acting
from app.catalogue.queries import tallies
from app.db import now
from app.feeds.service import mine
from app.feeds.tables import feed
from app.harvest.freshness import PERMILLE
from app.harvest.runs import day_of
from app.harvest.tables import freshness_day, objective, rejection, run_day
from app.monitor.tables import incident
from app.platforms import service as platforms
from app.protocol.errors import BadRequest
from app.protocol.vocab import province_of

_EPOCH: Final = date(1970, 1, 1)
_MONTH: Final = re.compile(r"([0-9]{4})-([0-9]{2})\Z")
_DAY_US: Final = 86_400_000_000
_EIGHT_HOURS: Final = 8 * 3_600_000_000
RUNS: Final = ("runs", "failed", "seen", "created", "changed", "tombstoned", "rejected")
FRESH: Final = ("changes", "late", "late_source", "late_network", "late_hub")
RULES: Final = 12
INCIDENTS: Final = 50


class Month(NamedTuple):
    """`2026-11` as days since 1970, both ends included; `whole` once it is over."""

    name: str
    first: int
    last: int
    whole: bool


class Line(NamedTuple):
    """A platform, or several together. `records` are those live at the month's end, `growth` what came to be of them.

    `met` of `judged` feeds kept what was agreed (feeds without a change are not judged).
    """

    key: str
    name: str
    level: str
    province: str
    feeds: int
    records: int
    growth: int
    judged: int
    met: int
    sums: Mapping[str, int]

    @property
    def in_time(self) -> float | None:
        """The part of the changes that became visible in time; None where nothing changed."""
        return 1 - self.sums["late"] / self.sums["changes"] if self.sums["changes"] else None

    @property
    def good(self) -> float | None:
        """The part of the runs that succeeded; None where none ended."""
        return 1 - self.sums["failed"] / self.sums["runs"] if self.sums["runs"] else None

    @property
    def refused(self) -> float | None:
        """The part of what was seen that was refused; None where nothing was seen."""
        return self.sums["rejected"] / self.sums["seen"] if self.sums["seen"] else None


class Report(NamedTuple):
    """A month: the whole, provinces and levels in their order, platforms by code, rules by how much they refused,
    incidents by when they began."""

    month: Month
    whole: Line
    provinces: Sequence[Line]
    levels: Sequence[Line]
    platforms: Sequence[Line]
    rules: Sequence[tuple[str, int]]
    incidents: Sequence[Any]


def month(connection: Connection, name: str = "") -> Month:
    """A month by name, or the last whole one. Raises BadRequest for what is no month, and for one to come."""
    today = day_of(now(connection))
    if not name:
        here = date.fromordinal(_EPOCH.toordinal() + today)
        name = f"{here.year - (here.month == 1)}-{(here.month - 2) % 12 + 1:02d}"
    found = _MONTH.match(name)
    if found is None or not 1 <= int(found[2]) <= 12 or not 1970 <= int(found[1]) <= 9998:
        raise BadRequest(f"month {name[:20]!r}: write 2026-11")
    year, number = int(found[1]), int(found[2])
    first = (date(year, number, 1) - _EPOCH).days
    last = (date(year + number // 12, number % 12 + 1, 1) - _EPOCH).days - 1
    if first > today:
        raise BadRequest(f"month {name} is still to come")
    return Month(name, first, last, last < today)


def report(connection: Connection, name: str = "") -> Report:
    """The month's figures of the platforms that the caller may see; a handful of grouped reads."""
    of = month(connection, name)
    lines = _lines(connection, of)
    whole = together("", "", lines)
    return Report(
        of, whole, _grouped(lines, lambda line: line.province), _grouped(lines, lambda line: line.level, "NPCDSE".index),
        lines, _rules(connection, of), _incidents(connection, of),
    )  # fmt: skip


def _lines(connection: Connection, of: Month) -> list[Line]:
    query = select(feed.c.id, feed.c.platform).where(feed.c.state != "retired")
    members: dict[str, list[int]] = defaultdict(list)
    for row in connection.execute(mine(connection, query)):
        members[row.platform].append(row.id)
    runs = _sums(connection, run_day, RUNS, of.first, of.last)
    later = _sums(connection, run_day, RUNS, of.last + 1, 1 << 30)
    fresh = _sums(connection, freshness_day, FRESH, of.first, of.last)
    terms = {row.feed_id: row.permille for row in connection.execute(mine(connection, select(objective.c.feed_id, objective.c.permille), objective.c.feed_id))}  # fmt: skip
    counts = tallies(connection)
    return [
        _line(row, members[row["code"]], counts.get(f"platform={row['code']}", 0), runs, later, fresh, terms)
        for row in platforms.platforms(connection)
    ]


def _sums(connection: Connection, table: Any, names: Sequence[str], first: int, last: int) -> dict[int, Mapping[str, int]]:  # fmt: skip
    query = select(table.c.feed_id, *(func.sum(table.c[name]).label(name) for name in names))
    query = query.where(table.c.day >= first, table.c.day <= last).group_by(table.c.feed_id)
    rows = connection.execute(mine(connection, query, table.c.feed_id))
    return {row.feed_id: {name: int(getattr(row, name)) for name in names} for row in rows}


def _line(
    row: Mapping[str, Any], ids: Sequence[int], live: int, runs: Mapping[int, Mapping[str, int]],
    later: Mapping[int, Mapping[str, int]], fresh: Mapping[int, Mapping[str, int]], terms: Mapping[int, int],
) -> Line:  # fmt: skip
    none = dict.fromkeys((*RUNS, *FRESH), 0)
    sums = {name: sum({**none, **runs.get(i, {}), **fresh.get(i, {})}[name] for i in ids) for name in none}
    since = sum(later[i]["created"] - later[i]["tombstoned"] for i in ids if i in later)
    judged = [i for i in ids if fresh.get(i, none)["changes"]]
    met = sum(fresh[i]["late"] * 1000 <= fresh[i]["changes"] * (1000 - terms.get(i, PERMILLE)) for i in judged)
    return Line(
        row["code"], row["name"], row["level"], province_of(row["region"]), len(ids), max(0, live - since),
        sums["created"] - sums["tombstoned"], len(judged), met, sums,
    )  # fmt: skip


def together(key: str, name: str, lines: Sequence[Line]) -> Line:
    """Lines as one."""
    sums = {n: sum(line.sums[n] for line in lines) for n in (*RUNS, *FRESH)}
    figures = ((line.feeds, line.records, line.growth, line.judged, line.met) for line in lines)
    feeds, records, growth, judged, met = (sum(column) for column in zip(*figures, strict=True)) if lines else (0,) * 5
    return Line(key, name, "", "", feeds, records, growth, judged, met, sums)


def _grouped(lines: Iterable[Line], by: Callable[[Line], str], order: Callable[[str], Any] = str) -> list[Line]:
    members: dict[str, list[Line]] = defaultdict(list)
    for line in lines:
        members[by(line)].append(line)
    return [together(key, str(len(members[key])), members[key]) for key in sorted(members, key=order)]


def _window(of: Month) -> tuple[int, int]:
    """The month in microseconds, UTC+8."""
    return of.first * _DAY_US - _EIGHT_HOURS, (of.last + 1) * _DAY_US - _EIGHT_HOURS


def _rules(connection: Connection, of: Month) -> list[tuple[str, int]]:
    begins, ends = _window(of)
    query = select(rejection.c.rule, func.count().label("n"))
    query = query.where(rejection.c.rejected_at >= begins, rejection.c.rejected_at < ends)
    query = query.group_by(rejection.c.rule).order_by(desc("n"), rejection.c.rule).limit(RULES)
    return [(row.rule, row.n) for row in connection.execute(mine(connection, query, rejection.c.feed_id))]


def _incidents(connection: Connection, of: Month) -> list[Any]:
    """What lay in the month, of one's own feeds; what is the whole hub's only for those who see all of it."""
    begins, ends = _window(of)
    query = select(incident.c.id, incident.c.rule, incident.c.severity, incident.c.feeds, incident.c.feed_count, incident.c.opened_at, incident.c.resolved_at)  # fmt: skip
    query = query.where(incident.c.opened_at < ends, or_(incident.c.resolved_at.is_(None), incident.c.resolved_at >= begins))  # fmt: skip
    rows = connection.execute(query.order_by(incident.c.opened_at)).all()
    if not acting(connection).rows.everything:
        own = set(connection.execute(mine(connection, select(feed.c.id))).scalars())
        rows = [row for row in rows if own & set(orjson.loads(row.feeds))]
    return list(rows[:INCIDENTS])


COLUMNS: Final = (
    "month", "code", "name", "level", "province", "feeds", "records", "growth", "created", "changed", "removed", "refused",
    "refused_share", "runs", "failed", "success_share", "changes", "late", "late_source", "late_network", "late_hub",
    "in_time_share", "feeds_judged", "feeds_met",
)  # fmt: skip


def table(found: Report) -> bytes:
    """All platforms as CSV: UTF-8 with its mark, so that spreadsheets in China open it right; a name that a spreadsheet
    would take for a formula begins with an apostrophe."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows(_cells(found.month.name, line) for line in found.platforms)
    return b"\xef\xbb\xbf" + text.getvalue().encode()


def _cells(name: str, line: Line) -> list[Any]:
    s = line.sums
    return [
        name, line.key, tame(line.name), line.level, line.province, line.feeds, line.records, line.growth, s["created"],
        s["changed"], s["tombstoned"], s["rejected"], _share(line.refused), s["runs"], s["failed"], _share(line.good),
        s["changes"], s["late"], s["late_source"], s["late_network"], s["late_hub"], _share(line.in_time), line.judged, line.met,
    ]  # fmt: skip


def _share(part: float | None) -> str:
    return "" if part is None else f"{part:.4f}"


def tame(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip().startswith(("=", "+", "-", "@", "\t")) else text
