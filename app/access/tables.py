"""People, sessions, keys, secrets, nonces and the audit chain."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, SmallInteger, String, Table, Text

from app.db import Key, metadata

audit = Table(
    "audit",
    metadata,
    Column("seq", Key, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("actor", String(200), nullable=False),
    Column("address", String(64), nullable=False),
    Column("act", String(48), nullable=False),
    Column("object", String(700), nullable=False),
    Column("result", String(16), nullable=False),
    Column("detail", Text, nullable=False),
    Column("request", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_at", "at"),
    Index("audit_actor", "actor", "seq"),
    Index("audit_object", "object", "seq"),
    comment="append-only (triggers); hash = SHA-256(hash of the row before + canonical row)",
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    comment="one row: the writers of the chain queue here",
)

api_key = Table(
    "api_key",
    metadata,
    Column("prefix", String(16), primary_key=True),
    Column("platform", String(16)),
    Column("label", String(64), nullable=False),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", String(200), nullable=False),
    Column("expires_at", BigInteger),
    Column("used_at", BigInteger),
    Column("revoked_at", BigInteger),
    Index("api_key_platform", "platform", "label"),
    comment="platform is null for the hub's own keys",
    info={"tenant": True},
)

certificate = Table(
    "certificate",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("sha256", String(64), primary_key=True),
    Column("subject", String(500), nullable=False, default=""),
    Column("label", String(64), nullable=False, default=""),
    Column("by", String(200), nullable=False),
    Column("at", BigInteger, nullable=False),
    info={"tenant": True},
    comment="client certificates; a platform that has one is let in with its key and one of them together",
)

suspension = Table(
    "suspension",
    metadata,
    Column("platform", String(16), primary_key=True),
    Column("at", BigInteger, nullable=False),
    comment="platforms whose keys, tokens and people are stopped",
)

person = Table(
    "person",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("password", Text, nullable=False),
    Column("password_at", BigInteger, nullable=False),
    Column("roles", Text, nullable=False),
    Column("platforms", Text, nullable=False, default=""),
    Column("regions", Text, nullable=False, default=""),
    Column("state", String(16), nullable=False, default="active"),
    Column("totp", LargeBinary),
    Column("totp_step", BigInteger, nullable=False, default=0),
    Column("totp_on", SmallInteger, nullable=False, default=0),
    Column("created_at", BigInteger, nullable=False),
    comment="totp is sealed with the hub's key; totp_step is the last one used",
)

attempt = Table(
    "attempt",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("failed", Integer, nullable=False),
    Column("first_at", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("locks", Integer, nullable=False),
    comment="failed sign-ins by SHA-256 of the name, whether there is such an account or not",
)

recovery_code = Table(
    "recovery_code",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("used_at", BigInteger),
)

session = Table(
    "session",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("address", String(64), nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("means", String(16), nullable=False, default="password"),
    Index("session_person", "person"),
    comment="means: password, oidc, or oidc-mfa where the provider asked for the second factor",
)

person_link = Table(
    "person_link",
    metadata,
    Column("issuer", String(255), primary_key=True),
    Column("subject", String(255), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("linked_at", BigInteger, nullable=False),
    Index("person_link_person", "person", "issuer", unique=True),
    comment="whom an identity provider's subject stands for",
)

secret = Table(
    "secret",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("key_id", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("kept_at", BigInteger, nullable=False),
    comment="what the hub must send to others: AES-256-GCM, nonce before ciphertext",
)

nonce = Table(
    "nonce",
    metadata,
    Column("key_id", String(200), primary_key=True),
    Column("value", String(200), primary_key=True),
    Column("seen_at", BigInteger, nullable=False),
    Index("nonce_seen", "seen_at"),
)
