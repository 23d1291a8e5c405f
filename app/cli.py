"""The command `hutong`: tables for people, --json for programs; exit 0 done, 1 failed, 2 wrong usage.

The parser knows each command by its name and a line; the file of a command, and with it the rooms it needs, is loaded
when that command is asked for. Those who type it wait for their own rooms and for no others.
"""

import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from app.protocol.errors import BadRequest, HutongError

# What each file of `app/commands` holds. The lines are those of the commands themselves; tests/house compares.
FILES = {
    "running": {
        "init": "Create or migrate the database; the first time prints the hub's own key, the first administrator's code.",
        "serve": "API, protocol faces and status page, with the embedded worker; ends cleanly on SIGTERM.",
        "worker": "A harvest worker; any number, on any machine, against PostgreSQL; hands its feeds over on SIGTERM.",
        "openapi": "The contract as OpenAPI.",
        "demo": "A hub and forty real HTTP platforms of every kind, harvested before your eyes (docs/demo.md).",
    },
    "platforms": {"platform": "the federation's members"},
    "feeds": {"feed": "what platforms offer"},
    "harvesting": {
        "harvest": "Harvest a feed now, in the foreground.",
        "reconcile": "Compare with the source by identifier and stamp, find what is missing, stale or left over; repair.",
        "replay": "Run quarantined bytes through today's mapping again, without asking the source.",
        "runs": "What happened, the latest first.",
        "run": "One run with its sum.",
        "undo": "Bring back what a run removed, within 30 days.",
        "rejects": "What was refused, and why.",
        "held": "removals that wait for a person",
    },
    "looking": {
        "probe": "Which connector fits an address, with evidence, and a mapping to begin with.",
        "preview": "The first records as they would be stored, coverage and score; nothing is stored.",
        "validate": "A report grouped by rule with counts and three examples each; exit 1 when records would be refused.",
        "rules": "All rules, by what breaks them.",
        "mapping-schema": "The JSON Schema of a mapping document.",
        "connectors": "The kinds, or the configuration schema of one.",
    },
    "catalogue": {
        "search": "Find records by words and by codes of our lists (`hutong search 分数 --subject 14 --stage 2`).",
        "record": "One record as stored, or where each of its fields came from.",
    },
    "watching": {
        "status": "Every feed in one word, the worst first.",
        "doctor": "Why each feed waits, and what is wrong with the hub itself; exit 1 when something is.",
        "objective": "A feed's freshness of 30 days; with --within, sets what was agreed with its platform.",
        "alerts": "incidents, and who is told of them",
    },
    "reporting": {
        "report": "The month of the federation: growth, freshness, quality and incidents by province and platform.",
        "digest": "a platform's week, and who is sent it",
    },
    "admission": {"admission": "what may be shown, and who decides"},
    "access": {
        "roles": "Which role has which scope.",
        "key": "keys of platforms",
        "user": "people and their roles",
        "audit": "the audit chain",
        "certificate": "client certificates of platforms",
    },
    "enrolment": {
        "enrol": "applications, reviews, admission, suspension",
        "notice": "notices to platforms (通报)",
        "choice": "vendors chosen by regions",
        "grading": "security gradings (等级保护)",
    },
}
LINES = {name: line for lines in FILES.values() for name, line in lines.items()}


def command(name: str) -> Any:
    """A command of `hutong` with its parameters and what is below it, from its file."""
    file = next(file for file, lines in FILES.items() if name in lines)
    found = typer.main.get_group(import_module(f"app.commands.{file}").commands).commands[name]
    found.help = found.help or LINES[name]
    return found


class Named(TyperGroup):
    """Commands known by name and line until one is asked for."""

    def __init__(self, **attributes: Any) -> None:
        named = {name: TyperCommand(name=name, help=line) for name, line in LINES.items()}
        super().__init__(**{**attributes, "commands": named})

    def resolve_command(self, context: Any, words: list[str]) -> tuple[str | None, Any, list[str]]:
        """The command that the first word names, and the other words."""
        name, found, rest = super().resolve_command(context, words)
        return name, found and command(words[0]), rest


app = typer.Typer(cls=Named, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


def _version(asked: bool) -> None:
    if asked:
        print(f"hutong {version('hutong')}")
        raise typer.Exit


@app.callback(help="互通 Hutong")
def _hutong(_: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False) -> None: ...


def main() -> None:
    """Runs a command; an error is one sentence with its kind, never a traceback."""
    try:
        app()
    except HutongError as error:
        # What a platform or a file says may hold square brackets, which are markup here.
        told = f"[red]{error.kind}[/]: {escape(error.detail)}"
        Console(stderr=True).print(told, highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, BadRequest) else 1)


if __name__ == "__main__":
    main()
