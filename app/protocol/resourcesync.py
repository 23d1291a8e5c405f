"""ResourceSync (ANSI/NISO Z39.99-2017, cited by section): capabilities, fixity, dumps; read and rendered.

The documents themselves are sitemaps with two more elements: `sitemaps.parse` and `sitemaps.render`.
"""

import hashlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import BinaryIO, Final

from lxml import etree

from app.protocol import json, jsonld, pages, sitemaps, xml
from app.protocol.connector import Draft, Fault
from app.protocol.errors import PeerViolation
from app.protocol.formats import READERS
from app.protocol.sitemaps import Document, Item, Link

WELL_KNOWN: Final = "/.well-known/resourcesync"
MANIFEST: Final = "manifest.xml"
MEMBERS: Final = 50_001
DIRECTORY: Final = 6 << 20
INFLATED: Final = 256 << 20
MEMBER: Final = 8 << 20
_RATIO: Final = 100
_HASHES: Final = {"md5": "md5", "sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"}
_END: Final = b"PK\x05\x06"
_FORMATS: Final = {"dc": "oai_dc", "nsdl_dc": "nsdl_dc", "mods": "mods"}


def document(capability: str, items: Iterable[Item], *, up: str = "", index: bool = False, **md: str) -> Document:
    """A document of a capability (7); `md` is `at`, `completed`, `from_`, `until` as UTC ISO text."""
    said = {"capability": capability, **{name.rstrip("_"): value for name, value in md.items() if value}}
    return Document(tuple(items), index, said, (Link("up", up),) if up else ())


def changed(url: str, change: str, at: str, raw: bytes = b"", *, path: str = "", type: str = "") -> Item:
    """An entry of a change list or of a change dump's manifest (13): `created`, `updated` or `deleted` at a time."""
    fixity = {} if change == "deleted" else {"hash": fixed(raw), "length": str(len(raw)), "type": type, "path": path}
    md = {"change": change, "datetime": at, **fixity}
    return Item(url, None, {name: value for name, value in md.items() if value})


def listed(url: str, raw: bytes, at: str = "", *, path: str = "", type: str = "") -> Item:
    """An entry of a resource list or of a resource dump's manifest (10, 11)."""
    md = {"hash": fixed(raw), "length": str(len(raw)), "type": type, "path": path}
    return Item(url, at or None, {name: value for name, value in md.items() if value})


def fixed(raw: bytes) -> str:
    """The `hash` attribute of bytes (5)."""
    return f"sha-256:{hashlib.sha256(raw).hexdigest()}"


def broken(raw: bytes, md: Mapping[str, str]) -> str | None:
    """What of the promised `length` and `hash` the bytes do not have; None when they have it all.

    Algorithms nobody here knows prove nothing and are passed over.
    """
    length = md.get("length", "")
    if length.isascii() and length.isdigit() and len(length) < 16 and int(length) != len(raw):
        return f"{len(raw)} bytes came, {length} were promised"
    for said in md.get("hash", "").split():
        name, _, digest = said.partition(":")
        if (known := _HASHES.get(name.lower())) and digest:
            found = hashlib.new(known, raw, usedforsecurity=False).hexdigest()
            if found != digest.lower():
                return f"the {name} is {found}, {digest[:128]} was promised"
    return None


