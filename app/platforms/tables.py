"""The federation's members, how they came in, and what they owe each other."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, SmallInteger, String, Table, Text

from app.db import metadata

platform = Table(
    "platform",
    metadata,
    Column("code", String(16), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("level", String(1), nullable=False),
    Column("region", String(6), nullable=False),
    Column("parent", String(16)),
    Column("state", String(16), nullable=False, default="active"),
    Column("reason", Text),
    Column("created_at", BigInteger, nullable=False),
    info={"tenant": True},
    comment="state follows from the stage of enrolment: active, sandbox, suspended, retired; parent: by agreement",
)

enrolment = Table(
    "enrolment",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("code", String(16), ForeignKey("platform.code"), unique=True),
    Column("kind", String(16), nullable=False),
    Column("level", String(1), nullable=False),
    Column("region", String(6), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("name", String(200), nullable=False),
    Column("organisation", String(200), nullable=False, default=""),
    Column("credit_code", String(18), nullable=False, default=""),
    Column("school_code", String(10), nullable=False, default=""),
    Column("icp", String(64), nullable=False, default=""),
    Column("contacts", Text, nullable=False, default="[]"),
    Column("domain", String(255), nullable=False, default=""),
    Column("challenge", String(64), nullable=False, default=""),
    Column("proved_at", BigInteger),
    Column("proved_by", String(8)),
    Column("agreement", String(32), nullable=False, default=""),
    Column("origin", String(64), nullable=False, default=""),
    Column("before", String(16)),
    Column("due_at", BigInteger),
    Column("due_stage", String(16)),
    Column("due_reason", Text),
    Column("created_at", BigInteger, nullable=False),
    Column("moved_at", BigInteger, nullable=False),
    Index("enrolment_stage", "stage", "moved_at"),
    Index("enrolment_due", "due_at"),
    Index("enrolment_origin", "origin", "created_at"),
    info={"tenant": True},
    comment="code: given when the review is passed; before: the stage a suspension began in; due: an announced move; "
    "origin: the IPv4 address or IPv6 /64 that applied",
)

step = Table(
    "enrolment_step",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("enrolment", String(16), ForeignKey("enrolment.id"), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("from_stage", String(16), nullable=False),
    Column("to_stage", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("rests_on", Text, nullable=False),
    Column("given", Text, nullable=False),
    Index("enrolment_step_of", "enrolment", "id"),
    comment="never changed; rests_on: SHA-256 of documents; given: what was submitted, as it was then",
)

document = Table(
    "enrolment_document",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("enrolment", String(16), ForeignKey("enrolment.id"), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("enrolment_document_of", "enrolment", "id"),
    comment="the bytes are in DATA_DIR/documents by their hash",
)

choice = Table(
    "choice",
    metadata,
    Column("platform", String(16), ForeignKey("platform.code"), primary_key=True),
    Column("region", String(6), primary_key=True),
    Column("chosen", SmallInteger, nullable=False),
    Column("only", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("by", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    info={"tenant": True},
    comment="a region's word on a vendor; regions below inherit it and can narrow it",
)

grading = Table(
    "grading",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("platform", String(16), ForeignKey("platform.code"), nullable=False),
    Column("level", SmallInteger, nullable=False),
    Column("filing", String(64), nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("document", String(64), nullable=False, default=""),
    Column("by", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("grading_of", "platform", "id"),
    info={"tenant": True},
    comment="the latest row of a platform counts",
)

notice = Table(
    "platform_notice",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("title", String(200), nullable=False),
    Column("body", Text, nullable=False),
    Column("deadline_at", BigInteger),
    Column("cause", String(96), unique=True),
    Column("by", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    comment="cause: what the hub itself gives notice of, once",
)

addressee = Table(
    "platform_notice_addressee",
    metadata,
    Column("notice", Integer, ForeignKey("platform_notice.id"), primary_key=True),
    Column("platform", String(16), ForeignKey("platform.code"), primary_key=True),
    Column("acknowledged_at", BigInteger),
    Column("acknowledged_by", String(200)),
    Column("answer", Text),
    Index("platform_notice_addressee_platform", "platform", "notice"),
    info={"tenant": True},
)
