"""The command `hutong`: tables for people, --json for programs; exit 0 done, 1 failed, 2 wrong usage."""

import os
import signal
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import uvicorn
from rich.markup import escape

from app import access_commands, looking, schema, watching
from app.access import keys
from app.access.keyring import keyring
from app.catalogue import queries, search
from app.feeds import service as feeds
from app.feeds import uploads
from app.harvest import brake, quarantine, runs
from app.harvest.discovery import configured, kinds, mapped, masked
from app.harvest.worker import Worker, harvest_now
from app.main import courier, create, disk, engine
from app.monitor import status
from app.monitor.alerts import Watch
from app.platforms import service as platforms
from app.protocol.errors import BadRequest, HutongError
from app.protocol.record import restore
from app.settings import Settings
from app.terminal import Json, screen
from app.terminal import document as _document
from app.terminal import opened as _open
from app.terminal import show as _show

app = typer.Typer(no_args_is_help=True, add_completion=False, help="互通 Hutong", pretty_exceptions_enable=False)
platform_app, feed_app, held_app = typer.Typer(), typer.Typer(), typer.Typer(invoke_without_command=True)
app.add_typer(platform_app, name="platform", help="the federation's members")
app.add_typer(feed_app, name="feed", help="what platforms offer")
app.add_typer(held_app, name="held", help="removals that wait for a person")
access_commands.attach(app)
app.add_typer(watching.alerts_app, name="alerts", help="incidents, and who is told of them")
app.registered_commands += watching.commands.registered_commands
app.registered_commands += looking.commands.registered_commands
feed_app.registered_commands += looking.feed_commands.registered_commands
STARTUP_S = 120  # a process that says nothing for so long is replaced; a loaded machine needs a while to import us
GRACE_S = 5  # for answers on their way; a reader who waits for changes is cut off


def main() -> None:
    """Runs a command; an error is one sentence with its kind, never a traceback."""
    try:
        app()
    except HutongError as error:
        # What a platform or a file says may hold square brackets, which are markup here.
        screen.print(f"[red]{error.kind}[/]: {escape(error.detail)}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, BadRequest) else 1)


def _seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] not in units or not text[:-1].isdigit():
        raise BadRequest(f"--every {text!r}: write 30s, 15m, 6h or 1d")
    return int(text[:-1]) * units[text[-1]]


@app.command()
def init() -> None:
    """Create or migrate the database; the first time prints the hub's own key, the first administrator's code."""
    _, database = _open()
    schema.upgrade(database)
    with database.write() as connection:
        if (key := keys.first(connection)) is not None:
            print(f"administrator's key (shown once): {key}")
    screen.print(f"database ready: {database.url.render_as_string(hide_password=True)}")


@app.command()
def serve(
    host: str = "127.0.0.1", port: int = 8000, workers: Annotated[int, typer.Option(min=1, max=64)] = 1,
    harvest: bool | None = None,
) -> None:  # fmt: skip
    """API, protocol faces and status page, with the embedded worker; ends cleanly on SIGTERM."""
    settings, database = _open()
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
        timeout_graceful_shutdown=GRACE_S, timeout_worker_healthcheck=STARTUP_S,
    )  # fmt: skip


@app.command()
def worker(concurrency: int = 64) -> None:
    """A harvest worker; any number, on any machine, against PostgreSQL; hands its feeds over on SIGTERM."""
    settings, database = _open()
    made = Worker(engine(settings, database), lease_s=settings.lease_s, concurrency=concurrency)
    asked_to_end = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked_to_end.set())
    watch = Watch(database, courier(settings), disk(settings, database), every_s=settings.alert_every_s)
    made.start()
    if settings.alert_every_s:
        watch.start()
    asked_to_end.wait()
    made.stop()
    made.engine.close()


@platform_app.command("add")
def platform_add(
    code: Annotated[str, typer.Option()], name: Annotated[str, typer.Option()],
    region: str | None = None, parent: str | None = None,
) -> None:  # fmt: skip
    """Enrol a platform."""
    _, database = _open()
    with database.write() as connection:
        print(platforms.register(connection, code, name, region, parent))


@platform_app.command("list")
def platform_list(as_json: Json = False) -> None:
    """All platforms."""
    _, database = _open()
    with database.read() as connection:
        _show(platforms.platforms(connection), ("code", "name", "level", "region", "state"), as_json)


