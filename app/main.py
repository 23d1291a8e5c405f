"""Mounts the rooms: `create(settings)` is the whole hub as an ASGI application."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.concurrency import run_in_threadpool

from app.access import clerk, routes
from app.access.door import public, requires
from app.access.gate import Gate
from app.access.keyring import keyring
from app.access.scopes import Scope
from app.db import Database
from app.harvest.fetch import Fetcher
from app.harvest.loop import Engine
from app.harvest.worker import Worker
from app.monitor import status
from app.platforms import duties, line_routes, proof
from app.platforms import routes as enrolment
from app.protocol import rules
from app.publish import history, ix, jobs, oai, rest
from app.settings import Settings
from app.web import Answers, Reading, install, json, problem

_HERE = Path(__file__).parent
# Shipped inside the package by the wheel; in a checkout it stands with the other documentation.
PROBLEMS = next((p for p in (_HERE / "problems.md", _HERE.parent / "docs" / "problems.md") if p.exists()), Path())


def engine(settings: Settings, database: Database) -> Engine:
    """The harvest engine of this deployment."""
    fetcher = Fetcher(
        allow=settings.fetch_allow,
        deadline_s=settings.fetch_deadline_s,
        max_bytes=settings.fetch_max_bytes,
        wire_max_bytes=settings.fetch_max_bytes,  # plain files are as large on the wire as decoded
    )
    return Engine(database, fetcher, settings.brake, ring=keyring(settings), rules=settings.rules)


def create(settings: Settings, *, harvest: bool = True, concurrency: int = 8) -> FastAPI:
    """The hub; with its worker inside unless `harvest` is False."""
    database = Database(settings.url)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.engine = engine(settings, database)
        worker = Worker(app.state.engine, lease_s=settings.lease_s, concurrency=concurrency)
        if harvest:
            worker.start()
        keeper = clerk.Clerk(database, app.state.gate, lambda connection: duties.carry_out(connection, settings))
        keeper.start()
        yield
        await run_in_threadpool(keeper.stop)
        if harvest:
            await run_in_threadpool(worker.stop)
        app.state.engine.fetcher.close()
        database.close()

    docs, description = ("/docs", "/openapi.json") if settings.docs else (None, None)
    app = FastAPI(
        title="互通 Hutong hub",
        version="0.1.0",
        lifespan=lifespan,
        docs_url=docs,
        openapi_url=description,
        redoc_url=None,
    )
    app.state.database, app.state.settings, app.state.gate = database, settings, Gate(settings)
    install(app)
    app.add_middleware(Answers, https=settings.public_url.startswith("https://"))
    app.state.texts = proof.resolver(settings.dns_servers)
    for room in (
        routes.router,
        enrolment.router,
        line_routes.router,
        jobs.router,
        history.router,
        rest.router,
        ix.router,
        oai.router,
    ):
        app.include_router(room)
    _operations(app)
    return app


def _operations(app: FastAPI) -> None:
    @app.get("/healthz", tags=["operations"], dependencies=[public()])
    def healthz() -> Response:
        """The process is alive."""
        return json({"status": "alive"})

    @app.get("/readyz", tags=["operations"], dependencies=[public()])
    def readyz(connection: Reading) -> Response:
        """The database answers."""
        return json({"status": "ready", "head": status.figures(connection)["head"]})

    @app.get("/metrics", tags=["operations"], dependencies=[requires(Scope.OPS_READ)])
    def metrics() -> Response:
        """Prometheus; the scraper's key goes into `authorization` of its job."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/problems/{kind}", tags=["operations"], dependencies=[public()])
    def problem_page(kind: str) -> Response:
        """What a kind of problem means: cause, example, remedy."""
        for section in PROBLEMS.read_text().split("\n## ")[1:] if PROBLEMS.is_file() else ():
            if section.split("\n", 1)[0].strip().strip("`") == kind:
                return Response(f"# {section}", media_type="text/markdown; charset=utf-8")
        if (rule := rules.rule_of(kind)) is not None:
            return Response(rules.section(rule)[1:], media_type="text/markdown; charset=utf-8")
        return problem(404, "not_found", "there is no such kind of problem")

    @app.get("/", tags=["operations"], dependencies=[public()])
    def page(connection: Reading) -> Response:
        """A plain status page."""
        return Response(_page(status.figures(connection), status.feeds_status(connection)), media_type="text/html")


_SHAPES = {
    "held": "◆ 待人工", "failing": "■ 失败", "late": "▲ 滞后", "never run": "○ 未运行",
    "running": "◐ 运行中", "healthy": "● 正常", "paused": "○ 已暂停",
}  # fmt: skip


def _page(figures: dict[str, int], feeds: list[dict[str, Any]]) -> str:
    rows = "".join(_row(feed) for feed in feeds)
    sums = "".join(f"<li><b>{value:,}</b> {_FIGURES[name]}" for name, value in figures.items())
    return (
        "<!doctype html><html lang=zh-CN><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>互通</title><style>{_STYLE}</style><h1>互通 <small>Hutong</small></h1><ul>{sums}</ul>"
        "<table><thead><tr><th>状态 State<th>资源源 Feed<th class=w>平台 Platform<th class=w>方式 Kind<th>记录 Records"
        f"<th class=w>距上次成功 Lag<th class=c>原因 Cause<tbody>{rows}</table>"
        "<p><a href=/api/v1/status>JSON</a> · <a href=/docs>API</a> · <a href='/oai?verb=Identify'>OAI-PMH</a> · "
        "<a href=/.well-known/ix>IX/1</a></html>"
    )


def _row(feed: dict[str, Any]) -> str:
    cause = feed["held"] or (feed["error"] or {}).get("detail") or ""
    lag = "" if feed["lag_s"] is None else f"{feed['lag_s']} s"
    return (
        f"<tr><td>{_SHAPES[feed['state']]} <small>{feed['state']}</small><td>{escape(feed['name'])}"
        f"<td class=w>{feed['platform']}<td class=w>{feed['connector']}<td class=n>{feed['records']:,}"
        f"<td class='n w'>{lag}<td class=c>{escape(cause[:160])}"
    )


_FIGURES = {
    "records": "在册记录 live", "head": "变更序号 position", "rejected": "已拒 refused", "held": "待人工 held",
    "feeds": "资源源 feeds", "runs": "运行 runs",
}  # fmt: skip
_STYLE = (
    "body{font:14px/1.5 'PingFang SC','Microsoft YaHei','Noto Sans CJK SC',system-ui,sans-serif;margin:24px;"
    "background:#f6f5f1;color:#1d2021;max-width:1200px}table{border-collapse:collapse;background:#fffefb;width:100%}"
    "td,th{padding:4px 12px;border-bottom:1px solid #e2dfd6;text-align:left}.w,.n,td:first-child{white-space:nowrap}.n{text-align:right;"
    "font-variant-numeric:tabular-nums}small{color:#555b60}ul{display:flex;flex-wrap:wrap;gap:24px;padding:0;list-style:none}"
    "b{font-size:18px}a{color:#1f5d7a}"
    "@media(max-width:700px){body{margin:12px}.w{display:none}td,th{padding:4px 6px}ul{gap:4px 16px}}"
    "@media(prefers-color-scheme:dark){body{background:#15181a;color:#eceae4}table{background:#1c2023}small{color:#b3b8bb}a{color:#86c2dd}}"
)
