"""CKAN's Action API, version 3: packages by search, or by list and show (docs.ckan.org, API guide)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Final, Literal
from urllib.parse import urlencode

from pydantic import Field, HttpUrl

from app.protocol import json, pages, sitemaps, walk
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerRefused, PeerUnavailable, PeerViolation

OVERLAP: Final = timedelta(hours=1)
NAMES: Final = 200_000
_NAME: Final = re.compile(r"[\w.~-]{1,200}")
_KINDS: Final = {
    "Not Found Error": "ckan.not_found", "Authorization Error": "ckan.access_denied",
    "Search Query Error": "ckan.search", "Search Error": "ckan.search", "Search Index Error": "ckan.search",
    "Validation Error": "ckan.validation",
}  # fmt: skip


class Ckan(Connector):
    """A CKAN site's public packages.

    Checkpoint: between runs `since` (the server's clock when the last run began); within a run `start` and `count`
    (search) or `at`, `names` and `waiting` (list and show), with `run`, `started` and `whole`.
    """

    name: ClassVar[str] = "ckan"
    title_zh: ClassVar[str] = "CKAN 数据目录（Action API）"
    title_en: ClassVar[str] = "CKAN catalogue (Action API)"
    base_url: HttpUrl
    via: Literal["search", "list"] = "search"
    query: str | None = Field(default=None, max_length=2000, description="a Solr filter query, as in `fq`")
    rows: int = Field(default=200, ge=1, le=1000)
    mapped: bool = False

    def request(self, checkpoint: Checkpoint) -> Request:
        """A page of the search; or the list of names, then one package after the other."""
        if self.via == "search":
            return self._ask("package_search", self._search(checkpoint))
        if waiting := checkpoint.get("waiting"):
            return self._ask("package_show", {"id": waiting[0]})
        return self._ask("package_list", {"limit": str(self.rows), "offset": str(checkpoint.get("at", 0))})

    def _search(self, checkpoint: Checkpoint) -> dict[str, str]:
        """By identifier, so that a package that changes meanwhile keeps its place."""
        asked = {"q": "*:*", "sort": "id asc", "rows": str(self.rows), "start": str(checkpoint.get("start", 0))}
        filters = [f"({self.query})"] if self.query else []
        if since := sitemaps.moment(checkpoint.get("since")):
            filters.append(f"metadata_modified:[{(since - OVERLAP).strftime('%Y-%m-%dT%H:%M:%SZ')} TO *]")
        return {**asked, "fq": " AND ".join(filters)} if filters else asked

    def _ask(self, action: str, arguments: Mapping[str, str]) -> Request:
        return Request(f"{str(self.base_url).rstrip('/')}/api/3/action/{action}?{urlencode(arguments)}")

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each answer. Raises the error the site names, whatever the HTTP status."""
        state = dict(checkpoint)
        if "run" not in state:
            state |= {"whole": "since" not in state, "started": walk.date(response.headers)}
            state["run"] = walk.run_name(response.headers, response.content())
        try:
            if self.via == "search":
                yield self._found(state, response)
            elif state.get("waiting"):
                yield self._shown(state, response)
            else:
                yield self._listed(state, response)
        except PeerError:
            if state.get("start") or state.get("at"):
                # The next run begins again: a place in a list is worth nothing when the list is no longer served.
                yield Page((), {"since": state["since"]} if "since" in state else {}, False)
            raise

    def _found(self, state: dict[str, Any], response: Response) -> Page:
        result = json.members(_result(response))
        count, start = json.loads(result.get("count", b"null")), state.get("start", 0)
        if not isinstance(count, int) or isinstance(count, bool) or "results" not in result:
            raise PeerViolation("ckan.shape", "the result of package_search needs `count` and `results`")
        entries = [_entry(value, raw) for value, raw in json.items(result["results"])]
        if not entries and start < count:
            raise PeerViolation("ckan.count", f"package_search counts {count} packages and gives none from {start} on")
        # Packages that come or go between two pages move the others: then nothing is concluded from absence.
        whole = state["whole"] and state.get("count") in (None, count)
        after = {**state, "start": start + len(entries), "count": count, "whole": whole}
        return self._moved(after, entries, after["start"] >= count, count)

    def _listed(self, state: dict[str, Any], response: Response) -> Page:
        names = json.loads(_result(response))
        if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
            raise PeerViolation("ckan.shape", "the result of package_list must be an array of package names")
        at = state.get("at", 0) + len(names)
        if at > NAMES or len(names) > NAMES:
            raise PeerViolation("page.limit", f"more than {NAMES} packages")
        if names and names[:1] == state.get("first"):
            raise PeerViolation("page.loop", "package_list gives the same names at another offset")
        # An old site that does not know `limit` gives all names at once.
        last = len(names) != self.rows
        after = {**state, "at": at, "first": names[:1], "waiting": names, "last": last}
        return self._moved(after, [], last and not names)

    def _shown(self, state: dict[str, Any], response: Response) -> Page:
        name, waiting = state["waiting"][0], state["waiting"][1:]
        try:
            raw = _result(response)
            entries = [_entry(json.loads(raw), raw, name)]
        except PeerRefused as error:
            if error.kind not in ("ckan.not_found", "ckan.access_denied"):
                raise
            entries = []  # deleted or made private since it was listed
        return self._moved({**state, "waiting": waiting}, entries, not waiting and state["last"])

    def _moved(self, state: dict[str, Any], entries: list[Entry], done: bool, total: int | None = None) -> Page:
        if not done:
            return Page(entries, state, False, listing=state["run"], total=total)
        since = state["started"] if self.via == "search" and state["started"] else None
        complete = frozenset({state["run"]}) if state["whole"] else None
        return Page(entries, {"since": since} if since else {}, True, b"", state["run"], complete, total)

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """A draft of each package, or with `mapped` the package itself."""
        for entry in entries:
            try:
                package = json.loads(entry.raw)
            except PeerViolation as error:
                yield Fault(error.kind, error.detail)
                continue
            if not isinstance(package, dict):
                yield Fault("record.shape", "a package must be a JSON object")
            elif not isinstance(package.get("id"), str) or not package["id"]:
                yield Fault("record.id_missing", "the package has no id", "id")
            else:
                yield package if self.mapped else draft(package, str(self.base_url))


def _result(response: Response) -> bytes:
    """The bytes of `result`. Raises what the site's own error says: PeerRefused, PeerUnavailable, PeerViolation."""
    try:
        answer = json.members(response.content())
    except PeerViolation:
        if response.status >= 400:
            kind = PeerUnavailable if response.status >= 500 else PeerRefused
            raise kind(f"HTTP {response.status} from {response.url}") from None
        raise
    if json.loads(answer.get("success", b"null")) is True and "result" in answer:
        return answer["result"]
    error = json.loads(answer.get("error", b"{}"))
    named = error.get("__type") if isinstance(error, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    kind, detail = _KINDS.get(str(named), "ckan.error"), f"{named or 'an error without a type'}: {str(said)[:300]}"
    if kind in ("ckan.not_found", "ckan.access_denied"):
        refused = PeerRefused(detail)
        refused.kind = kind
        raise refused
    raise PeerViolation(kind, detail)


def _entry(value: Any, raw: bytes, name: str = "") -> Entry:
    """A package. One that is deleted, a draft, or private is withdrawn: what was public must leave the catalogue."""
    package = value if isinstance(value, dict) else {}
    said = package.get("id") or package.get("name") or name or raw[:40].hex()
    gone = package.get("state", "active") != "active" or package.get("private") is True
    stamp = package.get("metadata_modified")
    return Entry(str(said)[:600], raw, stamp if isinstance(stamp, str) else None, deleted=gone)


def draft(package: Mapping[str, Any], base: str) -> Draft:
    """A package in the native field names; notes are Markdown, which is text."""
    resources = [item for item in _list(package, "resources") if isinstance(item, dict)]
    extras = {item.get("key"): item.get("value") for item in _list(package, "extras") if isinstance(item, dict)}
    tags = [_text(tag, "display_name") or _text(tag, "name") for tag in _list(package, "tags")]
    page = _text(package, "url") or f"{base.rstrip('/')}/dataset/{_text(package, 'name') or _text(package, 'id')}"
    language = _text(package, "language") or str(extras.get("language") or "")
    rights = {"statement": _text(package, "license_title"), "licence_uri": _text(package, "license_url")}
    found = {
        "title": _text(package, "title") or _text(package, "name"),
        "description": pages.plain(_text(package, "notes"))[:20_000],
        "keywords": list(dict.fromkeys(tag[:1000] for tag in tags if tag)),
        "contributors": _people(package),
        "languages": [language[:200]] if language else [],
        "location": list(
            dict.fromkeys(url[:4000] for url in [page, *(_text(item, "url") for item in resources)] if url)
        ),
        "format": list(
            dict.fromkeys(said for item in resources if (said := _text(item, "mimetype") or _text(item, "format")))
        ),
        "published": str(extras.get("issued") or "")[:200],
        "rights": {name: text for name, text in rights.items() if text},
        "version": _text(package, "version")[:200],
        "identifiers": [{"catalog": "CKAN", "entry": _text(package, "name")}] if _text(package, "name") else [],
    }
    return {name: value for name, value in found.items() if value}


def _people(package: Mapping[str, Any]) -> list[dict[str, str]]:
    organisation = package.get("organization")
    said = [("creator", _text(package, "author")), ("contributor", _text(package, "maintainer"))]
    said += [("publisher", _text(organisation, "title") or _text(organisation, "name"))]
    return [{"role": role, "name": name[:1000]} for role, name in said if name]


def _text(value: Any, name: str) -> str:
    found = value.get(name) if isinstance(value, dict) else None
    return found.strip() if isinstance(found, str) else ""


def _list(value: Mapping[str, Any], name: str) -> list[Any]:
    return found if isinstance(found := value.get(name), list) else []
