"""The federation's members."""

from sqlalchemy import BigInteger, Column, String, Table, Text

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
)
