"""A command in the test's process (tests/commands.py) says what a process of its own says, word for word."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from app.protocol.rules import RULES
from tests.commands import Done, hutong

ROOT = Path(__file__).resolve().parents[2]


def _process(*words: str, **environment: str) -> Done:
    command = [Path(sys.executable).parent / "hutong", *words]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def _said(done: Done) -> Done:
    """Without the usage: it names the program by how Python was started."""
    return done._replace(stderr=re.sub(r"\AUsage: .*\nTry .*\n", "", done.stderr))


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (("rules", "--json"), 0, sorted(RULES)[0]),
        (("feed", "list"), 1, "there is no database"),
        (("rules", "--none"), 2, "No such option: --none"),
    ],
)
def test_a_command_says_the_same_in_a_process_of_its_own(
    tmp_path: Path, words: tuple[str, ...], status: int, said: str
) -> None:
    place = {"HUTONG_DATA_DIR": str(tmp_path / "hub"), "HUTONG_DATABASE_URL": ""}
    here, there = hutong(*words, **place), _process(*words, **place)
    assert _said(here) == _said(there)
    assert (here.returncode, said in " ".join((here.stdout + here.stderr).split())) == (status, True)
