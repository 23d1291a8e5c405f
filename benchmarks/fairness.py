"""What a tenant that sends ten times its share does to the others: their p95 while it does, against while it does not.

Both states in turn, in slices of two seconds, so that what else the machine does falls on both; of each round the
ratio of the two p95, of the rounds the median. Each connection is a closed
loop on a clock: a request goes out when it is due and the one before it was answered, and counts from when it was due.
Count and time are bounded, so that a slow hub ends the benchmark late but does end it. The hub is a process of its
own; the generator speaks plain sockets, for it shares the machine. The processor time of the hub for a request that
is answered and for one that is refused comes from the same run.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median, quantiles
from typing import NamedTuple

from app import schema
from app.access import keys
from app.db import Database
from app.platforms import service as platforms

SHARE, TIMES, GREEDY_LINES = 10, 10, 10
OTHERS, RATE = 4, 4
ROUNDS, SLICES, SLICE_S, PATIENCE_S, GOAL = 7, 5, 2, 60, 1.25
COUNTED = 400
PATHS = ("/api/v1/feeds", "/api/v1/records", "/api/v1/status")


class Hub(NamedTuple):
    """A serving hub: its port, its process, a key of each of its platforms, the greedy one first."""

    port: int
    process: int
    issued: list[str]

    def cpu_s(self) -> float:
        """Processor seconds of the process so far."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def hub(rate: str) -> Iterator[Hub]:
    """A hub on SQLite whose tenants have this rate."""
    with tempfile.TemporaryDirectory() as folder:
        issued = _stocked(Path(folder))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        environment = {
            **os.environ,
            "HUTONG_DATA_DIR": folder,
            "HUTONG_QUOTA_TENANT": rate,
            "HUTONG_ALERT_EVERY_S": "0",
        }
        command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--no-harvest"]
        with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
            try:
                _wait(port)
                yield Hub(port, process.pid, issued)
            finally:
                process.terminate()


def _stocked(folder: Path) -> list[str]:
    database = Database(f"sqlite:///{folder / 'hutong.db'}")
    schema.upgrade(database)
    with database.write() as connection:
        codes = [f"P-{44 + number}0000-01" for number in range(OTHERS + 1)]
        for code in codes:
            platforms.register(connection, code, code)
        issued = [keys.issue(connection, code).key for code in codes]
    database.close()
    return issued


def _wait(port: int) -> None:
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.1)


class Line:
    """One kept connection of a tenant."""

    def __init__(self, port: int, key: str) -> None:
        self._port, self._key = port, key
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def get(self, path: str) -> int:
        """The status of the answer, which is read to its end."""
        if self._streams is None or self._streams[0].at_eof():
            self._streams = await asyncio.open_connection("127.0.0.1", self._port)
        reader, writer = self._streams
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._key}\r\n\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length))
        return int(head[9:12])

    def close(self) -> None:
        """Hangs up."""
        if self._streams is not None:
            self._streams[1].close()


async def _loop(line: Line, rate: float, begin_s: float, times: list[float], seen: list[int]) -> None:
    """`rate * SLICE_S` requests at `rate` a second from `begin_s` on the loop's clock."""
    loop = asyncio.get_running_loop()
    for number in range(round(rate * SLICE_S)):
        due = begin_s + number / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        seen.append(await line.get(PATHS[number % len(PATHS)]))
        times.append(loop.time() - due)
    line.close()


async def _slice(at: Hub, greedy_rate: float) -> tuple[list[float], list[int], list[int]]:
    """The others' times in seconds, and the statuses that they and the greedy one saw."""
    begin = asyncio.get_running_loop().time() + 0.1
    times: list[float] = []
    theirs, greedys = list[int](), list[int]()
    lines = [
        _loop(Line(at.port, key), RATE, begin + offset / OTHERS / RATE, times, theirs)
        for offset, key in enumerate(at.issued[1:])
    ]
    each = greedy_rate / GREEDY_LINES
    for offset in range(GREEDY_LINES):
        begun = begin + offset / GREEDY_LINES / each
        lines.append(_loop(Line(at.port, at.issued[0]), each, begun, [], greedys))
    await asyncio.wait_for(asyncio.gather(*lines), SLICE_S + PATIENCE_S)
    return times, theirs, greedys


async def _cost(at: Hub, wanted: int) -> float:
    """Processor milliseconds of the hub for one answer of this status, over COUNTED of them."""
    line, seen = Line(at.port, at.issued[0]), list[int]()
    for _ in range(50):
        await line.get(PATHS[0])
    before = at.cpu_s()
    while len(seen) < COUNTED:
        seen.append(await line.get(PATHS[0]))
    spent = at.cpu_s() - before
    line.close()
    assert seen.count(wanted) > 0.9 * COUNTED, f"{seen.count(wanted)} of {COUNTED} were {wanted}"
    return spent / COUNTED * 1e3


def _costs() -> None:
    with hub("1000000/m") as free:
        answered = asyncio.run(_cost(free, 200))
    with hub("1/s") as tight:
        refused = asyncio.run(_cost(tight, 429))
    print(f"processor time of the hub: {answered:.2f} ms for a 200, {refused:.2f} ms for a 429")


def main() -> None:
    """Prints the ratio; exit 1 when it is above the goal."""
    print(f"load at the beginning {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    _costs()
    with hub(f"{SHARE}/s") as at:
        asyncio.run(_slice(at, SHARE))  # warm
        ratios = [_compared(at, turn) for turn in range(ROUNDS)]
    ratio = median(ratios)
    print(
        f"fairness: {ratio:.2f} (goal <= {GOAL}), rounds {' '.join(f'{one:.2f}' for one in sorted(ratios))}; "
        f"a tenant that sends {TIMES} times its {SHARE}/s, {OTHERS} others at {RATE}/s; load {os.getloadavg()[0]:.1f}"
    )
    sys.exit(ratio > GOAL)


def _compared(at: Hub, turn: int) -> float:
    """The ratio of one round; which state comes first changes from round to round."""
    times: dict[int, list[float]] = {SHARE: [], SHARE * TIMES: []}
    for rate in list(times)[:: 1 if turn % 2 == 0 else -1] * SLICES:
        taken, theirs, greedys = asyncio.run(_slice(at, rate))
        assert set(theirs) == {200}, f"the others were answered {set(theirs)}"
        assert rate == SHARE or 429 in greedys, "the greedy tenant was not limited"
        times[rate] += taken
    calm, loaded = (quantiles(found, n=20)[-1] for found in times.values())
    print(f"p95 of the others: {calm * 1e3:.1f} ms, beside the greedy one {loaded * 1e3:.1f} ms", flush=True)
    return loaded / calm


if __name__ == "__main__":
    main()
