"""What row-level security costs a first harvest on PostgreSQL: with the policies, against the same without them.

The hub's role is no superuser, so the policies bind it. A fresh database for each harvest, both ways in turn, the
first of a pair alternately; the median of the pairs' ratios, of the processor time of hub and server together and on
the clock. Processor time is steadier where other programs share the machine.
"""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from statistics import median, quantiles

from sqlalchemy import create_engine, text

from app import schema
from app.access import wall
from app.db import Database, metadata
from app.feeds import service as feeds
from app.harvest.engine import Engine
from app.harvest.fetch import Fetcher
from app.platforms import service as platforms
from benchmarks.databases import postgres
from benchmarks.ingest import harvest, repository

RECORDS, ROUNDS, GOAL = 5_000, 12, 1.03
ROLE = "hutong_bench"


@contextmanager
def fresh(server: Database, walled: bool) -> Iterator[Database]:
    """A migrated database of the role's own."""
    url = server.url.set(database=ROLE, username=ROLE, password=ROLE)
    with server.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        admin.execute(text(f"DROP DATABASE IF EXISTS {ROLE} WITH (FORCE)"))
        admin.execute(text(f"CREATE DATABASE {ROLE} OWNER {ROLE} TEMPLATE template0 ENCODING 'UTF8'"))
    with closing(Database(url.render_as_string(hide_password=False))) as database:
        schema.upgrade(database)
        if not walled:
            with database.write() as connection:
                for table in wall.tenants(metadata):
                    connection.execute(text(f"ALTER TABLE {table.name} DISABLE ROW LEVEL SECURITY"))
        yield database


def cpu_s(postmaster: int) -> float:
    """Processor seconds so far of this process and of a server with all its processes, those that have ended too."""
    ticks = 0
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = place.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it ended meanwhile, and counts at its parent
        if int(place.parent.name) == postmaster:
            ticks += sum(int(field) for field in fields[11:15])
        elif int(fields[1]) == postmaster:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


def taken_s(server: Database, url: str, walled: bool, postmaster: int) -> tuple[float, float]:
    """Processor seconds, and seconds, of one first harvest."""
    with fresh(server, walled) as database, closing(Fetcher(allow="127.0.0.0/8")) as fetcher:
        with database.write() as connection:
            platforms.register(connection, "P-440000-01", "bench")
            made = {"platform": "P-440000-01", "name": "bench", "connector": "oai-pmh", "config": {"base_url": url}}
            feed = feeds.register(connection, **made)  # type: ignore[arg-type]
        began = cpu_s(postmaster)
        clock = harvest(Engine(database, fetcher, (50, 0.05)), feed, "harvest", RECORDS)
        return cpu_s(postmaster) - began, clock


def main() -> None:
    """Prints the median ratio and its quartiles."""
    logging.disable(logging.WARNING)
    ratios: list[tuple[float, float]] = []
    with repository(RECORDS) as url, postgres() as server:
        engine = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with engine.connect() as admin:
            admin.execute(text(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}'"))
            folder = admin.execute(text("SHOW data_directory")).scalar_one()
        engine.dispose()
        postmaster = int((Path(folder) / "postmaster.pid").read_text().split()[0])
        taken_s(server, url, True, postmaster)  # warms caches
        for number in range(ROUNDS):
            order = (True, False) if number % 2 else (False, True)
            times = {walled: taken_s(server, url, walled, postmaster) for walled in order}
            ratios.append((times[True][0] / times[False][0], times[True][1] / times[False][1]))
    for name, column in zip(("processor time", "on the clock"), zip(*ratios, strict=True), strict=True):
        low, _, high = quantiles(column, n=4)
        print(f"row-level security, {name}: {median(column):.3f} (quartiles {low:.3f} to {high:.3f}), goal {GOAL}")


if __name__ == "__main__":
    main()
