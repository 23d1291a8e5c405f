"""How a JSON API is paged: what is asked next, and when the list has ended.

A page of numbers or offsets ends at the first page without records, never at a short one: servers cap the size
they are asked for, and a list that ends early looks like deletions.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field

from app.protocol.connector import Response
from app.protocol.errors import PeerViolation

TOKEN_LIMIT: Final = 65_536
_LINK: Final = re.compile(r"<([^<>]*)>([^<]*)")
_REL: Final = re.compile(r';\s*rel\s*=\s*"?(?:[^";]*\s)?next(?:\s[^";]*)?"?\s*(?:[;,]|$)', re.IGNORECASE)


Reader = Callable[[str], Any]
"""What the answer's body holds at a dotted path."""


class _Paging(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    def url(self, base: str, at: Any) -> str:
        """The address of the page at `at` (None: the first)."""
        raise NotImplementedError

    def following(self, at: Any, count: int, read: Reader, response: Response) -> Any:
        """Where to go on after a page of `count` records; None at the end."""
        raise NotImplementedError


class Once(_Paging):
    """No pages: one answer holds everything."""

    by: Literal["none"] = "none"

    def url(self, base: str, at: Any) -> str:
        return base

    def following(self, at: Any, count: int, read: Reader, response: Response) -> Any:
        return None


class ByPage(_Paging):
    """`?page=1`, `?page=2` ... up to a page without records."""

    by: Literal["page"]
    parameter: str = "page"
    first: int = Field(default=1, ge=0, le=1)

    def url(self, base: str, at: Any) -> str:
        return with_query(base, {self.parameter: str(self.first if at is None else at)})

    def following(self, at: Any, count: int, read: Reader, response: Response) -> Any:
        return (self.first if at is None else at) + 1 if count else None


class ByOffset(_Paging):
    """`?offset=0`, `?offset=100` ... by as many records as came, up to a page without any."""

    by: Literal["offset"]
    parameter: str = "offset"

    def url(self, base: str, at: Any) -> str:
        return with_query(base, {self.parameter: str(at or 0)})

    def following(self, at: Any, count: int, read: Reader, response: Response) -> Any:
        return (at or 0) + count if count else None


class ByCursor(_Paging):
    """A cursor in the body, given back as a parameter; none ends the list."""

    by: Literal["cursor"]
    parameter: str = "cursor"
    path: str = "next_cursor"

    def url(self, base: str, at: Any) -> str:
        return base if at is None else with_query(base, {self.parameter: at})

    def following(self, at: Any, count: int, read: Reader, response: Response) -> Any:
        return _token(read(self.path), self.path)


class ByNext(_Paging):
    """The address of the next page in the body; none ends the list."""

    by: Literal["next"]
    path: str = "next"

    def url(self, base: str, at: Any) -> str:
        return base if at is None else str(at)

    def following(self, at: Any, count: int, read: Reader, response: Response) -> Any:
        found = _token(read(self.path), self.path)
        return None if found is None else absolute(response.url, found)


class ByLink(_Paging):
    """The header `Link: <...>; rel="next"` (RFC 8288); none ends the list."""

    by: Literal["link"]

    def url(self, base: str, at: Any) -> str:
        return base if at is None else str(at)

    def following(self, at: Any, count: int, read: Reader, response: Response) -> Any:
        for target, parameters in _LINK.findall(response.headers.get("link", "")[:TOKEN_LIMIT]):
            if _REL.search(parameters):
                return absolute(response.url, target)
        return None


Paging = Annotated[Once | ByPage | ByOffset | ByCursor | ByNext | ByLink, Field(discriminator="by")]


def with_query(url: str, values: dict[str, str]) -> str:
    """The address with these parameters set, the others kept."""
    parts = urlsplit(url)
    kept = [(name, value) for name, value in parse_qsl(parts.query, keep_blank_values=True) if name not in values]
    return urlunsplit(parts._replace(query=urlencode([*kept, *values.items()])))


def _token(found: Any, path: str) -> str | None:
    if found is None or found == "" or found is False:
        return None
    if isinstance(found, int):
        return str(found)
    if not isinstance(found, str):
        raise PeerViolation("page.next", f"`{path}` must be a text, not {type(found).__name__}")
    if len(found) > TOKEN_LIMIT:
        raise PeerViolation("page.limit", f"`{path}` has {len(found)} characters")
    return found


def absolute(base: str, target: str, rule: str = "page.next") -> str:
    """The next page's address; the hub's guard judges its host. Raises PeerViolation with this rule."""
    try:
        found = urljoin(base, target.strip())
        parts = urlsplit(found)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        found, usable = "", False
    if not usable or len(found) > 8192 or not found.isprintable():
        raise PeerViolation(rule, f"{target[:200]!r} is not the address of a page")
    return found
