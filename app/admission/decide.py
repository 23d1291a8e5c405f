"""Verdicts: admit, reject, withdraw, and undo within a minute. A batch is one transaction; each item has its own result.

What a verdict does is done at once. While it is, no page of the feeds concerned is stored (`leases.still`).
"""

import secrets
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import orjson
from sqlalchemy import Connection, delete, select, update

from app.access.audit import Act, note
from app.access.principal import acting, narrowed, within
from app.admission import publishing, ramp
from app.admission.policy import LEVELS, level_of, seen_at
from app.admission.states import NARROW, PUBLIC, RAMP, REJECTED, WAITING, WITHDRAWN
from app.admission.tables import candidate, verdict
from app.catalogue import digests, queries
from app.db import now
from app.feeds import leases
from app.protocol import vocab
from app.protocol.errors import BadRequest
from app.protocol.words import platform_of
from app.statements import among

UNDO_S: Final = 60
BATCH: Final = 500
DECISIONS: Final = ("admit", "reject", "withdraw")


class Item(NamedTuple):
    """A record to decide on; `hash` is that of the content the reviewer has seen."""

    id: str
    hash: str | None = None


class Decision(NamedTuple):
    """What somebody decides on up to BATCH records, and why; `reasons` are codes of the list `reason`."""

    decision: str
    items: Sequence[Item]
    by: str
    reasons: tuple[str, ...] = ()
    text: str = ""
    visibility: str | None = None
    audits: tuple[str, ...] | None = None
    institution: str = ""


class Case(NamedTuple):
    """One item with the row it is about: a candidate, or for a withdrawal a live record."""

    item: Item
    row: Any
    outcome: str
    visibility: str
    was: dict[str, Any]


def decide(connection: Connection, wanted: Decision, hub: str) -> dict[str, Any]:
    """Carries a decision out: `{batch, items: [{id, result}]}` in the order given; a result with a dot is a refusal.

    `hub` is this hub's platform code. Raises BadRequest for a decision that no item could follow.
    """
    _check(wanted)
    at, batch = now(connection), secrets.token_hex(8)
    _sweep(connection, at)
    cases = [_case(wanted, found, at, level_of(hub)) for found in _rows(connection, wanted)]
    done = [case for case in cases if "." not in case.outcome]
    _ACTS[wanted.decision](connection, wanted, done, hub)
    _record(connection, wanted, done, batch, at)
    if wanted.decision != "admit":
        for feed_id in sorted({case.row.feed_id for case in done}):
            ramp.refused(connection, feed_id, digests.state(connection, f"feed:{feed_id}")[0])
    if done:
        reasons = " ".join(wanted.reasons)
        note(connection, Act.VERDICT, f"verdict:{batch}", decision=wanted.decision, records=len(done), reasons=reasons)
    return {"batch": batch, "items": [{"id": case.item.id, "result": case.outcome} for case in cases]}


def _check(wanted: Decision) -> None:
    if wanted.decision not in DECISIONS:
        raise BadRequest(f"a decision is one of {', '.join(DECISIONS)}")
    if not 1 <= len(wanted.items) <= BATCH or not wanted.by.strip():
        raise BadRequest(f"a decision is about 1 to {BATCH} records and names who decides (by)")
    if len({item.id for item in wanted.items}) != len(wanted.items):
        raise BadRequest("a record stands twice in this decision")
    for scheme, given in (("reason", wanted.reasons), ("audit", wanted.audits or ())):
        if wrong := [code for code in given if code not in vocab.scheme(scheme).concepts]:
            raise BadRequest(f"{wrong[0][:100]!r} is no code of /api/v1/vocab/{scheme}")
    if wanted.decision != "admit" and not wanted.reasons:
        raise BadRequest(f"to {wanted.decision} needs at least one reason of /api/v1/vocab/reason")
    if "other" in wanted.reasons and not wanted.text.strip():
        raise BadRequest("the reason `other` needs a text")
    if wanted.visibility is not None and wanted.visibility not in LEVELS:
        raise BadRequest(f"visibility is one of {', '.join(LEVELS)}")


def _rows(connection: Connection, wanted: Decision) -> list[tuple[Item, Any, Any]]:
    """Items with the candidate and the live record of their ids, with their feeds held still.

    What is not among the acting principal's rows is not there; what was found is moved in the hub's name.
    """
    ids = [item.id for item in wanted.items]
    feeds = select(candidate.c.feed_id).where(among(connection, candidate.c.id, ids))
    live = queries.live_rows(connection, ids)
    leases.still(connection, [*connection.execute(narrowed(feeds)).scalars(), *(row.feed_id for row in live.values())])
    rows, live = acting(connection).rows, queries.live_rows(connection, ids)
    live = {id: row for id, row in live.items() if rows.cover(row.platform, row.platform[2:8])}
    query = select(candidate).where(among(connection, candidate.c.id, ids), candidate.c.state != PUBLIC)
    query = within(connection, query.with_for_update(), candidate.c.platform)
    kept = {row.id: row for row in connection.execute(query)}
    return [(item, kept.get(item.id), live.get(item.id)) for item in wanted.items]


