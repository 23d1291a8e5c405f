"""The loop guard of paged listings, as a small state that stays in the checkpoint however long the list is."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any, Final

from app.protocol.errors import PeerViolation

STALE_PAGES: Final = 10


def progress(state: Mapping[str, Any], identifiers: Iterable[str], following: str) -> dict[str, Any]:
    """The state after a page, whose successor is asked for by `following`. Raises PeerViolation `page.loop`.

    Refused: the same successor with the same identifiers twice, or ten pages in a row with nothing new. A page is
    old when it is one of the last ten. Longer circles meet `mark`, a page remembered at each power of two (Brent).
    """
    listed = "\n".join(identifiers)
    names = _digest(listed)
    here = f"{names}{_digest(following)}"
    recent, step = state.get("recent", []), state.get("step", 0) + 1
    stale = state.get("stale", 0) + 1 if names in recent or not listed else 0
    if listed and here in (state.get("mark"), state.get("last")):
        raise PeerViolation("page.loop", "the same continuation brought the same records again")
    if stale >= STALE_PAGES:
        raise PeerViolation("page.loop", f"{STALE_PAGES} pages in a row brought nothing new")
    mark = here if step & (step - 1) == 0 else state["mark"]
    return {"recent": [*recent, names][-STALE_PAGES:], "last": here, "mark": mark, "step": step, "stale": stale}


def _digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
