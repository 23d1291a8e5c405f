"""The scopes of IX/1 that this hub offers: `all`, `platform:CODE` and `subject:CODE` (IX/1 sections 1 and 3)."""

from typing import Any, NamedTuple

from sqlalchemy import Connection

from app.catalogue import digests, queries
from app.protocol.errors import NotFound
from app.protocol.words import PLATFORM_CODE


class Scope(NamedTuple):
    """A slice of the catalogue that can be read by itself; `kind` is empty for the whole."""

    name: str
    kind: str = ""
    code: str = ""


def named(name: str) -> Scope:
    """The scope of this name, also when nothing is in it yet. Raises NotFound for one that is not kept."""
    kind, _, code = name.partition(":")
    if name == "all":
        return Scope(name)
    if kind == "platform" and PLATFORM_CODE.match(code):
        return Scope(name, kind, code)
    if kind == "subject" and _code(code):
        return Scope(name, kind, code)
    raise NotFound(f"there is no scope {name[:100]!r}; /.well-known/ix lists them")


def _code(code: str) -> bool:
    return code.isascii() and code.isalnum() and len(code) <= 16


def offered(connection: Connection) -> list[str]:
    """Names of the scopes that hold records, `all` first."""
    terms = (term.partition("=") for term in queries.tallies(connection))
    found = [f"{kind}:{code}" for kind, _, code in terms if kind == "platform" or (kind == "subject" and _code(code))]
    return ["all", *sorted(found)]


def rows(connection: Connection, of: Scope, *, after: int, until: int, limit: int) -> list[Any]:
    """Rows in change order with `left`: 1 where the record lives on outside of this scope (V8)."""
    return queries.listed(connection, after=after, until=until, limit=limit, set_name=of.kind, code=of.code)


def state(connection: Connection, of: Scope) -> tuple[int, str | None]:
    """(live records, root); the root is None where no digest is kept for the scope (IX/1 section 6)."""
    if of.kind == "subject":
        return queries.tallies(connection, [f"subject={of.code}"]).get(f"subject={of.code}", 0), None
    return digests.state(connection, of.name)
