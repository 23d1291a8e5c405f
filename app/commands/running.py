"""Commands that bring the hub up: init, serve, worker, demo, openapi.

The web is imported by who needs it: it takes longer to load than most commands take.
"""

import os
import signal
import ssl
import sys
import threading
from pathlib import Path
from typing import Annotated

import orjson
import typer
import uvicorn

from app import schema
from app.access import keys
from app.deployment import courier, disk, engine
from app.harvest.worker import Worker
from app.monitor.alerts import Watch
from app.protocol.errors import BadRequest
from app.settings import Settings
from app.terminal import Json, opened, screen

commands = typer.Typer()
STARTUP_S = 120  # a process that says nothing for so long is replaced; a loaded machine needs a while to import us
GRACE_S = 5  # for answers on their way; a reader who waits for changes is cut off


@commands.command()
def init() -> None:
    """Create or migrate the database; the first time prints the hub's own key, the first administrator's code."""
    _, database = opened()
    schema.upgrade(database)
    with database.write() as connection:
        if (key := keys.first(connection)) is not None:
            print(f"administrator's key (shown once): {key}")
    screen.print(f"database ready: {database.url.render_as_string(hide_password=True)}")


@commands.command()
def serve(
    host: str = "127.0.0.1", port: int = 8000, workers: Annotated[int, typer.Option(min=1, max=64)] = 1,
    harvest: bool | None = None,
    tls_cert: Annotated[Path | None, typer.Option(help="certificate chain (PEM): serves https, TLS 1.2 and newer")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="its key (PEM)")] = None,
    tls_client_ca: Annotated[Path | None, typer.Option(help="only clients with a certificate of this authority")] = None,
    tls_client_optional: Annotated[bool, typer.Option(help="and those without any: platforms have one, people none")] = False,
) -> None:  # fmt: skip
    """API, protocol faces and status page, with the embedded worker; ends cleanly on SIGTERM."""
    if (tls_cert is None) != (tls_key is None) or (tls_client_ca and not tls_cert):
        raise BadRequest("--tls-cert and --tls-key go together, and --tls-client-ca with them")
    asks = ssl.CERT_OPTIONAL if tls_client_optional else ssl.CERT_REQUIRED
    settings, database = opened()
    schema.upgrade(database)
    if database.sqlite:
        disk(settings, database).weigh()
    database.close()
    assert settings.secret  # made here, once, before several processes look for it
    # The processes make their settings themselves. Leases keep their workers apart; they share the threads out.
    os.environ["HUTONG_HARVEST"] = str(settings.harvest if harvest is None else harvest)
    os.environ["HUTONG_HARVEST_THREADS"] = str(max(1, settings.harvest_threads // workers))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # uvicorn raises the signal again when it has ended
    uvicorn.run(
        "app.main:serving", factory=True, host=host, port=port, workers=workers, log_level="warning", proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S, timeout_worker_healthcheck=STARTUP_S, ssl_certfile=tls_cert,
        ssl_keyfile=tls_key, ssl_ca_certs=str(tls_client_ca) if tls_client_ca else None,
        ssl_cert_reqs=asks if tls_client_ca else ssl.CERT_NONE, http="app.access.http:Http",
    )  # fmt: skip


@commands.command()
def worker(concurrency: int = 64) -> None:
    """A harvest worker; any number, on any machine, against PostgreSQL; hands its feeds over on SIGTERM."""
    settings, database = opened()
    made = Worker(engine(settings, database), lease_s=settings.lease_s, concurrency=concurrency)
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    letters = courier(settings)
    from app.main import chores

    tasks = chores(settings, database, letters)
    watch = Watch(database, letters, disk(settings, database), every_s=settings.alert_every_s, chores=tasks)
    made.start()
    if settings.alert_every_s:
        watch.start()
    asked_to_end.wait()
    made.stop()
    made.engine.close()


@commands.command()
def openapi() -> None:
    """The contract as OpenAPI."""
    from app.main import create

    made = create(Settings(), harvest=False).openapi()
    print(orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())


@commands.command()
def demo(
    port: int = 8000, once: bool = False, platforms: Annotated[int, typer.Option(min=1, max=40)] = 40,
    records: Annotated[int, typer.Option(min=1)] = 20_000, dir: Path = Path("hutong-demo"), as_json: Json = False,
) -> None:  # fmt: skip
    """A hub and forty real HTTP platforms of every kind, harvested before your eyes (docs/demo.md)."""
    from app.demo.show import show

    sys.exit(show(port=port, once=once, platforms=platforms, records=records, folder=dir, as_json=as_json))
