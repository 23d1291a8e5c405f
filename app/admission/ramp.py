"""The ramp: a new feed's records enter the catalogue by steps of 1 %, 10 % and all, and it stops by itself.

Which records fall into a step is drawn from their identifiers with a salt of the feed's own: 1 % lies within 10 %, the
same record always falls the same way, and nobody can work out beforehand which ones go first. What is in stays in:
its changes pass on every step, a stopped one too, and going back a step takes nothing out.
"""

import secrets
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Select, bindparam, func, select, update

from app.access.audit import Act, note
from app.access.principal import acting, narrowed
from app.access.scopes import Scope
from app.admission.states import DECIDED, RAMP
from app.admission.tables import candidate
from app.admission.tables import ramp as table
from app.db import now
from app.feeds import service as feeds
from app.platforms import notices
from app.protocol.errors import BadRequest, Conflict, Forbidden, NotFound
from app.settings import Settings
from app.statements import Fixed, plain, upsert

STEPS: Final = (1, 10, 100)
DRAWS: Final = 10_000
_OF_FEED: Final = Fixed(
    narrowed(select(table.c.state, table.c.percent, table.c.salt).where(table.c.feed_id == bindparam("of")))
)  # asked with every page
ON, STOPPED, OVER = "on", "stopped", "over"
REFUSED, VERDICTS, SHAPE, OPERATOR, MEMBER = "refused", "verdicts", "shape", "operator", "member"
"""Why a ramp is stopped: too many refused by rules, by reviewers, another shape; or by hand, by whose."""


class Terms(NamedTuple):
    """What is agreed when a ramp begins: how long a step lasts before a good run raises it (0: people do), and when
    it stops: more than `permille` of the records refused, and `least` at least."""

    hold_s: int = 86_400
    least: int = 5
    permille: int = 50


class Step(NamedTuple):
    """How far a feed's new records are let in: those whose draw is below `bound`."""

    bound: int
    salt: str

    def draw(self, id: str) -> int:
        """Where a record falls, 0 to 9999: always the same."""
        digest = sha256(f"{self.salt}\0{id}".encode()).digest()
        return int.from_bytes(digest[:8], "big") % DRAWS

    def lets(self, id: str) -> bool:
        """Whether a new record of this identifier enters."""
        return self.draw(id) < self.bound


class Stopped(Conflict):
    """The ramp was stopped: it is resumed first, with a reason."""

    kind = "ramp.stopped"


class NoGoodRun(Conflict):
    """This step has seen no good run yet; an operator may raise it nevertheless."""

    kind = "ramp.no_good_run"


def step(connection: Connection, feed_id: int) -> Step | None:
    """What a feed's new records may do now; None where all of them enter. One row by the primary key."""
    for state, percent, salt in _OF_FEED.all(connection, of=feed_id):
        return None if state == OVER else Step(_bound(state, percent), salt)
    return None


def bound(connection: Connection, feed_id: int) -> int:
    """Below which draw the candidates of a feed are let in: 0 while it is stopped, DRAWS where nothing holds them."""
    for state, percent, _ in _OF_FEED.all(connection, of=feed_id):
        return _bound(state, percent)
    return DRAWS


def _bound(state: str, percent: int) -> int:
    return 0 if state == STOPPED else percent * DRAWS // 100


def begin(connection: Connection, feed_id: int, why: str, terms: Terms) -> None:
    """Puts a feed on the first step, an operator's act; what is in the catalogue stays. Raises Forbidden, Conflict."""
    feeds.by_id(connection, feed_id)
    if not acting(connection).has(Scope.OPS_WRITE):
        raise Forbidden("a feed is put on the ramp by the hub's operator")
    _begin(connection, feed_id, why, terms)


def submitted(connection: Connection, feed_id: int, settings: Settings) -> None:
    """Puts a feed that its own platform has registered on the ramp, by setting; what an operator registers needs none."""
    if settings.ramp and not acting(connection).has(Scope.OPS_WRITE):
        _begin(connection, feed_id, "", Terms(*settings.ramp_terms))


