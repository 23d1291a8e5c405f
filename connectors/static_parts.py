"""Versioned static parts: a manifest with versions, and JSON arrays beside it (docs/connectors/static-parts.md)."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar
from urllib.parse import urljoin, urlsplit

from pydantic import Field, HttpUrl

from app.protocol import json
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerUnavailable, PeerViolation

PAGE = 500
_TEXT = re.compile("[^\0\ud800-\udfff]+")


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
    file_path: bool = Field(default=False, description="give the mapping the part's path as `$file`")

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """A manifest: modules with `module_version` and `urls`."""
        if not isinstance(manifest := json.loads(response.content(), strict=True), dict | list):
            return None
        modules = cls.model_construct(manifest_url=HttpUrl("http://any.invalid"))._modules(manifest)
        parts = sum(len(_urls(module["urls"])) for module in modules.values())
        reason = f"a manifest with module_version and urls: {', '.join(modules)[:200] or 'one module'}, {parts} parts"
        return Evidence({"manifest_url": response.url}, 95, (reason,))

    def request(self, checkpoint: Checkpoint) -> Request:
        """The manifest, or the next part that waits."""
        return Request(checkpoint["queue"][0] if checkpoint.get("queue") else str(self.manifest_url))

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """The manifest gives the queue; each part gives pages of at most 500 entries."""
        if response.status >= 500:
            raise response.failure()
        if not checkpoint.get("queue"):
            if response.status >= 400:
                raise response.failure()
            yield self._manifest(checkpoint, response)
            return
        try:
            yield from self._part(dict(checkpoint), response)
        except PeerError:
            # A queue outlives the release it came from: the next run must ask the manifest, not this part, again.
            yield Page((), {name: checkpoint[name] for name in ("versions", "parts")}, False)
            raise

    def _manifest(self, checkpoint: Checkpoint, response: Response) -> Page:
        modules = self._modules(json.loads(response.content(), strict=True))
        versions = {name: module["module_version"] for name, module in modules.items()}
        if versions == checkpoint.get("versions"):
            return Page((), checkpoint, True)
        old, parts = checkpoint.get("versions", {}), checkpoint.get("parts", {})
        base = response.url or str(self.manifest_url)
        urls = {name: [_absolute(base, url) for url in _urls(module["urls"])] for name, module in modules.items()}
        every = dict.fromkeys(url for name in urls for url in urls[name])
        changed = {url for name in urls if name not in old or versions[name] != old[name] for url in urls[name]}
        queue = [url for url in every if url in changed or url not in parts]
        kept = {url: parts[url] for url in every if url in parts}
        after = {"versions": old, "next": versions, "parts": kept, "queue": queue}
        return Page((), after, False) if queue else _end(after, ())

    def _modules(self, manifest: Any) -> dict[str, dict[str, Any]]:
        """One module, several by name, or a list of them; an answer without modules is never an empty catalogue."""
        listed = manifest if isinstance(manifest, list) else [manifest]
        if isinstance(manifest, dict) and not {"urls", "module_version"} & set(manifest):
            listed = [{"module": name, **value} for name, value in manifest.items() if isinstance(value, dict)]
        found: dict[str, dict[str, Any]] = {}
        for module in listed:
            name = _module(module)
            if name in found:
                raise PeerViolation("parts.manifest", f"the module {name[:100]!r} stands twice in the manifest")
            if self.module in (None, name):
                found[name] = module
        if not found:
            raise PeerViolation("parts.manifest", f"the manifest has no module {self.module or 'at all'}")
        return found

    def _part(self, checkpoint: dict[str, Any], response: Response) -> Iterator[Page]:
        if response.status in (404, 410):
            raise PeerUnavailable(f"the manifest is ahead of its parts: HTTP {response.status} from {response.url}")
        if response.status >= 400:
            raise response.failure()
        content = response.content()
        url, rest = checkpoint["queue"][0], checkpoint["queue"][1:]
        # Short enough for its column, whatever the length of the address.
        part = f"{url[-150:]}#{sha256(url.encode() + content).hexdigest()[:16]}"
        same = checkpoint["parts"].get(url) == part
        entries = [] if same else self._entries(json.items(content), url)
        context = urlsplit(url).path.encode() if self.file_path else b""
        # An offset counts only in the very bytes it was taken in.
        at = checkpoint.get("at") or {}
        start = at["offset"] if at.get("part") == part and at["offset"] < len(entries) else 0
        while start + PAGE < len(entries):
            chunk, start = entries[start : start + PAGE], start + PAGE
            yield Page(chunk, {**checkpoint, "at": {"part": part, "offset": start}}, False, context, listing=part)
        after = {**checkpoint, "parts": {**checkpoint["parts"], url: part}, "queue": rest, "at": None}
        if rest:
            yield Page(entries[start:], after, False, context, listing=part)
        else:
            yield _end(after, entries[start:], part, context)

    def _entries(self, values: list[tuple[Any, bytes]], url: str) -> list[Entry]:
        file = url.rsplit("/", 1)[-1][:200]
        return [self._entry(value, raw, f"{file}[{n}]") for n, (value, raw) in enumerate(values)]

    def _entry(self, value: Any, raw: bytes, place: str) -> Entry:
        stamp = value.get(self.stamp_field) if isinstance(value, dict) else None
        return Entry(self._identifier(value) or place, raw, _stamp(stamp) if isinstance(stamp, str) else None)

    def _identifier(self, value: Any) -> str | None:
        """The source's identifier, or None where there is none that could be stored."""
        found = value.get(self.id_field) if isinstance(value, dict) else None
        if isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        return found if isinstance(found, str) and found and _TEXT.fullmatch(found) else None

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """The source's own object; the feed's mapping makes it a record."""
        for entry in entries:
            try:
                value = json.loads(entry.raw)
            except PeerViolation as error:
                yield Fault(error.kind, error.detail)
                continue
            if not isinstance(value, dict):
                yield Fault("record.shape", "a record must be a JSON object")
            elif self._identifier(value) is None:
                yield Fault("record.id_missing", f"the record has no usable {self.id_field}", self.id_field)
            else:
                yield {**value, "$file": context.decode()} if context else value


