"""Commands of harvesting: harvest, reconcile, replay; what happened, what was refused, what waits for a person."""

import sys
from contextlib import closing
from typing import Any

import typer

from app.admission.policy import level_of
from app.deployment import engine
from app.feeds import service as feeds
from app.harvest import decisions, quarantine, runs, undo
from app.harvest.worker import harvest_now
from app.terminal import Json, opened, show, told

commands, held_app = typer.Typer(), typer.Typer(invoke_without_command=True)
commands.add_typer(held_app, name="held")


@commands.command()
def harvest(feed: str, full: bool = False, as_json: Json = False) -> None:
    """Harvest a feed now, in the foreground."""
    settings, database = opened()
    with closing(engine(settings, database)) as made:
        _report(harvest_now(made, feed, "full" if full else "harvest", settings.lease_s), as_json)


@commands.command()
def reconcile(feed: str, look: bool = False, as_json: Json = False) -> None:
    """Compare with the source by identifier and stamp, find what is missing, stale or left over; repair."""
    settings, database = opened()
    with closing(engine(settings, database)) as made:
        _report(harvest_now(made, feed, "compare" if look else "reconcile", settings.lease_s), as_json)


@commands.command()
def replay(feed: str, rule: str | None = None, as_json: Json = False) -> None:
    """Run quarantined bytes through today's mapping again, without asking the source."""
    settings, database = opened()
    with database.read() as connection:
        found = feeds.by_id(connection, feed)
    level = level_of(settings.platform_code)
    _report(quarantine.replay(database, found, rule, settings.rules, level=level), as_json)


def _report(report: dict[str, Any], as_json: bool) -> None:
    told(report, as_json)
    if report["error"]:
        sys.exit(1)


_RUN = (
    "run", "feed", "job", "status", "seen", "created", "changed", "unchanged", "rejected", "tombstoned", "held", "seconds",
)  # fmt: skip


@commands.command("runs")
def runs_list(feed: str | None = None, as_json: Json = False) -> None:
    """What happened, the latest first."""
    _, database = opened()
    with database.read() as connection:
        number = feeds.by_id(connection, feed)["id"] if feed else None
        show(runs.runs(connection, number), _RUN, as_json)


@commands.command("run")
def runshow(run: int, as_json: Json = False) -> None:
    """One run with its sum."""
    _, database = opened()
    with database.read() as connection:
        found = runs.by_id(connection, run)
    told(found, as_json)


@commands.command("undo")
def undo_run(run: int, as_json: Json = False) -> None:
    """Bring back what a run removed, within 30 days."""
    settings, database = opened()
    _report(undo.undo(database, run, runs.Asked("hutong"), settings.lease_s), as_json)


@commands.command()
def rejects(feed: str, as_json: Json = False) -> None:
    """What was refused, and why."""
    _, database = opened()
    with database.read() as connection:
        found = runs.rejections(connection, feeds.by_id(connection, feed)["id"])
        show(found, ("identifier", "stage", "rule", "path", "value", "detail"), as_json)


@held_app.callback()
def held_list(context: typer.Context, as_json: Json = False) -> None:
    """What waits for a person."""
    if context.invoked_subcommand is None:
        _, database = opened()
        with database.read() as connection:
            show(runs.waiting(connection), ("id", "feed_id", "kind", "count", "live", "cause"), as_json)


@held_app.command("approve")
def held_approve(held: int, why: str = "") -> None:
    """Carry a held change out: the removals, or the links to other hosts."""
    _, database = opened()
    with database.write() as connection:
        print(decisions.approve(connection, held, why))


@held_app.command("reject")
def held_reject(held: int, why: str = "") -> None:
    """Keep the records of a held change as they are."""
    _, database = opened()
    with database.write() as connection:
        print(decisions.reject(connection, held, why))


@held_app.command("undo")
def held_undo(held: int, as_json: Json = False) -> None:
    """Bring back what a decision removed, within 30 days."""
    settings, database = opened()
    with database.read() as connection:
        run = undo.of_held(connection, held)
    _report(undo.undo(database, run, runs.Asked("hutong"), settings.lease_s), as_json)
