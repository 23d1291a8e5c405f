"""Figures, times and sizes as people read them, in the page's language. Times of day are UTC+8, said so once a page."""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from app import clock

CHINA: Final = timezone(timedelta(hours=8))
_UNITS: Final = {
    "zh-CN": ("秒", "分", "小时", "天"),
    "en": ("s", "min", "h", "d"),
}
_STEPS: Final = (1, 60, 3600, 86400)


def number(value: float | None) -> str:
    """Grouped by thousands; a dash for nothing."""
    return "—" if value is None else f"{value:,}"


def signed(value: float) -> str:
    """With its sign; the minus as wide as the plus."""
    return f"+{value:,}" if value > 0 else f"{value:,}".replace("-", "−")


def percent(part: float, whole: float) -> str:
    """A share with one decimal below ten; a dash of nothing."""
    if not whole:
        return "—"
    share = 100 * part / whole
    return f"{share:.0f} %" if share >= 10 or share == 0 else f"{share:.1f} %" if share >= 0.1 else "<0.1 %"


def duration(seconds: float | None, lang: str, *, long: bool = False) -> str:
    """`6 分`, `1.7 小时`; with `long` two units: `5 小时 10 分`."""
    if seconds is None:
        return "—"
    whole = int(seconds)
    if isinstance(seconds, float) and 0 < seconds < 9.95:
        return f"{seconds:.1f} {_UNITS[lang][0]}"
    place = max(n for n, step in enumerate(_STEPS) if whole >= step or n == 0)
    if place == 2 and whole < 36 * 3600 and not long:
        hours = whole / 3600
        return (
            f"{hours:.1f}".removesuffix(".0") + f" {_UNITS[lang][2]}"
            if hours < 10
            else f"{hours:.0f} {_UNITS[lang][2]}"
        )
    first, rest = divmod(whole, _STEPS[place])
    text = f"{first} {_UNITS[lang][place]}"
    if long and place > 0 and (second := rest // _STEPS[place - 1]):
        text += f" {second} {_UNITS[lang][place - 1]}"
    return text


def brief(seconds: float | None, lang: str) -> str:
    """A duration for the narrow place of a tile: `1.7 时`, `12s`."""
    if seconds is None:
        return "—"
    text = duration(int(seconds), lang)
    return text.replace(" min", "m").replace(" ", "") if lang == "en" else text.replace("小时", "时")


def ago(at: int | None, lang: str) -> str:
    """How long before now a time in microseconds lies: `6 分前`, `6 min ago`."""
    if at is None:
        return "—"
    span = duration(max(0, clock.now() - at) // 1_000_000, lang)
    return f"{span}前" if lang != "en" else f"{span} ago"


def moment(at: int) -> str:
    """`2026-11-24 13:00:05` in UTC+8."""
    return datetime.fromtimestamp(at / 1e6, UTC).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


@lru_cache(maxsize=1024)
def day(number: int) -> str:
    """`11-24` of a day counted from 1970."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).strftime("%m-%d")


@lru_cache(maxsize=1024)
def date(number: int) -> str:
    """`2026-11-24` of a day counted from 1970."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(days=number)).strftime("%Y-%m-%d")


def day_number(text: str) -> int | None:
    """The day of `2026-11-24`, counted from 1970; None when the text is no date."""
    try:
        return (datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).days
    except ValueError:
        return None


def size(count: float) -> str:
    """Bytes with a decimal unit: `1.4 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def pictures(text: str) -> str:
    """Text with its control characters as pictures (U+2400 and on)."""
    return "".join(chr(0x2400 + ord(c)) if ord(c) < 32 and c not in "\n\t" else "␡" if c == "\x7f" else c for c in text)
