"""MODS 3: title, names with their roles, subjects, origin, places and conditions of use, read in one walk."""

from collections.abc import Iterator
from typing import Any, Final

from lxml import etree

from app.protocol.connector import Draft
from app.protocol.formats.dublin_core import put, settled, words

_PLAIN: Final = {
    "typeOfResource": "type", "genre": "type", "abstract": "description", "targetAudience": "audience",
    "note": "description",
}  # fmt: skip
_ORIGIN: Final = {"publisher": "publisher", "dateIssued": "issued", "copyrightDate": "date", "dateCreated": "date"}
_FORMS: Final = ("internetMediaType", "form", "extent")
_HREF: Final = "{http://www.w3.org/1999/xlink}href"


def read_mods(metadata: etree._Element) -> Draft:
    """A draft of a MODS record."""
    draft: dict[str, Any] = {}
    for node in metadata:
        name = _local(node)
        if name in _PLAIN:
            _take(draft, _PLAIN[name], words(node))
        elif name in _NESTED:
            _NESTED[name](draft, node)
    return settled(draft)


def _local(node: etree._Element) -> str:
    return node.tag.rpartition("}")[2]


def _take(draft: dict[str, Any], element: str, text: str) -> None:
    if text:
        put(draft, element, text)


def _parts(node: etree._Element, *names: str) -> Iterator[str]:
    return (text for part in node.iter("*") if _local(part) in names and (text := words(part)))


def _title(draft: dict[str, Any], node: etree._Element) -> None:
    text = " ".join(_parts(node, "nonSort", "title", "subTitle", "partNumber", "partName"))
    _take(draft, "alternative" if node.get("type") else "title", text)


def _name(draft: dict[str, Any], node: etree._Element) -> None:
    """One contributor for each role of a name; a term counts before the code of the same role."""
    text = " ".join(_parts(node, "namePart"))
    roles = [_role(part) for part in node if _local(part) == "role"]
    for role in dict.fromkeys(roles) or ("contributor",):
        if text:
            draft.setdefault("contributors", []).append({"role": role[:200], "name": text[:1000]})


def _role(node: etree._Element) -> str:
    terms = sorted((part.get("type") == "code", words(part)) for part in node)
    return next((text.lower() for _, text in terms if text), "contributor")


def _origin(draft: dict[str, Any], node: etree._Element) -> None:
    for part in node:
        if _local(part) == "edition" and (text := words(part)):
            draft.setdefault("version", text[:200])
        elif _local(part) in _ORIGIN and part.get("point") != "end":
            _take(draft, _ORIGIN[_local(part)], words(part))


def _language(draft: dict[str, Any], node: etree._Element) -> None:
    """A code where there is one, else the language's name; never both for one language."""
    terms = [(part.get("type") != "code", words(part)) for part in node]
    _take(draft, "language", min(terms)[1] if terms else words(node))


def _subject(draft: dict[str, Any], node: etree._Element) -> None:
    """Each part of a compound heading is a keyword of its own."""
    for part in node:
        _take(draft, "subject", words(part))


def _identifier(draft: dict[str, Any], node: etree._Element) -> None:
    text, catalog = words(node), node.get("type", "")
    if text and catalog and not text.startswith(("http://", "https://")):
        draft.setdefault("identifiers", []).append({"catalog": catalog[:200], "entry": text[:4000]})
    else:
        _take(draft, "identifier", text)


def _location(draft: dict[str, Any], node: etree._Element) -> None:
    """Addresses, the object in its context first; a preview (a thumbnail) is no place of the resource (MODS 3.8)."""
    urls = [part for part in node if _local(part) == "url" and part.get("access") != "preview"]
    for part in sorted(urls, key=lambda part: (part.get("usage") or "") == "" and part.get("access") == "raw object"):
        _take(draft, "identifier", words(part))


def _own(draft: dict[str, Any], node: etree._Element) -> None:
    """The cataloguing agency's own identifier of this record."""
    for part in node:
        if _local(part) == "recordIdentifier" and (text := words(part)):
            item = {"catalog": part.get("source", "")[:200], "entry": text[:4000]}
            draft.setdefault("identifiers", []).append({name: value for name, value in item.items() if value})


def _condition(draft: dict[str, Any], node: etree._Element) -> None:
    _take(draft, "rights", node.get(_HREF, ""))
    _take(draft, "rights", words(node))


def _described(draft: dict[str, Any], node: etree._Element) -> None:
    for text in _parts(node, *_FORMS):
        _take(draft, "format", text)


def _related(draft: dict[str, Any], node: etree._Element) -> None:
    """A related item by its own address, else its identifier, else its title; what it is related to is not ours."""
    kind = node.get("type") or node.get("otherType") or "relation"
    own = [part for part in node if _local(part) != "relatedItem"]
    for name in ("url", "identifier", "title"):
        target = next((text for part in own for text in _parts(part, name)), "")
        if target:
            draft.setdefault("relations", []).append({"type": kind[:200], "target": target[:4000]})
            return


_NESTED: Final = {
    "titleInfo": _title, "name": _name, "originInfo": _origin, "language": _language, "subject": _subject,
    "identifier": _identifier, "location": _location, "accessCondition": _condition,
    "physicalDescription": _described, "relatedItem": _related, "recordInfo": _own,
}  # fmt: skip
