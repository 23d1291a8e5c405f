"""The host brake: links that move to other hosts, above the feed's limit, wait for a person.

The gate puts such content aside page by page (`app/admission/hosts.py`), counted as `held`. It belongs to the feed, not
to the run: a run that fails loses none. At a run's end it is let in, 500 records in a transaction, or held as one set.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import Any
from urllib.parse import unquote

from sqlalchemy import Connection, func, select, update

from app.access.principal import narrowed
from app.admission import aside, hosts
from app.admission.states import MOVED, TILL_THE_END
from app.catalogue import originals, queries
from app.catalogue.tables import record
from app.db import now
from app.feeds import leases
from app.feeds.brakes import Brake, own
from app.harvest import quarantine, runs
from app.harvest.pages import Run
from app.harvest.tables import HOSTS, held, run
from app.protocol.connector import Entry, Fault
from app.protocol.record import restore

_FAULT = Fault(
    "record.host_declined", "its link leads to a host that an operator has declined", "location", stage="store"
)


def settle(task: Run) -> None:
    """At a run's end: lets in what was put aside, or holds it. Killed in between it is simply done again."""
    database, feed_id = task.engine.database, task.lease.feed_id
    with database.read() as connection:
        waiting, live = aside.waiting(connection, feed_id), _live(connection, feed_id)
    if not waiting:
        return
    moved, (floor, fraction) = waiting.get(MOVED, 0), own(task.feed, Brake.HOST, task.engine.hosts)
    if moved > max(floor, fraction * live):
        with database.write() as connection:
            leases.hold(connection, task.lease)
            _hold(connection, task, moved, live, f"the brake is at max({floor}, {fraction:.0%})")
    rows: list[Any] = [None]
    while rows:
        with database.write() as connection:
            leases.hold(connection, task.lease)
            rows = aside.next_of(connection, feed_id, *TILL_THE_END)
            _let_in(connection, task.run_id, rows)


def _live(connection: Connection, feed_id: int) -> int:
    alive = select(func.count()).select_from(record).where(record.c.feed_id == feed_id, record.c.live == 1)
    return int(connection.execute(alive).scalar_one())


def _let_in(connection: Connection, run_id: int, rows: Sequence[Any]) -> None:
    if rows:
        ours = sum(row.run_id == run_id for row in rows)
        runs.count(connection, run_id, **_figures(connection, rows, -ours))


def _figures(connection: Connection, rows: Sequence[Any], held_by: int) -> dict[str, int]:
    """Lets these in; what became of them as figures of a run that counted them as held."""
    counts: dict[str, int] = {"held": held_by}
    for outcome in aside.let_in(connection, rows):
        for name, number in runs.figures(outcome).items():
            counts[name] = counts.get(name, 0) + number
        # The same version with another content since (IX/1 V3): what is live is the later word.
        counts["duplicate"] += len(outcome.conflicts)
    return counts


def _hold(connection: Connection, task: Run, number: int, live: int, limit: str) -> None:
    feed_id, run_id = task.lease.feed_id, task.run_id
    example = next(iter(_moves(connection, aside.next_of(connection, feed_id, MOVED)[:1])), None)
    first = f", first {example['before']} → {example['after']}" if example else ""
    row = {
        "feed_id": feed_id, "run_id": run_id, "kind": HOSTS, "count": number, "live": live, "state": "pending",
        "cause": f"would move the links of {number} of {live} live records to other hosts{first}; {limit}",
        "held_at": now(connection),
    }  # fmt: skip
    held_id = connection.execute(held.insert().returning(held.c.id), row).scalar_one()
    runs.count(connection, run_id, held=aside.hold(connection, feed_id, run_id, held_id))


def sample(connection: Connection, held_id: int, limit: int) -> list[dict[str, Any]]:
    """Of a held set by id: `id`, `record` as it would be, `before` and `after`: the hosts of its link, `modified_at`."""
    return _moves(connection, aside.of_held(connection, held_id)[:limit])


def _moves(connection: Connection, rows: Sequence[Any]) -> list[dict[str, Any]]:
    live = queries.live_rows(connection, [row.id for row in rows])
    return [
        {
            "id": row.id, "record": restore(bytes(row.document)), "after": hosts.host(bytes(row.document)),
            "before": hosts.host(bytes(live[row.id].document)), "modified_at": live[row.id].modified_at,
        }
        for row in rows if row.id in live
    ]  # fmt: skip


def names(connection: Connection, row: Any) -> set[str]:
    """The ids of a held set that a decision can be about."""
    return aside.names_of(connection, row.id)


def carry_out(connection: Connection, row: Any, chosen: Collection[str] | None, why: str) -> int:
    """Lets the held content in, or of it the chosen, and declines the rest; how many came in."""
    done = 0
    for rows in _batches(connection, row.id, chosen):
        counts = _figures(connection, rows, -len(rows))
        moved = {name: run.c[name] + number for name, number in counts.items()}
        connection.execute(narrowed(update(run).where(run.c.id == row.run_id).values(moved)))
        done += len(rows)
    keep(connection, row, why)
    return done


def keep(connection: Connection, row: Any, why: str) -> None:
    """Declines what is left of a held set: the records stay, and their platform finds it among its refusals."""
    for rows in _batches(connection, row.id, None):
        for mark, group in groupby(sorted(rows, key=_context), key=_context):
            refused = [(Entry(_identifier(one), bytes(one.raw), one.stamp), _fault(one, why)) for one in group]
            quarantine.store(connection, row.feed_id, row.run_id, refused, originals.context(connection, mark))
        aside.decline(connection, rows)
        moved = {"held": run.c.held - len(rows), "rejected": run.c.rejected + len(rows)}
        connection.execute(narrowed(update(run).where(run.c.id == row.run_id).values(moved)))


def _context(one: Any) -> bytes:
    return bytes(one.context)


def _fault(one: Any, why: str) -> Fault:
    detail = f"{_FAULT.detail}: {why}" if why else _FAULT.detail
    return replace(_FAULT, value=hosts.host(bytes(one.document)), detail=detail)


def faults(connection: Connection, ids: Sequence[str]) -> dict[str, Fault]:
    """Why each of these is declined, as a person has said it; by id."""
    rows = aside.declined(connection, ids)
    query = select(held.c.id, held.c.decided_why).where(held.c.id.in_({row.held_id for row in rows}))
    reasons: dict[int, str] = {number: why for number, why in connection.execute(query)}
    return {row.id: _fault(row, reasons.get(row.held_id, "")) for row in rows}


def _identifier(found: Any) -> str:
    """What the source calls it: as it is where ids are the origin's own, else quoted behind the feed's key."""
    return str(found.id) if found.native else unquote(found.id.split("/", 1)[1])


def _batches(connection: Connection, held_id: int, chosen: Collection[str] | None) -> Iterator[list[Any]]:
    while rows := aside.of_held(connection, held_id, chosen):
        yield rows
