"""The steps of a rule between its source and its shape, in the order they run: html, split, match, map, date."""

from collections.abc import Callable
from typing import Any

from app.protocol import html
from app.protocol.mapping import dates
from app.protocol.mapping.model import Match, Rule, pattern

Values = list[Any]
Flags = list[str]
Step = Callable[[Values, Flags], Values]


def listed(value: Any) -> list[Any]:
    """A value as a list; a list is itself."""
    return value if isinstance(value, list) else [value]


def steps_of(name: str, rule: Rule) -> tuple[Step, ...]:
    """What a rule does to its values, compiled."""
    steps: list[Step] = [_text(html.to_text)] if rule.html else []
    if rule.split is not None:
        steps.append(_splitter(listed(rule.split)))
    if rule.match is not None:
        steps.append(_matcher(rule.match))
    if rule.map is not None:
        steps.append(_translator(rule.map))
    if rule.date is not None:
        steps.append(_dater(name, [dates.compiled(form) for form in rule.date]))
    return tuple(steps)


def _text(change: Callable[[str], str]) -> Step:
    def step(values: Values, _: Flags) -> Values:
        made = [change(value) if isinstance(value, str) else value for value in values]
        return [value for value in made if value != ""]

    return step


def _translator(table: dict[str, str]) -> Step:
    return _text(lambda text: table.get(text, text))


def _splitter(separators: list[str]) -> Step:
    def step(values: Values, _: Flags) -> Values:
        for separator in separators:
            values = [
                part for value in values for part in (value.split(separator) if isinstance(value, str) else [value])
            ]
        values = [value.strip() if isinstance(value, str) else value for value in values]
        return [value for value in values if value != ""]

    return step


def _matcher(match: Match) -> Step:
    made = pattern(match.pattern)

    def one(text: str) -> str | None:
        found = made.search(text)
        if found is None:
            return text if match.keep else None
        if match.to is not None:
            return str(found.expand(match.to))
        return found[1] if made.groups else str(found[0])

    def step(values: Values, _: Flags) -> Values:
        found = [one(value) if isinstance(value, str) else value for value in values]
        return [value for value in found if value not in (None, "")]

    return step


def _dater(name: str, reads: list[dates.Read]) -> Step:
    def step(values: Values, flags: Flags) -> Values:
        made = []
        for value in values:
            text = str(value).strip()
            found = next((iso for read in reads if (iso := read(text)) is not None), None)
            if found is None and f"unread:{name}" not in flags:
                flags.append(f"unread:{name}")
            made.append(found or value)
        return made

    return step