def _case(wanted: Decision, found: tuple[Item, Any, Any], at: int, level: str) -> Case:
    item, kept, live = found
    row = live if wanted.decision == "withdraw" else kept
    if row is None:
        return _refused(item, row, "admission.not_public" if wanted.decision == "withdraw" else "admission.not_waiting")
    if item.hash is not None and item.hash != row.hash:
        return _refused(item, row, "admission.changed")
    was = _standing(kept, live)
    if wanted.decision == "withdraw":
        return Case(item, row, "withdrawn", "", was)
    if kept.claimed_until > at and kept.claimed_by != wanted.by:
        return _refused(item, row, "admission.claimed")
    if wanted.decision == "reject":
        return Case(item, row, "rejected" if kept.state in (WAITING, NARROW) else "admission.not_waiting", "", was)
    return _admission(wanted, item, kept, was, level)


def _refused(item: Item, row: Any, kind: str) -> Case:
    return Case(item, row, kind, "", {})


def _admission(wanted: Decision, item: Item, kept: Any, was: dict[str, Any], level: str) -> Case:
    """Of two people the narrower visibility counts: nobody raises it alone. The ramp lets in what lies beyond it."""
    if kept.state == RAMP:
        return _refused(item, kept, "admission.not_waiting")
    visibility = wanted.visibility or kept.visibility
    if kept.people > 1:
        if kept.first_by is None:
            return Case(item, kept, "first_of_two", visibility, was)
        if kept.first_by == wanted.by:
            return _refused(item, kept, "admission.second_person")
        visibility = min(visibility, kept.visibility, key=LEVELS.index)
    return Case(item, kept, "admitted" if seen_at(visibility, level) else "narrow", visibility, was)


def _standing(kept: Any, live: Any) -> dict[str, Any]:
    """What stood before, for an undo."""
    was = {name: getattr(kept, name) for name in ("state", "first_by", "visibility")} if kept is not None else {}
    return was | ({"seq": live.seq, "flags": live.flags} if live is not None else {})


def _admit(connection: Connection, wanted: Decision, cases: list[Case], hub: str) -> None:
    for case in cases:
        state = {"first_of_two": case.row.state, "narrow": NARROW, "admitted": PUBLIC}[case.outcome]
        first = wanted.by if case.outcome == "first_of_two" else None
        _move(connection, case.item.id, state=state, first_by=first, visibility=case.visibility)
    shown = [case.row for case in cases if case.outcome == "admitted"]
    publishing.show(connection, shown)
    audits = {row.id: wanted.audits if wanted.audits is not None else tuple(row.audits.split()) for row in shown}
    publishing.annotate(connection, shown, audits, wanted.institution or hub, hub)


def _reject(connection: Connection, wanted: Decision, cases: list[Case], hub: str) -> None:
    for case in cases:
        _move(connection, case.item.id, state=REJECTED, first_by=None)


def _withdraw(connection: Connection, wanted: Decision, cases: list[Case], hub: str) -> None:
    taken = [case.row for case in cases if "state" not in case.was]
    publishing.keep(connection, taken)
    for case in cases:
        if "state" in case.was:  # newer content waited or was refused: it stays, and is out with the rest
            _move(connection, case.item.id, state=WITHDRAWN, first_by=None)
    publishing.hide(connection, [case.row for case in cases], hub)


_ACTS: Final = {"admit": _admit, "reject": _reject, "withdraw": _withdraw}


def _move(connection: Connection, id: str, **values: Any) -> None:
    values |= {"claimed_by": None, "claimed_until": 0}
    connection.execute(narrowed(update(candidate).where(candidate.c.id == id).values(values)))


def _record(connection: Connection, wanted: Decision, cases: list[Case], batch: str, at: int) -> None:
    rows = [
        {
            "batch": batch, "record": case.item.id, "platform": platform_of(case.item.id), "hash": case.row.hash,
            "decision": wanted.decision, "outcome": case.outcome, "visibility": case.visibility, "reasons": " ".join(wanted.reasons),
            "text": wanted.text[:2000], "audits": " ".join(wanted.audits or ()), "by": wanted.by[:200], "at": at,
            "institution": wanted.institution[:200], "was": orjson.dumps(case.was).decode(),
        }
        for case in cases
    ]  # fmt: skip
    if rows:
        connection.execute(verdict.insert(), rows)


def _sweep(connection: Connection, at: int) -> None:
    """Admitted candidates are kept for an undo only."""
    late = select(verdict.c.record).where(verdict.c.at >= at - UNDO_S * 1_000_000)
    spent = delete(candidate).where(candidate.c.state == PUBLIC, candidate.c.id.not_in(late))
    connection.execute(narrowed(spent))
