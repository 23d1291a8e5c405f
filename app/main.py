"""Mounts the rooms: `create(settings)` is the whole hub as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from app.access import clerk
from app.access import routes as access
from app.access.door import public, requires, signed_in
from app.access.gate import Gate
from app.access.keyring import keyring
from app.access.quotas import Buckets, Quotas
from app.access.scopes import Scope
from app.admission import routes as admission
from app.admission.policy import level_of
from app.catalogue import completeness, originals
from app.catalogue.queries import head
from app.console import account, actions, alerts, bulletin, enrolments, reports, reviewing, vendor
from app.console import public as everybody
from app.console import routes as console
from app.console.assets import Assets
from app.console.letters import writer
from app.console.page import STATIC
from app.db import Database
from app.disk import Disk
from app.feeds import routes as uploads
from app.harvest.beside import Parsers
from app.harvest.fetch import Fetcher
from app.harvest.loop import Engine
from app.harvest.worker import Worker
from app.monitor import board_routes, letters
from app.monitor import routes as monitoring
from app.monitor.alerts import Chore, Watch
from app.monitor.board import Board
from app.monitor.courier import ANSWER_BYTES, DEADLINE_S, Courier, MailServer
from app.monitor.metrics import Counts, Metrics, Requests
from app.platforms import duties, line_routes, proof
from app.platforms import routes as enrolment
from app.protocol.errors import DiskFull
from app.publish import docs, history, ix, jobs, oai, resourcesync, rest, snapshots, vocab
from app.settings import Settings
from app.web import SLOTS, Answers, Reading, install, json

# In the order in which an address is looked for; `/records/{id:path}` and its like come after what is more exact.
ROOMS = (
    access,
    enrolment,
    line_routes,
    uploads,
    admission,
    jobs,
    history,
    rest,
    vocab,
    ix,
    snapshots,
    oai,
    resourcesync,
    monitoring,
    everybody,
    console,
    actions,
    reviewing,
    alerts,
    account,
    reports,
    vendor,
    enrolments,
)


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
    )
    return replace(made, prepare=Parsers(settings.parsers), ahead=2) if settings.parsers else made


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


def chores(settings: Settings, database: Database, made: Courier) -> list[Chore]:
    """What the process that holds the watch does beside alerts: the weekly digests."""
    return [partial(letters.deliver, database, made, writer(settings))]


def hourly(connection: Connection, settings: Settings) -> None:
    """What the rooms want done every hour: moves that were announced, how complete feeds are, kept bytes that go."""
    duties.carry_out(connection, settings)
    completeness.refresh(connection)
    originals.expire(connection)


def serving() -> FastAPI:
    """The hub of this environment, as each process of `hutong serve` makes it."""
    settings = Settings()
    return create(settings, harvest=settings.harvest, concurrency=settings.harvest_threads)


def create(settings: Settings, *, harvest: bool = True, concurrency: int = 8) -> FastAPI:
    """The hub; with its worker inside unless `harvest` is False."""
    database, counts = Database(settings.url), Counts()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = engine(settings, database)
        worker = Worker(app.state.engine, lease_s=settings.lease_s, concurrency=concurrency)
        app.state.courier = courier(settings)
        watch = Watch(
            database, app.state.courier, app.state.disk, every_s=settings.alert_every_s,
            each=lambda: counts.flush(database), chores=chores(settings, database, app.state.courier),
        )  # fmt: skip
        if harvest:
            worker.start()
        keeper = clerk.Clerk(database, app.state.gate, partial(hourly, settings=settings))
        keeper.start()
        if settings.alert_every_s:  # without the worker too: somebody must notice that there is none
            watch.start()
        yield
        if settings.alert_every_s:
            await run_in_threadpool(watch.stop)
        await run_in_threadpool(keeper.stop)
        if harvest:
            await run_in_threadpool(worker.stop)
        app.state.courier.fetcher.close()
        app.state.engine.close()
        database.close()

    # The contract is served by publish/docs.py, with a declaration like every other route.
    app = FastAPI(
        title="互通 Hutong hub", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.database, app.state.settings, app.state.gate = database, settings, Gate(settings)
    app.state.slots = asyncio.Semaphore(SLOTS)
    app.state.board = Board(database)
    app.state.disk = disk(settings, database)
    install(app)
    app.add_middleware(Answers, https=settings.public_url.startswith("https://"))
    app.state.texts, app.state.attempts = proof.resolver(settings.dns_servers), Buckets(proof.ATTEMPTS)
    for room in ROOMS:
        app.include_router(room.router)
    for room in (board_routes, bulletin):
        app.include_router(room.router, dependencies=[public() if settings.public_status else signed_in()])
    app.include_router(docs.router, dependencies=[public() if settings.docs else signed_in()])
    app.mount("/static", Assets(directory=STATIC), name="static")
    app.add_middleware(Requests, counts=counts)
    _operations(app, Metrics(database, settings.data_dir, counts), app.state.disk)
    return app


def _operations(app: FastAPI, figures: Metrics, disk: Disk) -> None:
    @app.get("/healthz", tags=["operations"], dependencies=[public()])
    def healthz() -> Response:
        """The process is alive."""
        return json({"status": "alive"})

    @app.get("/readyz", tags=["operations"], dependencies=[public()])
    def readyz(connection: Reading) -> Response:
        """The database answers; `ingest` is `stopped` while the disk has less room than its reserve."""
        ingest = {"ingest": "stopped", "kind": DiskFull.kind} if disk.low else {"ingest": "on"}
        return json({"status": "ready", "head": head(connection), **ingest})

    @app.get("/metrics", tags=["operations"], dependencies=[requires(Scope.OPS_READ)])
    def metrics() -> Response:
        """Prometheus; the same figures from every process, at most ten seconds old. The scraper's key is a bearer."""
        return Response(figures.page(), media_type=CONTENT_TYPE_LATEST)