@platform_app.command("suspend")
def platform_suspend(code: str, reason: Annotated[str, typer.Option()]) -> None:
    """Stop harvesting a platform."""
    _move_platform(code, "suspended", reason)


@platform_app.command("resume")
def platform_resume(code: str) -> None:
    """Harvest a suspended platform again."""
    _move_platform(code, "active", None)


def _move_platform(code: str, state: str, reason: str | None) -> None:
    _, database = _open()
    with database.write() as connection:
        platforms.transition(connection, code, state, reason)


@feed_app.command("add")
def feed_add(
    platform: Annotated[str, typer.Option()], name: Annotated[str, typer.Option()],
    connector: Annotated[str, typer.Option()], config: Annotated[str, typer.Option(help="JSON or @FILE")],
    every: str = "15m", mapping: Annotated[str | None, typer.Option(help="JSON or @FILE")] = None, key: str | None = None,
) -> None:  # fmt: skip
    """Register a feed; prints its id."""
    settings, database = _open()
    checked, hidden = masked(configured(connector, _document(config)))
    chosen = mapped(connector, _document(mapping) if mapping else None)
    with database.write() as connection:
        print(
            feeds.register(
                connection, platform=platform, name=name, connector=connector, config=checked, key=key,
                mapping=chosen, every_s=_seconds(every), sealed=(keyring(settings), hidden),
            )
        )  # fmt: skip


@feed_app.command("list")
def feed_list(as_json: Json = False) -> None:
    """All feeds."""
    _, database = _open()
    with database.read() as connection:
        _show(feeds.feeds(connection), ("id", "platform", "key", "name", "connector", "state", "every_s"), as_json)


@feed_app.command("upload")
def feed_upload(feed: str, file: Path, name: str | None = None, as_json: Json = False) -> None:
    """Give a feed of the kind `upload` its file; it is harvested next."""
    settings, database = _open()
    if not file.is_file():
        raise BadRequest(f"there is no file {str(file)!r}")
    with file.open("rb") as opened:
        pieces = iter(lambda: opened.read(1 << 20), b"")
        staged = uploads.staged(settings.files, pieces, settings.fetch_file_max_bytes)
    try:
        with database.write() as connection:
            row = uploads.keep(connection, settings.files, staged, feed, name or file.name)
    finally:
        staged.path.unlink(missing_ok=True)
    _show([row], ("id", "feed_id", "name", "bytes", "sha256"), as_json)


@feed_app.command("pause")
def feed_pause(feed: str) -> None:
    """Stop harvesting, effective within one page."""
    _move_feed(feed, "paused")


@feed_app.command("resume")
def feed_resume(feed: str) -> None:
    """Harvest again, now."""
    _move_feed(feed, "active")


@feed_app.command("retire")
def feed_retire(feed: str) -> None:
    """End a feed; its records stay until they are removed."""
    _move_feed(feed, "retired")


def _move_feed(feed: str, state: str) -> None:
    _, database = _open()
    with database.write() as connection:
        feeds.transition(connection, feeds.by_id(connection, feed)["id"], state)


@app.command("connectors")
def connectors_list(name: str | None = None) -> None:
    """The kinds, or the configuration schema of one."""
    if name is None:
        _show(
            [{"name": n, "zh": k.title_zh, "en": k.title_en} for n, k in kinds().items()], ("name", "zh", "en"), False
        )
        return
    if name not in kinds():
        raise BadRequest(f"there is no connector {name!r}; there are {', '.join(kinds())}")
    print(orjson.dumps(kinds()[name].model_json_schema(), option=orjson.OPT_INDENT_2).decode())


@app.command()
def harvest(feed: str, full: bool = False, as_json: Json = False) -> None:
    """Harvest a feed now, in the foreground."""
    settings, database = _open()
    with closing(engine(settings, database)) as made:
        _report(harvest_now(made, feed, "full" if full else "harvest", settings.lease_s), as_json)


@app.command()
def reconcile(feed: str, look: bool = False, as_json: Json = False) -> None:
    """Compare with the source by identifier and stamp, find what is missing, stale or left over; repair."""
    settings, database = _open()
    with closing(engine(settings, database)) as made:
        _report(harvest_now(made, feed, "compare" if look else "reconcile", settings.lease_s), as_json)


