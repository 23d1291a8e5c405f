"""Metadata formats inside OAI-PMH, read into drafts: oai_dc, nsdl_dc and MODS. Elements are walked once, no XPath."""

from collections.abc import Callable, Mapping
from typing import Any

from lxml import etree

from app.protocol.connector import Draft

DC = "{http://purl.org/dc/elements/1.1/}"
_LISTS = {
    "subject": "keywords", "language": "languages", "type": "type", "format": "format", "audience": "audience",
}  # fmt: skip
_ROLES = {"creator": "creator", "contributor": "contributor", "publisher": "publisher"}


def _words(node: etree._Element) -> str:
    return (
        " ".join((node.text or "").split()) if len(node) == 0 else " ".join("".join(map(str, node.itertext())).split())
    )


def read_dc(metadata: etree._Element) -> Draft:
    """oai_dc and nsdl_dc: Dublin Core elements by local name, refinements of dcterms beside them."""
    draft: dict[str, Any] = {}
    for node in metadata.iterchildren("*"):
        text = node.text
        if text is None or not (text := text.strip()):
            if not (len(node) and (text := _words(node))):
                continue
        _dc(draft, node.tag.rpartition("}")[2], text)
    if keywords := draft.get("keywords"):
        draft.setdefault("subject", keywords[0][:200])
    if levels := draft.pop("levels", None):
        draft["stage"] = levels[0]
    return draft


def _dc(draft: dict[str, Any], name: str, text: str) -> None:
    if name == "title":
        if "title" in draft:
            draft.setdefault("alt_titles", []).append(text[:1000])
        else:
            draft["title"] = text[:1000]
    elif name in _LISTS:
        draft.setdefault(_LISTS[name], []).append(text[:200] if name != "subject" else text[:1000])
    elif name in _ROLES:
        draft.setdefault("contributors", []).append({"role": _ROLES[name], "name": text[:1000]})
    elif name in ("description", "abstract"):
        draft["description"] = f"{draft['description']}\n{text}"[:20_000] if "description" in draft else text[:20_000]
    elif name == "identifier":
        _identifier(draft, text)
    elif name == "date":
        draft.setdefault("published", text[:200])
    elif name == "rights":
        _rights(draft, text)
    elif name in ("relation", "isPartOf", "hasPart", "references"):
        draft.setdefault("relations", []).append({"type": name, "target": text[:4000]})
    elif name == "educationLevel":
        draft.setdefault("levels", []).append(text[:200])


def _identifier(draft: dict[str, Any], text: str) -> None:
    if text.startswith(("http://", "https://")):
        draft.setdefault("location", []).append(text[:4000])
    else:
        draft.setdefault("identifiers", []).append({"entry": text[:4000]})


def _rights(draft: dict[str, Any], text: str) -> None:
    rights = draft.setdefault("rights", {})
    if text.startswith(("http://", "https://")) and "licence_uri" not in rights:
        rights["licence_uri"] = text[:4000]
    else:
        rights["statement"] = f"{rights['statement']}\n{text}" if "statement" in rights else text


def read_mods(metadata: etree._Element) -> Draft:
    """MODS: titleInfo, name, typeOfResource, genre, language, abstract, subject, identifier, location."""
    draft: dict[str, Any] = {}
    for node in metadata.iterchildren("*"):
        name = node.tag.rpartition("}")[2]
        if name == "titleInfo":
            parts = [
                _words(part) for part in node.iterchildren("*") if part.tag.endswith(("title", "subTitle", "nonSort"))
            ]
            _dc(draft, "title", " ".join(part for part in parts if part) or "") if any(parts) else None
        elif name == "name":
            parts = [_words(part) for part in node.iterchildren("*") if part.tag.endswith("namePart")]
            if any(parts):
                _dc(draft, "contributor", " ".join(parts))
        elif name == "originInfo":
            _origin(draft, node)
        elif text := _words(node):
            mapped = {
                "typeOfResource": "type", "genre": "type", "language": "language", "abstract": "description",
                "subject": "subject", "identifier": "identifier", "accessCondition": "rights", "note": "description",
            }.get(name)  # fmt: skip
            if name == "location":
                for part in node.iter("*"):
                    if part.tag.endswith("url") and part.text:
                        _dc(draft, "identifier", part.text.strip())
            elif mapped:
                _dc(draft, mapped, text)
    if keywords := draft.get("keywords"):
        draft.setdefault("subject", keywords[0][:200])
    return draft


def _origin(draft: dict[str, Any], node: etree._Element) -> None:
    for part in node.iterchildren("*"):
        local = part.tag.rpartition("}")[2]
        if local == "publisher" and _words(part):
            _dc(draft, "publisher", _words(part))
        elif local in ("dateIssued", "dateCreated") and _words(part):
            _dc(draft, "date", _words(part))


READERS: Mapping[str, Callable[[etree._Element], Draft]] = {"oai_dc": read_dc, "nsdl_dc": read_dc, "mods": read_mods}
