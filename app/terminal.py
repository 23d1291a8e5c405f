"""What all commands share: opening the hub as the person at the keyboard, tables for people, lines for programs."""

import getpass
from dataclasses import replace
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.access.principal import SYSTEM
from app.db import Database
from app.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
screen = Console(stderr=True)


def opened() -> tuple[Settings, Database]:
    """Settings and database; what is done is noted as `cli:USER`."""
    settings = Settings()
    return settings, Database(settings.url).acting(replace(SYSTEM, name=f"cli:{getpass.getuser()}"))


def show(items: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """A table of these columns, or one JSON object a line with all of them."""
    if as_json:
        for item in items:
            print(orjson.dumps(item, default=str).decode())
        return
    table = Table(*columns)
    for item in items:
        table.add_row(*("" if item.get(name) is None else str(item[name]) for name in columns))
    Console().print(table)
