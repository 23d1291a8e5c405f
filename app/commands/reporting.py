"""`hutong digest` and `hutong report`."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Annotated

import orjson
import typer

from app.console.letters import letter, writer
from app.console.pages.reports import report_file
from app.deployment import courier
from app.monitor import digest, letters, report
from app.protocol.errors import BadRequest
from app.terminal import Json, opened, screen, show

commands, digest_app = typer.Typer(), typer.Typer()
commands.add_typer(digest_app, name="digest")
Week = Annotated[str, typer.Option(help="2026-W48; the last whole week when left out")]
_READER = ("platform", "recipients", "lang", "week", "state", "error")


@digest_app.command("show")
def digest_show(code: str, week: Week = "", html: bool = False, lang: str = "zh-CN", as_json: Json = False) -> None:
    """A platform's digest as it is sent, on standard output."""
    settings, database = opened()
    with closing(database), database.read() as connection:
        found = digest.digest(connection, code, digest.monday(week) if week else digest.last_week(connection))
    if as_json:
        print(orjson.dumps(digest.plain(found)).decode())
        return
    written = letter(found, _known(lang), settings)
    print(written.html if html else written.text)


def _known(lang: str) -> str:
    if lang not in letters.LANGUAGES:
        raise BadRequest(f"--lang {lang!r}: {' or '.join(letters.LANGUAGES)}")
    return lang


@digest_app.command("subscribe")
def digest_subscribe(
    code: str, to: Annotated[list[str], typer.Option(help="a recipient; may be repeated")], lang: str = "zh-CN", as_json: Json = False,
) -> None:  # fmt: skip
    """Send a platform's digest to these people every Monday at eight (UTC+8)."""
    _, database = opened()
    with closing(database), database.write() as connection:
        found = letters.subscribe(connection, code, to, lang)
    show([found], _READER, as_json)


@digest_app.command("unsubscribe")
def digest_unsubscribe(code: str) -> None:
    """Send it to nobody any more."""
    _, database = opened()
    with closing(database), database.write() as connection:
        letters.unsubscribe(connection, code)


@digest_app.command("list")
def digest_list(as_json: Json = False) -> None:
    """Who gets which digest, and what became of the letter about the last week."""
    _, database = opened()
    with closing(database), database.read() as connection:
        show(letters.readers(connection), _READER, as_json)


@digest_app.command("send")
def digest_send(code: str, week: Week = "", as_json: Json = False) -> None:
    """Send a digest now, whatever was sent before."""
    settings, database = opened()
    made = courier(settings)
    with closing(database), closing(made.fetcher):
        with database.read() as connection:
            monday = digest.monday(week) if week else digest.last_week(connection)
        show(
            [letters.send(database, made, writer(settings), code, monday)], ("platform", "week", "recipients"), as_json
        )


@commands.command("report")
def monthly(
    file: Annotated[Path, typer.Argument(help="where to write it; - is standard output")],
    month: Annotated[str, typer.Option(help="2026-11; the last whole month when left out")] = "",
    format: Annotated[str, typer.Option(help="html (one file, made for printing) or csv (every platform)")] = "html",
    lang: str = "zh-CN",
) -> None:
    """The month of the federation: growth, freshness, quality and incidents by province and platform."""
    if format not in ("html", "csv"):
        raise BadRequest(f"--format {format!r}: html or csv")
    settings, database = opened()
    with closing(database), database.read() as connection:
        found = report.report(connection, month)
    made = report.table(found) if format == "csv" else report_file(found, _known(lang), settings).encode()
    _write(file, made)
    screen.print(f"{found.month.name}: {len(found.platforms)} platforms, {len(made):,} bytes", highlight=False)


def _write(file: Path, made: bytes) -> None:
    if str(file) == "-":
        sys.stdout.buffer.write(made)
        return
    try:
        file.write_bytes(made)
    except OSError as error:
        raise BadRequest(f"{file}: {error.strerror}") from None
