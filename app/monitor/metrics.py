"""Prometheus metrics, read from the database when somebody asks, so that every process of a hub tells the same.

Labels are bounded: levels, states, rules, route templates; never a feed, a platform or an address. Counters that only
rise are rows of `metric_total`: runs and lags are added by each run's end, requests by each process every minute.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from sqlalchemy import Connection, func, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.db import Database, now
from app.feeds.tables import feed
from app.harvest.freshness import BUCKETS
from app.harvest.tables import metric_total
from app.harvest.totals import add
from app.monitor import alerts, figures, incidents, objectives, status, system
from app.monitor.states import State
from app.monitor.tables import notice

CACHE_S: Final = 10.0
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
LEVELS: Final = ("N", "P", "C", "D", "S", "E")


class Requests:
    """ASGI layer that counts answers by route template and status, in memory until `flush`."""

    def __init__(self, app: ASGIApp, counts: "Counts") -> None:
        self.app, self.counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.counts.one(scope, message["status"])
            await send(message)

        await self.app(scope, receive, counted)


class Counts:
    """Answers of this process that are not in the database yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()

    def one(self, scope: Mapping[str, Any], status: int) -> None:
        """Counts an answer; an address that no route has is `other`."""
        method = scope["method"] if scope["method"] in METHODS else "other"
        template = getattr(scope.get("route"), "path", "other")
        with self._lock:
            self._counts[f"http/{method}/{status}/{template}"] += 1

    def flush(self, database: Database) -> None:
        """Adds to the database what came since the last time; nothing is written when nothing came."""
        with self._lock:
            counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            with database.write() as connection:
                add(connection, counts)
        except BaseException:
            with self._lock:
                self._counts += counts
            raise


class Metrics:
    """The page of a process. `page()` is at most CACHE_S old, so that many scrapers cost one read."""

    def __init__(self, database: Database, data_dir: Path, counts: Counts, cache_s: float = CACHE_S) -> None:
        self.database, self.data_dir, self.counts, self.cache_s = database, data_dir, counts, cache_s
        self._lock = threading.Lock()
        self._page, self._until = b"", 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def describe(self) -> Iterable[Metric]:
        """Nothing ahead: registering must not read the database."""
        return ()

    def page(self) -> bytes:
        """The exposition text."""
        with self._lock:
            if time.monotonic() >= self._until:
                self.counts.flush(self.database)
                self._page = generate_latest(self._registry)
                self._until = time.monotonic() + self.cache_s
            return self._page

    def collect(self) -> Iterator[Metric]:
        """All families, of one moment."""
        with self.database.read() as connection:
            yield from _feeds(connection)
            yield from _figures(connection)
            yield from _machine(connection, self.data_dir)
            yield from _alerts(connection)
            yield from _totals(connection)


def _gauge(name: str, text: str, values: Mapping[Any, float], labels: tuple[str, ...] = ()) -> Metric:
    family = GaugeMetricFamily(f"hutong_{name}", text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family


def _feeds(connection: Connection) -> Iterator[Metric]:
    found = status.standings(connection)
    every = [(level, word.value) for level in LEVELS for word in State]
    feeds, platforms = dict.fromkeys(every, 0), dict.fromkeys(every, 0)
    levels: dict[str, list[status.Standing]] = defaultdict(list)
    for one in found:
        feeds[one.level, one.state.value] += 1
        levels[one.level].append(one)
    for group in status.grouped(found, "platform"):
        platforms[group.key[0], group.state.value] += 1
    lags = {(level,): float(status.group(level, levels[level]).lag_s or 0) for level in LEVELS}
    yield _gauge("feeds", "Feeds by level of their platform and state", feeds, ("level", "state"))
    yield _gauge("platforms", "Platforms by level and the state of their worst feed", platforms, ("level", "state"))
    yield _gauge("lag_seconds_max", "Longest time since a success among the active feeds of a level", lags, ("level",))
    numbers = list(connection.execute(select(feed.c.id).where(feed.c.state != "retired")).scalars())
    standing = objectives.counted(objectives.objectives(connection, numbers).values())
    budgets = {(word,): float(number) for word, number in standing.items()}
    yield _gauge("objective_feeds", "Feeds by how their freshness budget of 30 days stands", budgets, ("standing",))


def _figures(connection: Connection) -> Iterator[Metric]:
    found = figures.numbers(connection)
    for name, key, text in (
        ("records", "records", "Live records"),
        ("position", "head", "Last position of the change order"),
        ("quarantine_records", "rejected", "Records in quarantine"),
        ("held_records", "held", "Records whose removal or change of host waits for a person"),
        ("held_changes", "held_changes", "Held changes that wait for a person"),
        ("queue_feeds", "queue", "Feeds that are due and that no worker holds"),
        ("queue_age_seconds", "queue_age_s", "How long the first of them has been due"),
        ("running_feeds", "running", "Feeds that are being run"),
    ):
        yield _gauge(name, text, {(): found[key]})


def _machine(connection: Connection, data_dir: Path) -> Iterator[Metric]:
    found = system.system(connection, data_dir)
    yield _gauge("workers", "Owners of living leases", {(): len(found["workers"])})
    yield _gauge("parked_hosts", "Hosts that asked to be left alone, at most 50", {(): len(found["parked"])})
    yield _gauge("database_bytes", "Size of the database", {(): found["database"]["bytes"]})
    disk = {("free",): found["disk"]["free"], ("total",): found["disk"]["total"]}
    yield _gauge("disk_bytes", "The disk of the data directory", disk, ("part",))


def _alerts(connection: Connection) -> Iterator[Metric]:
    found = {key: float(number) for key, number in incidents.counted(connection).items()}
    yield _gauge("incidents", "Open incidents", found, ("rule", "severity"))
    query = select(notice.c.state, func.count().label("n")).where(notice.c.state.in_(("pending", "failed")))
    untold = {(row.state,): float(row.n) for row in connection.execute(query.group_by(notice.c.state))}
    yield _gauge("notices", "Notices that are waiting or were given up", untold, ("state",))
    looked_at = alerts.last_look(connection)
    age = (now(connection) - looked_at) / 1e6 if looked_at is not None else -1
    yield _gauge("alerts_age_seconds", "Time since the rules were last looked at; -1: never", {(): age})


def _totals(connection: Connection) -> Iterator[Metric]:
    totals = {row.name: row.n for row in connection.execute(select(metric_total))}
    runs = CounterMetricFamily("hutong_runs", "Ended runs", labels=("job", "status", "blame"))
    late = CounterMetricFamily("hutong_changes_late", "Changes visible later than agreed", labels=("blame",))
    http = CounterMetricFamily("hutong_http_requests", "Answers", labels=("method", "status", "route"))
    for name, number in sorted(totals.items()):
        kind, _, rest = name.partition("/")
        if kind in ("run", "http"):
            (runs if kind == "run" else http).add_metric(rest.split("/", 2), number)
        elif kind == "late":
            late.add_metric([rest], number)
    yield from (runs, late, http, _lags(totals))


def _lags(totals: Mapping[str, int]) -> Metric:
    text = "From a change at its source, or our last look before it, to its being visible"
    family = HistogramMetricFamily("hutong_change_lag_seconds", text)
    buckets, sofar = [], 0
    for bound in (*map(str, BUCKETS), "+Inf"):
        sofar += totals.get(f"lag/{bound}", 0)
        buckets.append((bound, float(sofar)))
    family.add_metric([], buckets, totals.get("lag_sum", 0))
    return family
