"""What the settings of a deployment are made into: its harvest engine, its disk, its courier. Knows no web."""

from dataclasses import replace
from pathlib import Path

from app.access.keyring import keyring
from app.access.quotas import Quotas
from app.admission.policy import level_of
from app.db import Database
from app.disk import Disk
from app.harvest.beside import AHEAD, Parsers
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.monitor.courier import ANSWER_BYTES, DEADLINE_S, Courier, MailServer
from app.settings import Settings


def engine(settings: Settings, database: Database) -> Engine:
    """The harvest engine of this deployment."""
    fetcher = Fetcher(
        allow=settings.fetch_allow,
        deadline_s=settings.fetch_deadline_s,
        max_bytes=settings.fetch_max_bytes,
        wire_max_bytes=settings.fetch_max_bytes,  # plain files are as large on the wire as decoded
        file_max_bytes=settings.fetch_file_max_bytes,
        file_deadline_s=settings.fetch_file_deadline_s,
    )
    quotas = Quotas(
        settings.quota_feeds, settings.quota_records, settings.quota_upload_bytes, settings.quota_rejections
    )
    made = Engine(
        database,
        fetcher,
        settings.brake,
        files=settings.files,
        rules=settings.rules,
        ring=keyring(settings),
        quotas=quotas,
        level=level_of(settings.platform_code),
        disk=disk(settings, database),
        hosts=settings.hosts,
    )
    return replace(made, prepare=Parsers(settings.parsers), ahead=AHEAD) if settings.parsers else made


def disk(settings: Settings, database: Database) -> Disk:
    """The disk of this deployment: that of its SQLite file, else of its data directory."""
    file = database.url.database if database.sqlite else None
    return Disk(Path(file).parent if file else settings.data_dir, settings.reserve)


def courier(settings: Settings) -> Courier:
    """Who takes alerts to their routes, by the harvest's guarded client with shorter limits."""
    fetcher = Fetcher(
        allow=settings.fetch_allow, deadline_s=DEADLINE_S, max_bytes=ANSWER_BYTES, wire_max_bytes=ANSWER_BYTES
    )
    sender = settings.smtp_from or settings.admin_email
    mail = MailServer.parse(settings.smtp_url)
    return Courier(
        fetcher, keyring(settings), mail, sender, settings.platform_name, settings.public_url, settings.locale
    )
