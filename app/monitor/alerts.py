"""The watch: one evaluator among many processes, once a minute by a lease row; then what is due is told.

Looking is one read and one short transaction; telling is outside of both, since it waits for others.
"""

import threading
from collections.abc import Callable, Sequence
from hashlib import sha256

import structlog
from sqlalchemy import Connection, or_, select, update

from app.access import keys
from app.db import Database, now, why
from app.disk import Disk
from app.harvest.worker import owner
from app.monitor import alert_routes, incidents, notices, observe, wording
from app.monitor.causes import EXPIRY_DAYS, Cause, causes
from app.monitor.courier import AlertUndelivered, Courier
from app.monitor.notices import Batch
from app.monitor.tables import watch
from app.protocol.errors import NotFound, SecretLost, Unavailable
from app.statements import insert_missing

log = structlog.get_logger()
NAME = "alerts"
LEASE_S = 120
Chore = Callable[[Callable[[], bool]], object]
"""Work of the one who looks; it asks before each step whether it may go on."""


def current(connection: Connection, disk: Disk) -> list[Cause]:
    """What is wrong now, incidents or not."""
    members = incidents.members(connection)
    ending = keys.ending(connection, max(EXPIRY_DAYS))
    return causes(observe.feeds(connection), observe.hub(connection, disk), members, ending)


def evaluate(database: Database, disk: Disk, patience_s: int = incidents.PATIENCE_S) -> None:
    """Makes the incidents what is wrong now, and queues what is to be told."""
    with database.read() as connection:
        found = current(connection, disk)
    with database.write() as connection:
        incidents.reconcile(connection, found, patience_s)


def deliver(database: Database, courier: Courier, going_on: Callable[[], bool] = lambda: True) -> int:
    """Tells every route what is due, one message each; how many took it. A route that does not is tried again."""
    with database.read() as connection:
        batches = notices.due(connection, now(connection))
    return sum(_one(database, courier, batch) for batch in batches if going_on())


def _one(database: Database, courier: Courier, batch: Batch) -> bool:
    try:
        with database.read() as connection:
            kind, secret = alert_routes.opened(connection, courier.ring, batch.route_id)
    except NotFound:  # removed meanwhile
        return False
    except SecretLost as lost:
        return _undelivered(database, batch, lost.detail)
    id = "msg_" + sha256(",".join(str(row.id) for row in batch.notices).encode()).hexdigest()[:24]
    try:
        courier.take(kind, secret, wording.message(batch.notices, id, courier.name, courier.url, courier.locale))
    except AlertUndelivered as failure:
        return _undelivered(database, batch, failure.detail)
    with database.write() as connection:
        notices.told(connection, batch, now(connection))
    return True


def _undelivered(database: Database, batch: Batch, why: str) -> bool:
    log.warning("alert.undelivered", route=batch.route_id, error=why)
    with database.write() as connection:
        notices.untold(connection, batch, now(connection), why)
    return False


def test(database: Database, courier: Courier, route_id: int) -> dict[str, object]:
    """Sends a message that says it is a test. Raises NotFound, AlertUndelivered, SecretLost."""
    with database.read() as connection:
        kind, secret = alert_routes.opened(connection, courier.ring, route_id)
        id = f"msg_test_{now(connection)}"
    courier.take(kind, secret, wording.trial(id, courier.name, courier.url, courier.locale))
    return {"route": route_id, "kind": kind, "told": True}


def claim(connection: Connection, who: str, every_s: float) -> bool:
    """The right to look, when nobody else has it and the last look is old enough."""
    connection.execute(insert_missing(connection, watch), {"name": NAME, "until": 0})
    at = now(connection)
    free = or_(watch.c.until <= at, watch.c.owner == who)
    due = or_(watch.c.done_at.is_(None), watch.c.done_at <= at - int(every_s * 900_000))
    mine = update(watch).where(watch.c.name == NAME, free, due)
    return connection.execute(mine.values(owner=who, until=at + LEASE_S * 1_000_000)).rowcount == 1


def renew(connection: Connection, who: str, *, done: bool = False) -> bool:
    """Goes on holding the right, or gives it back; False when another has taken it."""
    at = now(connection)
    values = {"until": 0, "done_at": at} if done else {"until": at + LEASE_S * 1_000_000}
    mine = update(watch).where(watch.c.name == NAME, watch.c.owner == who)
    return connection.execute(mine.values(**values)).rowcount == 1


def last_look(connection: Connection) -> int | None:
    """When anybody last looked, microseconds; None before the first time."""
    found = connection.execute(select(watch.c.done_at).where(watch.c.name == NAME)).scalar()
    return int(found) if found is not None else None


class Watch:
    """The thread of a process that looks when the lease says so; `each` is called every time whoever looks, `chores`
    only by the one who does, after the alerts."""

    def __init__(
        self, database: Database, courier: Courier, disk: Disk, *, every_s: float = 60,
        each: Callable[[], None] = lambda: None, chores: Sequence[Chore] = (),
    ) -> None:  # fmt: skip
        self.database, self.courier, self.disk, self.every_s, self.each = database, courier, disk, every_s, each
        self.chores = chores
        self._stop = threading.Event()
        self._name = owner()
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)

    def start(self) -> None:
        """Begins; the first look comes after one period."""
        self._thread.start()

    def stop(self, patience_s: float = 1.0) -> None:
        """Ends within `patience_s`; a message on its way is sent again by whoever looks next."""
        self._stop.set()
        self._thread.join(patience_s)

    def look(self) -> bool:
        """One look and what follows, if it is this process's turn."""
        with self.database.write() as connection:
            if not claim(connection, self._name, self.every_s):
                return False
        evaluate(self.database, self.disk)
        deliver(self.database, self.courier, self._going_on)
        for chore in self.chores:
            chore(self._going_on)
        with self.database.write() as connection:
            renew(connection, self._name, done=True)
        return True

    def _going_on(self) -> bool:
        with self.database.write() as connection:
            return renew(connection, self._name) and not self._stop.is_set()

    def _work(self) -> None:
        while not self._stop.wait(self.every_s):
            try:
                self.each()
                self.look()
            except Unavailable as passing:
                log.warning("watch.interrupted", error=why(passing))
            except Exception:
                log.exception("watch.fault")
