"""Values of LOM data elements, in either binding: LangStrings, vocabulary terms, vCards."""

import re
from collections.abc import Iterator
from typing import Final

from lxml import etree

from app.protocol.formats.dublin_core import mended

Node = etree._Element
_LANG: Final = "{http://www.w3.org/XML/1998/namespace}lang"
_CARD: Final = re.compile(r"^(FN|N|ORG)(?:;[^:\n]*)?:(.*)$", re.IGNORECASE | re.MULTILINE)
_FOLDED: Final = re.compile(r"\r?\n[ \t]")
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def local(node: Node) -> str:
    """An element's name without namespace and case."""
    return node.tag.rpartition("}")[2].lower()


def at(node: Node, *path: str) -> Iterator[Node]:
    """The elements at a path of local names."""
    nodes = [node]
    for name in path:
        nodes = [part for holder in nodes for part in holder if local(part) == name]
    yield from nodes


def content(node: Node) -> str:
    """All text inside an element; line ends stay, edges go."""
    return mended("".join(map(str, node.itertext())).strip())


def texts(node: Node, *path: str) -> list[str]:
    """The texts at a path, without empty ones."""
    return [text for part in at(node, *path) if (text := content(part))]


def strings(node: Node) -> list[str]:
    """A LangString's translations, Chinese first, text without language last; a bare text is one."""
    parts = [*at(node, "string"), *at(node, "langstring")]
    if not parts:
        return [text] if (text := content(node)) else []
    ranked = sorted(parts, key=lambda part: _rank((part.get("language") or part.get(_LANG) or "").lower()))
    return [text for part in ranked if (text := content(part))]


def _rank(language: str) -> int:
    return 0 if language.startswith(("zh", "chi", "zho")) else 2 if language == "zxx" else 1


def term(node: Node) -> str:
    """The value of a vocabulary element, whatever its source."""
    values = [text for part in at(node, "value") for text in strings(part)]
    return next(iter(values), "") if values or len(node) else content(node)


def person(entity: str) -> str:
    """The name on a vCard: FN, else ORG, else N turned round; a text that is no vCard is the name."""
    if "BEGIN:VCARD" not in entity.upper():
        return entity
    lines: dict[str, str] = {}
    for name, value in _CARD.findall(_FOLDED.sub("", entity)):
        if value.strip(" \r;"):
            lines.setdefault(name.upper(), value.strip())
    if "FN" in lines or "ORG" in lines:
        return _unescaped(lines.get("FN") or lines["ORG"].rstrip(";"))
    family, given, *_ = [*lines.get("N", "").split(";"), "", ""]
    return _unescaped(f"{given} {family}".strip())


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], text).strip()
