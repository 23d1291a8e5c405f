"""Paths into a source's object: `a.b`, `a[].b`, `a[key=value].b`. Lists are entered whether `[]` stands there or not."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

STEP: Final = re.compile(r"([^\s.\[\]=]+)(?:\[(?:([^\s.\[\]=]+)=([^\[\]]*))?\])?")
PATH: Final = re.compile(rf"{STEP.pattern}(?:\.{STEP.pattern})*")
Reader = Callable[[Any], list[Any]]


class Step(NamedTuple):
    """One step: a member's name and, where it selects, which member of an element must have which text."""

    name: str
    key: str | None
    wanted: str | None


def parse(path: str) -> list[Step]:
    """The steps of a path. Raises ValueError."""
    # A dot may stand inside a selection's value, so steps are found one after the other and not by splitting.
    if not PATH.fullmatch(path):
        raise ValueError(f"{path[:200]!r} is not a path such as a.b, a[].b or a[key=value].b")
    return [Step(found[1], found[2], found[3]) for found in STEP.finditer(path)]


def reader(path: str) -> Reader:
    """A function that finds a path's values in an object, in order, without nulls. Raises ValueError."""
    steps = [_member(step.name) if step.key is None else _selection(step) for step in parse(path)]
    if len(steps) == 1:
        return steps[0]
    first, rest = steps[0], steps[1:]

    def walk(source: Any) -> list[Any]:
        values = first(source)
        for step in rest:
            values = step(values[0]) if len(values) == 1 else [item for value in values for item in step(value)]
        return values

    return walk


def column(path: str) -> str | None:
    """The member that a path of one plain step names; None for any other path. Raises ValueError."""
    steps = parse(path)
    return steps[0].name if len(steps) == 1 and steps[0].key is None else None


def _member(name: str) -> Reader:
    def member(source: Any) -> list[Any]:
        found = source.get(name) if isinstance(source, dict) else None
        if isinstance(found, list):
            return [item for item in found if item is not None]
        return [] if found is None else [found]

    return member


def _selection(step: Step) -> Reader:
    name, key, wanted = step

    def selection(source: Any) -> list[Any]:
        found = source.get(name) if isinstance(source, dict) else None
        listed = found if isinstance(found, list) else [found]
        return [item for item in listed if isinstance(item, dict) and (item.get(key) == wanted or selected(item, step))]

    return selection


def selected(item: Any, step: Step) -> bool:
    """Whether a step chooses this element; numbers count by their text."""
    if step.key is None:
        return True
    found = item.get(step.key) if isinstance(item, dict) else None
    return found == step.wanted or (not isinstance(found, str) and str(found) == step.wanted)


def places(source: Any, path: str) -> list[tuple[str, Any]]:
    """The same values as `reader` finds, each with the exact place it stands at: `tag_list[2].tag_name`."""
    values = [("", source)]
    for step in parse(path):
        values = [found for place, value in values for found in _placed(place, value, step)]
    return values


def _placed(place: str, value: Any, step: Step) -> Iterator[tuple[str, Any]]:
    found = value.get(step.name) if isinstance(value, dict) else None
    here = f"{place}.{step.name}".lstrip(".")
    listed = enumerate(found) if isinstance(found, list) else ((None, found),)
    for number, item in listed:
        if item is not None and selected(item, step):
            yield (here if number is None else f"{here}[{number}]"), item


def holders(source: Any, steps: list[Step]) -> list[dict[str, Any]]:
    """The objects that hold a path's last member."""
    values = [source]
    for step in steps[:-1]:
        values = [item for value in values for _, item in _placed("", value, step)]
    return [value for value in values if isinstance(value, dict)]


def drop(holder: dict[str, Any], step: Step) -> None:
    """Removes a member, or from a list only the elements that the step selects."""
    if step.key is None:
        holder.pop(step.name, None)
    elif isinstance(found := holder.get(step.name), list):
        holder[step.name] = [item for item in found if not selected(item, step)]
