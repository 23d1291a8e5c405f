"""A hub over a real socket, in a thread of the test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from app.access.http import Http
from app.main import create
from app.settings import Settings


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The address of a hub with these settings, without its worker."""
    with listening(create(settings, harvest=False)) as url:
        yield url


@contextmanager
def listening(app: Any, **options: Any) -> Iterator[str]:
    """The address of an application; the options are uvicorn's."""
    server = uvicorn.Server(uvicorn.Config(app, **{"port": 0, "http": Http, "log_level": "error", **options}))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
