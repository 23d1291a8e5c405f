"""Peak memory of a harvest: 100,000 records against 10,000, each in a process of its own (goal 1.1)."""

import resource
import subprocess
import sys

from benchmarks.ingest import harvest, hub, repository

SIZES = (10_000, 100_000)


def one(url: str, records: int) -> None:
    """Harvests and prints this process's peak, KiB."""
    with hub(url) as (engine, feed):
        harvest(engine, feed, "harvest", records)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    """Prints both peaks and their ratio."""
    peaks = []
    for records in SIZES:
        with repository(records) as url:
            command = [sys.executable, "-m", "benchmarks.memory", url, str(records)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
        peaks.append(int(done.stdout.split()[-1]) / 1024)
        print(f"harvest of {records:,} records: peak {peaks[-1]:.0f} MiB", flush=True)
    print(f"peak memory of {SIZES[1]:,} records: {peaks[1] / peaks[0]:.2f} x that of {SIZES[0]:,} (goal 1.1)")


if __name__ == "__main__":
    one(sys.argv[1], int(sys.argv[2])) if len(sys.argv) > 1 else main()
