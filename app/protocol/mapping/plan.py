"""A mapping as one function, made once for each feed, and the same mapping as an account of where fields came from."""

from collections.abc import Callable
from typing import Any, NamedTuple

import orjson

from app.protocol import vocab
from app.protocol.connector import Draft
from app.protocol.mapping import paths
from app.protocol.mapping.fields import filler, held
from app.protocol.mapping.model import FIELDS, Mapping, Rule, checked
from app.protocol.mapping.steps import Flags, listed


class Trace(NamedTuple):
    """Where a field came from: its value, the exact places of the source that were read with what stood there, how."""

    field: str
    value: Any
    places: list[tuple[str, Any]]
    how: str


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
        self._fills = [(name, filler(name, rules)) for name, rules in self.mapping.fields.items()]
        names = FIELDS if self.mapping.keep else (*self.mapping.fields, *self.mapping.defaults)
        self._dotted = [name for name in names if name.startswith("rights.")]
        self._scheme = self.mapping.language_scheme
        self._languages = {**self.mapping.terms.get("languages", {})}

    def apply(self, source: Draft) -> tuple[Draft, list[str]]:
        """A source's object as a draft, and flags."""
        if self._prepared is not None:
            source = orjson.loads(self._prepared(source))
        if not isinstance(source, dict):
            source = {}
        draft: Draft = {k: v for k, v in source.items() if k in FIELDS} if self.mapping.keep else {}
        flags: list[str] = []
        for name, fill in self._fills:
            value = fill(source, flags)
            if value or held(value):  # nearly every value is a text, and needs no call
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
        for name in self._dotted:
            if name in draft and isinstance(rights := draft.get("rights", {}), dict):
                draft["rights"] = {**rights, name.removeprefix("rights."): draft.pop(name)}

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
