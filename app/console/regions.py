"""The 35 regions as tiles: their place on the wall's grid and their names in both languages. No borders are drawn."""

import csv
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from app.protocol import vocab


class Place(NamedTuple):
    """A region's tile: one-character and full name by language, column and row counted from 1."""

    region: str
    short_zh: str
    zh: str
    short_en: str
    en: str
    column: int
    row: int

    def name(self, lang: str) -> str:
        """As people say it."""
        return self.en if lang == "en" else self.zh

    def short(self, lang: str) -> str:
        """For a phone: one character, or two letters (GB/T 2260)."""
        return self.short_en if lang == "en" else self.short_zh


@cache
def places() -> dict[str, Place]:
    """All tiles by region, top to bottom and left to right, which is also the reading order without a grid."""
    rows = csv.reader(files("app.console").joinpath("tiles.csv").read_text("utf-8").splitlines()[1:])
    found = [Place(r[0], r[1], r[2], r[3], r[4], int(r[5]), int(r[6])) for r in rows]
    return {place.region: place for place in sorted(found, key=lambda p: (p.row, p.column))}


def region_name(code: str, lang: str) -> str:
    """A province by its usual name, any other region by its official one; the code when nobody knows it."""
    if code in places():
        return places()[code].name(lang)
    found = vocab.region(code)
    return found.name if found else code


def region_path(code: str, lang: str) -> list[str]:
    """Names from the province down to the region."""
    return [region_name(c, lang) for c in (*reversed(vocab.ancestors(code)), code)]
