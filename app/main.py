"""Mounts the rooms: `create(settings)` is the whole hub as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool

from app import heap
from app.access import clerk, oidc
from app.access import routes as access
from app.access.door import public, requires, signed_in
from app.access.gate import Gate
from app.access.quotas import Buckets
from app.access.scopes import Scope
from app.access.sign_on import SignOn
from app.access.turnstile import Turnstile
from app.admission import ramp_routes
from app.admission import routes as admission
from app.catalogue import completeness, originals
from app.catalogue.queries import head
from app.console import account, actions, alerts, bulletin, enrolments, reports, reviewing, vendor, vendor_feeds
from app.console import public as everybody
from app.console import routes as console
from app.console import sign_on as single_sign_on
from app.console.assets import Assets
from app.console.letters import writer
from app.console.page import STATIC
from app.db import Database
from app.deployment import courier, disk, engine
from app.disk import Disk
from app.feeds import routes as uploads
from app.harvest import leaving, readiness
from app.harvest.fetch import Fetcher
from app.harvest.worker import Worker
from app.monitor import board_routes, letters
from app.monitor import routes as monitoring
from app.monitor.alerts import Chore, Watch
from app.monitor.board import Board
from app.monitor.courier import Courier
from app.monitor.metrics import Counts, Metrics, Requests
from app.platforms import certificate_routes, duties, line_routes, proof
from app.platforms import routes as enrolment
from app.protocol.connector import Request
from app.protocol.errors import DiskFull
from app.publish import docs, history, ix, jobs, oai, records, resourcesync, rest, snapshots, vocab
from app.settings import Settings
from app.web import SLOTS, Answers, Reading, install, json

# In the order in which an address is looked for; `/records/{id:path}` and its like come after what is more exact.
ROOMS = (
    access,
    enrolment,
    line_routes,
    certificate_routes,
    uploads,
    ramp_routes,
    admission,
    jobs,
    history,
    rest,
    records,
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
    single_sign_on,
    reports,
    vendor,
    vendor_feeds,
    enrolments,
)


def sign_on(settings: Settings, gate: Gate) -> tuple[SignOn, Fetcher] | None:
    """The way through the organisation's identity provider, if one is set, and the guarded client it asks with."""
    if not settings.oidc_issuer:
        return None
    fetcher = Fetcher(
        allow=settings.fetch_allow, deadline_s=oidc.DEADLINE_S, max_bytes=oidc.BYTES, wire_max_bytes=oidc.BYTES
    )

    def ask(request: Request) -> tuple[int, bytes]:
        answer = fetcher.fetch(request).response
        with answer.body:
            return answer.status, answer.content()

    provider = oidc.Provider(settings.oidc_issuer, settings.oidc_client_id, settings.oidc_secret, ask)
    return SignOn(settings, gate.ring, gate.tally, provider), fetcher


def chores(settings: Settings, database: Database, made: Courier) -> list[Chore]:
    """What the process that holds the watch does beside alerts: the weekly digests."""
    return [partial(letters.deliver, database, made, writer(settings))]


def hourly(connection: Connection, settings: Settings) -> None:
    """What the rooms want done every hour: moves that were announced and the records of who has left, how complete
    feeds are, kept bytes that go."""
    duties.carry_out(connection, settings)
    leaving.ask(connection)
    completeness.refresh(connection)
    originals.expire(connection)


def serving() -> FastAPI:
    """The hub of this environment, as each process of `hutong serve` makes it."""
    settings = Settings()
    made = create(settings, harvest=settings.harvest, concurrency=settings.harvest_threads)
    heap.settled()
    return made


def create(settings: Settings, *, harvest: bool = True, concurrency: int = 8) -> FastAPI:
    """The hub; with its worker inside unless `harvest` is False."""
    database, counts = Database(settings.url), Counts()
    beside = partial(_beside, database=database, counts=counts, threads=concurrency if harvest else 0)
    # The contract is served by publish/docs.py, with a declaration like every other route.
    app = FastAPI(
        title="互通 Hutong hub", version="0.1.0", lifespan=beside, docs_url=None, redoc_url=None, openapi_url=None
    )
    _equip(app, settings, database)
    _mount(app, settings)
    install(app)
    app.add_middleware(Turnstile, gate=app.state.gate)
    app.add_middleware(Answers, https=settings.public_url.startswith("https://"))
    app.add_middleware(Requests, counts=counts)
    _operations(app, Metrics(database, settings.data_dir, counts), app.state.disk)
    return app


def _equip(app: FastAPI, settings: Settings, database: Database) -> None:
    """What rooms reach through the application."""
    state = app.state
    state.database, state.settings, state.gate = database, settings, Gate(settings)
    way = sign_on(settings, state.gate)
    state.sign_on, state.sign_on_client = way or (None, None)
    state.trial = readiness.report
    state.slots = asyncio.Semaphore(SLOTS)
    state.board, state.disk = Board(database), disk(settings, database)
    state.texts, state.attempts = proof.resolver(settings.dns_servers), Buckets(proof.ATTEMPTS)


def _mount(app: FastAPI, settings: Settings) -> None:
    # The rooms' own routes, as they were made when the rooms were loaded: `include_router` would make each again for
    # this application, at the first request that looks that far, and match every request twice.
    for room in ROOMS:
        app.router.routes.extend(room.router.routes)
    for room in (board_routes, bulletin):
        app.include_router(room.router, dependencies=[public() if settings.public_status else signed_in()])
    app.include_router(docs.router, dependencies=[public() if settings.docs else signed_in()])
    app.mount("/static", Assets(directory=STATIC), name="static")


class _Works(Protocol):
    def start(self) -> None: ...
    def stop(self) -> None: ...


@asynccontextmanager
async def _beside(app: FastAPI, *, database: Database, counts: Counts, threads: int) -> AsyncIterator[None]:
    """What works beside the answers: the worker where it has `threads`, the clerk, the watch. Ends in the other order."""
    settings, state = app.state.settings, app.state
    state.engine, state.courier = engine(settings, database), courier(settings)
    worker = Worker(state.engine, lease_s=settings.lease_s, concurrency=threads)
    keeper = clerk.Clerk(database, state.gate, partial(hourly, settings=settings))
    watch = Watch(
        database, state.courier, state.disk, every_s=settings.alert_every_s,
        each=lambda: counts.flush(database), chores=chores(settings, database, state.courier),
    )  # fmt: skip
    # The watch without the worker too: somebody must notice that there is none.
    at_work: list[_Works] = [*([worker] if threads else []), keeper, *([watch] if settings.alert_every_s else [])]
    for one in at_work:
        one.start()
    yield
    for one in reversed(at_work):
        await run_in_threadpool(one.stop)
    for client in filter(None, (state.courier.fetcher, state.sign_on_client)):
        client.close()
    state.engine.close()
    database.close()


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
