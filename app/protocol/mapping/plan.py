"""A mapping as one function, made once for each feed, and the same mapping as an account of where fields came from."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import orjson

from app.protocol import vocab
from app.protocol.connector import Draft
from app.protocol.mapping import paths
from app.protocol.mapping.model import FIELDS, HOLE, LISTS, NAMED, TAGS, Mapping, Rule, checked
from app.protocol.mapping.steps import Flags, Step, Values, listed, steps_of


class Trace(NamedTuple):
    """Where a field came from: its value, the exact places of the source that were read with what stood there, how."""

    field: str
    value: Any
    places: list[tuple[str, Any]]
    how: str


class _Piece(NamedTuple):
    rule: Rule
    gather: Callable[[Any], Values]
    steps: tuple[Step, ...]
    shape: Callable[[Values], Any]


def compile(document: dict[str, Any]) -> Callable[[Draft], tuple[Draft, list[str]]]:
    """The mapping as a function from a source's object to a draft and flags. Raises BadRequest.

    A field that took its default is flagged `defaulted:<field>`, a date that no pattern fits `unread:<field>`. `terms`
    are not applied here: the record's own vocabulary step looks into them first, so that a term is resolved once.
    """
    return Crosswalk(document).apply


class Crosswalk:
    """A compiled mapping. Raises BadRequest."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.mapping = checked(document)
        self._prepared = normaliser(document) if self.mapping.volatile or self.mapping.unordered else None
        self._plan = [(n, [_piece(n, rule) for rule in rules]) for n, rules in self.mapping.fields.items()]
        self._scheme = self.mapping.language_scheme
        self._languages = {**self.mapping.terms.get("languages", {})}

    def apply(self, source: Draft) -> tuple[Draft, list[str]]:
        """A source's object as a draft, and flags."""
        if self._prepared is not None:
            source = orjson.loads(self._prepared(source))
        draft: Draft = {k: v for k, v in source.items() if k in FIELDS} if self.mapping.keep else {}
        flags: list[str] = []
        for name, pieces in self._plan:
            value = _filled(pieces[0], source, flags) if len(pieces) == 1 else _merged(name, pieces, source, flags)
            if value not in (None, "", []):
                draft[name] = value
        self._finish(draft, flags)
        return draft, flags

    def _finish(self, draft: Draft, flags: Flags) -> None:
        if self._scheme != "bcp47" and "languages" in draft:
            draft["languages"] = [self._language(tag, flags) for tag in listed(draft["languages"])]
        for name, value in self.mapping.defaults.items():
            if name not in draft:
                draft[name] = value
                flags.append(f"defaulted:{name}")
        for name in [name for name in draft if name.startswith("rights.")]:
            rights = draft.setdefault("rights", {})
            if isinstance(rights, dict):
                rights[name.removeprefix("rights.")] = draft.pop(name)

    def _language(self, tag: Any, flags: Flags) -> Any:
        """A tag of the source's own scheme as BCP 47.

        An unknown one must not be read as BCP 47 later (`th` of a Yunnan platform is not Thai), so it becomes a
        private tag that keeps the source's letters.
        """
        if not isinstance(tag, str) or tag in self._languages:
            return tag
        known = vocab.language(tag, self._scheme)
        if known is not None:
            return known
        if "unmapped:languages" not in flags:
            flags.append("unmapped:languages")
        word = tag.strip().lower()
        return f"und-x-{word}" if word.isascii() and word.isalnum() and len(word) <= 8 else "und"

    def explain(self, source: Draft) -> list[Trace]:
        """One trace for each field of the draft, in the draft's order."""
        draft, _ = self.apply(source)
        return [self._trace(name, value, source) for name, value in draft.items()]

    def _trace(self, name: str, value: Any, source: Draft) -> Trace:
        names = [f for f in self.mapping.fields if f == name or f.startswith(f"{name}.")]
        rules = [rule for field in names for rule in self.mapping.fields[field]]
        read = [found for rule in rules for path in rule.sources for found in paths.places(source, path)]
        if not read and name in self.mapping.defaults:
            return Trace(name, value, [], "default")
        if not rules:
            return Trace(name, value, [(name, source.get(name))], "kept from the connector")
        return Trace(name, value, read, "; ".join(_told(rule) for rule in rules))


