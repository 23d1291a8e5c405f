"""CKAN's Action API, version 3: packages by search, or by list and show (docs.ckan.org, API guide)."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from hashlib import sha256
from typing import Any, ClassVar, Final, Literal, TypeVar
from urllib.parse import urlencode

from pydantic import Field, HttpUrl

from app.protocol import json, sitemaps, walk
from app.protocol.connector import Checkpoint, Connector, Draft, Entry, Evidence, Fault, Page, Request, Response
from app.protocol.errors import PeerError, PeerUnavailable, PeerViolation
from app.protocol.html import to_text

T = TypeVar("T")
OVERLAP: Final = timedelta(hours=1)
NAMES: Final = 200_000
_NAME: Final = re.compile(r"[\w.~-]{1,200}")
_GONE: Final = ("ckan.not_found", "ckan.access_denied")
_KINDS: Final = {
    "Not Found Error": "ckan.not_found", "Authorization Error": "ckan.access_denied",
    "Search Query Error": "ckan.search", "Search Error": "ckan.search", "Search Index Error": "ckan.search",
    "Validation Error": "ckan.validation",
}  # fmt: skip


class Ckan(Connector):
    """A CKAN site's public packages.

    Checkpoint: between runs `since` (the server's clock when the last run began); within a run `start`, `count`
    and `end` (the last identifier or name), `whole`, `run`, `started`; by list also `waiting`, `digest`, `last`, `failed`.
    """

    name: ClassVar[str] = "ckan"
    title_zh: ClassVar[str] = "CKAN 数据目录（Action API）"
    title_en: ClassVar[str] = "CKAN catalogue (Action API)"
    base_url: HttpUrl
    via: Literal["search", "list"] = "search"
    query: str | None = Field(default=None, max_length=2000, description="a Solr filter query, as in `fq`")
    rows: int = Field(default=200, ge=2, le=1000)
    mapped: bool = False

    @classmethod
    def doors(cls, url: str) -> tuple[str, ...]:
        """A search for nothing at the host, and beside a dataset's page (CKAN may stand below a path)."""
        host, bare = "/".join(url.split("/")[:3]), url.split("?")[0].split("#")[0]
        bases = dict.fromkeys((host, re.split(r"/(?:api|dataset|organization|group)(?:/|\Z)", bare)[0].rstrip("/")))
        return tuple(f"{base}/api/3/action/package_search?rows=0" for base in bases)

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """An answer of the Action API, of whatever action: `help`, `success`, and what it was asked for or why not."""
        answer = json.loads(response.content())
        base, found, _ = response.url.partition("/api/")
        if (
            not found
            or not isinstance(answer, dict)
            or not isinstance(answer.get("success"), bool)
            or "help" not in answer
        ):
            return None
        result = answer.get("result")
        if isinstance(result, dict) and isinstance(result.get("count"), int):
            return Evidence({"base_url": base}, 96, (f"package_search counts {result['count']} packages",))
        return Evidence({"base_url": base}, 85, ("an answer of CKAN's Action API: help, success",))

    def request(self, checkpoint: Checkpoint) -> Request:
        """A page of the search; or the list of names, then one package after the other."""
        if self.via == "search":
            return self._ask("package_search", self._search(checkpoint))
        if waiting := checkpoint.get("waiting"):
            return self._ask("package_show", {"id": waiting[0]})
        return self._ask("package_list", {"limit": str(self.rows), "offset": str(_from(checkpoint))})

    def _search(self, checkpoint: Checkpoint) -> dict[str, str]:
        """By identifier, so that a package that changes meanwhile keeps its place."""
        asked = {"q": "*:*", "sort": "id asc", "rows": str(self.rows), "start": str(_from(checkpoint))}
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
            if state.get("start"):
                # The next run begins again: a place in a list is worth nothing when the list is no longer served.
                yield Page((), {"since": state["since"]} if "since" in state else {}, False)
            raise

    def _found(self, state: dict[str, Any], response: Response) -> Page:
        result = json.members(_result(response))
        count, start = json.loads(result.get("count", b"null")), state.get("start", 0)
        if not isinstance(count, int) or isinstance(count, bool) or "results" not in result:
            raise PeerViolation("ckan.shape", "the result of package_search needs `count` and `results`")
        found = [_entry(value, raw) for value, raw in json.items(result["results"])]
        entries, joined = _joined(found, [entry.identifier for entry in found], state)
        if not entries and start < count:
            raise PeerViolation("ckan.count", f"package_search counts {count} packages and gives none from {start} on")
        whole = state["whole"] and joined and state.get("count") in (None, count)
        end = entries[-1].identifier if entries else state.get("end")
        after = {**state, "start": _from(state) + len(found), "count": count, "whole": whole, "end": end}
        return self._moved(after, entries, after["start"] >= count, count)

    def _listed(self, state: dict[str, Any], response: Response) -> Page:
        """Names to show next; the list ends where it brings no new ones, or where a site gives all of them at once."""
        names = json.loads(_result(response))
        if not isinstance(names, list) or not all(isinstance(name, str) and _NAME.fullmatch(name) for name in names):
            raise PeerViolation("ckan.shape", "the result of package_list must be an array of package names")
        start, digest = state.get("start", 0), sha256("\n".join(names).encode()).hexdigest()[:16]
        if digest == state.get("digest"):
            return self._moved(state, [], True)  # a site that does not know `offset`
        fresh, joined = _joined(names, names, state)
        if start + len(fresh) > NAMES:
            raise PeerViolation("page.limit", f"more than {NAMES} packages")
        last = not fresh or len(names) > self.rows
        end = fresh[-1] if fresh else state.get("end")
        after = {
            **state,
            "start": _from(state) + len(names),
            "waiting": fresh,
            "end": end,
            "digest": digest,
            "last": last,
        }
        return self._moved({**after, "whole": state["whole"] and joined}, [], last and not fresh)

    def _shown(self, state: dict[str, Any], response: Response) -> Page:
        name, waiting = state["waiting"][0], state["waiting"][1:]
        try:
            raw = _result(response)
            entries = [_entry(_lenient(raw), raw, name)]
        except PeerViolation as error:
            if error.kind not in _GONE:
                return self._failed(state, error)
            entries = []  # deleted or made private since it was listed
        except PeerUnavailable as error:
            return self._failed(state, error)
        return self._moved({**state, "waiting": waiting, "failed": 0}, entries, not waiting and state["last"])

    def _failed(self, state: dict[str, Any], error: PeerError) -> Page:
        """A package the site itself cannot show is refused; the others are not, but absence proves nothing then."""
        failed = state.get("failed", 0) + 1
        if failed > walk.FAILURES:
            raise error
        name, waiting = state["waiting"][0], state["waiting"][1:]
        after = {**state, "waiting": waiting, "failed": failed, "whole": False}
        reason = f"{error.kind} {error.detail}".encode()
        return self._moved(after, [Entry(name, b"")], not waiting and state["last"], context=reason)

    def _moved(
        self, state: dict[str, Any], entries: list[Entry], done: bool, total: int | None = None, context: bytes = b""
    ) -> Page:
        if not done:
            return Page(entries, state, False, context, state["run"], total=total)
        since = state["started"] if self.via == "search" and state["started"] else None
        complete = frozenset({state["run"]}) if state["whole"] else None
        return Page(entries, {"since": since} if since else {}, True, context, state["run"], complete, total)

    def parse(self, entries: Sequence[Entry], context: bytes) -> Iterator[Draft | Fault]:
        """A draft of each package, or with `mapped` the package itself."""
        for entry in entries:
            if context and not entry.raw:
                rule, _, detail = context.decode(errors="replace").partition(" ")
                yield Fault(rule, detail)
                continue
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


def _from(checkpoint: Checkpoint) -> int:
    """Where the next window begins: at the last one that is known, which must come again at the same place."""
    start: int = checkpoint.get("start", 0)
    return max(start - 1, 0)


def _joined(found: list[T], names: list[str], state: Mapping[str, Any]) -> tuple[list[T], bool]:
    """What is new of a window, and whether nothing came or went before it: else others have moved unseen."""
    if not state.get("start"):
        return found, True
    joined = names[:1] == [state.get("end")]
    return (found[1:] if joined else found), joined


def _lenient(raw: bytes) -> Any:
    """The value for its identifier only; what is wrong with it `parse` says."""
    try:
        return json.loads(raw)
    except PeerViolation:
        return None


def _result(response: Response) -> bytes:
    """The bytes of `result`. Raises what the site's own error says: PeerRefused, PeerUnavailable, PeerViolation."""
    try:
        answer = json.members(response.content())
    except PeerViolation:
        if response.status >= 400:
            raise response.failure() from None
        raise
    if json.loads(answer.get("success", b"null")) is True and "result" in answer:
        return answer["result"]
    error = json.loads(answer.get("error", b"{}"))
    named = error.get("__type") if isinstance(error, dict) else None
    said = error.get("message") if isinstance(error, dict) else error
    rule, detail = _KINDS.get(str(named), "ckan.error"), f"{named or 'an error without a type'}: {str(said)[:300]}"
    raise PeerViolation(rule, detail)


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
        "description": to_text(_text(package, "notes"), "html")[:20_000],
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
