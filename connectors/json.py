"""A JSON API: an array or an envelope, in one answer or in pages (docs/connectors/json.md)."""

from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from pydantic import Field, HttpUrl

from app.protocol import json, shapes
from app.protocol.connector import Checkpoint, Connector, Entry, Evidence, Page, Request, Response
from app.protocol.documents import Array, slice_at
from app.protocol.errors import PeerError, PeerViolation
from app.protocol.files import batched
from app.protocol.paging import Once, Paging
from app.protocol.progress import progress

PAGES = 100_000
UNSAFE = ("page", "offset")
"""Pages that move when something is removed while they are read: only the source's own count proves them complete."""


class Json(Array, Connector):
    """An API that lists its records as JSON, read as a whole in each run.

    Checkpoint: `run` (names the listing), and inside a run `next` (where to go on), `seen`, `lost`, `guard`.
    """

    name: ClassVar[str] = "json"
    title_zh: ClassVar[str] = "JSON 接口（数组、信封、分页）"
    title_en: ClassVar[str] = "JSON API"
    needs_mapping: ClassVar[bool] = True
    url: HttpUrl
    paging: Paging = Field(default=Once())
    total_path: str | None = Field(default=None, description="where the answer says how many records there are in all")

    @classmethod
    def recognise(cls, response: Response) -> Evidence | None:
        """Objects in an array or in an envelope; what it means only its owner knows, so other kinds come first."""
        found = shapes.of_answer(json.loads(response.content()), response) if response.status == 200 else None
        return found and Evidence({"url": response.url, **found.config}, 60, found.reasons)

    def request(self, checkpoint: Checkpoint) -> Request:
        """The first page or the one to go on with."""
        address = self.paging.url(str(self.url), checkpoint.get("next"))
        return Request(address, {"accept": "application/json"})

    def fresh(self, checkpoint: Checkpoint) -> Checkpoint:
        """Only the number of the run: two readings must not share a listing."""
        return {"run": checkpoint.get("run", 0) + 1}

    def read(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        """One page for each 500 records of an answer."""
        try:
            if response.status != 200:
                raise response.failure()
            yield from self._answer(checkpoint, response)
        except PeerError:
            # A cursor may be dead or the list moved: the next run begins again instead of asking for this for ever.
            if "next" in checkpoint:
                yield Page((), self.fresh(checkpoint), False)
            raise

    def _answer(self, checkpoint: Checkpoint, response: Response) -> Iterator[Page]:
        content = response.content()
        made = [self.entry(value, raw, number, None) for number, (value, raw) in enumerate(self.values(content), 1)]
        entries = [entry for entry, _ in made]
        total = _value(content, self.total_path) if self.total_path else None
        total = total if isinstance(total, int) and 0 <= total < 1 << 40 else None
        following = self.paging.following(checkpoint.get("next"), len(entries), partial(_value, content), response)
        after = self._after(checkpoint, following, made)
        listing = f"run-{checkpoint.get('run', 0)}"
        for end, stretch in batched(entries):
            if end < len(entries):
                # The answer is read again from its first record if this is where a worker dies.
                yield Page(stretch, checkpoint, False, listing=listing, total=total)
            elif following is not None:
                yield Page(stretch, after, False, listing=listing, total=total)
            else:
                complete = frozenset({listing}) if self._whole(after, total) else None
                yield Page(stretch, self.fresh(checkpoint), True, listing=listing, complete=complete, total=total)

    def _after(self, checkpoint: Checkpoint, following: Any, made: list[tuple[Entry, bool]]) -> dict[str, Any]:
        guard = checkpoint.get("guard", {})
        if following is not None:
            guard = progress(guard, [entry.identifier for entry, _ in made], str(following))
            if guard["step"] > PAGES:
                raise PeerViolation("page.limit", f"the list has more than {PAGES} pages")
        counts = {"seen": len(made), "lost": sum(lost for _, lost in made)}
        counts = {name: checkpoint.get(name, 0) + number for name, number in counts.items()}
        return {"run": checkpoint.get("run", 0), "next": following, **counts, "guard": guard}

    def _whole(self, after: dict[str, Any], total: int | None) -> bool:
        """Whether what did not come is gone: nothing nameless came, and the list was proved whole."""
        if after["lost"] or not after["seen"]:
            return False
        return after["seen"] == total if total is not None else self.paging.by not in UNSAFE


def _value(content: bytes, path: str) -> Any:
    """What stands at a path around the records, read without them: a bad record is a matter of its own."""
    found = slice_at(content, path)
    return None if found is None else json.loads(found)
