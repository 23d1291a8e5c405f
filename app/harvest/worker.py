"""The worker: threads that claim due feeds and harvest them, inside the hub or as `hutong worker`."""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

import structlog

from app.db import Database, why
from app.feeds import leases, service
from app.feeds.leases import Lease
from app.harvest import leaving, ramping
from app.harvest.engine import Engine
from app.harvest.loop import harvest
from app.harvest.runs import NOBODY, Asked
from app.platforms import service as platforms
from app.protocol.errors import Conflict, LeaseLost, Unavailable
from app.protocol.words import Job

log = structlog.get_logger()
LONGEST_S = 5.0  # between two tries of a database that does not answer
PATIENCE_S = 5.0  # what a stopping worker gives its threads; service managers kill after ten and more


def owner() -> str:
    """A name no other worker has."""
    return f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"[:100]


class Worker:
    """Harvests due feeds with `concurrency` threads until stopped."""

    def __init__(self, engine: Engine, *, lease_s: int = 60, concurrency: int = 8, idle_s: float = 0.5) -> None:
        self.engine, self.lease_s, self.idle_s = engine, lease_s, idle_s
        self.on_report: Callable[[dict[str, Any]], None] | None = None
        self.stopping = threading.Event()
        self._held: dict[str, Lease] = {}
        self._low = False
        # Daemons: a slow answer must not keep a process from ending; nothing is stored after its lease is gone.
        self._threads = [
            threading.Thread(target=self._work, name=f"harvest-{n}", daemon=True) for n in range(concurrency)
        ]

    def start(self) -> None:
        """Begins to claim."""
        for thread in self._threads:
            thread.start()

    def stop(self, patience_s: float = PATIENCE_S) -> None:
        """Hands the runs in progress over, as they are after their last stored page, and ends within `patience_s`."""
        self.stopping.set()
        until = time.monotonic() + patience_s
        for lease in tuple(self._held.values()):
            self._hand_over(lease)
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _work(self) -> None:
        name = owner()
        while not self.stopping.is_set():
            try:
                if not self._one(name):
                    self.stopping.wait(self.idle_s)
            except LeaseLost as lost:
                if not self.stopping.is_set():
                    log.warning("harvest.interrupted", error=lost.detail)
                self.stopping.wait(self.idle_s)
            except Unavailable as passing:
                log.warning("harvest.interrupted", error=why(passing))
                self._wait_for_database(name)
            except Exception:
                log.exception("harvest.fault")
                self.stopping.wait(self.idle_s)

    def _wait_for_database(self, name: str) -> None:
        """Ends when the database takes writes again; by then this thread's feed is anybody's, from its last page on."""
        pause = self.idle_s
        while not self.stopping.wait(pause):
            try:
                with self.engine.database.write() as connection:
                    leases.forsake(connection, name)
                log.info("harvest.resumed")
                return
            except Unavailable:
                pause = min(2 * pause, LONGEST_S)

    def _room(self) -> bool:
        """Whether there is room to take anything in; said once when it changes."""
        low = self.engine.disk is not None and self.engine.disk.low
        if low != self._low:
            self._low = low
            log.warning("harvest.no_room" if low else "harvest.room")
        return not low

    def _one(self, name: str) -> bool:
        if not self._room():
            return False
        with self.engine.database.write() as connection:
            lease = leases.claim_due(connection, name, self.lease_s)
            if lease is None:
                return False
            feed = service.by_id(connection, lease.feed_id)
        self._held[name] = lease
        try:
            # A claim may end after `stop` has looked for what is held: then nobody else will hand this one over.
            if self.stopping.is_set():
                self._hand_over(lease)
                return False
            with heartbeat(self.engine.database, lease):
                report = perform(self.engine, lease, feed, *_wish(feed))
        finally:
            del self._held[name]
        if self.on_report:
            self.on_report(report)
        return True

    def _hand_over(self, lease: Lease) -> None:
        try:
            with self.engine.database.write() as connection:
                leases.hand_over(connection, lease)
        except Unavailable as failure:
            log.warning("harvest.not_handed_over", feed=lease.feed_id, error=why(failure))


_OWN: Final = {Job.RAMP: ramping.let_in, Job.RETIRE: leaving.leave}
"""Work of the hub's own, for which the source is not asked."""


def perform(engine: Engine, lease: Lease, feed: dict[str, Any], job: str, asked: Asked) -> dict[str, Any]:
    """Does a job of a feed under its lease; its run's report."""
    return _OWN.get(Job(job), harvest)(engine, lease, feed, job, asked)


def _wish(feed: dict[str, Any]) -> tuple[str, Asked]:
    """The job that a person asked for, else a harvest that nobody asked for."""
    return (feed["wanted"], Asked(feed["wanted_by"], feed["wanted_why"])) if feed["wanted"] else (Job.HARVEST, NOBODY)


class heartbeat:
    """Extends a lease during one slow page, so that nobody else takes the feed from a living worker."""

    def __init__(self, database: Database, lease: Lease) -> None:
        self.database, self.lease = database, lease
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(self.lease.seconds / 3):
            try:
                with self.database.write() as connection:
                    leases.hold(connection, self.lease)
            except LeaseLost:
                return
            except Unavailable:
                continue  # the run itself meets it too; when the database is back first, the lease is still ours


def harvest_now(engine: Engine, reference: int | str, job: str, lease_s: int = 60) -> dict[str, Any]:
    """Harvests one feed in the foreground. Raises Conflict while another worker holds it or its platform is stopped."""
    with engine.database.write() as connection:
        feed = service.by_id(connection, reference)
        if (state := platforms.by_code(connection, feed["platform"])["state"]) != "active":
            raise Conflict(f"platform {feed['platform']} is {state}; only those in trial or online are harvested")
        lease = leases.claim(connection, feed["id"], owner(), lease_s)
        if lease is None:
            raise Conflict(f"feed {reference} is being harvested by {feed['lease_owner']}")
        feed = service.by_id(connection, feed["id"])
    with heartbeat(engine.database, lease):
        return perform(engine, lease, feed, job, Asked("hutong"))
