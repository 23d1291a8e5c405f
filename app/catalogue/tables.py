"""Records in their one change order, digests, tallies and sightings.

The record row carries its latest position (`seq`), so the feed is the records in seq order, each once.
`document` holds the bytes that are served; nothing on a hot path parses them again.
"""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, String, Table, Text

from app.db import Key, metadata

record = Table(
    "record",
    metadata,
    Column("pk", Key, primary_key=True, autoincrement=False),
    Column("id", String(600), nullable=False, unique=True),
    Column("seq", BigInteger, nullable=False, unique=True),
    Column("feed_id", Integer, nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("platform", String(16), nullable=False),
    Column("province", String(6), nullable=False),
    Column("subject", String(64), nullable=False, default=""),
    Column("version", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("source_hash", LargeBinary, nullable=False),
    Column("stamp", String(64)),
    Column("live", SmallInteger, nullable=False),
    Column("modified_at", BigInteger, nullable=False),
    Column("path", Text, nullable=False, default=""),
    Column("flags", Text, nullable=False, default=""),
    Column("terms", Text, nullable=False, default=""),
    Column("document", LargeBinary, nullable=False),
    Index("record_platform", "platform", "seq"),
    Index("record_province", "province", "seq"),
    Index("record_subject", "subject", "seq"),
    Index("record_feed", "feed_id", "live"),
)

history = Table(
    "history",
    metadata,
    Column("pk", BigInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("version", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("live", SmallInteger, nullable=False),
    Column("run_id", Integer, nullable=False),
    Column("modified_at", BigInteger, nullable=False),
    Column("document", LargeBinary, nullable=False),
    comment="earlier states of records that have changed, for people; the newest state is the record itself",
)

position = Table(
    "position",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
    comment="counter rows: seq (dense positions), pk, at (time of the last change, never going back)",
)

moment = Table(
    "moment",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Index("moment_at", "at"),
    comment="last position and time of each writing transaction: turns a time window into a range of positions",
)

digest_bucket = Table(
    "digest_bucket",
    metadata,
    Column("scope", String(32), primary_key=True),
    Column("prefix", String(4), primary_key=True),
    Column("n", BigInteger, nullable=False),
    Column("sum", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

digest_pending = Table(
    "digest_pending",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False, comment="last position of the change"),
    Column("feed_id", Integer, primary_key=True, autoincrement=False),
    Column("sign", SmallInteger, primary_key=True, autoincrement=False, comment="1: they have come; -1: they are gone"),
    Column("elements", LargeBinary, nullable=False, comment="32 bytes each"),
    comment="elements that the roots count already and the buckets do not",
)

tally = Table(
    "tally",
    metadata,
    Column("term", String(128), primary_key=True),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

coverage = Table(
    "coverage",
    metadata,
    Column("edition", String(64), primary_key=True),
    Column("subject", String(64), primary_key=True),
    Column("grade", String(16), primary_key=True),
    Column("n", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="live records by edition, subject and grade, as far as our lists know them; '' where a record names none",
)

departure = Table(
    "departure",
    metadata,
    Column("subject", String(64), primary_key=True),
    Column("pk", BigInteger, primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Index("departure_seq", "subject", "seq"),
    comment="records that left a subject set: told as deleted in that set's listing only",
)

sighting = Table(
    "sighting",
    metadata,
    Column("feed_id", Integer, primary_key=True),
    # Before `part`: what a complete listing lacks is found by (feed_id, id) alone.
    Column("id", String(600), primary_key=True),
    Column("part", String(200), primary_key=True),
    Column("run_id", Integer, nullable=False, comment="the run that saw it last"),
    sqlite_with_rowid=False,
)

original = Table(
    "original",
    metadata,
    Column("pk", Key, primary_key=True, autoincrement=False),
    Column("pack", BigInteger, nullable=False),
    Column("place", SmallInteger, nullable=False),
    comment="where the bytes are that a live record came from",
)

original_pack = Table(
    "original_pack",
    metadata,
    Column("id", Key, primary_key=True, autoincrement=False),
    Column("n", SmallInteger, nullable=False, comment="how many records have their bytes here"),
    Column("context", LargeBinary, nullable=False, comment="the mark of their page's context (empty: there is none)"),
    Column("body", LargeBinary, nullable=False, comment="app/catalogue/packs.py"),
)

original_context = Table(
    "original_context",
    metadata,
    Column("mark", LargeBinary, primary_key=True),
    Column("context", LargeBinary, nullable=False),
)

about = Table("about", metadata, Column("name", String(32), primary_key=True), Column("value", Text, nullable=False))

completeness = Table(
    "completeness",
    metadata,
    Column("feed_id", Integer, primary_key=True),
    Column("month", Integer, primary_key=True, comment="2026-11 as 202611, of UTC+8"),
    Column("at", BigInteger, nullable=False),
    Column("n", Integer, nullable=False),
    Column("present", Text, nullable=False),
    info={"tenant": True},
    comment="how many of n sampled records of a feed hold each field, the month's latest figure",
)
