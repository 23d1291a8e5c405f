"""Runs, what they refused, and removals that wait for their run's end or for a person."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table, Text

from app.db import metadata

# Requests by how they ended: 2xx, 3xx, other 4xx, 5xx, asked to wait (429 or 503), no usable answer.
ANSWERS = ("answered", "redirected", "refused", "broken", "throttled", "silent")
TRAFFIC = (*ANSWERS, "fetched_ms", "waited_ms")
COUNTS = ("created", "changed", "unchanged", "rejected", "tombstoned", "held", "duplicate")

FRESHNESS = ("changes", "late", "late_source", "late_network", "late_hub", "stamped", "lag_s")

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("feed_id", Integer, nullable=False),
    Column("job", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("read_at", BigInteger, comment="when the last page was stored: only the run's end is missing"),
    Column("ended_at", BigInteger),
    Column("seen", BigInteger, nullable=False, default=0),
    *(Column(name, BigInteger, nullable=False, default=0) for name in COUNTS),
    Column("pages", BigInteger, nullable=False, default=0),
    Column("requests", BigInteger, nullable=False, default=0),
    Column("bytes", BigInteger, nullable=False, default=0),
    *(Column(name, BigInteger, nullable=False, default=0) for name in TRAFFIC),
    Column("total", BigInteger),
    Column("asked_by", String(100), nullable=False, default=""),
    Column("asked_why", Text, nullable=False, default=""),
    Column("error_kind", String(64)),
    Column("error", Text),
    Column("note", Text),
    Index("run_feed", "feed_id", "id"),
    info={"tenant": True},
)

run_day = Table(
    "run_day",
    metadata,
    Column("day", Integer, primary_key=True),
    Column("feed_id", Integer, primary_key=True),
    Column("runs", Integer, nullable=False, default=0),
    Column("failed", Integer, nullable=False, default=0),
    Column("seen", BigInteger, nullable=False, default=0),
    *(Column(name, BigInteger, nullable=False, default=0) for name in COUNTS),
    Index("run_day_feed", "feed_id", "day"),
    comment="ended runs by feed and day of UTC+8 (days since 1970), kept by the writer: strips read no run",
    info={"tenant": True},
)

objective = Table(
    "objective",
    metadata,
    Column("feed_id", Integer, primary_key=True),
    Column("within_s", Integer, nullable=False),
    Column("permille", Integer, nullable=False),
    Column("agreed_at", BigInteger, nullable=False),
    comment="what was agreed with a platform where it is not the default (app/harvest/freshness.py)",
    info={"tenant": True},
)

freshness_day = Table(
    "freshness_day",
    metadata,
    Column("feed_id", Integer, primary_key=True),
    Column("day", Integer, primary_key=True),
    *(Column(name, BigInteger, nullable=False, default=0) for name in FRESHNESS),
    Index("freshness_day_day", "day"),
    sqlite_with_rowid=False,
    comment="changes that became visible by feed and day of UTC+8, how many of them late and through whom; lag in seconds",
    info={"tenant": True},
)

metric_total = Table(
    "metric_total",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("n", BigInteger, nullable=False),
    comment="counters that only rise, shared by all processes (app/monitor/metrics.py)",
)

rejection = Table(
    "rejection",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("feed_id", Integer, nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("identifier", String(600), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("path", String(200), nullable=False, default=""),
    Column("value", String(200), nullable=False, default=""),
    Column("detail", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("context", LargeBinary, nullable=False),
    Column("stamp", String(64)),
    Column("rejected_at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False, default="open"),
    Index("rejection_feed", "feed_id", "state", "identifier"),
    Index("rejection_rule", "state", "rule", "feed_id"),
    info={"tenant": True},
)

removal = Table(
    "removal",
    metadata,
    Column("feed_id", Integer, primary_key=True),
    Column("id", String(600), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("held_id", Integer),
)

# What a held set is of: records that would go, or links that would lead to another host.
REMOVALS, HOSTS = "removals", "hosts"

held = Table(
    "held",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("feed_id", Integer, nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("kind", String(12), nullable=False, default=REMOVALS),
    Column("cause", Text, nullable=False),
    Column("count", BigInteger, nullable=False),
    Column("live", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("held_at", BigInteger, nullable=False),
    Column("decided_at", BigInteger),
    Column("decided_by", String(100), nullable=False, default=""),
    Column("decided_why", Text, nullable=False, default=""),
    Column("removed", BigInteger, nullable=False, default=0, comment="of removals: carried out; of hosts: let in"),
    info={"tenant": True},
)
