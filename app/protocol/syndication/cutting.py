"""A feed is decoded, judged and cut into the bytes of its items by our own reader."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from html.entities import html5
from typing import Final

from lxml import etree

from app.protocol import xml
from app.protocol.errors import PeerViolation
from app.protocol.syndication.feeds import Feed, Item
from app.protocol.syndication.json_feed import cut_json

ATOM: Final = "http://www.w3.org/2005/Atom"
TOMBSTONE: Final = "{http://purl.org/atompub/tombstones/1.0}deleted-entry"
_XML: Final = "{http://www.w3.org/XML/1998/namespace}"
_ENTITY: Final = re.compile(rb"&([A-Za-z][A-Za-z0-9]{1,31});")
_OWN: Final = {b"amp", b"lt", b"gt", b"quot", b"apos"}


def cut(content: bytes, *, url: str = "", charset: str | None = None) -> Feed:
    """The feed at `url`. Raises PeerViolation: syndication.root, syndication.shape, and those of the readers."""
    if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        return cut_json(content.lstrip(b"\xef\xbb\xbf \t\r\n"))
    content = xml.decoded(content, expect="feed", charset=charset)
    root = xml.document(_ENTITY.sub(_character, content), expect="feed", charset="utf-8")
    name = _local(root)
    if name not in _HOLDERS:
        raise PeerViolation("syndication.root", f"the root element is {name[:100]}, not rss, RDF or feed")
    listed = [node for holder in _HOLDERS[name](root) for node in holder if isinstance(node.tag, str)]
    items = [_item(node) for node in listed if _local(node) in ("item", "entry")]
    items += [
        Item(node.get("ref", ""), b"", node.get("when"), deleted=True)
        for node in listed
        if node.tag == TOMBSTONE and node.get("ref")
    ]
    return Feed(items, _envelope(root, name, url), _next(listed))


def _holder_rss(root: etree._Element) -> list[etree._Element]:
    return [root, *(node for node in root if _local(node) == "channel")]


_HOLDERS: Final[Mapping[str, Callable[[etree._Element], Sequence[Iterable[etree._Element]]]]] = {
    "rss": _holder_rss, "RDF": _holder_rss, "feed": lambda root: [root], "entry": lambda root: [[root]],
}  # fmt: skip


def _local(node: etree._Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _character(found: re.Match[bytes]) -> bytes:
    """Undeclared references such as `&nbsp;`, which HTML knows and XML does not, as the characters they stand for."""
    if found[1] in _OWN or (text := html5.get(f"{found[1].decode()};")) is None:
        return found[0]
    return text.encode()


def _item(node: etree._Element) -> Item:
    raw = etree.tostring(node, encoding="utf-8", with_tail=False)
    names = {"guid": "", "id": "", "link": "", "updated": "", "pubDate": "", "date": ""}
    for part in node:
        if (name := _local(part)) in names and not names[name]:
            names[name] = "".join(map(str, part.itertext())).strip() or part.get("href", "")
    about = node.get("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}about", "")
    identifier = names["guid"] or names["id"] or names["link"] or about or f"#{sha256(raw).hexdigest()[:32]}"
    return Item(identifier, raw, names["updated"] or names["pubDate"] or names["date"] or None)


def _next(listed: Sequence[etree._Element]) -> str | None:
    """The next page of a paged feed (RFC 5005 section 3)."""
    links = (node for node in listed if node.tag == f"{{{ATOM}}}link" and node.get("rel") == "next")
    return next((node.get("href") for node in links if node.get("href")), None)


def _envelope(root: etree._Element, name: str, url: str) -> bytes:
    """The start tags inside which an item can be read again: dialect, language and base address of its feed."""
    if name == "entry":  # an Atom entry alone (RFC 4287 section 2), as OPDS has them
        return f'<feed xmlns="{ATOM}" xml:base="{xml.escape(url)}">'.encode()
    spaces = "".join(
        f' xmlns:{prefix}="{xml.escape(uri)}"' for prefix, uri in sorted(root.nsmap.items(), key=str) if prefix
    )
    default = f' xmlns="{xml.escape(root.nsmap[None])}"' if None in root.nsmap else ""
    kept = {
        "xml:base": root.get(f"{_XML}base") or url,
        "xml:lang": root.get(f"{_XML}lang"),
        "version": root.get("version"),
    }
    attributes = "".join(f' {key}="{xml.escape(value)}"' for key, value in kept.items() if value)
    channels = [node for node in root if _local(node) == "channel"]
    language = next((node.findtext("{*}language") or "" for node in channels), "").strip()
    said = f"<channel><language>{xml.escape(language)}</language>" if name != "feed" else ""
    prefix = f"{root.prefix}:" if root.prefix else ""
    return f"<{prefix}{name}{default}{spaces}{attributes}>{said}".encode()
