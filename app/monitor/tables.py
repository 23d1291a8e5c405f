"""Incidents, who is told of them, what was told, and the lease of the one who looks."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text, UniqueConstraint

from app.db import metadata

incident = Table(
    "incident",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("cause", String(400), nullable=False),
    # The cause while the incident is open, NULL after: one open incident of a cause, on both databases.
    Column("open_cause", String(400), unique=True),
    Column("rule", String(32), nullable=False),
    Column("blame", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("feeds", Text, nullable=False),
    Column("feed_count", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Column("opened_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("resolved_at", BigInteger),
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", String(100)),
    Column("note", Text),
    Index("incident_resolved", "resolved_at"),
)

alert_route = Table(
    "alert_route",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("kind", String(16), nullable=False),
    Column("target", String(400), nullable=False),
    Column("rules", Text, nullable=False),
    Column("quiet", String(11), nullable=False, default=""),
    Column("state", String(16), nullable=False, default="active"),
    Column("created_at", BigInteger, nullable=False),
    Column("told_at", BigInteger),
    Column("error", Text),
    comment="address and key are in the vault, as alert-route:ID",
)

notice = Table(
    "notice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("incident_id", Integer, ForeignKey("incident.id"), nullable=False),
    Column("route_id", Integer, ForeignKey("alert_route.id", ondelete="CASCADE"), nullable=False),
    Column("event", String(16), nullable=False),
    Column("state", String(16), nullable=False, default="pending"),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("told_at", BigInteger),
    Column("error", Text),
    UniqueConstraint("incident_id", "route_id", "event"),
    Index("notice_due", "state", "due_at"),
)

watch = Table(
    "watch",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("owner", String(100)),
    Column("until", BigInteger, nullable=False, default=0),
    Column("done_at", BigInteger),
    comment="one evaluator among all processes: the holder of the row looks, and when it last did",
)

digest_reader = Table(
    "digest_reader",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("recipients", Text, nullable=False),
    Column("lang", String(16), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    comment="who is sent a platform's weekly digest",
    info={"tenant": True},
)

digest_letter = Table(
    "digest_letter",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("monday", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("told_at", BigInteger),
    Column("error", Text),
    comment="one row a platform and week (its Monday, days since 1970): what was sent is not sent again",
    info={"tenant": True},
)
