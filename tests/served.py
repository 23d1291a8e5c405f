"""A hub over a real socket, in a thread of the test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from app.access.http import Http
from app.main import create
from app.settings import Settings


@contextmanager
def served(settings: Settings) -> Iterator[str]:
    """The address of a hub with these settings, without its worker."""
    server = uvicorn.Server(uvicorn.Config(create(settings, harvest=False), port=0, http=Http, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
