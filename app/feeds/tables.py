"""Feeds and their leases: the work queue is this table (house rule: no broker)."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from app.db import metadata

feed = Table(
    "feed",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("platform", String(16), ForeignKey("platform.code"), nullable=False),
    Column("key", String(64), nullable=False),
    Column("name", String(200), nullable=False),
    Column("connector", String(32), nullable=False),
    Column("config", Text, nullable=False),
    Column("mapping", Text),
    Column("every_s", Integer, nullable=False),
    Column("delete_brake", String(24), comment="own limit, FLOOR,PERCENT%; NULL: the hub's"),
    Column("host_brake", String(24)),
    Column("state", String(16), nullable=False, default="active"),
    Column("state_by", String(100), nullable=False, default=""),
    Column("state_why", Text, nullable=False, default=""),
    # A job that a person asked for: the next worker that claims the feed runs it instead of a harvest.
    Column("wanted", String(16)),
    Column("wanted_by", String(100), nullable=False, default=""),
    Column("wanted_why", Text, nullable=False, default=""),
    Column("checkpoint", Text, nullable=False, default="{}"),
    Column("host", String(255), nullable=False, default=""),
    Column("next_at", BigInteger, nullable=False, default=0),
    Column("lease_owner", String(100)),
    Column("lease_until", BigInteger, nullable=False, default=0),
    Column("fence", BigInteger, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("deaths", Integer, nullable=False, default=0, comment="workers lost in a row before a page was stored"),
    Column("created_at", BigInteger, nullable=False),
    Column("succeeded_at", BigInteger),
    UniqueConstraint("platform", "key"),
    Index("feed_due", "state", "next_at"),
    Index("feed_wanted", "wanted"),
    Index("feed_of", "platform", "state", "next_at"),
    # The few that run. Not by `lease_until`: each page moves that, and would have to move the index's entry too.
    Index(
        "feed_held", "platform", "host",
        sqlite_where=text("lease_owner IS NOT NULL"), postgresql_where=text("lease_owner IS NOT NULL"),
    ),
    info={"tenant": True},
)  # fmt: skip

turn = Table(
    "turn",
    metadata,
    Column("platform", String(16), ForeignKey("platform.code"), primary_key=True),
    Column("weight", SmallInteger, nullable=False, default=1),
    Column("began", BigInteger, nullable=False, default=0, index=True),
    info={"tenant": True},
    comment="a platform's place in the harvest's queue: its weight, and on the queue's own clock its latest turn",
)

host = Table(
    "host",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("not_before", BigInteger, nullable=False, default=0),
    Column("failures", Integer, nullable=False, default=0),
    comment="until when a platform's host is left alone: its Retry-After, or because it did not answer so many times",
)

upload = Table(
    "upload",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("feed_id", Integer, ForeignKey("feed.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("uploaded_at", BigInteger, nullable=False),
    Index("upload_feed", "feed_id", "id"),
    comment="Files that vendors uploaded; the bytes are in DATA_DIR/files by their hash",
    info={"tenant": True},
)
