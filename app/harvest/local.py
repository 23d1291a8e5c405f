"""A file on this machine looked at as a source: of the kind that recognises it, or records of a metadata format."""

from pathlib import Path
from typing import Any, Final

from app.harvest.discovery import configured
from app.harvest.look import Sample, Subject, take, unregistered
from app.harvest.probe import mapped, recognised
from app.protocol import formats
from app.protocol.connector import Entry, Response
from app.protocol.errors import BadRequest, PeerError, PeerViolation

BYTES: Final = 256 << 20
_ANY: Final = "http://file.invalid/"


def subject(path: Path, limit: int, mapping: dict[str, Any] | None, config: dict[str, Any] | None = None) -> Subject:
    """What a file holds, with a proposed mapping where none is given; `config` overrides what was found out.

    Raises BadRequest for a file that is too large or that no kind knows.
    """
    if path.stat().st_size > BYTES:
        raise BadRequest(f"{path.name}: larger than {BYTES >> 20} MiB; cut a sample out of it")
    content = path.read_bytes()
    for records in _readings(content):
        if (found := _of_kind(path, records, limit, mapping, config or {})) is not None:
            return found
    return _of_format(path, content, limit, mapping)


def _readings(content: bytes) -> list[bytes]:
    """The file, and a single object as an array of one; of JSON-LD that first, since its lists are no records."""
    text = content.removeprefix(b"\xef\xbb\xbf").strip()
    if text[:1] != b"{" or b"\n{" in text:
        return [content]
    one = b"[%b]" % text
    return [one, content] if b'"@context"' in text else [content, one]


def _of_kind(
    path: Path, content: bytes, limit: int, mapping: dict[str, Any] | None, given: dict[str, Any]
) -> Subject | None:
    response = Response.of(content, url=f"{_ANY}{path.name}")
    said = ""
    for kind, evidence in sorted(recognised(response), key=lambda pair: -pair[1].certainty):
        config = {**evidence.config, **given}
        connector, sample = configured(kind, config), Sample()
        try:
            for page in connector.read(connector.fresh({}), response):
                take(sample, page.context, page.entries, limit)
                if len(sample) >= limit:
                    break
        except PeerError as error:
            said = f"{kind}: {error.detail}"
        if len(sample):
            chosen = mapping or mapped(connector, sample)["mapping"]
            return unregistered(kind, config, chosen)._replace(at_hand=sample)
    if said:
        raise BadRequest(f"{path.name}: {said}")
    return None


def _of_format(path: Path, content: bytes, limit: int, mapping: dict[str, Any] | None) -> Subject:
    """Metadata records, read as a repository would hand them over."""
    try:
        found = formats.cut(content)
    except PeerViolation as error:
        raise BadRequest(f"{path.name}: no kind knows this file: {error.detail}") from None
    if found is None:
        known = "CSV, workbook, JSON, JSON lines, feed, OAI-PMH, MARCXML, LOM, MODS, Dublin Core"
        raise BadRequest(f"{path.name}: no kind knows this file ({known})")
    format, records = found
    entries = [Entry(f"record {number}", raw) for number, raw in enumerate(records[:limit], 1)]
    config = {"base_url": _ANY, "prefix": format}
    return unregistered("oai-pmh", config, mapping)._replace(at_hand=Sample([(b"", entries)]))
