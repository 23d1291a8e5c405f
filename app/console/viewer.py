"""Who looks at a page and what they may do: a signed-in person, a program with a key, or an anonymous visitor."""

from typing import NamedTuple

from fastapi import Request

from app.access.door import principal_of, token_of
from app.access.scopes import Scope


class Viewer(NamedTuple):
    """`reads`: may see what happens in the hub, `whole`: in all of it. `manages`: may run, pause and map feeds. `decides`: may approve and
    reject held changes. `reviews`: may decide what is shown. `audits`: may search the audit chain. `member`: has an enrolment of its own. Shown
    actions that a viewer may not take are disabled, with why. `name` stands beside what was decided and is empty for an anonymous visitor;
    `token` goes into forms."""

    name: str
    person: bool
    reads: bool
    whole: bool
    manages: bool
    decides: bool
    reviews: bool
    audits: bool
    token: str
    member: bool = False


NOBODY = Viewer("", False, False, False, False, False, False, False, "")


def viewer(request: Request) -> Viewer:
    """The viewer of a request; nobody where it was refused before its caller was known."""
    if not hasattr(request.state, "caller"):
        return NOBODY
    who = principal_of(request)
    name = "" if who.name == "anonymous" else who.said
    return Viewer(
        name, bool(who.session), who.has(Scope.OPS_READ), who.rows.everything, who.has(Scope.FEEDS_MANAGE),
        who.has(Scope.OPS_WRITE), who.has(Scope.ADMISSION_DECIDE), who.has(Scope.AUDIT_READ), token_of(request),
        bool(who.session) and who.has(Scope.ENROL),
    )  # fmt: skip
