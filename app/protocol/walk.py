"""A walk over a tree of list files (indexes, lists, pages) whose state stays small however long the lists are.

The state is a stack of steps as JSON. The first step is what is asked next; a list is read in windows, and what it
still holds waits behind its window as the same list at a later place. A file that has other entries when it is asked
again is gone on with at that place, but the walk is then not `whole`: nothing may be concluded from what it missed.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from app.protocol.errors import PeerViolation

WINDOW: Final = 100
DEPTH: Final = 4
FAILURES: Final = 5
"""So many steps in a row that fail are a site that is down, not entries that are bad."""
FILES: Final = 10_000
URL_LIMIT: Final = 2000
_SAFE: Final = "%!$&'()*+,-./:;=@_~?[]"

Step = Mapping[str, Any]
"""`{"list": url, "at": n, "depth": n}` or what a connector makes of an entry; JSON."""
State = dict[str, Any]


def begin(url: str, **more: Any) -> State:
    """The state before the first list."""
    return {"stack": [{"list": url, "at": 0, "depth": 0, **more}], "files": 0, "whole": True}


def opened(
    state: Mapping[str, Any], names: Sequence[str], step: Callable[[int], Step | None], *, index: bool = False
) -> State:
    """The state behind the list on top of the stack: its next entries' steps, then what it still holds.

    `names` are all entries of the list in order; `step` makes the step of one of them by its place, or None for one
    that needs none. Raises PeerViolation: page.loop, page.limit.
    """
    here, rest = state["stack"][0], state["stack"][1:]
    if index and (here["depth"] >= DEPTH or here["list"] in names):
        raise PeerViolation("page.loop", f"{here['list'][:300]} lists itself, or indexes stand {DEPTH} deep in indexes")
    if state["files"] >= FILES:
        raise PeerViolation("page.limit", f"more than {FILES} list files in one run")
    digest = sha256("\n".join(names).encode(errors="replace")).hexdigest()[:16]
    whole = state["whole"] and here.get("digest") in (None, digest)
    steps: list[Step] = []
    at = here["at"]
    while at < len(names) and len(steps) < WINDOW:
        steps += [found] if (found := step(at)) is not None else []
        at += 1
    if at < len(names):
        rest = [{**here, "at": at, "digest": digest}, *rest]
    return {**state, "stack": [*steps, *rest], "files": state["files"] + 1, "whole": whole}


def taken(state: Mapping[str, Any]) -> State:
    """The state behind a step that went well."""
    return {**state, "stack": state["stack"][1:], "failed": 0}


def failed(state: Mapping[str, Any]) -> tuple[State, bool]:
    """The state behind a step that failed, and whether the run must stop: too many in a row."""
    number = state.get("failed", 0) + 1
    return {**state, "stack": state["stack"][1:], "failed": number % FAILURES, "bad": True}, number >= FAILURES


def lost(state: Mapping[str, Any]) -> State:
    """The state behind a list that cannot be read: nothing may be concluded from what it would have held."""
    return {**state, "stack": state["stack"][1:], "whole": False, "bad": True}


def below(step: Step, url: str, **more: Any) -> Step:
    """The step of a list that another one names."""
    return {"list": url, "at": 0, "depth": step["depth"] + 1, **more}


def address(base: str, url: str, hosts: Sequence[str]) -> str | None:
    """The absolute address of an entry, ASCII, or None when it is none of ours to ask.

    It must be http(s), on the host of the file that names it (sitemaps.org, location) or on one of `hosts`.
    """
    try:
        found = urlsplit(urljoin(base, url.strip()))
        netloc = found.netloc if found.netloc.isascii() else found.netloc.encode("idna").decode()
        foreign = netloc != urlsplit(base).netloc and netloc not in hosts and found.hostname not in hosts
        good = found.scheme in ("http", "https") and found.hostname and "@" not in netloc and found.port != 0
        if foreign or not good:
            return None
        made = urlunsplit(found._replace(netloc=netloc, path=quote(found.path, _SAFE), query=quote(found.query, _SAFE)))
    except (ValueError, UnicodeError):
        return None
    made = made.partition("#")[0]
    return made if made.isascii() and len(made) <= URL_LIMIT else None


def date(headers: Mapping[str, str]) -> str | None:
    """The server's own clock from the Date header, as UTC ISO text (RFC 9110 6.6.1)."""
    try:
        at = parsedate_to_datetime(headers.get("date", ""))
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at.tzinfo else None
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def run_name(headers: Mapping[str, str], content: bytes) -> str:
    """Names this run's listing: when the server gave its first file, and which."""
    return f"full-{date(headers) or ''}-{sha256(content).hexdigest()[:12]}"
