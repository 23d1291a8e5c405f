"""Text for search: folding and CJK bigrams, the same for the index and for the query; and the text rule.

Han, Yi and Hangul runs become overlapping pairs plus the run's last character, so that a word of any length is
a phrase of pairs; every other script keeps its words whole. Stored titles are never rewritten.

Tokens hold letters, digits and marks only, so that neither database splits them once more by its own tables.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from opencc import OpenCC

# Longer words are cut, in the index and in the query alike: PostgreSQL refuses a lexeme above 2,046 bytes.
WORD_LIMIT: Final = 64
SHORT: Final = 16  # characters; longer words are not kept
KNOWN: Final = 32_768
_BETWEEN: Final = "\u2028"  # the line separator, which folding leaves


def _marks() -> str:
    """Vowel signs and other marks (Mn, Mc) as ranges of a character class: `\\w` leaves them out."""
    ranges: list[list[int]] = []
    for code in range(0x300, 0x1F000):
        if unicodedata.category(chr(code)) in ("Mn", "Mc"):
            if ranges and ranges[-1][1] == code - 1:
                ranges[-1][1] = code
            else:
                ranges.append([code, code])
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in ranges)


_PRIVATE: Final = "\ue000-\uf8ff\U000f0000-\U000ffffd\U00100000-\U0010fffd"
_RUN: Final = re.compile(
    "([\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af\uac00-\ud7af\ua000-\ua48f]+)"
)
_GAP: Final = re.compile(rf"(?:[^\w{_marks()}{_PRIVATE}]|_)+")
_ASCII_WORD: Final = re.compile("[0-9a-z]+")
_SURROGATES: Final = f"{chr(0xD800)}-{chr(0xDFFF)}"
_SPACE: Final = re.compile("[\n\t\r\u200b\u202f]")
# Controls, surrogates, and what is not seen: variation selectors, joiners, direction marks, the vowel separator.
_UNSEEN_SIGNS: Final = (
    "\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u034f\u180b-\u180f\u200c-\u200f\u202a-\u202e\u2060-\u206f"
    f"\ufe00-\ufe0f\ufeff{_SURROGATES}\U000e0100-\U000e01ef"
)
_UNSEEN: Final = re.compile(f"[{_UNSEEN_SIGNS}]")
_SPACE_OR_UNSEEN: Final = re.compile(f"[\n\t\r\u200b\u202f{_UNSEEN_SIGNS}]")
_HAN: Final = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]")
_NONCHARACTERS: Final = "\ufdd0-\ufdef" + "".join(
    f"{chr(p + 0xFFFE)}{chr(p + 0xFFFF)}" for p in range(0, 1 << 20, 65536)
)
_REFUSED: Final = re.compile(
    f"[\0-\x08\x0b-\x1f\x7f-\x9f{_SURROGATES}{_NONCHARACTERS}\U0010fffe\U0010ffff]",
)


@lru_cache(maxsize=1)
def _simplifier() -> OpenCC:
    return OpenCC("t2s")


def rule(text: str) -> str | None:
    """The text rule's verdict: None when fine, else the id of what is broken first; newline and tab are fine."""
    # Nothing that is refused is printable; newline, tab and the wide blank are all that most texts hold besides.
    if text.isprintable() or text.replace("\n", "").replace("\t", "").replace("\u3000", "").isprintable():
        return None
    found = _REFUSED.search(text)
    if found is None:
        return None
    code = ord(found[0])
    if code == 0:
        return "text.nul"
    if 0xD800 <= code <= 0xDFFF:
        return "text.surrogate"
    return "text.control" if code < 0xA0 else "text.noncharacter"


def simplified(text: str) -> str:
    """The text in simplified characters."""
    return str(_simplifier().convert(text))


def fold(text: str) -> str:
    """NFKC, simplified, case-folded, without what is not seen.

    Mongolian: variation selectors and the vowel separator (inside a word) are dropped; the narrow blank before a
    suffix is a blank, so that the stem is found.
    """
    if text.isascii() and text.isprintable():
        return text.lower()
    if _SPACE_OR_UNSEEN.search(text):
        text = _UNSEEN.sub("", _SPACE.sub(" ", text))
    if not unicodedata.is_normalized("NFKC", text):
        text = unicodedata.normalize("NFKC", text)
    if _HAN.search(text):
        text = simplified(text)
    return text.casefold()


def index_tokens(text: str) -> str:
    """The text as the tokens that are indexed, separated by single blanks: `三年級 Math` -> `三年 年级 级 math`."""
    return tokens_of([text])[0]


def tokens_of(texts: Sequence[str]) -> list[str]:
    """The index tokens of each text. A blank or a line's end ends every token, so words are looked up one by one.

    Subjects, grades, names and the words of a language come again and again; what is new is folded in one go.
    """
    global _known
    known = _known
    split = [text.replace("\n", " ").split(" ") for text in texts]
    words = dict.fromkeys(chain.from_iterable(split), "")
    new = [chunk for chunk in words if chunk not in known]
    for chunk in words:
        words[chunk] = known.get(chunk, "")
    for chunk, folded in zip(new, _folded(new), strict=True):
        words[chunk] = _tokens(folded)
    if len(known) + len(new) > KNOWN:
        _known = known = {}  # a new one: another thread may be reading the old one
    known.update({chunk: words[chunk] for chunk in new if len(chunk) <= SHORT})
    return [" ".join(filter(None, map(words.__getitem__, chunks))) for chunks in split]


_known: dict[str, str] = {}


def _folded(chunks: list[str]) -> list[str]:
    """Each chunk folded; one call for all, because neither a fold nor a phrase of OpenCC goes across a line's end."""
    folded = fold(_BETWEEN.join(chunks)).split(_BETWEEN)
    return folded if len(folded) == len(chunks) else [fold(chunk) for chunk in chunks]


def _tokens(folded: str) -> str:
    if folded.isascii():
        return " ".join(_words(folded))
    tokens: list[str] = []
    parts: list[str] = _RUN.split(folded)
    for number, part in enumerate(parts):
        if number % 2:  # split gives what is between runs at even places, runs at odd ones
            tokens += [part[at : at + 2] for at in range(len(part))]
        elif part:
            tokens += _words(part)
    return " ".join(tokens)


def _words(text: str) -> list[str]:
    words = _ASCII_WORD.findall(text) if text.isascii() else _GAP.sub(" ", text).split()
    return [word[:WORD_LIMIT] for word in words] if len(text) > WORD_LIMIT else words


def query_tokens(text: str) -> list[list[str]]:
    """A query as phrases, one for each run: `三年級 ab-c 年` -> `[[三年, 年级], [ab, c], [年*]]`.

    Only a single CJK character is a prefix (`*`): it stands for every pair that begins with it.
    """
    phrases: list[list[str]] = []
    for chunk in fold(text).split():
        for number, part in enumerate(_RUN.split(chunk)):
            if number % 2:
                phrases.append([part[at : at + 2] for at in range(len(part) - 1)] or [f"{part}*"])
            elif words := _words(part):
                phrases.append(words)
    return phrases