def dump(manifest: Document, files: Mapping[str, bytes]) -> bytes:
    """A ZIP of a dump (11.2, 14.2): the manifest, and each file under the path its entry names."""
    body = BytesIO()
    with zipfile.ZipFile(body, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {MANIFEST: sitemaps.render(manifest), **files}.items():
            archive.writestr(zipfile.ZipInfo(name.lstrip("/")), content, zipfile.ZIP_DEFLATED)
    return body.getvalue()


class Dump:
    """A dump's ZIP, opened within bounds: entries, directory, sizes really counted, ratio; nothing touches a disk.

    Raises PeerViolation: resourcesync.dump, body.bomb, and what the manifest's reader raises.
    """

    def __init__(self, body: BinaryIO) -> None:
        self._size = _bounded(body)
        try:
            self._archive = zipfile.ZipFile(body)
        except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError) as error:
            raise PeerViolation("resourcesync.dump", f"the dump is not a ZIP file: {str(error)[:200]}") from None
        names = self._archive.namelist()
        if len(names) > MEMBERS or len(set(names)) != len(names):
            raise PeerViolation("resourcesync.dump", f"{len(names)} files, too many or with a name twice")
        self._inflated = 0
        self.manifest = sitemaps.parse(self.read(MANIFEST, limit=sitemaps.UNPACKED))

    def read(self, path: str, *, limit: int = MEMBER) -> bytes:
        """The bytes of a file, counted while they are inflated."""
        try:
            info = self._archive.getinfo(path.lstrip("/"))
        except KeyError:
            raise PeerViolation("resourcesync.dump", f"the dump has no file {path[:200]!r}") from None
        if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise PeerViolation("resourcesync.dump", f"{path[:200]!r} is encrypted or packed in an unusual way")
        try:
            with self._archive.open(info) as file:
                found = file.read(limit + 1)
        except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError, NotImplementedError) as error:
            raise PeerViolation("resourcesync.dump", f"{path[:200]!r} is damaged: {str(error)[:200]}") from None
        self._inflated += len(found)
        if len(found) > limit or self._inflated > min(INFLATED, max(1 << 20, _RATIO * self._size)):
            raise PeerViolation("body.bomb", f"a dump of {self._size} bytes unpacks to too much")
        return found


def _bounded(body: BinaryIO) -> int:
    """The size of a ZIP whose directory is honest enough to be read: zipfile makes an object for each entry of it."""
    size = body.seek(0, 2)
    body.seek(max(size - 65_557, 0))
    tail = body.read()
    at = tail.rfind(_END)
    directory = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else DIRECTORY + 1
    if directory > DIRECTORY:
        raise PeerViolation("resourcesync.dump", "the dump is not a ZIP file, or its directory is too large")
    return size


def draft(raw: bytes, *, mapped: bool = False) -> Draft | Fault:
    """What a resource says of itself: XML in a metadata format, JSON(-LD), or a page with JSON-LD.

    `mapped`: a JSON object as it is, for the feed's mapping.
    """
    start = raw[:300].lstrip(b"\xef\xbb\xbf \t\r\n")
    try:
        if start[:1] in (b"{", b"["):
            return _object(json.loads(raw), mapped)
        if start[:1] == b"<" or start[:2] in (b"\xff\xfe", b"\xfe\xff"):
            return _markup(raw)
    except PeerViolation as error:
        return Fault(error.kind, error.detail)
    return Fault("resourcesync.no_metadata", "the resource is neither XML nor JSON: list its metadata, or link to it")


def _object(value: object, mapped: bool) -> Draft | Fault:
    if not isinstance(value, dict):
        return Fault("record.shape", "a record must be a JSON object")
    return value if mapped or not {"@context", "@type", "@id"} & set(value) else jsonld.read(value)


def _markup(raw: bytes) -> Draft | Fault:
    try:
        root = xml.document(raw, expect="resource")
    except PeerViolation as error:
        if error.kind != "page.html":
            raise
        return _page(raw)
    # The metadata itself, or wrapped as in an OAI-PMH record.
    for node in root.iter("*"):
        if (format := _FORMATS.get(etree.QName(node).localname)) is not None:
            return READERS[format](node)
    if etree.QName(root).localname == "html":
        return _page(raw)
    return Fault("resourcesync.no_metadata", f"no metadata format is known with the root element {root.tag[:200]}")


def _page(raw: bytes) -> Draft | Fault:
    found = pages.resource(pages.blocks(raw))[0]
    return jsonld.read(found) if found is not None else Fault("resourcesync.no_metadata", "a page without JSON-LD")
