"""Which columns or members of sample records tell them apart: what a probe proposes as the identifier."""

import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple

SAMPLES: Final = 1000
"""Records that are looked at; whoever reads them in full sees what repeats later by name."""
_NAMES: Final = (
    ("id", "identifier", "编号", "资源编号", "标识", "标识符", "资源标识", "唯一标识", "uuid", "guid", "resource_id", "序列号", "主键"),
    ("编码", "代码", "code", "key", "资源编码", "课程编号", "isbn", "doi", "handle", "slug", "no"),
    ("url", "link", "href", "地址", "链接", "访问地址", "网址", "path", "readable_id"),
)  # fmt: skip
_ENDS: Final = re.compile(r"(?:[_\W]|(?<=[a-z]))(?:id|ID|Id)\Z|编号\Z|标识符?\Z|编码\Z")
_LONG: Final = 300


class Key(NamedTuple):
    """Names that identify together, how much of the samples they tell apart (0 to 1), and why they were chosen."""

    names: list[str]
    share: float
    reasons: tuple[str, ...]


def proposed(columns: Mapping[str, Sequence[str]]) -> Key | None:
    """The best key of columns of equal length, an empty text where a record has no value; None without a usable one.

    One column before two, a name that speaks before one that does not, texts without blanks before titles.
    """
    if not columns or not next(iter(columns.values())):
        return None
    rated = sorted((_rating(name, values), place) for place, (name, values) in enumerate(columns.items()))
    names = list(columns)
    best = [names[place] for _, place in rated]
    chosen = next(([name] for name in best if _share(columns, [name]) == 1.0), None)
    if chosen is None:
        # Together only what a person would call a key: the first few, without long texts.
        pairs = combinations(best[:6], 2)
        chosen = next((list(pair) for pair in pairs if _share(columns, pair) == 1.0), best[:1])
    share, count = _share(columns, chosen), len(columns[chosen[0]])
    named = " + ".join(chosen)
    said = f"{named} is filled and different in {round(share * count)} of {count} sampled records"
    return Key(chosen, share, (said,)) if share > 0.5 else None


def _rating(name: str, values: Sequence[str]) -> tuple[bool, int, bool]:
    """Smaller is better: gaps and repetitions, what the name says, whether the values look like a code."""
    last = name.rpartition(".")[2].strip().casefold()
    rank = next((place for place, group in enumerate(_NAMES) if last in group), 4)
    rank = min(rank, 1) if rank == 4 and _ENDS.search(name) else rank
    unlike = sum(" " in value or len(value) > _LONG or not value.isascii() for value in values) * 2 > len(values)
    return len(set(values)) < 0.5 * len(values), rank, unlike


def _share(columns: Mapping[str, Sequence[str]], names: Sequence[str]) -> float:
    """The share of records that these columns name, each by a name of its own."""
    rows = list(zip(*(columns[name] for name in names), strict=True))
    return len({row for row in rows if all(value.strip() for value in row)}) / len(rows)
