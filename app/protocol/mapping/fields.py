"""The rules of one field as one function, made for what they say: a column that fills a field as it stands needs no more.

A fill gives None, "" or [] where the source has nothing for the field.
"""

from collections.abc import Callable
from typing import Any

from app.protocol.connector import Draft
from app.protocol.mapping import paths
from app.protocol.mapping.model import HOLE, LISTS, NAMED, TAGS, Rule
from app.protocol.mapping.steps import Flags, Values, listed, steps_of

Fill = Callable[[Draft, Flags], Any]
Gather = Callable[[Draft], Values]
Shape = Callable[[Values], Any]


def filler(name: str, rules: list[Rule]) -> Fill:
    """What a field takes from a source's object; of several rules a list takes all, any other field the first."""
    fills = [_rule(name, rule) for rule in rules]
    return fills[0] if len(fills) == 1 else _merged(name, fills)


def held(value: Any) -> bool:
    """Whether a value is one: neither None nor empty; zero and false are."""
    return bool(value) or (value is not None and value != "" and value != [])


def _merged(name: str, fills: list[Fill]) -> Fill:
    def first(source: Draft, flags: Flags) -> Any:
        # Every rule is asked, so that a date that cannot be read is told whichever rule has it.
        return next((value for value in [fill(source, flags) for fill in fills] if held(value)), None)

    def every(source: Draft, flags: Flags) -> Any:
        found = [value for fill in fills if held(value := fill(source, flags))]
        return [item for value in found for item in listed(value)]

    return every if name in LISTS else first


def _rule(name: str, rule: Rule) -> Fill:
    if rule.constant is not None:
        return _constant(rule.constant)
    gather, steps, shape = _gatherer(rule), steps_of(name, rule), _shaper(name, rule)

    def general(source: Draft, flags: Flags) -> Any:
        values = gather(source)
        if not values:
            return None
        for step in steps:
            values = step(values, flags)
        return shape(values)

    column = paths.column(rule.path) if rule.path is not None else None
    return general if column is None or steps else _direct(name, rule, column, general)


def _constant(value: Any) -> Fill:
    def fill(_source: Draft, _flags: Flags) -> Any:
        return value

    return fill


def _direct(name: str, rule: Rule, column: str, general: Fill) -> Fill:
    """One member without steps: a text is taken at once, anything else goes the general way."""
    if rule.object is not None:
        return general
    if rule.each is not None:
        return _named(column, rule.each, NAMED[name], general)
    if rule.join is None and (rule.list or (name in LISTS and not rule.first)):
        return _single(column, general)
    return _text(column, general)


def _text(column: str, general: Fill) -> Fill:
    def fill(source: Draft, flags: Flags) -> Any:
        value = source.get(column)
        return value.strip() if isinstance(value, str) else general(source, flags)

    return fill


def _single(column: str, general: Fill) -> Fill:
    def fill(source: Draft, flags: Flags) -> Any:
        value = source.get(column)
        if not isinstance(value, str):
            return general(source, flags)
        text = value.strip()
        return [text] if text else None

    return fill


def _named(column: str, each: dict[str, Any], member: str, general: Fill) -> Fill:
    def fill(source: Draft, flags: Flags) -> Any:
        value = source.get(column)
        if not isinstance(value, str):
            return general(source, flags)
        text = value.strip()
        return [{**each, member: text}] if text else None

    return fill


def _gatherer(rule: Rule) -> Gather:
    """All values of a rule's source, texts without outer blanks, empty ones left out."""
    if rule.template is not None:
        return _template(rule.template)
    path = TAGS.format(rule.tag) if rule.tag is not None else rule.path
    if path is not None:
        return _clean(paths.reader(path))
    readers = [paths.reader(path) for path in rule.paths or ()]
    return _clean(lambda source: [value for read in readers for value in read(source)])


def _clean(read: paths.Reader) -> Gather:
    def cleaned(source: Any) -> Values:
        values = read(source)
        if len(values) == 1:
            value = values[0].strip() if isinstance(values[0], str) else values[0]
            return [] if value == "" else [value]
        values = [value.strip() if isinstance(value, str) else value for value in values]
        return [value for value in values if value != ""]

    return cleaned


def _template(template: str) -> Gather:
    """A template's text; nothing unless each of its paths has a value."""
    readers = [_clean(paths.reader(path)) for path in HOLE.findall(template)]
    texts = HOLE.split(template)[::2]

    def fill(source: Any) -> Values:
        found = [next(iter(read(source)), None) for read in readers]
        if None in found:
            return []
        return ["".join(text + str(value) for text, value in zip(texts, [*found, ""], strict=True))]

    return fill


def _shaper(name: str, rule: Rule) -> Shape:
    if rule.object is not None or rule.each is not None:
        return _objects(name, rule)
    if rule.join is not None:
        return _joined(rule.join)
    if rule.list or (name in LISTS and not rule.first):
        return lambda values: values
    if rule.first:
        return lambda values: next(iter(values), None)
    # Several values for a field that holds one are not ours to choose from: the record's own check names the field.
    return lambda values: values if len(values) > 1 else next(iter(values), None)


def _joined(separator: str) -> Shape:
    return lambda values: separator.join(str(value) for value in values)


def _objects(name: str, rule: Rule) -> Shape:
    """One object for each value; none where the member that names it is missing."""
    member, each = NAMED[name], rule.each or {}
    if rule.object is None:
        return lambda values: [{**each, member: str(value)} for value in values]
    readers = [(key, _clean(paths.reader(path))) for key, path in rule.object.items()]

    def one(value: Any) -> dict[str, Any]:
        found = {key: next(iter(read(value)), None) for key, read in readers}
        return {**each, **{key: str(text) for key, text in found.items() if text is not None}}

    return lambda values: [made for made in map(one, values) if member in made]
