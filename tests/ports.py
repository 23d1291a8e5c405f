"""Ports for servers in processes of their own, which are told their port before they can ask for one."""

import random
import socket

# Below what systems give out to those who ask for any port: there a server of another test could get it first.
RANGE = (20_000, 32_000)


def free() -> int:
    """One that nobody listens on."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.randrange(*RANGE)))
            except OSError:
                continue
            return int(probe.getsockname()[1])
