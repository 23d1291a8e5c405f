"""Where the texts of a source's bytes stand: what an account of a record's origin points to."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from lxml import etree

Place = tuple[str, str]
"""A path inside the source (`paragraphs[0]`, `dc/title[2]`) and the text that stands there."""


def in_json(value: Any, path: str = "") -> Iterator[Place]:
    """Every text, number and truth value of a JSON value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from in_json(item, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from in_json(item, f"{path}[{number}]")
    elif value is not None:
        yield path, str(value)


def in_xml(root: etree._Element) -> Iterator[Place]:
    """Every text and attribute below an element; siblings of one name are counted from 1, as XPath does."""
    yield from _below(root, _local(root.tag))


def _below(node: etree._Element, path: str) -> Iterator[Place]:
    # A stack and not recursion: depth is the source's to choose.
    waiting = [(node, path)]
    while waiting:
        node, path = waiting.pop()
        if text := (node.text or "").strip():
            yield path, text
        yield from ((f"{path}/@{_local(str(name))}", str(value)) for name, value in node.attrib.items())
        waiting += reversed(list(_children(node, path)))


def _children(node: etree._Element, path: str) -> Iterator[tuple[etree._Element, str]]:
    names = [_local(child.tag) for child in node.iterchildren(etree.Element)]
    total, seen = Counter(names), Counter[str]()
    for child, name in zip(node.iterchildren(etree.Element), names, strict=True):
        seen[name] += 1
        yield child, f"{path}/{name}[{seen[name]}]" if total[name] > 1 else f"{path}/{name}"


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]