def _end(checkpoint: dict[str, Any], entries: Sequence[Entry], part: str | None = None, context: bytes = b"") -> Page:
    """The last page: the parts of the manifest together are everything."""
    done = {"versions": checkpoint["next"], "parts": checkpoint["parts"]}
    return Page(entries, done, True, context, listing=part, complete=frozenset(checkpoint["parts"].values()))


def _module(module: Any) -> str:
    """The module's name, if it is one."""
    if not isinstance(module, dict) or not {"urls", "module_version"} <= set(module):
        raise PeerViolation("parts.manifest", "a module of the manifest needs `module_version` and `urls`")
    if not isinstance(module["module_version"], str | int | float):
        raise PeerViolation("parts.manifest", "`module_version` must be a number or a text")
    return str(module.get("module", ""))


def _absolute(base: str, url: str) -> str:
    try:
        found = urljoin(base, url)
    except ValueError:
        found = ""
    if not found.startswith(("http://", "https://")):
        raise PeerViolation("parts.manifest", f"{url[:200]!r} is not the address of a part")
    return found


def _urls(value: Any) -> list[str]:
    """`urls` is an array in one module and one comma-joined string in another; a third shape is refused."""
    if isinstance(value, str):
        return [url.strip() for url in value.split(",") if url.strip()]
    if isinstance(value, list) and all(isinstance(url, str) and url.strip() for url in value):
        return [url.strip() for url in value]
    raise PeerViolation(
        "parts.urls_shape", f"`urls` must be an array of strings or one string, not {type(value).__name__}"
    )


def _stamp(text: str) -> str:
    """UTC ISO text for comparison; offsets may come without a colon (`+0800`).

    Unreadable stamps stay as they are, and so do those without an offset: their zone is not ours to guess.
    """
    try:
        at = datetime.fromisoformat(text)
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at.tzinfo else text[:64]
    except (ValueError, OverflowError):
        return text[:64]
