"""`hutong platform`: the federation's members."""

from typing import Annotated

import typer

from app.feeds import service as feeds
from app.feeds import turns
from app.platforms import service as platforms
from app.terminal import Json, opened, show, told

commands, platform_app = typer.Typer(), typer.Typer()
commands.add_typer(platform_app, name="platform")


@platform_app.command("add")
def platform_add(
    code: Annotated[str, typer.Option()], name: Annotated[str, typer.Option()],
    region: str | None = None, parent: str | None = None,
) -> None:  # fmt: skip
    """Enrol a platform."""
    _, database = opened()
    with database.write() as connection:
        print(platforms.register(connection, code, name, region, parent))


@platform_app.command("list")
def platform_list(as_json: Json = False) -> None:
    """All platforms."""
    _, database = opened()
    with database.read() as connection:
        show(platforms.platforms(connection), ("code", "name", "level", "region", "state"), as_json)


@platform_app.command("show")
def platform_show(code: str, as_json: Json = False) -> None:
    """One platform with its feeds."""
    _, database = opened()
    with database.read() as connection:
        found = platforms.by_code(connection, code)
        offered = [item for item in feeds.feeds(connection) if item["platform"] == code]
    if as_json:
        told({**found, "feeds": offered}, as_json)
        return
    told(found, as_json)
    show(offered, ("id", "key", "name", "connector", "state", "every_s"), as_json)


@platform_app.command("suspend")
def platform_suspend(code: str, reason: Annotated[str, typer.Option()]) -> None:
    """Stop harvesting a platform."""
    _move(code, "suspended", reason)


@platform_app.command("resume")
def platform_resume(code: str) -> None:
    """Harvest a suspended platform again."""
    _move(code, "active", None)


@platform_app.command("weight")
def platform_weight(code: str, weight: int, reason: Annotated[str, typer.Option()]) -> None:
    """Give a platform this many turns in the harvest's queue where others have one."""
    _, database = opened()
    with database.write() as connection:
        turns.weigh(connection, code, weight, reason)


def _move(code: str, state: str, reason: str | None) -> None:
    _, database = opened()
    with database.write() as connection:
        platforms.transition(connection, code, state, reason)
