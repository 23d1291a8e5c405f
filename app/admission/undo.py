"""Takes a batch of verdicts back within a minute: what stood before stands again, where nothing has moved since."""

from collections.abc import Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, select, update

from app.access.audit import Act, note
from app.access.principal import narrowed, within
from app.admission import publishing
from app.admission.decide import UNDO_S
from app.admission.states import NARROW, PUBLIC, REJECTED, WITHDRAWN
from app.admission.tables import candidate, verdict
from app.catalogue import queries, service
from app.catalogue.arrivals import Arrival, Origin
from app.db import now
from app.feeds import leases
from app.protocol.errors import Conflict, Forbidden, NotFound
from app.protocol.record import rebuilt
from app.statements import among

_STATES = {"admitted": PUBLIC, "narrow": NARROW, "rejected": REJECTED, "withdrawn": WITHDRAWN}


class TooLate(Conflict):
    """The minute is over: decide anew."""

    kind = "admission.too_late"


def undo(connection: Connection, batch: str, by: str, hub: str) -> dict[str, Any]:
    """`{batch, items: [{id, result}]}`: `undone`, `left` (out of the catalogue; what was shown before cannot come back)
    or `admission.moved_on`. Raises NotFound, TooLate, and Forbidden for a batch that somebody else decided."""
    rows, at = _batch(connection, batch, by), now(connection)
    if at - rows[0].at > UNDO_S * 1_000_000:
        raise TooLate(f"a batch can be undone for {UNDO_S} seconds; decide anew on its records")
    ids = [row.record for row in rows]
    mine = among(connection, candidate.c.id, ids)
    leases.still(connection, connection.execute(narrowed(select(candidate.c.feed_id).where(mine))).scalars().all())
    kept = {row.id: row for row in connection.execute(narrowed(select(candidate).where(mine)))}
    live = queries.live_rows(connection, ids)
    items = [{"id": r.record, "result": _one(connection, r, kept.get(r.record), live.get(r.record), hub)} for r in rows]
    done = [row.id for row, item in zip(rows, items, strict=True) if "." not in item["result"]]
    connection.execute(narrowed(update(verdict).where(verdict.c.id.in_(done)).values(undone_at=at)))
    note(connection, Act.VERDICT_UNDONE, f"verdict:{batch}", records=len(done))
    return {"batch": batch, "items": items}


def _batch(connection: Connection, batch: str, by: str) -> Sequence[Any]:
    """The verdicts of a batch that stand; only who gave them takes them back."""
    query = select(verdict).where(verdict.c.batch == batch, verdict.c.undone_at.is_(None)).order_by(verdict.c.id)
    rows = connection.execute(within(connection, query.with_for_update(), verdict.c.platform)).all()
    if not rows:
        raise NotFound(f"there is no batch {batch[:40]!r} that could be undone")
    if rows[0].by != by:
        raise Forbidden("somebody else gave these verdicts; decide anew on the records")
    return rows


def _one(connection: Connection, row: Any, kept: Any, live: Any, hub: str) -> str:
    was = orjson.loads(row.was)
    state = _STATES.get(row.outcome, was.get("state"))
    if kept is None or kept.state != state or (kept.hash != row.hash and row.outcome != "withdrawn"):
        return "admission.moved_on"
    if row.outcome == "admitted":
        return _hidden(connection, kept, live, was, hub)
    if row.outcome == "withdrawn":
        return _shown(connection, kept, was)
    _restore(connection, kept.id, was)
    return "undone"


def _restore(connection: Connection, id: str, was: dict[str, Any]) -> None:
    values = {name: was[name] for name in ("state", "first_by", "visibility")}
    connection.execute(narrowed(update(candidate).where(candidate.c.id == id).values(values)))


def _hidden(connection: Connection, kept: Any, live: Any, was: dict[str, Any], hub: str) -> str:
    """An admission taken back: the content leaves, and the version admitted before it returns."""
    if live is None or live.hash != kept.hash:
        return "admission.moved_on"
    before = queries.state_at(connection, live.pk, was["seq"]) if "seq" in was else None
    publishing.hide(connection, [live], hub)
    _restore(connection, kept.id, was)
    if before is None:
        return "undone"
    if kept.native:  # an origin's versions only rise: the earlier one cannot be told again
        return "left"
    earlier = rebuilt(kept.id, bytes(before.document), was["flags"])
    origin = Origin(kept.feed_id, kept.run_id, kept.province)
    service.apply(connection, [Arrival(earlier, b"", kept.stamp)], origin)
    return "undone"


def _shown(connection: Connection, kept: Any, was: dict[str, Any]) -> str:
    """A withdrawal taken back: the record returns with a new position."""
    if "state" in was:  # what was live is gone with its content; newer content waits again
        _restore(connection, kept.id, was)
        return "left"
    publishing.show(connection, [kept])
    connection.execute(narrowed(delete(candidate).where(candidate.c.id == kept.id)))
    return "undone"