@app.command()
def replay(feed: str, rule: str | None = None, as_json: Json = False) -> None:
    """Run quarantined bytes through today's mapping again, without asking the source."""
    settings, database = _open()
    with database.read() as connection:
        found = feeds.by_id(connection, feed)
    _report(quarantine.replay(database, found, rule, settings.rules), as_json)


def _report(report: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(orjson.dumps(report).decode())
    else:
        _show([{"figure": k, "value": v} for k, v in report.items()], ("figure", "value"), False)
    if report["error"]:
        sys.exit(1)


_RUN = (
    "run",
    "feed",
    "job",
    "status",
    "seen",
    "created",
    "changed",
    "unchanged",
    "rejected",
    "tombstoned",
    "held",
    "seconds",
)


@app.command("runs")
def runs_list(feed: str | None = None, as_json: Json = False) -> None:
    """What happened, the latest first."""
    _, database = _open()
    with database.read() as connection:
        number = feeds.by_id(connection, feed)["id"] if feed else None
        _show(runs.runs(connection, number), _RUN, as_json)


@app.command("run")
def run_show(run: int, as_json: Json = False) -> None:
    """One run with its sum."""
    _, database = _open()
    with database.read() as connection:
        found = runs.by_id(connection, run)
    print(orjson.dumps(found).decode()) if as_json else _show(
        [{"figure": k, "value": v} for k, v in found.items()], ("figure", "value"), False
    )


@app.command()
def rejects(feed: str, as_json: Json = False) -> None:
    """What was refused, and why."""
    _, database = _open()
    with database.read() as connection:
        found = runs.rejections(connection, feeds.by_id(connection, feed)["id"])
        _show(found, ("identifier", "stage", "rule", "path", "value", "detail"), as_json)


@held_app.callback()
def held_list(context: typer.Context, as_json: Json = False) -> None:
    """What waits for a person."""
    if context.invoked_subcommand is None:
        _, database = _open()
        with database.read() as connection:
            _show(runs.waiting(connection), ("id", "feed_id", "count", "live", "cause"), as_json)


@held_app.command("approve")
def held_approve(held: int) -> None:
    """Carry a held removal out."""
    _, database = _open()
    with database.write() as connection:
        print(brake.approve(connection, held))


@held_app.command("reject")
def held_reject(held: int) -> None:
    """Keep the records of a held removal."""
    _, database = _open()
    with database.write() as connection:
        print(brake.reject(connection, held))


@app.command("search")
def search_words(
    words: str,
    subject: str = "",
    stage: str = "",
    limit: Annotated[int, typer.Option("-n")] = 20,
    as_json: Json = False,
) -> None:
    """Find records."""
    _, database = _open()
    terms = [f"{name}={code}" for name, code in (("subject", subject), ("stage", stage)) if code]
    with database.read() as connection:
        rows = queries.by_pks(connection, search.find(connection, words=words, terms=terms, before=None, limit=limit))
    _show([restore(bytes(row.document)) for row in rows], ("id", "title", "subject", "stage"), as_json)


@app.command("status")
def status_list(as_json: Json = False) -> None:
    """Every feed in one word, the worst first."""
    _, database = _open()
    with database.read() as connection:
        _show(status.feeds_status(connection), ("feed", "platform", "name", "state", "records", "lag_s"), as_json)


@app.command()
def openapi() -> None:
    """The contract as OpenAPI."""
    made = create(Settings(), harvest=False).openapi()
    print(orjson.dumps(made, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS).decode())


@app.command()
def demo(
    port: int = 8000, once: bool = False, platforms: Annotated[int, typer.Option(min=1, max=40)] = 40,
    records: Annotated[int, typer.Option(min=1)] = 20_000, dir: Path = Path("hutong-demo"), as_json: Json = False,
) -> None:  # fmt: skip
    """A hub and forty real HTTP platforms of every kind, harvested before your eyes (docs/demo.md)."""
    from app.demo.show import show

    sys.exit(show(port=port, once=once, platforms=platforms, records=records, folder=dir, as_json=as_json))


if __name__ == "__main__":
    main()
