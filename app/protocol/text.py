"""Text for search: folding and CJK bigrams, the same for the index and for the query (docs/search.md).

Han, Yi and Hangul runs become overlapping pairs plus the run's last character, so that a word of any length is
a phrase of pairs; every other script keeps its words whole. Stored titles are never rewritten.
"""

import re
import unicodedata
from functools import lru_cache
from typing import Final

from opencc import OpenCC

_RUN: Final = re.compile(
    "[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\uac00-\ud7af\ua000-\ua48f]+"
)
_CONTROL: Final = re.compile("[\0-\x1f\x7f-\x9f\u180b-\u180d\u180f]")
_MONGOLIAN_SPACE: Final = re.compile("[\u180e\u202f]")
_HAN: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")


@lru_cache(maxsize=1)
def _simplifier() -> OpenCC:
    return OpenCC("t2s")


def fold(text: str) -> str:
    """NFKC, simplified, case-folded; Mongolian variation selectors dropped, its suffix spaces joined to words."""
    text = _MONGOLIAN_SPACE.sub("_", text)
    text = unicodedata.normalize("NFKC", _CONTROL.sub(lambda m: " " if m[0] in "\n\t\r" else "", text))
    if _HAN.search(text):
        text = _simplifier().convert(text)
    return text.casefold()


def index_tokens(text: str) -> str:
    """The text as the tokens that are indexed, separated by blanks."""
    return _RUN.sub(lambda run: f" {_pairs(run[0])} ", fold(text))


def _pairs(run: str) -> str:
    return " ".join([run[i : i + 2] for i in range(len(run) - 1)] + [run[-1]])


def query_tokens(text: str) -> list[list[str]]:
    """A query as phrases: one for each run or word, each a list of tokens; `*` ends a prefix.

    A single character finds every pair that begins with it, hence the prefix.
    """
    phrases: list[list[str]] = []
    folded = fold(text)
    end = 0
    for run in [*_RUN.finditer(folded), None]:
        between = folded[end : run.start() if run else len(folded)]
        phrases += [[word] for word in re.findall(r"[^\W_](?:[\w\u0300-\u036f]|(?<=\w)\S)*|\w+", between)]
        if run:
            end = run.end()
            found = run[0]
            pairs = [found[i : i + 2] for i in range(len(found) - 1)]
            phrases.append(pairs or [f"{found}*"])
    return phrases
