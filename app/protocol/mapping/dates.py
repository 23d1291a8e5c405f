"""Dates as sources write them, to ISO 8601 text with the precision they have (GB/T 7408, GB/T 41469-2022)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

TOKEN: Final = re.compile("yyyy|MM|M|dd|d|HH|H|mm|ss|SSS|Z")
# Each piece is bounded and no piece is optional, so a pattern takes linear time whatever the text.
PIECES: Final = {
    "yyyy": r"(?P<year>\d{4})", "MM": r"(?P<month>\d{2})", "M": r"(?P<month>\d{1,2})", "dd": r"(?P<day>\d{2})",
    "d": r"(?P<day>\d{1,2})", "HH": r"(?P<hour>\d{2})", "H": r"(?P<hour>\d{1,2})", "mm": r"(?P<minute>\d{2})",
    "ss": r"(?P<second>\d{2})", "SSS": r"\d{1,9}", "Z": r"(?P<zone>Z|[+-]\d{2}:?\d{2})",
}  # fmt: skip
EPOCHS: Final = {"epoch_s": 1, "epoch_ms": 1000}
ORDER: Final = ("year", "month", "day", "hour", "minute", "second")
_ISO: Final = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d{2})(?:-(?P<day>\d{2})"
    r"(?:T(?P<hour>\d{2}):(?P<minute>\d{2})(?::(?P<second>\d{2})(?:\.\d{1,9})?)?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?)?)?"
)

Read = Callable[[str], str | None]


@lru_cache(maxsize=1024)
def compiled(form: str) -> Read:
    """A pattern such as `yyyy年M月d日` as a function to ISO text, None where it does not fit. Raises ValueError."""
    if form in EPOCHS:
        return _epoch(EPOCHS[form])
    parts, names = TOKEN.split(form), TOKEN.findall(form)
    if "yyyy" not in names or len({name[0] for name in names}) != len(names):
        raise ValueError(f"{form[:100]!r} is not a date pattern: yyyy is needed, and each part once")
    held = [unit for unit in ORDER if any(f"<{unit}>" in PIECES[name] for name in names)]
    if held != list(ORDER[: len(held)]) or held[-1] == "hour":
        raise ValueError(f"{form[:100]!r} has a gap between its coarsest and finest part")
    shape = re.escape(parts[0]) + "".join(PIECES[n] + re.escape(p) for n, p in zip(names, parts[1:], strict=True))
    return _matcher(re.compile(shape))


def _matcher(shape: re.Pattern[str]) -> Read:
    def read(text: str) -> str | None:
        found = shape.fullmatch(text)
        return _written(found.groupdict()) if found else None

    return read


iso: Final = _matcher(_ISO)
"""ISO text of any precision from a year to seconds, normalised; None where it is no such date."""


def _written(parts: dict[str, Any]) -> str | None:
    numbers = [int(parts[unit]) for unit in ORDER if parts.get(unit)]
    try:
        datetime(*(numbers + [1] * (3 - len(numbers))))  # type: ignore[arg-type]
    except ValueError:
        return None
    date = "-".join(f"{n:0{width}}" for n, width in zip(numbers[:3], (4, 2, 2), strict=False))
    if len(numbers) < 4:
        return date
    zone = parts.get("zone") or ""
    zone = f"{zone[:3]}:{zone[-2:]}" if len(zone) > 1 else zone
    return f"{date}T{':'.join(f'{n:02}' for n in numbers[3:])}{zone}"


def _epoch(divisor: int) -> Read:
    def read(text: str) -> str | None:
        if not text.isascii() or not text.isdigit() or len(text) > 16:
            return None
        try:
            return datetime.fromtimestamp(int(text) / divisor, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        except (ValueError, OverflowError, OSError):
            return None

    return read
