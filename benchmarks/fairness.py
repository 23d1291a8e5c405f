"""What a tenant that sends ten times its share does to the others: their p95 while it does, against while it does not.

Both in turn, the median of the rounds. Requests go out on a clock, whatever the hub does, and a request's time counts
from when it was due. The hub is a process of its own; the generator shares the machine with it.
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

import httpx

from app import schema
from app.access import keys
from app.db import Database
from app.platforms import service as platforms

SHARE, TIMES, OTHERS, RATE, ROUNDS, ROUND_S, GOAL = 10, 10, 4, 5, 5, 8, 1.25
PATHS = ("/api/v1/feeds", "/api/v1/records", "/api/v1/status")


@contextmanager
def hub(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A serving hub and a key of each of its platforms, the greedy one first."""
    database = Database(f"sqlite:///{folder / 'hutong.db'}")
    schema.upgrade(database)
    with database.write() as connection:
        codes = [f"P-{44 + number}0000-01" for number in range(OTHERS + 1)]
        for code in codes:
            platforms.register(connection, code, code)
        issued = [keys.issue(connection, code).key for code in codes]
    database.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "HUTONG_DATA_DIR": str(folder), "HUTONG_QUOTA_TENANT": f"{SHARE}/s"}
    command = [sys.executable, "-m", "app.cli", "serve", "--port", str(port), "--no-harvest"]
    with subprocess.Popen(command, env=environment) as process:
        try:
            _wait(f"http://127.0.0.1:{port}")
            yield f"http://127.0.0.1:{port}", issued
        finally:
            process.terminate()


def _wait(url: str) -> None:
    while True:
        try:
            httpx.get(f"{url}/healthz")
            return
        except httpx.TransportError:
            time.sleep(0.1)


async def _tenant(
    client: httpx.AsyncClient, key: str, rate: int, seconds: float, times: list[float], seen: set[int]
) -> None:
    loop, headers = asyncio.get_running_loop(), {"Authorization": f"Bearer {key}"}
    begun = loop.time()

    async def one(number: int) -> None:
        due = begun + number / rate
        await asyncio.sleep(max(0.0, due - loop.time()))
        answer = await client.get(PATHS[number % len(PATHS)], headers=headers)
        times.append(loop.time() - due)
        seen.add(answer.status_code)

    await asyncio.gather(*(one(number) for number in range(int(rate * seconds))))


async def _round(url: str, issued: list[str], greedy_rate: int) -> tuple[float, set[int], set[int]]:
    """p95 of the others in seconds, and the statuses that they and the greedy one saw."""
    times: list[float] = []
    theirs, greedys = set[int](), set[int]()
    limits = httpx.Limits(max_connections=None, keepalive_expiry=2)  # the hub hangs up after 5 s
    async with (
        httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as others,
        httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as greedy,
    ):
        await asyncio.gather(
            _tenant(greedy, issued[0], greedy_rate, ROUND_S, [], greedys),
            *(_tenant(others, key, RATE, ROUND_S, times, theirs) for key in issued[1:]),
        )
    return quantiles(times, n=20)[-1], theirs, greedys


def main() -> None:
    """Prints the ratio; exit 1 when it is above the goal."""
    with tempfile.TemporaryDirectory() as folder, hub(Path(folder)) as (url, issued):
        asyncio.run(_round(url, issued, SHARE))  # warm
        ratios = []
        for _ in range(ROUNDS):
            base, calm, _ = asyncio.run(_round(url, issued, SHARE))
            loaded, theirs, greedys = asyncio.run(_round(url, issued, SHARE * TIMES))
            assert calm == theirs == {200}, f"the others were answered {calm | theirs}"
            assert 429 in greedys, "the greedy tenant was not limited"
            ratios.append(loaded / base)
            print(f"p95 of the others: {base * 1e3:.1f} ms, beside the greedy one {loaded * 1e3:.1f} ms")
    ratio = median(ratios)
    print(
        f"fairness: {ratio:.2f} (goal <= {GOAL}); a tenant that sends {TIMES} times its {SHARE}/s, {OTHERS} others at {RATE}/s"
    )
    sys.exit(ratio > GOAL)


if __name__ == "__main__":
    main()
