"""`hutong` in the test's own process: the same parser, output and exit code, without loading the rooms anew.

tests/acceptance/test_commands.py holds that a process of its own says the same.
"""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

import pytest

from app import cli
from app.db import Database


class Done(NamedTuple):
    """What a command left: its exit status and what it wrote."""

    returncode: int
    stdout: str
    stderr: str


def hutong(*words: str, **environment: str) -> Done:
    """Runs a command with these variables besides the test's own; a fault of the hub is the test's fault too."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, _closing(patch), redirect_stdout(out), redirect_stderr(err):
        patch.setattr(sys, "argv", ["hutong", *words])
        for name, value in environment.items():
            patch.setenv(name, value)
        try:
            cli.main()
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


@contextmanager
def _closing(patch: pytest.MonkeyPatch) -> Iterator[None]:
    """Closes the databases that are opened meanwhile: a command leaves that to the end of its process."""
    opened: list[Database] = []
    begin = Database.__init__

    def noted(database: Database, *arguments: Any, **named: Any) -> None:
        begin(database, *arguments, **named)
        opened.append(database)

    patch.setattr(Database, "__init__", noted)
    yield
    for database in opened:
        database.close()
