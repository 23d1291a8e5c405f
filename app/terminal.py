"""What all commands share: the hub opened as the person at the keyboard, tables for people, JSON for programs."""

import getpass
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from app.access.principal import SYSTEM
from app.db import Database
from app.protocol.errors import BadRequest
from app.settings import Settings

Json = Annotated[bool, typer.Option("--json", help="one JSON document on standard output")]
screen = Console(stderr=True)


def opened() -> tuple[Settings, Database]:
    """Settings and the database behind them; what is done is noted as `cli:USER`."""
    settings = Settings()
    return settings, Database(settings.url).acting(replace(SYSTEM, name=f"cli:{getpass.getuser()}"))


def show(items: list[dict[str, Any]], columns: tuple[str, ...], as_json: bool) -> None:
    """A table of these columns, or one JSON document a line with all of them."""
    if as_json:
        for item in items:
            print(orjson.dumps(item, default=str).decode())
        return
    table = Table(*columns)
    for item in items:
        table.add_row(*("" if item.get(name) is None else str(item[name]) for name in columns))
    Console().print(table)


def told(found: dict[str, Any], as_json: bool) -> None:
    """One thing: its figures below each other, or one JSON document."""
    if as_json:
        print(orjson.dumps(found, default=str).decode())
    else:
        show([{"figure": name, "value": value} for name, value in found.items()], ("figure", "value"), False)


def document(text: str) -> dict[str, Any]:
    """A JSON object, or with `@FILE` the one in a file. Raises BadRequest."""
    try:
        raw = Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()
    except OSError as error:
        raise BadRequest(f"{text[1:]}: {error.strerror}") from None
    try:
        found: dict[str, Any] = orjson.loads(raw)
    except ValueError as error:
        raise BadRequest(f"not JSON: {error}") from None
    return found