def _begin(connection: Connection, feed_id: int, why: str, terms: Terms) -> None:
    found = connection.execute(narrowed(select(table).where(table.c.feed_id == feed_id))).first()
    if found is not None and found.state != OVER:
        raise Conflict(f"feed {feed_id} is on a ramp already, at {found.percent} %")
    row = {
        "feed_id": feed_id, "percent": STEPS[0], "state": ON, "salt": found.salt if found else secrets.token_hex(16),
        **terms._asdict(), **_changed(connection, why),
    }  # fmt: skip
    names = [name for name in row if name != "feed_id"]
    connection.execute(upsert(connection, table, ("feed_id",), names), [row])
    note(connection, Act.RAMP, feeds.owner(feed_id), did="begin", percent=STEPS[0], why=why)


def up(connection: Connection, feed_id: int, why: str = "") -> None:
    """One step on. Raises NotFound (no ramp), Stopped, NoGoodRun, Conflict (all are in already)."""
    row = _mine(connection, feed_id)
    if row.state == STOPPED:
        raise Stopped(f"the ramp of feed {feed_id} is stopped; resume it first, with a reason")
    if row.state == OVER:
        raise Conflict(f"feed {feed_id} has left the ramp: all of its records are let in")
    if row.good_run is None and not (acting(connection).has(Scope.OPS_WRITE) and why):
        raise NoGoodRun(
            f"step {row.percent} % of feed {feed_id} has seen no good run yet; an operator can give a reason"
        )
    percent = STEPS[STEPS.index(row.percent) + 1]
    _change(connection, feed_id, "raise", why, percent=percent, state=OVER if percent == STEPS[-1] else ON)


def down(connection: Connection, feed_id: int, why: str) -> None:
    """One step back, with a reason: from now on fewer new records enter; what is in stays. Raises Conflict on the first."""
    row = _mine(connection, feed_id)
    if row.percent == STEPS[0]:
        raise Conflict(f"feed {feed_id} is on the first step; stop it instead")
    percent = STEPS[STEPS.index(row.percent) - 1]
    state = STOPPED if row.state == STOPPED else ON
    _change(connection, feed_id, "lower", _reason(why), percent=percent, state=state)


def halt(connection: Connection, feed_id: int, why: str) -> None:
    """Stops by hand, with a reason. Raises Conflict where there is nothing to stop."""
    if (row := _mine(connection, feed_id)).state != ON:
        raise Conflict(f"the ramp of feed {feed_id} is {row.state}; there is nothing to stop")
    cause = OPERATOR if acting(connection).has(Scope.OPS_WRITE) else MEMBER
    _change(connection, feed_id, "stop", _reason(why), state=STOPPED, cause=cause, bad=0, judged=0, bad_run=None)


def resume(connection: Connection, feed_id: int, why: str) -> None:
    """Goes on where it stopped, with a reason; the step begins anew. Raises Conflict where it is not stopped, Forbidden
    where an operator stopped it and somebody else asks."""
    if (row := _mine(connection, feed_id)).state != STOPPED:
        raise Conflict(f"the ramp of feed {feed_id} is not stopped")
    if row.cause == OPERATOR and not acting(connection).has(Scope.OPS_WRITE):
        raise Forbidden(f"the ramp of feed {feed_id} was stopped by the hub's operator, who lets it go on")
    _change(connection, feed_id, "resume", _reason(why), state=ON)


def _reason(why: str) -> str:
    if not (found := why.strip()):
        raise BadRequest("say why: a ramp is stopped, resumed or taken back with a reason")
    return found


def _mine(connection: Connection, feed_id: int) -> Any:
    feeds.by_id(connection, feed_id)
    query = select(table).where(table.c.feed_id == feed_id)
    row = connection.execute(narrowed(query.with_for_update())).first()
    if row is None:
        raise NotFound(f"feed {feed_id} is on no ramp: all of its records are let in")
    return row


def _changed(connection: Connection, why: str) -> dict[str, Any]:
    """What every change begins anew: the time and the runs of the step, and who speaks."""
    told = {"since_at": now(connection), "by": acting(connection).said[:200], "why": why}
    return {**told, "good_run": None}


