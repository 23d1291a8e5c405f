"""Who looks at a page and what they may do: today the administrator's key in the request, or nobody in particular."""

from typing import NamedTuple

from fastapi import Request

from app.protocol.errors import Unauthorized
from app.web import administrator


class Viewer(NamedTuple):
    """`name` stands beside what was decided; empty for a visitor. `decides`: may approve and reject held changes. Shown actions that a viewer may not take are disabled, with why."""

    name: str
    decides: bool


def viewer(request: Request) -> Viewer:
    """The viewer of a request."""
    try:
        administrator(request, request.headers.get("authorization", ""))
    except Unauthorized:
        return Viewer("", decides=False)
    return Viewer("administrator", decides=True)
