"""A platform's word as a small picture (SVG): word, shape and colour, readable on any ground and by screen readers."""

from functools import cache
from typing import Final

from app.console.catalogue import Words
from app.console.page import render
from app.console.pages.bulletin import CLASSES
from app.monitor.board import Word

LASTS: Final = "public, max-age=300"
HEIGHT: Final = 22
# White text on each is at least 4.5:1; as the light tokens of hutong.css.
COLOURS: Final = {
    "ok": "#27734a", "run": "#1f5d7a", "late": "#855800", "fail": "#ae221b", "held": "#743a96", "off": "#5f666b",
    "new": "#5f666b",
}  # fmt: skip
_WIDE, _NARROW = 12.0, 6.6


def width(text: str) -> float:
    """About how wide a text of 12 px is drawn; the picture then holds it to that (`textLength`)."""
    return sum(_WIDE if character > "\u2e7f" else _NARROW for character in text)


@cache
def badge(word: Word, lang: str) -> str:
    """The picture; the same for all platforms that stand alike."""
    t, kind = Words(lang), CLASSES[word]
    left, right = t("name"), t(f"open_state.{word.value}")
    sizes = {"first": width(left), "second": width(right)}
    shown = {"left": left, "right": right, "kind": kind, "colour": COLOURS[kind], "height": HEIGHT, **sizes}
    return render("badge.svg", lang, shown)
