"""strace on a process of a test: kill it at its n-th call of a kind, or write down what it did to its files."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.faults.processes import FORK, until


def _follow(work: Callable[..., None], start: Any, arguments: Sequence[Any]) -> None:
    start.recv()
    work(*arguments)


@contextmanager
def traced(options: Sequence[str], work: Callable[..., None], *arguments: Any) -> Iterator[Any]:
    """A process that does `work` under strace with these options, and waits until it has ended."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not here (Debian: apt-get install strace)")
    start, go = FORK.Pipe(duplex=False)
    process = FORK.Process(target=_follow, args=(work, start, arguments), daemon=True)
    process.start()
    command = ["strace", "-f", "-qq", "-p", str(process.pid), *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as tracer:
        try:
            status = Path(f"/proc/{process.pid}/status")
            until(lambda: tracer.poll() is not None or "TracerPid:\t0" not in status.read_text(), 20, "strace")
            if tracer.poll() is not None:
                pytest.skip("strace may not look at processes here")
            go.send(None)
            process.join(60)
            yield process
        finally:
            process.kill()
            process.join()
            tracer.terminate()


class Call(NamedTuple):
    """A finished call: its name, its arguments as written, what it gave back, and the thread that made it."""

    name: str
    arguments: str
    result: int
    thread: str


@contextmanager
def log() -> Iterator[Path]:
    """A file for strace to write to."""
    with tempfile.TemporaryDirectory(prefix="hutong-trace-") as folder:
        yield Path(folder) / "log"


def calls(file: Path) -> Iterator[Call]:
    """The calls of a log in the order in which they ended."""
    begun: dict[str, str] = {}
    for line in file.read_text().splitlines():
        thread, _, told = line.partition(" ")
        told = told.strip()
        if told.endswith("<unfinished ...>"):
            begun[thread] = told.removesuffix("<unfinished ...>").rstrip()
            continue
        if resumed := re.match(r"<\.\.\. \w+ resumed>", told):
            told = begun.pop(thread, "") + told[resumed.end() :]
        if found := re.match(r"(\w+)\((.*)\) += (-?\d+)", told):
            yield Call(found[1], found[2], int(found[3]), thread)


def text(quoted: str) -> bytes:
    """The bytes of a string as `strace -xx` writes it."""
    return bytes.fromhex(quoted.strip('"').replace("\\x", ""))