def _change(connection: Connection, feed_id: int, did: str, why: str, **values: Any) -> None:
    changed = update(table).where(table.c.feed_id == feed_id).values(_changed(connection, why) | values)
    connection.execute(narrowed(changed))
    note(connection, Act.RAMP, feeds.owner(feed_id), did=did, why=why, **values)


def judge(connection: Connection, feed_id: int, run: int, seen: int, refused: int, reshaped: bool = False) -> None:
    """At the end of a run that read everything, or found another shape: stops the ramp, marks the run as good, or
    raises the step when it has lasted as long as was agreed."""
    row = connection.execute(select(table).where(table.c.feed_id == feed_id, table.c.state == ON)).first()
    if row is None:
        return
    if reshaped or too_many(plain(row), refused, seen):
        _stop(connection, row, SHAPE if reshaped else REFUSED, refused, seen, run)
        return
    connection.execute(update(table).where(table.c.feed_id == feed_id).values(good_run=run))
    if row.hold_s and now(connection) - row.since_at >= row.hold_s * 1_000_000:
        up(connection, feed_id, "a good run after the agreed time")


def refused(connection: Connection, feed_id: int, live: int) -> None:
    """After reviewers have refused or withdrawn records of a feed with so many `live` ones: stops where it is too many."""
    row = connection.execute(narrowed(select(table).where(table.c.feed_id == feed_id, table.c.state == ON))).first()
    if row is None:
        return
    decided = select(func.count()).where(candidate.c.feed_id == feed_id, candidate.c.state.in_(DECIDED))
    bad = int(connection.execute(narrowed(decided)).scalar_one())
    if too_many(plain(row), bad, live + bad):
        _stop(connection, row, VERDICTS, bad, live + bad, None)


def too_many(agreed: Mapping[str, Any], bad: int, judged: int) -> bool:
    """Whether so many refused of so many stop a ramp under these terms (`least`, `permille`)."""
    return bad >= int(agreed["least"]) and bad * 1000 > int(agreed["permille"]) * judged


def _stop(connection: Connection, row: Any, cause: str, bad: int, judged: int, run: int | None) -> None:
    values = {"state": STOPPED, "cause": cause, "bad": bad, "judged": judged, "bad_run": run, "by": "hub"}
    _change(connection, row.feed_id, "stop", "", **values)
    platform, key = feeds.place(connection, row.feed_id)
    if not acting(connection).rows.cover(platform, platform[2:8]):
        return  # a reviewer of another region has refused what a relay brought: the wall tells it all the same
    title = f"放量已自动停止 ramp stopped: {platform}/{key}"
    body = f"{row.percent} %: {bad} / {judged} 被拒收 refused\n/feeds/{row.feed_id}"
    notices.send(connection, title, body, [platform])


def found(connection: Connection, feed_id: int) -> dict[str, Any] | None:
    """How a feed stands on its ramp; None where it never was on one.

    `waiting`: how many wait beyond the step; `inside`: step to how many of them it would let in.
    """
    feeds.by_id(connection, feed_id)
    row = connection.execute(narrowed(select(table).where(table.c.feed_id == feed_id))).first()
    if row is None:
        return None
    counts = waiting(connection, feed_id)
    at = now(connection)
    due = row.since_at + row.hold_s * 1_000_000 if row.hold_s and row.state == ON else None
    told = {name: value for name, value in plain(row).items() if name != "salt"}
    return {
        **told,
        "waiting": counts[STEPS[-1]],
        "inside": {str(percent): n for percent, n in counts.items()},
        "raises_at": max(due, at) if due else None,
    }


def waiting(connection: Connection, feed_id: int) -> dict[int, int]:
    """How many candidates of a feed wait on the ramp, by the step that would let them in, each with those before it."""
    mine = (candidate.c.feed_id == feed_id, candidate.c.state == RAMP)
    counts: list[Any] = [func.count().filter(candidate.c.draw < percent * DRAWS // 100) for percent in STEPS]
    query: Select[Any] = select(*counts).select_from(candidate).where(*mine)
    row = connection.execute(narrowed(query)).one()
    return dict(zip(STEPS, (int(number) for number in row), strict=True))
