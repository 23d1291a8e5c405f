"""Who looks at a page and what they may do: a signed-in person, a program with a key, or an anonymous visitor."""

from typing import NamedTuple

from fastapi import Request

from app.access.door import principal_of, token_of
from app.access.scopes import Scope


class Viewer(NamedTuple):
    """`reads`: may see what happens in the hub. `decides`: may approve and reject held changes; shown actions that a
    viewer may not take are disabled, with why. `reviews`: may decide what is shown. `name` is empty for an anonymous visitor; `token` goes into forms."""

    name: str
    person: bool
    reads: bool
    decides: bool
    reviews: bool
    token: str


NOBODY = Viewer("", False, False, False, False, "")


def viewer(request: Request) -> Viewer:
    """The viewer of a request; nobody where it was refused before its caller was known."""
    if not hasattr(request.state, "caller"):
        return NOBODY
    who = principal_of(request)
    name = "" if who.name == "anonymous" else who.name.removeprefix("person:")
    may = (who.has(Scope.OPS_READ), who.has(Scope.OPS_WRITE), who.has(Scope.ADMISSION_DECIDE))
    return Viewer(name, bool(who.session), *may, token_of(request))
