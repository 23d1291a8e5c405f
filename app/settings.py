"""The only reader of the environment: settings with the prefix HUTONG_, each with a default (docs/settings.md)."""

import secrets
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.protocol.errors import BadRequest
from app.protocol.rules import selected

LIMIT = r"^\d{1,9},\d{1,3}(\.\d{1,4})?%$"  # of a brake: FLOOR,PERCENT%


class Settings(BaseSettings):
    """What a deployment may change. Zero settings start a hub on SQLite in ./hutong-data."""

    model_config = SettingsConfigDict(env_prefix="HUTONG_", extra="ignore", hide_input_in_errors=True)

    database_url: str = ""
    data_dir: Path = Path("hutong-data")
    public_url: str = "http://127.0.0.1:8000"
    secret_key: str = ""
    secret_key_file: Path | None = None
    secret_key_previous: str = ""
    anonymous_scopes: str = "catalogue:read"
    quota_tenant: str = Field(default="6000/m", pattern=r"^\d{1,9}/[smhd]$")
    quota_anonymous: str = Field(default="1200/m", pattern=r"^\d{1,9}/[smhd]$")
    quota_feeds: int = Field(default=1_000, ge=1)
    quota_records: int = Field(default=20_000_000, ge=1)
    quota_upload_bytes: int = Field(default=100 << 30, ge=1)
    quota_rejections: int = Field(default=100_000, ge=1)
    trusted_proxies: str = ""
    client_cert_header: str = Field(default="", pattern=r"^[A-Za-z0-9-]{0,64}$")
    token_s: int = Field(default=900, ge=60, le=3600)
    session_idle_s: int = Field(default=1800, ge=60)
    session_s: int = Field(default=43_200, ge=300)
    second_factor: str = Field(default="optional", pattern="^(optional|staff|all)$")
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = Field(default="", repr=False)
    oidc_client_secret_file: Path | None = None
    oidc_name_claim: str = ""
    oidc_second_factor: str = ""
    password_days: int = Field(default=0, ge=0)
    audit_days: int = Field(default=1095, ge=180)
    fetch_allow: str = ""
    fetch_deadline_s: float = Field(default=120, gt=0)
    fetch_max_bytes: int = Field(default=64 << 20, gt=0)
    enrol_open: bool = True
    enrol_agreement: str = "2026-1"
    enrol_two_people: str = Field(default="trial", pattern=r"^((sandbox|trial|online)(,(sandbox|trial|online))*)?$")
    enrol_grace_days: int = Field(default=30, ge=0, le=3650)
    ramp: bool = True
    ramp_hours: int = Field(default=24, ge=0, le=8760)
    ramp_stop: str = Field(default="5,5%", pattern=r"^\d{1,9},\d{1,3}(\.\d)?%$")
    enrol_waiting: int = Field(default=1000, ge=1)
    enrol_per_day: int = Field(default=20, ge=1)
    enrol_agreement_url: str = ""
    dns_servers: str = ""
    grading_warn_days: str = Field(default="90,30,7", pattern=r"^\d{1,4}(,\d{1,4})*$")
    grading_expired: str = Field(default="warn", pattern="^(warn|suspend)$")
    grading_grace_days: int = Field(default=30, ge=0, le=3650)
    fetch_file_max_bytes: int = Field(default=2 << 30, gt=0)
    fetch_file_deadline_s: float = Field(default=3600, gt=0)
    platform_code: str = Field(default="N-000000-01", pattern=r"^[NPCDSE]-\d{6}-\d{2}$")
    platform_name: str = "互通资源枢纽"
    admin_email: str = "ops@edu-hub.org"
    tombstone_days: int = Field(default=400, ge=400)
    delete_brake: str = Field(default="50,5%", pattern=LIMIT)
    host_brake: str = Field(default="50,30%", pattern=LIMIT)
    disk_reserve: str = Field(default="1024,5%", pattern=r"^\d+,\d+(\.\d+)?%$")
    rules: str = "personal=flag"
    lease_s: int = Field(default=60, ge=2, le=3600)
    docs: bool = True
    public_status: bool = True
    harvest: bool = True
    parsers: int = Field(default=0, ge=0, le=64)
    harvest_threads: int = Field(default=8, ge=1, le=256)
    smtp_url: str = Field(default="", repr=False)
    smtp_from: str = ""
    alert_every_s: float = Field(default=60, ge=0)
    log_format: str = "text"
    locale: str = "zh-CN"

    @field_validator("rules")
    @classmethod
    def _rules_known(cls, policy: str) -> str:
        try:
            selected(policy)
        except BadRequest as error:
            raise ValueError(error.detail) from None
        return policy

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_is_an_address(cls, issuer: str) -> str:
        parts = urlsplit(issuer)
        loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1", "localhost")
        whole = parts.hostname and not (parts.query or parts.fragment or parts.username)
        if issuer and not (whole and (parts.scheme == "https" or loopback)):
            raise ValueError("write the provider's issuer exactly, https://..., without query and fragment")
        return issuer

    @model_validator(mode="after")
    def _issuer_has_its_client(self) -> "Settings":
        if not self.oidc_issuer:
            return self
        try:
            whole = self.oidc_client_id and self.oidc_secret
        except OSError as error:
            raise ValueError(f"HUTONG_OIDC_CLIENT_SECRET_FILE cannot be read: {error.strerror}") from None
        if not whole:
            raise ValueError("HUTONG_OIDC_ISSUER needs HUTONG_OIDC_CLIENT_ID and HUTONG_OIDC_CLIENT_SECRET (or _FILE)")
        return self

    @property
    def oidc_secret(self) -> str:
        """The client secret, from its file where one is named."""
        file = self.oidc_client_secret_file
        return file.read_text().strip() if file else self.oidc_client_secret

    @field_validator("smtp_url")
    @classmethod
    def _mail_server_named(cls, url: str) -> str:
        parts = urlsplit(url)
        if url and (parts.scheme not in ("smtp", "smtps", "smtp+plain") or not parts.hostname or parts.port == 0):
            raise ValueError("write smtp://user:password@host:587, smtps://... or smtp+plain://... (no encryption)")
        return url

    @cached_property
    def url(self) -> str:
        """The database, as a SQLAlchemy URL."""
        if not self.database_url:
            return f"sqlite:///{self.data_dir / 'hutong.db'}"
        return self.database_url.replace("postgresql://", "postgresql+psycopg://", 1)

    @property
    def files(self) -> Path:
        """Where uploaded files are kept."""
        return self.data_dir / "files"

    @cached_property
    def secret(self) -> bytes:
        """Key of cursors and tokens; made and kept in the data directory when none is given."""
        if self.secret_key:
            return self.secret_key.encode()
        file = self.secret_key_file or self.data_dir / "secret.key"
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(secrets.token_hex(32))
        return file.read_text().strip().encode()

    @property
    def documents(self) -> Path:
        """Where the documents of enrolments are kept."""
        return self.data_dir / "documents"

    @property
    def reserve(self) -> tuple[int, float]:
        """(bytes, fraction): below the larger of both of SQLite's disk nothing more is taken in; PostgreSQL's is elsewhere."""
        if not self.url.startswith("sqlite"):
            return 0, 0.0
        mebibytes, percent = self.disk_reserve.rstrip("%").split(",")
        return int(mebibytes) << 20, float(percent) / 100

    @property
    def ramp_terms(self) -> tuple[int, int, int]:
        """(seconds, records, permille): how long a step lasts, and refused records that stop a ramp."""
        least, percent = self.ramp_stop.rstrip("%").split(",")
        return self.ramp_hours * 3600, int(least), round(float(percent) * 10)

    @property
    def brake(self) -> tuple[int, float]:
        """(floor, fraction): removals above max(floor, fraction x live records) wait for a person."""
        return limit(self.delete_brake)

    @property
    def hosts(self) -> tuple[int, float]:
        """The same for records whose link leads to another host."""
        return limit(self.host_brake)


def limit(setting: str) -> tuple[int, float]:
    """(floor, fraction) of a brake as `LIMIT` has it written."""
    floor, percent = setting.rstrip("%").split(",")
    return int(floor), float(percent) / 100
