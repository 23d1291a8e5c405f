"""Drives a connector as the hub does: answers by URL, checkpoints through JSON, from any page on."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from app.protocol.connector import Connector, Draft, Entry, Fault, Page, Response

Answer = tuple[int, bytes] | bytes
DATE = "Wed, 11 Nov 2026 08:00:00 GMT"


class Site:
    """Answers by URL; what it does not have is 404. `asked` are the URLs in order."""

    def __init__(
        self, answers: Mapping[str, Answer] | Callable[[str], Answer], date: str | None = DATE, **headers: str
    ):
        self.answers = answers
        self.asked: list[str] = []
        self.headers = {**({"date": date} if date else {}), **headers}

    def get(self, url: str) -> Response:
        """The answer, with its own URL."""
        self.asked.append(url)
        found = self.answers(url) if callable(self.answers) else self.answers.get(url, (404, b"<html>"))
        status, content = found if isinstance(found, tuple) else (200, found)
        return Response.of(content, url=url, status=status, **self.headers)


def run(
    feed: Connector, site: Site, checkpoint: Any = None, stop: int = 5000, kept: list[Page] | None = None
) -> list[Page]:
    """The pages of a run, cut off after `stop`; `kept` holds those before an error."""
    found = kept if kept is not None else []
    at: Any = checkpoint or {}
    while not (found and found[-1].done):
        for page in feed.read(at, site.get(feed.request(at).url)):
            at = json.loads(json.dumps(page.checkpoint))  # what is stored must be JSON
            found.append(page)
            if len(found) >= stop:
                return found
    return found


def entries(pages: list[Page]) -> list[Entry]:
    """The entries of all pages, in order."""
    return [entry for page in pages for entry in page.entries]


def drafts(feed: Connector, pages: list[Page]) -> dict[str, Draft | Fault]:
    """What each live entry became."""
    found: dict[str, Draft | Fault] = {}
    for page in pages:
        live = [entry for entry in page.entries if not entry.deleted]
        found.update(zip((entry.identifier for entry in live), feed.parse(live, page.context), strict=True))
    return found


def resumes_everywhere(feed: Connector, site: Site, checkpoint: Any = None) -> None:
    """From the checkpoint of every page the rest of the run is the same, with the same end."""
    whole = run(feed, site, checkpoint)
    for number, page in enumerate(whole[:-1], 1):
        rest = run(feed, site, json.loads(json.dumps(page.checkpoint)))
        seen = {entry.identifier for entry in entries(whole[:number])} | {entry.identifier for entry in entries(rest)}
        assert seen == {entry.identifier for entry in entries(whole)}, number
        assert (rest[-1].complete, rest[-1].checkpoint) == (whole[-1].complete, whole[-1].checkpoint), number


def rules(found: Mapping[str, Draft | Fault]) -> dict[str, str]:
    """The rule of each entry that was refused."""
    return {name: draft.rule for name, draft in found.items() if isinstance(draft, Fault)}
