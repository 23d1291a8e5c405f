"""The command `hutong`: tables for people, --json for programs; exit 0 done, 1 failed, 2 wrong usage."""

import sys

import typer
from rich.markup import escape

from app.commands import (
    access,
    catalogue,
    enrolment,
    feeds,
    harvesting,
    looking,
    platforms,
    reporting,
    running,
    watching,
)
from app.protocol.errors import BadRequest, HutongError
from app.terminal import screen

app = typer.Typer(no_args_is_help=True, add_completion=False, help="互通 Hutong", pretty_exceptions_enable=False)
for part in (running, harvesting, looking, catalogue, watching, reporting):
    app.registered_commands += part.commands.registered_commands
app.add_typer(platforms.platform_app, name="platform", help="the federation's members")
app.add_typer(feeds.feed_app, name="feed", help="what platforms offer")
app.add_typer(harvesting.held_app, name="held", help="removals that wait for a person")
app.add_typer(watching.alerts_app, name="alerts", help="incidents, and who is told of them")
app.add_typer(reporting.digest_app, name="digest", help="a platform's week, and who is sent it")
access.attach(app)
enrolment.attach(app)


def main() -> None:
    """Runs a command; an error is one sentence with its kind, never a traceback."""
    try:
        app()
    except HutongError as error:
        # What a platform or a file says may hold square brackets, which are markup here.
        screen.print(f"[red]{error.kind}[/]: {escape(error.detail)}", highlight=False, soft_wrap=True)
        sys.exit(2 if isinstance(error, BadRequest) else 1)


if __name__ == "__main__":
    main()
