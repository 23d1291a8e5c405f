"""`hutong feed`: what platforms offer."""

from contextlib import closing, suppress
from pathlib import Path
from typing import Annotated

import orjson
import typer

from app.access.keyring import keyring
from app.admission import entering, ramp
from app.admission.policy import level_of
from app.deployment import engine
from app.feeds import brakes, uploads
from app.feeds import service as feeds
from app.feeds.brakes import Brake
from app.harvest import remap
from app.harvest.discovery import configured, mapped, masked
from app.harvest.worker import harvest_now
from app.protocol.errors import BadRequest, Conflict
from app.protocol.words import Job
from app.terminal import Json, document, opened, show, told

commands, feed_app = typer.Typer(), typer.Typer()
commands.add_typer(feed_app, name="feed")


def _seconds(text: str) -> int:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] not in units or not text[:-1].isdigit():
        raise BadRequest(f"--every {text!r}: write 30s, 15m, 6h or 1d")
    return int(text[:-1]) * units[text[-1]]


@feed_app.command("add")
def feed_add(
    platform: Annotated[str, typer.Option()], name: Annotated[str, typer.Option()],
    connector: Annotated[str, typer.Option()], config: Annotated[str, typer.Option(help="JSON or @FILE")],
    every: str = "15m", mapping: Annotated[str | None, typer.Option(help="JSON or @FILE")] = None, key: str | None = None,
) -> None:  # fmt: skip
    """Register a feed; prints its id."""
    settings, database = opened()
    checked, hidden = masked(configured(connector, document(config)))
    chosen = mapped(connector, document(mapping) if mapping else None)
    with database.write() as connection:
        print(
            feeds.register(
                connection, platform=platform, name=name, connector=connector, config=checked, key=key,
                mapping=chosen, every_s=_seconds(every), sealed=(keyring(settings), hidden), quota=settings.quota_feeds,
            )
        )  # fmt: skip


@feed_app.command("list")
def feed_list(as_json: Json = False) -> None:
    """All feeds."""
    _, database = opened()
    with database.read() as connection:
        show(feeds.feeds(connection), ("id", "platform", "key", "name", "connector", "state", "every_s"), as_json)


@feed_app.command("show")
def feed_show(feed: str, as_json: Json = False) -> None:
    """One feed: configuration (without secrets), mapping, schedule, where it goes on."""
    _, database = opened()
    with database.read() as connection:
        told(feeds.by_id(connection, feed), as_json)


@feed_app.command("upload")
def feed_upload(feed: str, file: Path, name: str | None = None, as_json: Json = False) -> None:
    """Give a feed of the kind `upload` its file; it is harvested next."""
    settings, database = opened()
    if not file.is_file():
        raise BadRequest(f"there is no file {str(file)!r}")
    with file.open("rb") as content:
        pieces = iter(lambda: content.read(1 << 20), b"")
        staged = uploads.staged(settings.files, pieces, settings.fetch_file_max_bytes)
    try:
        with database.write() as connection:
            row = uploads.keep(connection, settings.files, staged, feed, name or file.name, settings.quota_upload_bytes)
    finally:
        staged.path.unlink(missing_ok=True)
    show([row], ("id", "feed_id", "name", "bytes", "sha256"), as_json)


@feed_app.command("pause")
def feed_pause(feed: str) -> None:
    """Stop harvesting, effective within one page."""
    _move(feed, "paused")


@feed_app.command("suspend")
def feed_suspend(feed: str, reason: Annotated[str, typer.Option(help="told to the platform")] = "") -> None:
    """Stop harvesting until the hub lets it go on; the platform cannot."""
    _move(feed, "suspended", reason)


@feed_app.command("resume")
def feed_resume(feed: str) -> None:
    """Harvest again, now."""
    _move(feed, "active")


@feed_app.command("retire")
def feed_retire(feed: str) -> None:
    """End a feed; its records stay until they are removed."""
    _move(feed, "retired")


@feed_app.command("ramp")
def feed_ramp(
    feed: str, act: Annotated[str, typer.Argument(help="raise, lower, stop, resume, begin; without: show")] = "",
    reason: Annotated[str, typer.Option(help="kept with the step; all but `raise` need one")] = "", as_json: Json = False,
) -> None:  # fmt: skip
    """How far a feed's new records are let in (1 %, 10 %, all); what a raised step lets in enters at once."""
    settings, database = opened()
    with database.write() as connection:
        number = feeds.by_id(connection, feed)["id"]
        if act:
            entering.take(connection, number, act, reason, ramp.Terms(*settings.ramp_terms))
        enters = bool(act) and entering.ready(connection, number)
    if enters:
        # A worker that harvests it now lets it in afterwards.
        with closing(engine(settings, database)) as made, suppress(Conflict):
            harvest_now(made, number, Job.RAMP, settings.lease_s)
    with database.read() as connection:
        told({"feed": number, **(ramp.found(connection, number) or {"state": "none"})}, as_json)


@feed_app.command("brake")
def feed_brake(
    feed: str, removals: Annotated[str | None, typer.Option(help="FLOOR,PERCENT% such as 200,20%; `standard`: the hub's")] = None,
    hosts: Annotated[str | None, typer.Option(help="the same for links that lead to other hosts")] = None,
    reason: Annotated[str, typer.Option(help="kept on the audit chain")] = "", as_json: Json = False,
) -> None:  # fmt: skip
    """A feed's own limits: more removals, or links to other hosts, than these wait for a person. Without options: show."""
    _, database = opened()
    given = {Brake.DELETE: removals, Brake.HOST: hosts}
    limits = {brake: None if text == "standard" else text for brake, text in given.items() if text is not None}
    with database.write() as connection:
        told(brakes.set_(connection, feeds.by_id(connection, feed)["id"], limits, reason), as_json)


def _move(feed: str, state: str, reason: str = "") -> None:
    _, database = opened()
    with database.write() as connection:
        feeds.transition(connection, feeds.by_id(connection, feed)["id"], state, reason)


@feed_app.command("remap")
def feed_remap(
    feed: str, mapping: Annotated[str, typer.Option(help="JSON or @FILE")], apply: bool = False, as_json: Json = False
) -> None:
    """Try a mapping on the kept bytes of a feed; --apply gives it to the feed. The source is not asked."""
    settings, database = opened()
    chosen = document(mapping)
    if apply:
        found = remap.apply(
            database, feed, chosen, settings.rules, settings.lease_s, level=level_of(settings.platform_code)
        )
    else:
        with database.read() as connection:
            row = feeds.by_id(connection, feed)
        found = remap.trial(database, row, chosen, settings.rules)
    print(orjson.dumps(found, option=0 if as_json else orjson.OPT_INDENT_2).decode())
