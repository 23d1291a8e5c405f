"""A feed's own limits for the two brakes, where what is ordinary for it would be alarming elsewhere.

A limit is written `FLOOR,PERCENT%`: changes above the larger of so many records and that part of the live ones wait for
a person. A feed that has none goes by the hub's (`HUTONG_DELETE_BRAKE`, `HUTONG_HOST_BRAKE`). To set one is the
operator's: a platform that could move its own brake would have none.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, update

from app.access.audit import Act, note
from app.feeds import service
from app.feeds.tables import feed
from app.protocol.errors import BadRequest
from app.settings import LIMIT, limit

Limit = tuple[int, float]


class Brake(StrEnum):
    """The two brakes, by the column that holds a feed's own limit."""

    DELETE = "delete_brake"
    HOST = "host_brake"


def own(row: Mapping[str, Any], brake: Brake, standard: Limit) -> Limit:
    """The limit that counts for a feed."""
    return limit(row[brake]) if row[brake] else standard


def set_(connection: Connection, feed_id: int, limits: Mapping[Brake, str | None], why: str) -> dict[str, Any]:
    """Gives a feed these limits, None for the hub's; those not named stay. The two as they stand then.

    They count from the feed's next run; what is held already waits for its decision. Raises NotFound, BadRequest.
    """
    for text in filter(None, limits.values()):
        if not re.fullmatch(LIMIT, text):
            raise BadRequest(f"brake {text!r}: write FLOOR,PERCENT% such as 50,5%")
    before = service.by_id(connection, feed_id)
    if limits:
        changed = {brake.value: text for brake, text in limits.items()}
        connection.execute(service.mine(connection, update(feed).where(feed.c.id == before["id"]).values(changed)))
        said = {name: text or "standard" for name, text in changed.items()}
        note(connection, Act.FEED_BRAKES, service.owner(before["id"]), **said, why=why)
    found = service.by_id(connection, before["id"])
    return {"feed": found["id"], **{brake.value: found[brake] for brake in Brake}}
