"""Search in the audit chain: who did what to what, from where."""

from typing import Any, Final, Literal

from pydantic import BaseModel, Field
from sqlalchemy import Connection

from app.access import audit
from app.access.audit import Act
from app.console.formats import day_number

ROWS: Final = 100
DAY_US: Final = 86_400_000_000
UTC8_US: Final = 8 * 3_600_000_000


class AuditFilter(BaseModel):
    """What is looked for; all of it stands in the address. Days are of UTC+8, both included."""

    actor: str = Field(default="", max_length=200)
    object: str = Field(default="", max_length=700)
    act: Act | Literal[""] = ""
    since: str = ""
    until: str = ""
    before: int | None = Field(default=None, ge=1)


def chain(connection: Connection, query: AuditFilter) -> dict[str, Any]:
    """The rows that fit, the latest first, and where the chain ends."""
    since, until = day_number(query.since), day_number(query.until)
    found = audit.search(
        connection, actor=query.actor.strip(), object=query.object.strip(), act=query.act, before=query.before,
        since=since * DAY_US - UTC8_US if since is not None else 0,
        until=(until + 1) * DAY_US - UTC8_US - 1 if until is not None else None, limit=ROWS + 1,
    )  # fmt: skip
    more = found[ROWS - 1]["seq"] if len(found) > ROWS else None
    return {"rows": found[:ROWS], "more": more, "head": audit.head(connection), "query": query, "acts": list(Act)}
