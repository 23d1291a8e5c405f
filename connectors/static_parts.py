"""Versioned static parts: a manifest with versions, and JSON arrays beside it (docs/connectors/static-parts.md)."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urljoin

from pydantic import HttpUrl

from app.protocol import json
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Fault, Page, Request, Response
from app.protocol.errors import PeerRefused, PeerUnavailable, PeerViolation

PAGE = 500


class StaticParts(Connector):
    """A platform that publishes its catalogue as files: poll the manifest, fetch the parts of changed modules."""

    name: ClassVar[str] = "static-parts"
    title_zh: ClassVar[str] = "版本化静态分片目录"
    title_en: ClassVar[str] = "Versioned static parts"
    needs_mapping: ClassVar[bool] = True
    manifest_url: HttpUrl
    module: str | None = None
    id_field: str = "id"
    stamp_field: str = "update_time"

    def request(self, checkpoint: Checkpoint) -> Request:
        """The manifest, or the next part that waits."""
        return Request(checkpoint["queue"][0] if checkpoint.get("queue") else str(self.manifest_url))

    def fresh(self, checkpoint: Checkpoint) -> Checkpoint:
        """A full run forgets the versions but not which part held what."""
        return {"parts": checkpoint.get("parts", {})}

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """The manifest gives the queue; each part gives pages of at most 500 entries."""
        if response.status >= 400:
            late = response.status >= 500 or (response.status == 404 and checkpoint.get("queue"))
            raise (PeerUnavailable if late else PeerRefused)(f"HTTP {response.status} from {response.url}")
        if checkpoint.get("queue"):
            yield from self._part(dict(checkpoint), response)
        else:
            yield self._manifest(dict(checkpoint), response)

    def _manifest(self, checkpoint: dict[str, Any], response: Response) -> Page:
        modules = self._modules(json.loads(response.content(), strict=True))
        versions = {name: module["module_version"] for name, module in modules.items()}
        if versions == checkpoint.get("versions"):
            return Page((), checkpoint, True)
        old, parts = checkpoint.get("versions", {}), checkpoint.get("parts", {})
        base = str(self.manifest_url)
        urls = {name: [urljoin(base, url) for url in _urls(module["urls"])] for name, module in modules.items()}
        every = [url for name in urls for url in urls[name]]
        queue = [
            url
            for name in urls
            if versions[name] != old.get(name) or url_missing(urls[name], parts)
            for url in urls[name]
        ]
        kept = {url: parts[url] for url in every if url in parts}
        after = {"versions": old, "next": versions, "parts": kept, "queue": queue, "offset": 0}
        return Page((), after, False) if queue else self._end(after)

    def _modules(self, manifest: Any) -> dict[str, dict[str, Any]]:
        """One module, several by name, or a list of them."""
        listed = manifest if isinstance(manifest, list) else [manifest]
        if isinstance(manifest, dict) and "urls" not in manifest:
            listed = [{"module": name, **value} for name, value in manifest.items() if isinstance(value, dict)]
        found = {}
        for module in listed:
            if not isinstance(module, dict) or not {"urls", "module_version"} <= set(module):
                raise PeerViolation("parts.manifest", "a module of the manifest needs `module_version` and `urls`")
            name = str(module.get("module", ""))
            if self.module in (None, name):
                found[name] = module
        return found

    def _part(self, checkpoint: dict[str, Any], response: Response) -> Iterator[Page]:
        content = response.content()
        url, rest = checkpoint["queue"][0], checkpoint["queue"][1:]
        part = f"{url[-150:]}#{sha256(content).hexdigest()[:16]}"
        # Other bytes than those this part was begun with: its first entries were sighted under another name, and a
        # complete listing that names only this one would take them for gone. So the part is read again from its top.
        if checkpoint.pop("part", part) != part:
            checkpoint["offset"] = 0
        after = {**checkpoint, "parts": {**checkpoint["parts"], url: part}, "queue": rest, "offset": 0}
        same = checkpoint["parts"].get(url) == part and not checkpoint["offset"]
        entries = [] if same else [self._entry(value, raw, n) for n, (value, raw) in enumerate(json.items(content))]
        for start in range(min(checkpoint["offset"], len(entries)), max(len(entries), 1), PAGE):
            chunk = entries[start : start + PAGE]
            if start + PAGE < len(entries):
                yield Page(chunk, {**checkpoint, "part": part, "offset": start + PAGE}, False, listing=part)
            elif rest:
                yield Page(chunk, after, False, listing=part)
            else:
                last = self._end(after)
                yield Page(chunk, last.checkpoint, True, listing=part, complete=last.complete)

    def _end(self, checkpoint: dict[str, Any]) -> Page:
        done = {"versions": checkpoint["next"], "parts": checkpoint["parts"]}
        return Page((), done, True, complete=frozenset(checkpoint["parts"].values()))

    def _entry(self, value: Any, raw: bytes, position: int) -> Entry:
        known = isinstance(value, dict) and value.get(self.id_field) not in (None, "")
        name = str(value[self.id_field]) if known else f"position-{position}"
        stamp = value.get(self.stamp_field) if isinstance(value, dict) else None
        return Entry(name, raw, _stamp(stamp) if isinstance(stamp, str) else None)

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """The source's own object; the feed's mapping makes it a record."""
        for entry in entries:
            value = json.loads(entry.raw)
            if not isinstance(value, dict):
                yield Fault("record.shape", "a record must be a JSON object")
            elif value.get(self.id_field) in (None, ""):
                yield Fault("record.id_missing", f"the record has no {self.id_field}", self.id_field)
            else:
                yield value


def url_missing(urls: list[str], parts: dict[str, str]) -> bool:
    """Whether a part of an unchanged module has never been read."""
    return any(url not in parts for url in urls)


def _urls(value: Any) -> list[str]:
    """`urls` is an array in one module and one comma-joined string in another; a third shape is refused."""
    if isinstance(value, str):
        return [url.strip() for url in value.split(",") if url.strip()]
    if isinstance(value, list) and all(isinstance(url, str) for url in value):
        return value
    raise PeerViolation(
        "parts.urls_shape", f"`urls` must be an array of strings or one string, not {type(value).__name__}"
    )


def _stamp(text: str) -> str:
    """UTC ISO text for comparison; offsets may come without a colon (`+0800`). Unreadable stamps stay as they are."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    except ValueError:
        return text[:64]