def _told(rule: Rule) -> str:
    """A rule in one line: what it says, without what it leaves open."""
    said = rule.model_dump(exclude_defaults=True, exclude_none=True, mode="json")
    return ", ".join(f"{name}={orjson.dumps(value).decode()}" for name, value in said.items())


def _filled(piece: _Piece, source: Draft, flags: Flags) -> Any:
    if piece.rule.constant is not None:
        return piece.rule.constant
    values = piece.gather(source)
    if not values:
        return None
    for step in piece.steps:
        values = step(values, flags)
    return piece.shape(values)


def _merged(name: str, pieces: list[_Piece], source: Draft, flags: Flags) -> Any:
    """Several rules: a list takes what all of them find, a single field the first that finds something."""
    found = [value for value in (_filled(p, source, flags) for p in pieces) if value not in (None, "", [])]
    if name not in LISTS:
        return next(iter(found), None)
    return [item for value in found for item in listed(value)]


def _piece(name: str, rule: Rule) -> _Piece:
    return _Piece(rule, _gatherer(rule), steps_of(name, rule), partial(_shape, name, rule))


def _gatherer(rule: Rule) -> Callable[[Any], Values]:
    """All values of a rule's source, texts without outer blanks, empty ones left out."""
    if rule.template is not None:
        return _filler(rule.template)
    path = TAGS.format(rule.tag) if rule.tag is not None else rule.path
    if path is not None:
        return _clean(paths.reader(path))
    readers = [paths.reader(path) for path in rule.paths or ()]
    return _clean(lambda source: [value for read in readers for value in read(source)])


def _clean(read: paths.Reader) -> Callable[[Any], Values]:
    def cleaned(source: Any) -> Values:
        values = read(source)
        if len(values) == 1:
            value = values[0].strip() if isinstance(values[0], str) else values[0]
            return [] if value == "" else [value]
        values = [value.strip() if isinstance(value, str) else value for value in values]
        return [value for value in values if value != ""]

    return cleaned


def _filler(template: str) -> Callable[[Any], Values]:
    """A template's text; nothing unless each of its paths has a value."""
    readers = [_clean(paths.reader(path)) for path in HOLE.findall(template)]
    texts = HOLE.split(template)[::2]

    def fill(source: Any) -> Values:
        found = [next(iter(read(source)), None) for read in readers]
        if None in found:
            return []
        return ["".join(text + str(value) for text, value in zip(texts, [*found, ""], strict=True))]

    return fill


def _shape(name: str, rule: Rule, values: Values) -> Any:
    if rule.object is not None or rule.each is not None:
        return [item for item in (_item(name, rule, value) for value in values) if item]
    if rule.join is not None:
        return rule.join.join(str(value) for value in values)
    if rule.list or (name in LISTS and not rule.first):
        return values
    # Several values for a field that holds one are not ours to choose from: the record's own check names the field.
    return values if len(values) > 1 and not rule.first else next(iter(values), None)


def _item(name: str, rule: Rule, value: Any) -> dict[str, Any] | None:
    """One object of a list; None where the member that names it is missing."""
    made = dict(rule.each or {})
    if rule.object is None:
        return {**made, NAMED[name]: str(value)}
    for member, path in rule.object.items():
        if (found := next(iter(_clean(paths.reader(path))(value)), None)) is not None:
            made[member] = str(found)
    return made if NAMED[name] in made else None


def normaliser(document: dict[str, Any]) -> Callable[[Draft], bytes]:
    """A function from a source's object to the bytes that stand for its meaning. Raises BadRequest."""
    mapping: Mapping = checked(document)
    volatile = [paths.parse(path) for path in mapping.volatile]
    unordered = [paths.parse(path) for path in mapping.unordered]

    def normalised(raw: Draft) -> bytes:
        copy = orjson.loads(orjson.dumps(raw))
        for path in volatile:
            for holder in paths.holders(copy, path):
                paths.drop(holder, path[-1])
        for path in unordered:
            for holder in paths.holders(copy, path):
                if isinstance(found := holder.get(path[-1].name), list):
                    found.sort(key=lambda value: orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
        return orjson.dumps(copy, option=orjson.OPT_SORT_KEYS)

    return normalised
