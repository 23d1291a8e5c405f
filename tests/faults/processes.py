"""Hubs as real processes, and waiting for what they do."""

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from app.db import Database

ROOT = Path(__file__).resolve().parents[2]
FORK = multiprocessing.get_context("fork")


def until(true: Callable[[], object], patience_s: float = 60, what: str = "it") -> None:
    """Waits for something to be true."""
    end = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < end, f"waited {patience_s} s in vain for {what}"
        time.sleep(0.02)


def stopped(pid: int) -> bool:
    """Whether a process is stopped (SIGSTOP)."""
    return bool(re.search(r"\) [Tt] ", Path(f"/proc/{pid}/stat").read_text()))


def stop(pid: int) -> None:
    """Stops a process, whatever it is doing."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: stopped(pid), 5)


@contextmanager
def hutong(url: str, folder: Path, *command: str, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """`hutong ...` as a process of its own; its log is `folder`.log."""
    known = {
        "HUTONG_DATABASE_URL": url, "HUTONG_DATA_DIR": str(folder), "HUTONG_FETCH_ALLOW": "127.0.0.0/8",
        "PYTHONPATH": str(ROOT), **{f"HUTONG_{name}": value for name, value in settings.items()},
    }  # fmt: skip
    with log_of(folder).open("ab") as log:
        run = [sys.executable, "-m", "app.cli", *command]
        with subprocess.Popen(run, env=os.environ | known, stderr=log, stdout=log) as process:
            try:
                yield process
            finally:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()


def log_of(folder: Path) -> Path:
    """Where a process of this folder writes what it says."""
    return folder.with_name(folder.name + ".log")


def answers(url: str) -> bool:
    """Whether a hub is ready."""
    try:
        return httpx.get(f"{url}/readyz", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def url_of(database: Database) -> str:
    """The database's address with its password."""
    return database.url.render_as_string(hide_password=False)


@contextmanager
def forked(*works: tuple[Callable[..., None], Sequence[Any]]) -> Iterator[list[Any]]:
    """Processes that begin as copies of this one; at the end none is left, stopped or not."""
    processes = [FORK.Process(target=work, args=arguments) for work, arguments in works]
    for process in processes:
        process.start()
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.join()
