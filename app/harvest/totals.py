"""Counters that only rise, in the database, so that all processes of a hub tell the same figures."""

from collections import Counter
from typing import Final

from sqlalchemy import Connection

from app.harvest.tables import metric_total
from app.statements import accumulate

SOURCE, NETWORK, HUB = BLAMES = ("source", "network", "hub")
_OURS: Final = ("hub.", "lease.", "request.", "net.address_forbidden")


def blame(kind: str) -> str:
    """Whose fault an error of a run is: `source`, `network` or `hub` (the hub's code, settings or machine)."""
    if kind.startswith(_OURS):
        return HUB
    return NETWORK if kind == "net.unreachable" else SOURCE


def ended(connection: Connection, job: str, status: str, error_kind: str | None) -> None:
    """Counts an ended run."""
    add(connection, Counter({f"run/{job}/{status}/{blame(error_kind) if error_kind else 'none'}": 1}))


def add(connection: Connection, totals: Counter[str]) -> None:
    """Adds to the counters, in the order of their names so that two writers never wait for each other in turn."""
    rows = [{"name": name[:255], "n": n} for name, n in sorted(totals.items()) if n]
    accumulate(connection, metric_total, ("name",), ("n",), rows)
