"""Mounts the rooms: `create(settings)` is the whole hub as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool

from app.admission import routes as admission
from app.admission.policy import level_of
from app.catalogue.queries import value
from app.console import routes as console
from app.console.assets import Assets
from app.console.page import STATIC
from app.db import Database
from app.feeds import routes as uploads
from app.harvest.fetch import Fetcher
from app.harvest.loop import Engine
from app.harvest.worker import Worker
from app.monitor import status
from app.publish import docs, history, ix, jobs, oai, rest, snapshots
from app.settings import Settings
from app.web import Reading, install, json


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
    level = level_of(settings.platform_code)
    return Engine(database, fetcher, settings.brake, files=settings.files, rules=settings.rules, level=level)


def serving() -> FastAPI:
    """The hub of this environment, as each process of `hutong serve` makes it."""
    settings = Settings()
    return create(settings, harvest=settings.harvest, concurrency=settings.harvest_threads)


def create(settings: Settings, *, harvest: bool = True, concurrency: int = 8) -> FastAPI:
    """The hub; with its worker inside unless `harvest` is False."""
    database = Database(settings.url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with database.read() as connection:
            app.state.admin_key_hash = value(connection, "admin_key_hash")
        app.state.engine = engine(settings, database)
        worker = Worker(app.state.engine, lease_s=settings.lease_s, concurrency=concurrency)
        if harvest:
            worker.start()
        yield
        if harvest:
            await run_in_threadpool(worker.stop)
        app.state.engine.fetcher.close()
        database.close()

    app = FastAPI(title="互通 Hutong hub", version="0.1.0", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.database, app.state.settings, app.state.admin_key_hash = database, settings, None
    install(app)
    for room in (uploads, admission, jobs, history, rest, ix, snapshots, oai, docs, console):
        app.include_router(room.router)
    app.mount("/static", Assets(directory=STATIC), name="static")
    _operations(app)
    return app


def _operations(app: FastAPI) -> None:
    @app.get("/healthz", tags=["operations"])
    def healthz() -> Response:
        """The process is alive."""
        return json({"status": "alive"})

    @app.get("/readyz", tags=["operations"])
    def readyz(connection: Reading) -> Response:
        """The database answers."""
        return json({"status": "ready", "head": status.figures(connection)["head"]})

    @app.get("/metrics", tags=["operations"])
    def metrics() -> Response:
        """Prometheus."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
